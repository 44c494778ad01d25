"""Tool calls: for whom a call is made, and how its result or its error is told. Knows no protocol library."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import anyio
import pydantic_core
import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.models import AgentRef, CloseInstance, Registration
from repomesh.domains.messaging.delivery.models import MessagesReturned, Remind, Reminder
from repomesh.domains.messaging.models import WaitForMessages
from repomesh.domains.messaging.waits.models import BeginWait, Wait
from repomesh.kernel.dispatch import Answer
from repomesh.kernel.errors import (
    AgentRequired,
    Failure,
    InvalidRequest,
    RepomeshError,
    Unauthenticated,
    Unavailable,
)
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.limits import LABEL_CHARS_MAX, WAIT_KEPT_S
from repomesh.kernel.operation import Kind, Operation
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.routes import request_context
from repomesh.surfaces.mcp.telling import Told, tell
from repomesh.surfaces.mcp.tools import compact

log = structlog.get_logger("repomesh.mcp")

REGISTER: Final = "agent.register"
WAIT: Final = "message.wait"
AGENT_META: Final = "repomesh/agent"
"""The `_meta` entry of a request that names the acting agent, as the header X-Repomesh-Agent does."""
SESSIONS_BOUND_MAX: Final = 2_000
"""Sessions that are remembered as an agent's; twice as many as may be open, so none of those is forgotten."""

MAX_CHARS: Final = 20_000
"""Budget of an answer to a model that names none: some 5,000 tokens."""

_SHOW_MESSAGES: Final = frozenset({"message.inbox", WAIT})
_SHOW_LEASES: Final = frozenset({"lock", "task"})
"""Whose answers say already what a reminder would."""

_AGENT = TypeAdapter(AgentRef)

Arguments = dict[str, Any]


@dataclass(eq=False)
class Exchange:
    """One HTTP request at the endpoint: who sent it, and the calls that run for it.

    `principal` is the caller that the token alone makes; `agent` the one that a header names;
    `session_id` is None in the stateless revision; `program` is what the client calls itself.
    """

    context: RequestContext
    principal: Caller
    authorization: str | None
    agent: str | None
    session_id: str | None
    program: str = ""

    def __post_init__(self) -> None:
        self._open: set[anyio.CancelScope] = set()
        self.over = False
        self.returning: list[tuple[Caller, Told]] = []

    @property
    def owner(self) -> str:
        """To whom a session that this request opens belongs: the token, and the agent that a header names."""
        return f"{self.principal.principal} {self.agent or ''}"

    @contextmanager
    def cancellable(self) -> Iterator[anyio.CancelScope]:
        """What runs inside ends with the exchange."""
        with anyio.CancelScope() as scope:
            self._open.add(scope)
            if self.over:
                scope.cancel()
            try:
                yield scope
            finally:
                self._open.discard(scope)

    def end(self) -> None:
        """Cancel what still runs."""
        self.over = True
        for scope in self._open:
            scope.cancel()


