"""Sessions as MCP resources: listed, and read as a summary followed by the newest of the conversation.

A client puts a resource into its model's context when its user picks it, so the content is labelled and made
neutral like every text by others. Nothing is pushed: a client polls for news.
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
from repomesh.surfaces.mcp.tool_output import label_values

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

    def __init__(self, calls: Calls, request_of: Callable[[Context], McpRequest]) -> None:
        self._calls = calls
        self._request_of = request_of

    def add_to(self, server: Server[Any]) -> None:
        """Register the three methods of resources; there are no subscriptions."""
        pages = types.PaginatedRequestParams
        server.add_request_handler("resources/list", pages, self._list)
        server.add_request_handler("resources/templates/list", pages, self._templates)
        server.add_request_handler("resources/read", types.ReadResourceRequestParams, self._read)

    async def _list(self, context: Context, params: types.PaginatedRequestParams) -> Json:
        arguments = {"cursor": params.cursor} if params.cursor else {}
        page = cast(Page[ListedSession], await self._call(context, "session.list", arguments))
        listing = _PRIVATE | {"resources": [_resource_entry(session) for session in page.items]}
        return listing | ({"nextCursor": page.next_cursor} if page.next_cursor else {})

    async def _templates(self, _context: Context, _params: types.PaginatedRequestParams) -> Json:
        description = "A session: what became of it, and the newest of its conversation."
        template = {"uriTemplate": TEMPLATE, "name": "session", "description": description, "mimeType": _JSON}
        return _PRIVATE | {"resourceTemplates": [template]}

    async def _read(self, context: Context, params: types.ReadResourceRequestParams) -> Json:
        match = _URI.fullmatch(params.uri)
        if match is None:
            raise MCPError(types.INVALID_PARAMS, f"Resource not found: {params.uri[:200]}")
        budget = MAX_CHARS if match[2] is None else int(match[2])
        max_chars = min(max(budget, CHARS_MIN), limits.MAX_CHARS_MAX)
        text = await self._session_text(context, match[1], max_chars)
        return _PRIVATE | {"contents": [{"uri": params.uri, "mimeType": _JSON, "text": text}]}

    async def _session_text(self, context: Context, session_id: str, max_chars: int) -> str:
        """A session's summary in half of the budget at most, and as many of its newest chunks as fit."""
        session_argument = {"session_id": session_id}
        summary_request = session_argument | {"max_chars": max_chars // 2}
        summary = await self._call(context, "session.summary", summary_request)
        text = await asyncio.to_thread(_label_results, summary=summary)
        remaining_chars = max_chars - len(text) - len(',"newest_chunks":')
        if remaining_chars < limits.MAX_CHARS_MIN:
            return text
        chunks_request = session_argument | {"newest_first": True, "max_chars": remaining_chars}
        chunks = await self._call(context, "chunk.list", chunks_request)
        full_text = await asyncio.to_thread(_label_results, summary=summary, newest_chunks=chunks)
        return full_text if len(full_text) <= max_chars else text

    async def _call(self, context: Context, name: str, arguments: Json) -> Any:
        mcp_request, meta = self._request_of(context), cast(Mapping[str, Any], context.meta or {})
        return await _convert_error(self._calls.call_operation(name, arguments, mcp_request, meta))


def _resource_entry(session: ListedSession) -> Json:
    return {
        "uri": f"repomesh://session/{session.id}",
        "name": session.id,
        "title": one_line(session.title),
        "description": f"A session, {session.status}",
        "mimeType": _JSON,
    }


def _label_results(**results: BaseModel) -> str:
    """Results by name, as labelled JSON for a model; long ones take a tenth of a second."""
    return label_values(
        {
            name: result.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
            for name, result in results.items()
        }
    )


async def _convert_error(answer: Awaitable[Any]) -> Any:
    """Wait for a result; raises a refusal as the protocol's MCPError, with code and hint as data."""
    try:
        return await answer
    except RepomeshError as error:
        is_callers_fault = error.failure in (Failure.NOT_FOUND, Failure.INVALID)
        code = types.INVALID_PARAMS if is_callers_fault else types.INTERNAL_ERROR
        raise MCPError(code, error.message, {"code": error.code, "hint": error.hint}) from None
