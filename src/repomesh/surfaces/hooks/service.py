"""What happens at each moment of a CLI session, whatever the CLI calls it.

An answer is worked out with as few steps as it takes: after a tool call with nothing to tell, one read.
What need not be known for the answer is written down behind it.
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
from repomesh.domains.overview.hook_models import (
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
from repomesh.surfaces.hooks.repo_paths import in_repository

log = structlog.get_logger("repomesh.hooks")

_BEGINNINGS = (HookPhase.SESSION_START, HookPhase.COMPACTED)
_STATES: dict[HookPhase, CliState] = {
    HookPhase.PROMPT: "busy",
    HookPhase.BEFORE_TOOL: "busy",
    HookPhase.AFTER_TOOL: "busy",
    HookPhase.COMPACTED: "busy",
    HookPhase.TURN_END: "idle",
}
_OURS = "[repomesh rm"  # how an envelope begins; some CLIs tell of a held-back end as if it were a prompt


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of a hook."""

    dialect: HookDialect
    event: str
    heard: HookInput
    caller: Caller
    context: RequestContext
    wanted: str | None
    processes: tuple[str, ...]
    arrived: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """What the hook prints, nothing for no bytes; and the delivery in it, for whom it is."""

    body: bytes = b""
    boundary: str | None = None
    agent: Caller | None = None


