"""Handles each phase of a CLI session, independent of the CLI.

A reply takes as few steps as possible: after a tool call without news, one read. What the reply does not
depend on is written after it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, cast

import structlog
from pydantic import BaseModel, ValidationError

from repomesh.domains.agents.cli_sessions.models import (
    BeginCliSession,
    CliSession,
    CliState,
    EndCliSession,
    NoteCliSession,
    ReportPermission,
)
from repomesh.domains.agents.errors import NotYourAgent
from repomesh.domains.messaging.delivery.models import DeliverySent
from repomesh.domains.messaging.messages.envelope import new_boundary
from repomesh.domains.overview.cli_hooks.models import (
    Deliver,
    EndTurn,
    GuardEdit,
    GuardVerdict,
    HookText,
    LookAtSession,
    SessionView,
)
from repomesh.jobs.lookups import FileLookups, LookupFailed
from repomesh.jobs.transcripts import Transcripts
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.limits import HOOK_NOTED_EVERY_S, LABEL_CHARS_MAX
from repomesh.kernel.operation import invalid_request
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.hooks.dialects import HookDialect, HookInput, HookPhase
from repomesh.surfaces.hooks.repo_paths import find_repository_paths

log = structlog.get_logger("repomesh.hooks")

_BEGINNINGS = (HookPhase.SESSION_START, HookPhase.COMPACTED)
_STATES: dict[HookPhase, CliState] = {
    HookPhase.PROMPT: "busy",
    HookPhase.BEFORE_TOOL: "busy",
    HookPhase.AFTER_TOOL: "busy",
    HookPhase.COMPACTED: "busy",
    HookPhase.TURN_END: "idle",
}
_ENVELOPE_START = "[repomesh rm"  # some CLIs report a blocked end of a turn as a prompt


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of a hook."""

    dialect: HookDialect
    event: str
    hook_input: HookInput
    caller: Caller
    context: RequestContext
    requested_agent: str | None
    processes: tuple[str, ...]
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """The hook's output, empty for none, with the boundary and agent of the delivery in it."""

    body: bytes = b""
    boundary: str | None = None
    agent: Caller | None = None


