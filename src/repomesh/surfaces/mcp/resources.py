"""Sessions as MCP resources: listed, and read as a summary with the newest of the conversation behind it.

A client puts a resource into its model's context when its person picks it, so what stands there is labelled
and made neutral like everything that others wrote. Nothing is pushed: who wants news reads again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

from repomesh.domains.messaging.messages.envelope import one_line
from repomesh.domains.sessions.models import ListedSession
from repomesh.kernel import limits
from repomesh.kernel.errors import Failure, RepomeshError
from repomesh.kernel.fields import Page
from repomesh.surfaces.mcp.calls import MAX_CHARS, Calls, McpRequest
from repomesh.surfaces.mcp.tool_output import labelled

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]

TEMPLATE: Final = "repomesh://session/{session_id}{?max_chars}"
CHARS_MIN: Final = 6_000
"""Least budget of a resource: the longest title, participants and speakers fit."""

_URI: Final = re.compile(r"repomesh://session/([a-z0-9_-]{1,64})(?:\?max_chars=([0-9]{1,9}))?")
_JSON: Final = "application/json"
_PRIVATE: Final = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


class SessionResources:
    """Lists and reads sessions for the agent of each request."""

    def __init__(self, calls: Calls, exchange_of: Callable[[Context], McpRequest]) -> None:
        self._calls = calls
        self._exchange_of = exchange_of

    def add_to(self, server: Server[Any]) -> None:
        """Serve the three methods of resources; there is nothing to subscribe to."""
        pages = types.PaginatedRequestParams
        server.add_request_handler("resources/list", pages, self._list)
        server.add_request_handler("resources/templates/list", pages, self._templates)
        server.add_request_handler("resources/read", types.ReadResourceRequestParams, self._read)

    async def _list(self, context: Context, params: types.PaginatedRequestParams) -> Json:
        wanted = {"cursor": params.cursor} if params.cursor else {}
        page = cast(Page[ListedSession], await self._answer(context, "session.list", wanted))
        listed = _PRIVATE | {"resources": [_listed(session) for session in page.items]}
        return listed | ({"nextCursor": page.next_cursor} if page.next_cursor else {})

    async def _templates(self, _context: Context, _params: types.PaginatedRequestParams) -> Json:
        about = "A session: what became of it, and the newest of its conversation."
        template = {"uriTemplate": TEMPLATE, "name": "session", "description": about, "mimeType": _JSON}
        return _PRIVATE | {"resourceTemplates": [template]}

    async def _read(self, context: Context, params: types.ReadResourceRequestParams) -> Json:
        found = _URI.fullmatch(params.uri)
        if found is None:
            raise MCPError(types.INVALID_PARAMS, f"Resource not found: {params.uri[:200]}")
        budget = MAX_CHARS if found[2] is None else int(found[2])
        max_chars = min(max(budget, CHARS_MIN), limits.MAX_CHARS_MAX)
        text = await self._session(context, found[1], max_chars)
        return _PRIVATE | {"contents": [{"uri": params.uri, "mimeType": _JSON, "text": text}]}

    async def _session(self, context: Context, session_id: str, max_chars: int) -> str:
        """A session's summary in half of the budget at most, and what of its newest chunks fits the rest."""
        named = {"session_id": session_id}
        half = named | {"max_chars": max_chars // 2}
        summary = await self._answer(context, "session.summary", half)
        text = await asyncio.to_thread(_labelled, summary=summary)
        left = max_chars - len(text) - len(',"newest_chunks":')
        if left < limits.MAX_CHARS_MIN:
            return text
        newest = named | {"newest_first": True, "max_chars": left}
        chunks = await self._answer(context, "chunk.list", newest)
        whole = await asyncio.to_thread(_labelled, summary=summary, newest_chunks=chunks)
        return whole if len(whole) <= max_chars else text

    async def _answer(self, context: Context, name: str, arguments: Json) -> Any:
        mcp_request, meta = self._exchange_of(context), cast(Mapping[str, Any], context.meta or {})
        return await _refused(self._calls.answer(name, arguments, mcp_request, meta))


def _listed(session: ListedSession) -> Json:
    return {
        "uri": f"repomesh://session/{session.id}",
        "name": session.id,
        "title": one_line(session.title),
        "description": f"A session, {session.status}",
        "mimeType": _JSON,
    }


def _labelled(**results: BaseModel) -> str:
    """Results by their names, as text for a model; long ones take a tenth of a second."""
    return labelled(
        {
            name: result.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
            for name, result in results.items()
        }
    )


async def _refused(answer: Awaitable[Any]) -> Any:
    """An answer; a refusal as the protocol's error, with its code and hint as data."""
    try:
        return await answer
    except RepomeshError as error:
        callers = error.failure in (Failure.NOT_FOUND, Failure.INVALID)
        code = types.INVALID_PARAMS if callers else types.INTERNAL_ERROR
        raise MCPError(code, error.message, {"code": error.code, "hint": error.hint}) from None
