"""`POST /v1/hooks/{cli}/{event}`: a hook's input as it came, and what the hook shall print.

200 with the bytes to print, or 204 for nothing. Whatever is wrong is a problem document, for which a hook
prints nothing, too: no CLI is ever stopped by its hooks failing.
"""

from __future__ import annotations

import re
import time

import orjson
import structlog
from starlette.routing import Route

from repomesh.kernel.errors import InternalError, InvalidRequest, RepomeshError
from repomesh.kernel.identity import RequestContext
from repomesh.kernel.limits import (
    HOOK_ANSWER_S,
    HOOK_PROCESSES_MAX,
    NAME_CHARS_MAX,
    PROCESS_ID_CHARS_MAX,
)
from repomesh.kernel.telemetry import is_traceparent, trace_id_of
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.hooks.dialects import DIALECTS
from repomesh.surfaces.hooks.moments import Call, Moments, Reply
from repomesh.surfaces.http.asgi import JSON, Receive, Scope, Send, header, read_body, respond, respond_empty
from repomesh.surfaces.http.problems import send_problem
from repomesh.surfaces.http.routes import refuse_method
from repomesh.workers.transcripts import Transcripts

log = structlog.get_logger("repomesh.hooks")

_PROCESS = re.compile(r"[0-9]{1,10}(@[A-Za-z0-9._-]+)?")
_AGENT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS_MAX - 1}}}")


class Hooks:
    """The endpoint of all hooks, as an ASGI application."""

    def __init__(self, gateway: Gateway, transcripts: Transcripts) -> None:
        self._gateway = gateway
        self._transcripts = transcripts
        self.moments = Moments(gateway, transcripts)

    def route(self) -> Route:
        """Where hooks ask."""
        return Route("/v1/hooks/{cli}/{event}", self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one hook."""
        begun = time.monotonic()
        traceparent = header(scope, b"traceparent")
        trace_id = trace_id_of(traceparent)
        try:
            if scope["method"] != "POST":
                await refuse_method(scope, send, ["POST"], trace_id)
                return
            context = RequestContext(
                trace_id=trace_id, traceparent=traceparent if is_traceparent(traceparent) else None
            )
            reply = await self._reply(scope, receive, context)
            if reply.body:
                await respond(send, 200, reply.body, JSON)
            else:
                await respond_empty(send, ())
            self.moments.sent(reply, late=time.monotonic() - begun > HOOK_ANSWER_S)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)
        except Exception:  # the edge of the surface: whatever it is, the hook gets a problem document
            log.exception("hook failed", path=scope["path"], trace_id=trace_id)
            await send_problem(send, InternalError("the hook failed inside the server"), trace_id)

    async def _reply(self, scope: Scope, receive: Receive, context: RequestContext) -> Reply:
        caller = await self._gateway.authenticate(header(scope, b"authorization"))
        body = await read_body(scope, receive)
        arrived = self._transcripts.clock()
        dialect = DIALECTS.get(scope["path_params"]["cli"])
        event = scope["path_params"]["event"]
        if dialect is None or event not in dialect.events:
            return Reply()
        heard = dialect.read(event, _object(body))
        if heard is None:
            return Reply()
        wanted = header(scope, b"x-repomesh-agent")
        if wanted and _AGENT.fullmatch(wanted) is None:
            raise InvalidRequest("X-Repomesh-Agent: this is no agent's name")
        call = Call(
            dialect=dialect,
            event=event,
            heard=heard,
            caller=caller,
            context=context,
            wanted=wanted or None,
            processes=_processes(header(scope, b"x-repomesh-process")),
            arrived=arrived,
        )
        return await self.moments.answer(call)


def _object(body: bytes) -> dict[str, object]:
    try:
        said = orjson.loads(body)
    except ValueError as error:
        raise InvalidRequest(f"body: {error}") from None
    if not isinstance(said, dict):
        raise InvalidRequest("body: must be a JSON object, as the CLI gave it to its hook")
    return said


def _processes(named: str | None) -> tuple[str, ...]:
    """The hook's ancestors, as far as they are well-formed: what is not can't be a CLI of ours."""
    words = [word.strip() for word in (named or "").split(",")[:HOOK_PROCESSES_MAX]]
    return tuple(
        word for word in words if len(word) <= PROCESS_ID_CHARS_MAX and _PROCESS.fullmatch(word) is not None
    )
