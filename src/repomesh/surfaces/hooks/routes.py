"""`POST /v1/hooks/{cli}/{event}`: takes a hook's unchanged input, and answers the output of the hook.

200 with the bytes to print, or 204 for nothing. Every error is a problem document, for which a hook prints
nothing, too: no failure of a hook may stop its CLI. An input that exceeds a bound is no error: what can be
read of it counts, and a tool whose files are not known may write anything.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace

import structlog
from starlette.routing import Route

from repomesh.domains.agents.models import PROCESS_PATTERN, is_process
from repomesh.jobs.transcripts import Transcripts
from repomesh.kernel.errors import InternalError, InvalidRequest, RepomeshError
from repomesh.kernel.identity import RequestContext
from repomesh.kernel.json_text import check_json_structure, read_shallow
from repomesh.kernel.limits import (
    HOOK_ANSWER_S,
    HOOK_BODY_BYTES_MAX,
    HOOK_ON_LOOP_BYTES,
    HOOK_PROCESSES_MAX,
    PROCESS_ID_CHARS_MAX,
)
from repomesh.kernel.telemetry import trace_id_of, traced_context
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.hooks.dialects import DIALECTS, HookDialect, HookInput
from repomesh.surfaces.hooks.dialects.base import CUT, load_json
from repomesh.surfaces.hooks.service import HookCall, HookService, Reply
from repomesh.surfaces.http.asgi_messages import (
    JSON,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    respond,
    respond_empty,
)
from repomesh.surfaces.http.authentication import agent_from_header, authenticate
from repomesh.surfaces.http.problems import send_problem
from repomesh.surfaces.http.routes import refuse_method

log = structlog.get_logger("repomesh.hooks")

_PROCESS = re.compile(PROCESS_PATTERN)


class Hooks:
    """The endpoint of all hooks, as an ASGI application."""

    def __init__(self, gateway: Gateway, transcripts: Transcripts) -> None:
        self._gateway = gateway
        self._transcripts = transcripts
        self.service = HookService(gateway, transcripts)
        self._reading = asyncio.Lock()

    def route(self) -> Route:
        """The route of all hooks."""
        return Route("/v1/hooks/{cli}/{event}", self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one hook."""
        started_at = time.monotonic()
        traceparent = header(scope, b"traceparent")
        trace_id = trace_id_of(traceparent)
        try:
            if scope["method"] != "POST":
                await refuse_method(scope, send, ["POST"], trace_id)
                return
            reply = await self._reply(scope, receive, replace(traced_context(traceparent), trace_id=trace_id))
            if reply.body:
                await respond(send, 200, reply.body, JSON)
            else:
                await respond_empty(send, ())
            self.service.note_sent(reply, late=time.monotonic() - started_at > HOOK_ANSWER_S)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)
        except Exception:  # the edge of the surface: the hook gets a problem document for any failure
            log.exception("hook failed", path=scope["path"], trace_id=trace_id)
            await send_problem(send, InternalError("the hook failed inside the server"), trace_id)

    async def _reply(self, scope: Scope, receive: Receive, context: RequestContext) -> Reply:
        requested_agent = agent_from_header(scope)
        caller = await authenticate(self._gateway, scope)
        caller.require("agents:write")  # before the body is read
        body = await read_body(scope, receive, HOOK_BODY_BYTES_MAX)
        arrived_at = self._gateway.store.now()
        dialect = DIALECTS.get(scope["path_params"]["cli"])
        event = scope["path_params"]["event"]
        if dialect is None or event not in dialect.events:
            return Reply()
        async with self._gateway.bodies.turn(len(body)):
            hook_input = await self._hook_input(dialect, event, body)
        if hook_input is None:
            return Reply()
        call = HookCall(
            dialect=dialect,
            event=event,
            hook_input=hook_input,
            caller=caller,
            context=context,
            requested_agent=requested_agent,
            processes=_processes(header(scope, b"x-repomesh-process")),
            arrived_at=arrived_at,
        )
        return await self.service.answer(call)

    async def _hook_input(self, dialect: HookDialect, event: str, body: bytes) -> HookInput | None:
        """Parse a body; long ones on a thread, one at a time: several would block the interpreter for others.

        They have a lock of their own, since in the turns for large bodies a hook could wait too long.
        """
        if len(body) <= HOOK_ON_LOOP_BYTES:
            return dialect.read(event, _object(body, dialect))
        async with self._reading:
            return await asyncio.to_thread(lambda: dialect.read(event, _object(body, dialect)))


def _object(body: bytes, dialect: HookDialect) -> dict[str, object]:
    """The object in a body; of one that is incomplete or too complex, the strings of its two outer levels.

    A lone surrogate is replaced. Raises InvalidRequest where no session is named.
    """
    try:
        check_json_structure(body)
        payload = load_json(body)
    except (InvalidRequest, ValueError) as error:
        payload = read_shallow(body) | {CUT: True}
        if dialect.keys.session not in payload:
            raise (error if isinstance(error, InvalidRequest) else InvalidRequest(f"body: {error}")) from None
    if not isinstance(payload, dict):
        raise InvalidRequest("body: must be a JSON object, as the CLI gave it to its hook")
    return payload


def _processes(header_value: str | None) -> tuple[str, ...]:
    """The well-formed process ids of the hook's ancestors; others can't be a connected CLI."""
    words = [word.strip() for word in (header_value or "").split(",")[:HOOK_PROCESSES_MAX]]
    return tuple(
        word
        for word in words
        if len(word) <= PROCESS_ID_CHARS_MAX and _PROCESS.fullmatch(word) and is_process(word)
    )
