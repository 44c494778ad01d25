"""Tool calls: resolving the caller, and rendering the result or error. Imports no protocol library."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, cast

import anyio
import pydantic_core
import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.models import AgentRef, CloseInstance, Registration
from repomesh.domains.leases.models import LossesReported
from repomesh.domains.messaging.delivery.models import MarkInjected, Reminder, RemindOfMessages
from repomesh.domains.messaging.delivery.reminding import is_reminder_due
from repomesh.domains.messaging.messages.envelope import new_boundary
from repomesh.domains.messaging.messages.models import WaitForMessages
from repomesh.domains.messaging.waits.models import BeginWait, Wait
from repomesh.domains.overview.cli_hooks import rules as hook_rules
from repomesh.kernel.dispatch import OperationResult
from repomesh.kernel.errors import (
    AgentRequired,
    Failure,
    InvalidRequest,
    RepomeshError,
    Unauthenticated,
)
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.limits import LABEL_CHARS_MAX, LOSSES_SHARE_CHARS, WAIT_KEPT_S
from repomesh.kernel.operation import Operation
from repomesh.kernel.telemetry import traced_context
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.leniency import correct_fields
from repomesh.surfaces.mcp.tool_output import ToolOutput, add_losses, escape_untrusted_json, render
from repomesh.surfaces.mcp.tools import compact

log = structlog.get_logger("repomesh.mcp")

REGISTER: Final = "agent.register"
WAIT: Final = "message.wait"
AGENT_META: Final = "repomesh/agent"
"""The `_meta` entry of a request that names the acting agent, as the header X-Repomesh-Agent does."""
SESSIONS_BOUND_MAX: Final = 2_000
"""Remembered sessions of agents; twice as many as may be open, so that no open one is forgotten."""

MAX_CHARS: Final = 20_000
"""Default budget of an answer in characters: some 5,000 tokens."""

_MESSAGE_OPERATIONS: Final = frozenset({"message.inbox", WAIT})
_LEASE_AREAS: Final = frozenset({"lock", "task"})
"""Their answers contain what a reminder would say."""

_AGENT = TypeAdapter(AgentRef)

Arguments = dict[str, Any]
SessionKey = tuple[str, str]
"""Owner and id of a session of the `initialize` handshake (revisions before 2026-07-28)."""


@dataclass(eq=False)
class McpRequest:
    """One HTTP request at the endpoint: who sent it, and the calls that run for it.

    `token_caller` is the caller by the token alone; `agent` is the one that a header names; `session_id` is
    None in the stateless revision (2026-07-28), whatever its headers carry; `program` is the client's name.
    """

    context: RequestContext
    token_caller: Caller
    authorization: str | None
    agent: str | None
    session_id: str | None
    program: str = ""

    def __post_init__(self) -> None:
        self.over = asyncio.Event()
        self.stream: anyio.CancelScope | None = None  # of an open stream
        self.unconfirmed_outputs: list[tuple[Caller, ToolOutput]] = []
        self.lost_leases: list[tuple[Caller, tuple[str, ...]]] = []
        self.context = replace(self.context, gone=self.over.wait, token_caller=self.token_caller)
        # The opener of a session that this request opens: the token, and the agent that a header names.
        self.opener = f"{self.token_caller.principal} {self.agent or ''}"
        # The session of the older handshake, as its opener's; None in the stateless revision. Another
        # principal that sends the same id has another key: it never speaks as whoever registered there.
        self.session: SessionKey | None = None if self.session_id is None else (self.opener, self.session_id)

    def end(self) -> None:
        """End the calls and the stream: the client left, or the server is about to stop."""
        self.over.set()
        if self.stream is not None:
            self.stream.cancel()


class Calls:
    """Runs tools for the agent that each request speaks for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        # Sessions in which an agent registered, with the Authorization of its instance from then on.
        self._bound: OrderedDict[SessionKey, str] = OrderedDict()

    async def run(
        self, operation: Operation, arguments: Arguments, mcp_request: McpRequest, meta: Mapping[str, Any]
    ) -> ToolOutput:
        """Call a tool; returns its result or its refusal as a model reads it. Raises no RepomeshError."""
        context = _context(mcp_request, meta)
        try:
            caller, arguments = await self._resolve_caller(operation, arguments, mcp_request, meta)
            arguments, corrections = correct_fields(operation.request, arguments)
            if _has_budget(operation.request):
                arguments = {"max_chars": MAX_CHARS} | arguments
            checked_context = _with_reminder_check(context, operation, caller)
            answer = await self._gateway.call(
                operation, caller, pydantic_core.to_json(arguments), checked_context
            )
        except RepomeshError as error:
            return _refusal(error, mcp_request, context)
        if isinstance(answer.result, Registration):
            self._bind(mcp_request, meta, answer.result)
        output = await self._tool_output(operation, caller, answer, mcp_request)
        return (
            replace(output, reminder="\n".join(filter(None, (output.reminder, *corrections))))
            if corrections
            else output
        )

    async def call_operation(
        self, name: str, arguments: Arguments, mcp_request: McpRequest, meta: Mapping[str, Any]
    ) -> BaseModel:
        """Run an operation for the caller of a request and return its result; raises RepomeshError."""
        operation = self._gateway.registry[name]
        caller, arguments = await self._resolve_caller(operation, arguments, mcp_request, meta)
        payload = pydantic_core.to_json(arguments)
        return (await self._gateway.call(operation, caller, payload, _context(mcp_request, meta))).result

    async def _tool_output(
        self, operation: Operation, caller: Caller, answer: OperationResult, mcp_request: McpRequest
    ) -> ToolOutput:
        """The answer as a model reads it, with a reminder of what it must not overlook.

        Lost leases come first: in the answer itself for message operations, else in the reminder.
        """
        output = await render(operation, answer)
        if output.message_ids and caller.agent_id is not None:
            mcp_request.unconfirmed_outputs.append((caller, output))
        if not answer.extra_result:
            return output
        context = RequestContext(mcp_request.context.trace_id)
        try:
            remind_answer = await self._gateway.call(
                "message.remind", caller, _reminder_request(operation.name), context
            )
        except RepomeshError:  # the call itself was answered; an agent that has just left needs no reminder
            return output
        reminder = cast(Reminder, remind_answer.result)
        if not reminder.lost:
            return replace(output, reminder=reminder.line)
        mcp_request.lost_leases.append((caller, tuple(lease.id for lease in reminder.lost)))
        losses_text = hook_rules.losses_text(reminder.lost, LOSSES_SHARE_CHARS)
        if operation.name in _MESSAGE_OPERATIONS:
            return replace(add_losses(output, losses_text), reminder=reminder.line)
        return replace(output, reminder="\n".join(filter(None, (losses_text, reminder.line))))

    async def begin_wait(
        self, arguments: Arguments, mcp_request: McpRequest, meta: Mapping[str, Any]
    ) -> ToolOutput | Wait:
        """Return unread messages or a refusal at once; else begin a wait that the client polls.

        Without a `timeout_s` the wait lasts as long as the server keeps one: `WAIT_KEPT_S` seconds.
        """
        operation, context = self._gateway.registry[WAIT], _context(mcp_request, meta)
        try:
            caller, arguments = await self._resolve_caller(operation, arguments, mcp_request, meta)
            arguments, _corrections = correct_fields(operation.request, arguments)
            payload = pydantic_core.to_json({"max_chars": MAX_CHARS} | arguments)
            request = cast(WaitForMessages, operation.parse(payload))
            immediate_request = request.model_copy(update={"timeout_s": 0.0})
            checked_context = _with_reminder_check(context, operation, caller)
            answer = await self._gateway.call(operation, caller, immediate_request, checked_context)
            wait_s = request.timeout_s if "timeout_s" in arguments else WAIT_KEPT_S
            assert operation.blocking is not None
            if wait_s == 0 or operation.blocking.done(answer.result):
                return await self._tool_output(operation, caller, answer, mcp_request)
            begin_request = BeginWait(wanted=immediate_request, wait_s=wait_s)
            begin_answer = await self._gateway.call("wait.begin", caller, begin_request, context)
        except RepomeshError as error:
            return _refusal(error, mcp_request, context)
        return cast(Wait, begin_answer.result)

    async def call_wait_operation(
        self, operation: str, wait_id: str, mcp_request: McpRequest, meta: Mapping[str, Any]
    ) -> tuple[Wait, ToolOutput | None]:
        """Run `wait.look` or `wait.cancel` for the caller of the request; raises RepomeshError.

        Returns the wait, with the output of the call when the wait has ended with a result.
        """
        wait_operation = self._gateway.registry[operation]
        caller, arguments = await self._resolve_caller(
            wait_operation, {"wait_id": wait_id}, mcp_request, meta
        )
        message_operation = self._gateway.registry[WAIT]
        context = _with_reminder_check(_context(mcp_request, meta), message_operation, caller)
        answer = await self._gateway.call(wait_operation, caller, pydantic_core.to_json(arguments), context)
        wait = cast(Wait, answer.result)
        if wait.result is None:
            return wait, None
        return wait, await self._tool_output(
            message_operation, caller, replace(answer, result=wait.result, json=None), mcp_request
        )

    async def record_returned_messages(self, mcp_request: McpRequest) -> None:
        """Note that an answer was sent, so that its messages and losses count as delivered."""
        await self._confirm_losses_reported(mcp_request)
        for caller, output in mcp_request.unconfirmed_outputs:
            request = MarkInjected(message_ids=output.message_ids, boundary=output.boundary)
            try:
                await self._gateway.call(
                    "delivery.mark_injected", caller.with_all_scopes(), request, RequestContext()
                )
            except RepomeshError as error:  # the agent may have left meanwhile
                log.info("not noted as injected", code=error.code)

    async def _confirm_losses_reported(self, mcp_request: McpRequest) -> None:
        for caller, lease_ids in mcp_request.lost_leases:
            request = LossesReported(lease_ids=lease_ids, receipt=new_boundary())
            try:
                await self._gateway.call(
                    "lease.losses_reported", caller.with_all_scopes(), request, RequestContext()
                )
            except RepomeshError as error:  # they are reported once more
                log.info("not noted as told", code=error.code)

    async def leave(self, session: SessionKey) -> None:
        """End the instance that was registered in a session, since the session ended."""
        authorization = self._bound.pop(session, None)
        if authorization is None:
            return
        try:
            caller = await self._gateway.authenticate(authorization)
            request = CloseInstance(agent_id=caller.acting_agent())
            await self._gateway.call("agent.leave", caller, request, RequestContext())
        except RepomeshError:
            return  # replaced or retired meanwhile: it is gone already

    async def _resolve_caller(
        self, operation: Operation, arguments: Arguments, mcp_request: McpRequest, meta: Mapping[str, Any]
    ) -> tuple[Caller, Arguments]:
        """The caller, and the arguments; those of a registration with defaults from the connection."""
        agent_name = _requested_agent(mcp_request, meta)
        is_registering = operation.name == REGISTER
        try:
            caller = await self._authenticate_caller(mcp_request, agent_name, registering=is_registering)
        except AgentNotFound:
            if not is_registering:
                raise
            # The header names the agent that is about to register.
            caller = await self._gateway.authenticate(mcp_request.authorization)
            arguments = {"name": agent_name} | arguments
        if is_registering and caller.instance_id is None:
            # The same connection registering again is the same instance, not a rival of itself.
            session_id = None if agent_name else mcp_request.session_id
            origin = {"instance_id": _instance_id(caller, session_id)}
            if program := _label(mcp_request.program):
                origin["program"] = program
            arguments = origin | arguments
        return caller, arguments

    async def _authenticate_caller(
        self, mcp_request: McpRequest, agent_name: str | None, *, registering: bool
    ) -> Caller:
        session = mcp_request.session
        session_authorization = None if session is None else self._bound.get(session)
        if agent_name is not None:
            return await self._gateway.authenticate(mcp_request.authorization, agent_name)
        if session is None or session_authorization is None:
            return mcp_request.token_caller
        self._bound.move_to_end(session)
        try:
            return await self._gateway.authenticate(session_authorization)
        except Unauthenticated:
            if not registering:
                raise
            self._bound.pop(session, None)
            return await self._gateway.authenticate(mcp_request.authorization)

    def _bind(self, mcp_request: McpRequest, meta: Mapping[str, Any], registration: Registration) -> None:
        """Let the session act as the instance that was registered in it."""
        if (
            mcp_request.session is None
            or not registration.token
            or _requested_agent(mcp_request, meta) is not None
        ):
            return
        self._bound[mcp_request.session] = f"Bearer {registration.token}"
        if len(self._bound) > SESSIONS_BOUND_MAX:
            self._bound.popitem(last=False)