class HookService:
    """Answers hooks."""

    def __init__(self, gateway: Gateway, transcripts: Transcripts) -> None:
        self._gateway = gateway
        self._transcripts = transcripts
        self._lookups = FileLookups("repomesh-places")
        self._behind: set[asyncio.Task[None]] = set()

    async def answer(self, call: HookCall) -> Reply:
        """What to print for a hook; raises RepomeshError."""
        heard = call.heard
        call.caller.require("agents:write")
        try:
            look = LookAtSession(
                cli=call.dialect.cli,
                session_id=heard.session_id,
                processes=call.processes,
                deliver=self._reaches_model(call),
            )
            view = cast(
                SessionView, (await self._gateway.call("hook.look", call.caller, look, call.context)).result
            )
            if view.session is None or heard.moment in _BEGINNINGS or not view.binds:
                if view.session is None and heard.moment is HookPhase.SESSION_END:
                    return Reply()
                view = await self._begun(call, view)
        except ValidationError as error:
            raise invalid_request(error) from None
        return await self._at_moment(call, view)

    def sent(self, reply: Reply, *, late: bool) -> None:
        """The answer left the server, in time or too late for its hook."""
        if reply.boundary is None or reply.agent is None:
            return
        failure = "the answer came too late for the hook" if late else ""
        self._later("delivery.sent", reply.agent, DeliverySent(boundary=reply.boundary, failure=failure))

    async def settled(self) -> None:
        """Wait for what is written down behind answers."""
        while self._behind:
            await asyncio.gather(*self._behind, return_exceptions=True)

    async def _at_moment(self, call: HookCall, view: SessionView) -> Reply:
        session = view.session
        assert session is not None
        # What the server calls it: a second run of a session at the same time is kept under an id of its own.
        heard = replace(call.heard, session_id=session.session_id)
        call = replace(call, heard=heard)
        agent = _acting(call.caller, session, view.agent_type)
        if heard.moment is not HookPhase.SESSION_END:  # its heartbeat could come after the end, and undo it
            self._gateway.dispatch.notify_called(agent)
        if view.undecided:
            key = (agent.workspace_id, session.cli, session.session_id)
            self._transcripts.after_hook(*key, call.arrived)
        reply = Reply()
        if heard.moment is HookPhase.BEFORE_TOOL:
            reply = await self._guard(call, agent)
        elif heard.moment is HookPhase.TURN_END:
            reply = await self._end_turn(call, agent)
        elif heard.moment is HookPhase.PERMISSION:
            await self._report(call, agent)
        elif heard.moment is HookPhase.SESSION_END:
            await self._end(call, agent)
            return reply
        elif self._reaches_model(call):
            reply = await self._context(call, agent, view)
        self._note(call, view, agent, held_back=heard.moment is HookPhase.TURN_END and bool(reply.body))
        return reply

    async def _begun(self, call: HookCall, view: SessionView) -> SessionView:
        """Register the session's agent, or find it; a beginning of a known session wants a briefing, too."""
        heard = call.heard
        request = BeginCliSession(
            cli=call.dialect.cli,
            session_id=heard.session_id,
            wanted=call.wanted,
            processes=call.processes,
            cwd=heard.cwd,
            transcript_path=heard.transcript_path,
            state="busy" if heard.moment is not HookPhase.SESSION_START else "idle",
        )
        answer = await self._gateway.call("cli_session.begin", call.caller, request, call.context)
        begun: Any = answer.result
        session: CliSession = begun.session
        beginning = heard.moment in _BEGINNINGS
        return view.model_copy(
            update={
                "session": session,
                "binds": True,
                "name_not_given": begun.name_not_given,
                "briefing_due": begun.new or beginning,
                "due": True,
                "noted_s": 0.0,
                "agent_type": view.agent_type or "ai",
            }
        )

    async def _context(self, call: HookCall, agent: Caller, view: SessionView) -> Reply:
        """The briefing when it is due, warnings and new messages; nothing when there is nothing."""
        lines = await self._warned(call, agent) if call.heard.moment is HookPhase.AFTER_TOOL else ""
        if not (view.due or view.briefing_due):
            return Reply(call.dialect.context_output(call.event, lines)) if lines else Reply()
        request = Deliver(
            cli=call.dialect.cli,
            session_id=call.heard.session_id,
            route=call.heard.moment.value,
            boundary=new_boundary(),
            briefing=view.briefing_due,
            name_not_given=view.name_not_given,
        )
        told = cast(HookText, (await self._gateway.call("hook.deliver", agent, request, call.context)).result)
        text = "\n".join(part for part in (lines, told.text) if part)
        if not text:
            return Reply()
        return Reply(call.dialect.context_output(call.event, text), told.boundary, agent)

    async def _end_turn(self, call: HookCall, agent: Caller) -> Reply:
        if not call.dialect.events[call.event].blocks or call.heard.nested:
            return Reply()
        request = EndTurn(
            cli=call.dialect.cli,
            session_id=call.heard.session_id,
            boundary=new_boundary(),
            loop_guard=call.heard.loop_guard,
        )
        told = cast(
            HookText, (await self._gateway.call("hook.end_turn", agent, request, call.context)).result
        )
        if not told.text:
            return Reply()
        return Reply(call.dialect.block(call.event, told.text), told.boundary, agent)

    async def _guard(self, call: HookCall, agent: Caller) -> Reply:
        """Deny the tool when others hold what it would write."""
        verdict = await self._verdict(call, agent, lock=self._gateway.settings.auto_lock)
        if verdict is None or verdict.verdict != "denied" or not call.dialect.events[call.event].denies:
            return Reply()
        return Reply(call.dialect.deny(call.event, verdict.reason))

    async def _warned(self, call: HookCall, agent: Caller) -> str:
        """What to say of a file that was written though others hold it, where edits are not denied."""
        if self._gateway.settings.guard != "warn":
            return ""
        verdict = await self._verdict(call, agent, lock=False)
        return (
            f"You have just written what others hold. {verdict.reason}" if verdict and verdict.reason else ""
        )

    async def _verdict(self, call: HookCall, agent: Caller, *, lock: bool) -> GuardVerdict | None:
        if not call.heard.writes or (self._gateway.settings.guard == "off" and not lock):
            return None
        workspace: Any = (await self._gateway.call("workspace.show", agent, {}, call.context)).result
        look = partial(in_repository, call.heard.writes, call.heard.folder, workspace.path)
        try:
            request = await self._lookups.run(look)
        except (LookupFailed, ValidationError) as error:  # unchecked is never free
            log.warning("edited files not found", cli=call.dialect.cli, reason=str(error))
            request = GuardEdit(unresolved="the place of its files could not be looked up")
        if request is None:
            return None
        name = "hook.guard_and_lock" if lock else "hook.guard"
        return cast(GuardVerdict, (await self._gateway.call(name, agent, request, call.context)).result)

    async def _report(self, call: HookCall, agent: Caller) -> None:
        request = ReportPermission(
            cli=call.dialect.cli,
            session_id=call.heard.session_id,
            tool=call.heard.tool,
            summary=call.heard.summary,
        )
        await self._gateway.call("cli_session.permission", agent, request, call.context)

    async def _end(self, call: HookCall, agent: Caller) -> None:
        request = EndCliSession(
            cli=call.dialect.cli,
            session_id=call.heard.session_id,
            reason=_printable(call.heard.reason),
            goes_on=call.heard.goes_on,
        )
        await self._gateway.call("cli_session.end", call.caller, request, call.context)

    def _note(self, call: HookCall, view: SessionView, agent: Caller, *, held_back: bool) -> None:
        """Write down behind the answer what is new about the session; mostly nothing is."""
        session = view.session
        assert session is not None
        heard = call.heard
        changed: dict[str, Any] = {}
        state = "busy" if held_back else _STATES.get(heard.moment)
        if state is not None and state != session.state and not heard.nested:
            changed["state"] = state
        if heard.transcript_path is not None and heard.transcript_path != session.transcript_path:
            changed["transcript_path"] = heard.transcript_path
        told = self._reaches_model(call)
        if heard.moment is HookPhase.COMPACTED and not told:
            changed["briefing_due"] = True
        elif view.briefing_due and told:
            changed["briefing_due"] = False
        if heard.moment is HookPhase.PROMPT and view.stop_blocks and _OURS not in heard.prompt:
            changed["turn_over"] = True
        if changed or view.noted_s > HOOK_NOTED_EVERY_S:
            request = NoteCliSession(cli=session.cli, session_id=session.session_id, **changed)
            self._later("cli_session.note", agent, request)

    def _reaches_model(self, call: HookCall) -> bool:
        """Whether text in the answer reaches the session's own model."""
        return call.dialect.events[call.event].reaches_model and not call.heard.nested

    def _later(self, name: str, caller: Caller, request: BaseModel) -> None:
        task = asyncio.create_task(self._quietly(name, caller, request), name=name)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _quietly(self, name: str, caller: Caller, request: BaseModel) -> None:
        try:
            await self._gateway.call(name, caller, request, RequestContext())
        except RepomeshError as error:  # nobody waits for it, so nobody else would tell
            log.warning("not written down", operation=name, code=error.code, reason=error.message)


def _acting(caller: Caller, session: CliSession, agent_type: str) -> Caller:
    """The caller as the session's agent; its token stays what it is. Raises NotYourAgent."""
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