class Calls:
    """Runs tools for the agent that each request speaks for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        # Sessions in which an agent registered, with the Authorization of its instance from then on.
        self._bound: OrderedDict[str, str] = OrderedDict()

    async def run(
        self, operation: Operation, arguments: Arguments, exchange: Exchange, meta: Mapping[str, Any]
    ) -> Told:
        """Call a tool, and tell its result or why it was refused."""
        context = _context(exchange, meta)
        try:
            caller, arguments = await self._speaking(operation, arguments, exchange, meta)
            if _has_budget(operation):
                arguments = {"max_chars": MAX_CHARS} | arguments
            payload = pydantic_core.to_json(arguments)
            if operation.blocking is None:
                answer = await self._gateway.dispatch(operation, caller, payload, context)
            else:
                answer = await self._wait(operation, caller, payload, context, exchange)
        except RepomeshError as error:
            return _refusal(error, exchange, context)
        if isinstance(answer.result, Registration):
            self._bind(exchange, meta, answer.result)
        told = self._returning(exchange, caller, tell(operation, answer.result))
        return replace(told, reminder=await self._reminder(operation, caller, context))

    async def answer(
        self, name: str, arguments: Arguments, exchange: Exchange, meta: Mapping[str, Any]
    ) -> BaseModel:
        """What an operation answers to whom a request speaks for; raises RepomeshError."""
        operation = self._gateway.registry[name]
        caller, arguments = await self._speaking(operation, arguments, exchange, meta)
        payload = pydantic_core.to_json(arguments)
        return (await self._gateway.dispatch(operation, caller, payload, _context(exchange, meta))).result

    async def _reminder(self, operation: Operation, caller: Caller, context: RequestContext) -> str:
        """What the model must not overlook besides what this answer tells it; empty for most answers."""
        area = operation.name.partition(".")[0]
        wanted = Remind(of_messages=operation.name not in _SHOW_MESSAGES, of_leases=area not in _SHOW_LEASES)
        if caller.agent_id is None:
            return ""
        try:
            answer = await self._gateway.dispatch(
                self._gateway.registry["message.remind"], caller, wanted, RequestContext(context.trace_id)
            )
        except RepomeshError:  # the call itself was answered; an agent that has just left needs no reminder
            return ""
        return cast(Reminder, answer.result).line

    async def begin_wait(
        self, arguments: Arguments, exchange: Exchange, meta: Mapping[str, Any]
    ) -> Told | Wait:
        """Tell what is unread at once, or why not; else begin a wait that the client asks about again.

        A client that names no time waits as long as the server keeps a wait: nothing is lost by it.
        """
        registry, context = self._gateway.registry, _context(exchange, meta)
        operation = registry[WAIT]
        try:
            caller, arguments = await self._speaking(operation, arguments, exchange, meta)
            payload = pydantic_core.to_json({"max_chars": MAX_CHARS} | arguments)
            wanted = cast(WaitForMessages, operation.parse(payload))
            at_once = wanted.model_copy(update={"timeout_s": 0.0})
            answer = await self._gateway.dispatch(operation, caller, at_once, context)
            wait_s = wanted.timeout_s if "timeout_s" in arguments else WAIT_KEPT_S
            assert operation.blocking is not None
            if wait_s == 0 or operation.blocking.done(answer.result):
                return self._returning(exchange, caller, tell(operation, answer.result))
            begin = BeginWait(wanted=at_once, wait_s=wait_s)
            begun = await self._gateway.dispatch(registry["wait.begin"], caller, begin, context)
        except RepomeshError as error:
            return _refusal(error, exchange, context)
        return cast(Wait, begun.result)

    async def on_wait(
        self, operation: str, wait_id: str, exchange: Exchange, meta: Mapping[str, Any]
    ) -> tuple[Wait, Told | None]:
        """Look at a wait of the agent that the request speaks for, or cancel it; raises RepomeshError.

        Answers what the call would have told, too, when the wait has ended with something.
        """
        operation_ = self._gateway.registry[operation]
        caller, arguments = await self._speaking(operation_, {"wait_id": wait_id}, exchange, meta)
        payload = pydantic_core.to_json(arguments)
        answer = await self._gateway.dispatch(operation_, caller, payload, _context(exchange, meta))
        wait = cast(Wait, answer.result)
        told = None if wait.result is None else tell(self._gateway.registry[WAIT], wait.result)
        if told is not None:
            self._returning(exchange, caller, told)
        return wait, told

    async def returned(self, exchange: Exchange) -> None:
        """The answer has left: the messages in it are before the models that asked for them."""
        operation = self._gateway.registry["delivery.returned"]
        for caller, told in exchange.returning:
            request = MessagesReturned(message_ids=told.message_ids, boundary=told.boundary)
            try:
                await self._gateway.dispatch(operation, caller, request, RequestContext())
            except RepomeshError as error:  # who has just left is told nothing more
                log.info("not noted as injected", code=error.code)

    def _returning(self, exchange: Exchange, caller: Caller, told: Told) -> Told:
        if told.message_ids and caller.agent_id is not None:
            exchange.returning.append((caller, told))
        return told

    async def _wait(
        self,
        operation: Operation,
        caller: Caller,
        payload: bytes,
        context: RequestContext,
        exchange: Exchange,
    ) -> Answer:
        """Dispatch what may wait, no longer than its token lives, its client stays and the server runs."""
        valid = self._gateway.revocations.while_valid

        def waiting() -> Coroutine[Any, Any, Answer]:
            return self._gateway.dispatch(operation, caller, payload, context)

        with exchange.cancellable():
            if caller.token_id == exchange.principal.token_id:
                return await valid(caller, waiting)
            # A session that speaks as an instance: it depends on both tokens.
            return await valid(exchange.principal, lambda: valid(caller, waiting))
        raise Unavailable("the server is stopping")

    async def leave(self, session_id: str) -> None:
        """End the instance that was registered in a session, since the session ended."""
        authorization = self._bound.pop(session_id, None)
        if authorization is None:
            return
        try:
            caller = await self._gateway.authenticate(authorization)
            request = CloseInstance(agent_id=caller.acting_agent())
            await self._gateway.dispatch(
                self._gateway.registry["agent.leave"], caller, request, RequestContext()
            )
        except RepomeshError:
            return  # replaced or retired meanwhile: it is gone already

    async def _speaking(
        self, operation: Operation, arguments: Arguments, exchange: Exchange, meta: Mapping[str, Any]
    ) -> tuple[Caller, Arguments]:
        """Who calls, and the arguments with what a registration takes from where it comes."""
        named = _named(exchange, meta)
        registering = operation.name == REGISTER
        try:
            caller = await self._identified(exchange, named, registering=registering)
        except AgentNotFound:
            if not registering:
                raise
            # The header names the agent that is now to be.
            caller = await self._gateway.authenticate(exchange.authorization)
            arguments = {"name": named} | arguments
        if registering and caller.instance_id is None:
            # The same connection registering again is the same instance, not a rival of itself.
            session_id = None if named else exchange.session_id
            here = {"instance_id": _instance_id(caller, session_id)}
            if program := _label(exchange.program):
                here["program"] = program
            arguments = here | arguments
        return caller, arguments

    async def _identified(self, exchange: Exchange, named: str | None, *, registering: bool) -> Caller:
        bound = self._bound.get(exchange.session_id or "")
        if bound is None or named is not None:
            return await self._gateway.authenticate(exchange.authorization, named)
        assert exchange.session_id is not None
        self._bound.move_to_end(exchange.session_id)
        try:
            return await self._gateway.authenticate(bound)
        except Unauthenticated:
            if not registering:
                raise
            del self._bound[exchange.session_id]
            return await self._gateway.authenticate(exchange.authorization)

    def _bind(self, exchange: Exchange, meta: Mapping[str, Any], registered: Registration) -> None:
        """From now on the session speaks as the instance that was registered in it."""
        if exchange.session_id is None or not registered.token or _named(exchange, meta) is not None:
            return
        self._bound[exchange.session_id] = f"Bearer {registered.token}"
        if len(self._bound) > SESSIONS_BOUND_MAX:
            self._bound.popitem(last=False)


def _has_budget(operation: Operation) -> bool:
    field = operation.request.model_fields.get("max_chars")
    return field is not None and field.default is None


def _named(exchange: Exchange, meta: Mapping[str, Any]) -> str | None:
    """The agent that a request names, the closest to it first."""
    if AGENT_META not in meta:
        return exchange.agent
    try:
        return _AGENT.validate_python(meta[AGENT_META], strict=True)
    except ValidationError:
        raise InvalidRequest(f"_meta: {AGENT_META} is no agent's name or id") from None


def _label(text: str) -> str:
    """One line of bounded length, as a request takes it."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()[:LABEL_CHARS_MAX]