@cache
def _reminder_request(operation: str) -> RemindOfMessages:
    """The reminders that the answer of an operation does not contain already."""
    area = operation.partition(".")[0]
    return RemindOfMessages(
        of_messages=operation not in _MESSAGE_OPERATIONS, of_leases=area not in _LEASE_AREAS
    )


def _with_reminder_check(context: RequestContext, operation: Operation, caller: Caller) -> RequestContext:
    """The context with a query, in the call's own transaction, of whether the agent must be reminded."""
    if caller.agent_id is None:
        return context
    return replace(context, extra_query=partial(is_reminder_due, request=_reminder_request(operation.name)))


@cache
def _has_budget(request: type[BaseModel]) -> bool:
    field = request.model_fields.get("max_chars")
    return field is not None and field.default is None


def _requested_agent(mcp_request: McpRequest, meta: Mapping[str, Any]) -> str | None:
    """The agent that a request names, in `_meta` or else in the header; raises InvalidRequest."""
    if AGENT_META not in meta:
        return mcp_request.agent
    try:
        return _AGENT.validate_python(meta[AGENT_META], strict=True)
    except ValidationError:
        raise InvalidRequest(f"_meta: {AGENT_META} is no agent's name or id") from None


def _label(text: str) -> str:
    """The text as one line of bounded length."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()[:LABEL_CHARS_MAX]


def _instance_id(caller: Caller, session_id: str | None) -> str:
    """The same for each registration of a session, or of a token where there is none."""
    if session_id is None:
        return f"mcp:{caller.token_id}"
    return (
        f"mcp:{hashlib.sha256(session_id.encode()).hexdigest()[:32]}"  # others see it; not the session's id
    )


def _context(mcp_request: McpRequest, meta: Mapping[str, Any]) -> RequestContext:
    """The request's context; a client that can't set headers carries the trace in `_meta`."""
    traceparent = meta.get("traceparent")
    if mcp_request.context.traceparent is not None or not isinstance(traceparent, str):
        return mcp_request.context
    traced = traced_context(traceparent)
    return replace(mcp_request.context, trace_id=traced.trace_id, traceparent=traced.traceparent)


def _refusal(error: RepomeshError, mcp_request: McpRequest, context: RequestContext) -> ToolOutput:
    body = {"code": error.code, "message": error.message, "hint": _hint(error, mcp_request)}
    if error.failure is Failure.INTERNAL:
        body["trace_id"] = context.trace_id
    details = {name: value for name, value in error.details.items() if name not in body}
    # Details may hold texts of other agents, such as the note on a lock.
    return ToolOutput(escape_untrusted_json(compact(body | details)), is_error=True)


def _hint(error: RepomeshError, mcp_request: McpRequest) -> str:
    if not isinstance(error, AgentRequired):
        return error.hint
    if mcp_request.session_id is not None:
        return "Call register_agent first; this session then speaks as that agent."
    return (
        "This connection keeps no session: name the agent with the header X-Repomesh-Agent, use its own "
        "token, or connect through 'repomesh mcp'."
    )