class HookService:
    """Builds the replies to hooks."""

    def __init__(self, gateway: Gateway, transcripts: Transcripts) -> None:
        self._gateway = gateway
        self._transcripts = transcripts
        self._lookups = FileLookups("repomesh-places")
        self._background_tasks: set[asyncio.Task[None]] = set()

    async def answer(self, call: HookCall) -> Reply:
        """Build the reply to a hook; raises RepomeshError."""
        hook_input = call.hook_input
        call.caller.require("agents:write")
        try:
            look_request = LookAtSession(
                cli=call.dialect.cli,
                session_id=hook_input.session_id,
                processes=call.processes,
                deliver=self._reaches_model(call),
            )
            view = cast(
                SessionView,
                (await self._gateway.call("hook.look", call.caller, look_request, call.context)).result,
            )
            if view.session is None or hook_input.phase in _BEGINNINGS or not view.binds:
                if view.session is None and hook_input.phase is HookPhase.SESSION_END:
                    return Reply()
                view = await self._begin_session(call, view)
        except ValidationError as error:
            raise invalid_request(error) from None
        return await self._handle_phase(call, view)

    def note_sent(self, reply: Reply, *, late: bool) -> None:
        """Note that a reply was sent, in time or too late for its hook."""
        if reply.boundary is None or reply.agent is None:
            return
        failure = "the answer came too late for the hook" if late else ""
        self._call_later("delivery.sent", reply.agent, DeliverySent(boundary=reply.boundary, failure=failure))

    async def settled(self) -> None:
        """Wait for the writes after replies."""
        while self._background_tasks:
            await asyncio.gather(*self._background_tasks, return_exceptions=True)

    async def _handle_phase(self, call: HookCall, view: SessionView) -> Reply:
        session = view.session
        assert session is not None
        # The server's own id: a second run of a session at the same time has an id of its own.
        hook_input = replace(call.hook_input, session_id=session.session_id)
        call = replace(call, hook_input=hook_input)
        agent = _as_session_agent(call.caller, session, view.agent_type)
        if (
            hook_input.phase is not HookPhase.SESSION_END
        ):  # a heartbeat could arrive after the end, and undo it
            self._gateway.dispatch.notify_called(agent)
        if view.undecided:
            key = (agent.workspace_id, session.cli, session.session_id)
            self._transcripts.after_hook(*key, call.arrived_at)
        reply = Reply()
        if hook_input.phase is HookPhase.BEFORE_TOOL:
            reply = await self._guard(call, agent)
        elif hook_input.phase is HookPhase.TURN_END:
            reply = await self._end_turn(call, agent)
        elif hook_input.phase is HookPhase.PERMISSION:
            await self._report_permission(call, agent)
        elif hook_input.phase is HookPhase.SESSION_END:
            await self._end_session(call, agent)
            return reply
        elif self._reaches_model(call):
            reply = await self._context_reply(call, agent, view)
        self._note_changes(
            call, view, agent, held_back=hook_input.phase is HookPhase.TURN_END and bool(reply.body)
        )
        return reply

    async def _begin_session(self, call: HookCall, view: SessionView) -> SessionView:
        """Register or find the session's agent; the start of a known session needs a briefing, too."""
        hook_input = call.hook_input
        request = BeginCliSession(
            cli=call.dialect.cli,
            session_id=hook_input.session_id,
            wanted=call.requested_agent,
            processes=call.processes,
            cwd=hook_input.cwd,
            transcript_path=hook_input.transcript_path,
            state="busy" if hook_input.phase is not HookPhase.SESSION_START else "idle",
        )
        answer = await self._gateway.call("cli_session.begin", call.caller, request, call.context)
        result: Any = answer.result
        session: CliSession = result.session
        is_beginning = hook_input.phase in _BEGINNINGS
        return view.model_copy(
            update={
                "session": session,
                "binds": True,
                "name_not_given": result.name_not_given,
                "briefing_due": result.new or is_beginning,
                "due": True,
                "noted_s": 0.0,
                "agent_type": view.agent_type or "ai",
            }
        )

    async def _context_reply(self, call: HookCall, agent: Caller, view: SessionView) -> Reply:
        """The briefing when it is due, warnings and new messages; an empty reply without any."""
        warning = await self._warning(call, agent) if call.hook_input.phase is HookPhase.AFTER_TOOL else ""
        if not (view.due or view.briefing_due):
            return Reply(call.dialect.context_output(call.event, warning)) if warning else Reply()
        request = Deliver(
            cli=call.dialect.cli,
            session_id=call.hook_input.session_id,
            route=call.hook_input.phase.value,
            boundary=new_boundary(),
            briefing=view.briefing_due,
            name_not_given=view.name_not_given,
        )
        hook_text = cast(
            HookText, (await self._gateway.call("hook.deliver", agent, request, call.context)).result
        )
        text = "\n".join(part for part in (warning, hook_text.text) if part)
        if not text:
            return Reply()
        return Reply(call.dialect.context_output(call.event, text), hook_text.boundary, agent)

    async def _end_turn(self, call: HookCall, agent: Caller) -> Reply:
        if not call.dialect.events[call.event].blocks or call.hook_input.nested:
            return Reply()
        request = EndTurn(
            cli=call.dialect.cli,
            session_id=call.hook_input.session_id,
            boundary=new_boundary(),
            loop_guard=call.hook_input.loop_guard,
        )
        hook_text = cast(
            HookText, (await self._gateway.call("hook.end_turn", agent, request, call.context)).result
        )
        if not hook_text.text:
            return Reply()
        return Reply(call.dialect.block(call.event, hook_text.text), hook_text.boundary, agent)

    async def _guard(self, call: HookCall, agent: Caller) -> Reply:
        """Deny the tool when it would write files that others have locked."""
        verdict = await self._verdict(call, agent, lock=self._gateway.settings.auto_lock)
        if verdict is None or verdict.verdict != "denied" or not call.dialect.events[call.event].denies:
            return Reply()
        return Reply(call.dialect.deny(call.event, verdict.reason))

    async def _warning(self, call: HookCall, agent: Caller) -> str:
        """The warning about a write to files that others have locked, where edits are not denied."""
        if self._gateway.settings.guard != "warn":
            return ""
        verdict = await self._verdict(call, agent, lock=False)
        return (
            f"You have just written what others hold. {verdict.reason}" if verdict and verdict.reason else ""
        )

    async def _verdict(self, call: HookCall, agent: Caller, *, lock: bool) -> GuardVerdict | None:
        if not call.hook_input.writes or (self._gateway.settings.guard == "off" and not lock):
            return None
        workspace: Any = (await self._gateway.call("workspace.show", agent, {}, call.context)).result
        lookup = partial(
            find_repository_paths, call.hook_input.writes, call.hook_input.folder, workspace.path
        )
        try:
            request = await self._lookups.run(lookup)
        except (LookupFailed, ValidationError) as error:  # unchecked files must not count as free
            log.warning("edited files not found", cli=call.dialect.cli, reason=str(error))
            request = GuardEdit(unresolved="the place of its files could not be looked up")
        if request is None:
            return None
        name = "hook.guard_and_lock" if lock else "hook.guard"
        return cast(GuardVerdict, (await self._gateway.call(name, agent, request, call.context)).result)

    async def _report_permission(self, call: HookCall, agent: Caller) -> None:
        request = ReportPermission(
            cli=call.dialect.cli,
            session_id=call.hook_input.session_id,
            tool=call.hook_input.tool,
            summary=call.hook_input.summary,
        )
        await self._gateway.call("cli_session.permission", agent, request, call.context)

    async def _end_session(self, call: HookCall, agent: Caller) -> None:
        request = EndCliSession(
            cli=call.dialect.cli,
            session_id=call.hook_input.session_id,
            reason=_printable(call.hook_input.reason),
            goes_on=call.hook_input.goes_on,
        )
        await self._gateway.call("cli_session.end", call.caller, request, call.context)

    def _note_changes(self, call: HookCall, view: SessionView, agent: Caller, *, held_back: bool) -> None:
        """Note changes of the session after the reply; mostly there are none."""
        session = view.session
        assert session is not None
        hook_input = call.hook_input
        changes: dict[str, Any] = {}
        state = "busy" if held_back else _STATES.get(hook_input.phase)
        if state is not None and state != session.state and not hook_input.nested:
            changes["state"] = state
        if hook_input.transcript_path is not None and hook_input.transcript_path != session.transcript_path:
            changes["transcript_path"] = hook_input.transcript_path
        reaches_model = self._reaches_model(call)
        if hook_input.phase is HookPhase.COMPACTED and not reaches_model:
            changes["briefing_due"] = True
        elif view.briefing_due and reaches_model:
            changes["briefing_due"] = False
        if (
            hook_input.phase is HookPhase.PROMPT
            and view.stop_blocks
            and _ENVELOPE_START not in hook_input.prompt
        ):
            changes["turn_over"] = True
        if changes or view.noted_s > HOOK_NOTED_EVERY_S:
            request = NoteCliSession(cli=session.cli, session_id=session.session_id, **changes)
            self._call_later("cli_session.note", agent, request)

    def _reaches_model(self, call: HookCall) -> bool:
        """Whether text in the answer reaches the session's own model."""
        return call.dialect.events[call.event].reaches_model and not call.hook_input.nested

    def _call_later(self, name: str, caller: Caller, request: BaseModel) -> None:
        task = asyncio.create_task(self._call_and_log(name, caller, request), name=name)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    async def _call_and_log(self, name: str, caller: Caller, request: BaseModel) -> None:
        try:
            await self._gateway.call(name, caller, request, RequestContext())
        except RepomeshError as error:  # no caller waits for the result
            log.warning("not written down", operation=name, code=error.code, reason=error.message)


def _as_session_agent(caller: Caller, session: CliSession, agent_type: str) -> Caller:
    """The caller acting as the session's agent, with its own token. Raises NotYourAgent."""
    if not caller.is_admin and caller.agent_id != session.agent_id:
        raise NotYourAgent(f"this token does not speak for '{session.agent_name}'")
    return replace(
        caller,
        agent_id=session.agent_id,
        agent_name=session.agent_name,
        agent_type=agent_type,
        instance_id=session.instance_id,
    )


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:LABEL_CHARS_MAX]