def _instance_id(caller: Caller, session_id: str | None) -> str:
    """The same for each registration of a session, or of a token where there is none."""
    if session_id is None:
        return f"mcp:{caller.token_id}"
    return (
        f"mcp:{hashlib.sha256(session_id.encode()).hexdigest()[:32]}"  # others see it; not the session's id
    )


def _context(exchange: Exchange, meta: Mapping[str, Any]) -> RequestContext:
    """The request's context; a client that can't set headers carries the trace in `_meta`."""
    parent = meta.get("traceparent")
    if exchange.context.traceparent is not None or not isinstance(parent, str):
        return exchange.context
    carried = request_context({"headers": [(b"traceparent", parent.encode())]}, Kind.QUERY)
    return replace(exchange.context, trace_id=carried.trace_id, traceparent=carried.traceparent)


def _refusal(error: RepomeshError, exchange: Exchange, context: RequestContext) -> Told:
    body = {"code": error.code, "message": error.message, "hint": _hint(error, exchange)}
    if error.failure is Failure.INTERNAL:
        body["trace_id"] = context.trace_id
    further = {name: value for name, value in error.details.items() if name not in body}
    return Told(compact(body | further), is_error=True)


def _hint(error: RepomeshError, exchange: Exchange) -> str:
    if not isinstance(error, AgentRequired):
        return error.hint
    if exchange.session_id is not None:
        return "Call register_agent first; this session then speaks as that agent."
    return (
        "This connection keeps no session: name the agent with the header X-Repomesh-Agent, use its own "
        "token, or connect through 'repomesh mcp'."
    )
