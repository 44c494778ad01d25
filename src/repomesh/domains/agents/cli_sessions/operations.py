"""CLI sessions: which agent a run of a CLI speaks as, from its first hook to its last.

The MCP proxy and the hooks of one CLI start in any order. Whichever comes second is matched to the first by
the CLI's process, so that both are one agent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, delete, insert, or_, select, tuple_

from repomesh.domains.agents import rows as agent_rows
from repomesh.domains.agents.cli_sessions import rows, rules
from repomesh.domains.agents.cli_sessions.models import (
    CLI_SESSION_CHANGED,
    CLI_SESSION_ENDED,
    CLI_SESSION_STARTED,
    BeginCliSession,
    BegunCliSession,
    CliSession,
    CliSessionKey,
    EndCliSession,
    EndedCliSessions,
    ListCliSessions,
    NoteCliSession,
    ReportPermission,
    SweepCliSessions,
)
from repomesh.domains.agents.errors import (
    AgentActiveElsewhere,
    AgentNameReserved,
    AgentNotFound,
    AgentRetired,
    CliSessionNotFound,
    NotYourAgent,
)
from repomesh.domains.agents.models import (
    AGENT_PERMISSION_REQUESTED,
    PermissionRequested,
    RegisterAgent,
)
from repomesh.domains.agents.operations import SESSION_OVER, depart, find_agent, register_agent, touch
from repomesh.domains.agents.tables import agents, cli_sessions, instances
from repomesh.kernel import limits
from repomesh.kernel.clis import PROGRAMS
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Due, Empty, Get, command, query
from repomesh.store.damage import apply_to_each
from repomesh.store.due import due_now
from repomesh.store.listing import Listing, equals, when
from repomesh.store.log import Audience, NewEvent
from repomesh.store.transaction import Transaction

Speaker = tuple[str, str]
"""The ids of an agent and of the instance that speaks for it."""

_LISTING = Listing(
    Page[CliSession],
    rows.as_session,
    keys=(cli_sessions.c.cli, cli_sessions.c.session_id),
    filters={
        "agent": lambda tx, agent: cli_sessions.c.agent_id == find_agent(tx, agent).id,
        "cli": equals(cli_sessions.c.cli),
        "live": when(cli_sessions.c.ended_at.is_(None)),
    },
)


@query("cli_session.list", http=Get("/v1/cli-sessions"), scope="agents:read", errors=(AgentNotFound,))
def list_cli_sessions(tx: Transaction, request: ListCliSessions) -> Page[CliSession]:
    """List the CLI sessions that hooks reported, by CLI: the ones still running, or all."""
    table = cli_sessions.c
    statement = (
        select(cli_sessions, agents.c.name.label("agent_name"))
        .join(agents, agents.c.id == table.agent_id)
        .where(table.workspace_id == tx.workspace_id)
    )
    return _LISTING.read(tx, statement, request)


@command(
    "cli_session.begin",
    scope="agents:write",
    errors=(NotYourAgent, AgentNameReserved, AgentActiveElsewhere, AgentRetired),
    changes_access=True,
)
def begin_cli_session(tx: Transaction, request: BeginCliSession) -> BegunCliSession:
    """Bind a CLI session to its agent: its earlier agent, its proxy's, or a newly registered one.

    A session that lives in another process keeps that process's agent; the caller's is a second run of the
    session.
    """
    own_id, existing = rows.find_run(tx, request.cli, request.session_id, request.processes)
    request = request.model_copy(update={"session_id": own_id})
    connected = _find_connected(tx, request)
    if existing is not None:
        _require_may_take_over(tx, existing)
    if existing is not None and _still_speaks(tx, existing, connected):
        return _begin_result(tx, request, _resume(tx, existing, request), new=False)
    agent_id, instance_id = connected or _choose_speaker(tx, request, existing)
    agent_rows.set_process(tx, agent_id, instance_id, rules.cli_process(request.processes))
    row = {
        "agent_id": agent_id,
        "instance_id": instance_id,
        "processes": list(request.processes),
        "transcript_path": request.transcript_path,
        "cwd": request.cwd,
        "state": request.state,
        "stop_blocks": 0,
        "stop_told": [],
        "briefing_due": True,
        "last_hook_at": tx.now,
        "ended_at": None,
        "ended_reason": None,
        "claimed_by_agent": agent_rows.claims_as_agent(tx),
    }
    if existing is not None:
        session_row = rows.change(tx, existing, CLI_SESSION_STARTED, **row)
    else:
        key = {"workspace_id": tx.workspace_id, "cli": request.cli, "session_id": request.session_id}
        _forget_old(tx)
        tx.execute(insert(cli_sessions), key | row | {"started_at": tx.now})
        session_row = _find(tx, request)
        rows.emit_changed(tx, CLI_SESSION_STARTED, session_row)
    return _begin_result(tx, request, session_row, new=True)


@command("cli_session.note", scope="agents:write", errors=(CliSessionNotFound, NotYourAgent))
def note_cli_session(tx: Transaction, request: NoteCliSession) -> CliSession:
    """Record that a hook reported a CLI session, and which of its fields changed."""
    row = _find(tx, request)
    _require_speaker(tx, row)
    changed: dict[str, Any] = {"last_hook_at": tx.now}
    if request.turn_over:
        changed |= {"stop_blocks": 0, "stop_told": []}
    for name in ("state", "transcript_path", "briefing_due"):
        if getattr(request, name) is not None:
            changed[name] = getattr(request, name)
    state_changed = request.state not in (None, row.state)
    return rows.as_session(rows.change(tx, row, CLI_SESSION_CHANGED if state_changed else None, **changed))


@command(
    "cli_session.end",
    scope="agents:write",
    errors=(CliSessionNotFound, NotYourAgent),
    changes_access=True,
)
def end_cli_session(tx: Transaction, request: EndCliSession) -> CliSession:
    """Record the end of a CLI session. Its instance ends too, unless another session uses it.

    A proxy that its CLI kills can't report its own end; a proxy that goes on running registers again.
    """
    row = _find(tx, request)
    _require_speaker(tx, row)
    if row.ended_at is not None:
        return rows.as_session(row)
    ended = rows.change(
        tx,
        row,
        CLI_SESSION_ENDED,
        ended_at=tx.now,
        ended_reason=request.reason[:64] or SESSION_OVER,
        state="idle",
    )
    other_sessions = [
        session for session in rows.live_sessions(tx, row.agent_id) if session.instance_id == row.instance_id
    ]
    if not other_sessions and not request.goes_on:
        depart(tx, find_agent(tx, row.agent_id), SESSION_OVER)
    return rows.as_session(ended)


@command("cli_session.permission", scope="agents:write", errors=(CliSessionNotFound, NotYourAgent))
def report_permission(tx: Transaction, request: ReportPermission) -> Empty:
    """Notify the people of the workspace that a CLI waits for its user's permission. Grants nothing."""
    row = _find(tx, request)
    _require_speaker(tx, row)
    data = PermissionRequested(
        agent_id=row.agent_id,
        agent_name=row.agent_name,
        cli=row.cli,
        session_id=row.session_id,
        tool=request.tool,
        summary=request.summary,
        at=tx.now,
    )
    people = select(agents.c.id).where(agents.c.workspace_id == tx.workspace_id, agents.c.type == "human")
    audience = Audience("agents", tuple(tx.execute(people.limit(limits.RECIPIENTS_MAX)).scalars()))
    subject = f"agent/{row.agent_id}"
    tx.emit(
        NewEvent(AGENT_PERMISSION_REQUESTED, subject, data, audience, severity="warning", actor=row.agent_id)
    )
    return Empty()


_LOST = (
    cli_sessions.c.ended_at.is_(None),
    or_(agents.c.status != "active", instances.c.closed_at.is_not(None)),
)


def _join_holder(statement: Select[Any]) -> Select[Any]:
    """Join a select of CLI sessions to the agents and, as an outer join, to the instances they speak as."""
    table = cli_sessions.c
    return statement.join(agents, agents.c.id == table.agent_id).outerjoin(
        instances,
        (instances.c.workspace_id == table.workspace_id)
        & (instances.c.agent_id == table.agent_id)
        & (instances.c.id == table.instance_id),
    )


_LOST_ANYWHERE = _join_holder(due_now(cli_sessions.c.workspace_id, *_LOST))


@command(
    "cli_session.sweep",
    scope="agents:admin",
    due=(Due(lambda _: _LOST_ANYWHERE, every_s=limits.SWEEP_CHANGES_S, on_change=True),),
)
def sweep_cli_sessions(tx: Transaction, request: SweepCliSessions) -> EndedCliSessions:
    """End the CLI sessions whose agent went silent or whose instance is closed."""
    table = cli_sessions.c
    lost_keys = select(table.cli, table.session_id).where(table.workspace_id == tx.workspace_id, *_LOST)
    ended = []

    def end(key: Row[Any]) -> None:
        row = _find(tx, CliSessionKey(cli=key.cli, session_id=key.session_id))
        rows.change(tx, row, CLI_SESSION_ENDED, ended_at=tx.now, ended_reason=rows.GONE, state="idle")
        ended.append(row.session_id)

    lost_rows = tx.execute(_join_holder(lost_keys).limit(limits.RECLAIM_MAX)).all()
    apply_to_each(tx, lost_rows, end, lambda row: f"cli_session/{row.cli}/{row.session_id}")
    return EndedCliSessions(session_ids=ended, complete=len(ended) < limits.RECLAIM_MAX)


def _forget_old(tx: Transaction) -> None:
    """Delete sessions too old to be resumed; called when a session begins, which is rare."""
    cutoff = tx.now - timedelta(seconds=limits.CLI_SESSIONS_KEPT_S)
    table = cli_sessions.c
    in_workspace = table.workspace_id == tx.workspace_id
    key = tuple_(table.cli, table.session_id)
    old_keys = select(table.cli, table.session_id).where(in_workspace, table.ended_at < cutoff)
    is_old = key.in_(old_keys.limit(limits.CLI_SESSIONS_FORGOTTEN_MAX))
    tx.execute(delete(cli_sessions).where(in_workspace, is_old))


def _find(tx: Transaction, key: CliSessionKey | BeginCliSession) -> Row[Any]:
    row = rows.find(tx, key.cli, key.session_id)
    if row is None:
        raise CliSessionNotFound(f"no hook told of a session '{key.session_id}' of {key.cli}")
    return row


def _require_speaker(tx: Transaction, row: Row[Any]) -> None:
    """Raise NotYourAgent unless the caller's token may speak for the agent of a CLI session."""
    if not tx.caller.is_admin and tx.caller.agent_id != row.agent_id:
        raise NotYourAgent(f"this token does not speak for '{row.agent_name}'")


def _require_may_take_over(tx: Transaction, row: Row[Any]) -> None:
    """Raise NotYourAgent when a live session belongs to another agent, for which somebody still speaks.

    If nobody does, the CLI was connected anew as the token's agent and may take the session over.
    """
    if row.ended_at is not None:
        return
    instance = agent_rows.open_instance_of(tx, row.agent_id)
    if instance is not None and rows.is_spoken_for(tx, row.agent_id, instance):
        _require_speaker(tx, row)


def _begin_result(tx: Transaction, request: BeginCliSession, row: Row[Any], *, new: bool) -> BegunCliSession:
    """The result, with the requested name if the session's agent has another one."""
    other = agent_rows.other_name(tx, request.wanted, row.agent_id)
    return BegunCliSession(session=rows.as_session(row), new=new, name_not_given=other)


def _still_speaks(tx: Transaction, row: Row[Any], connected: Speaker | None) -> bool:
    """Whether a session keeps its agent and instance: it is not ended, and nothing else is connected."""
    if row.ended_at is not None or row.agent_status == "retired":
        return False
    if not rows.binds(tx.caller, row):
        return False
    if connected is not None:
        return connected == (row.agent_id, row.instance_id)
    return rows.is_open(tx, row.agent_id, row.instance_id)


def _resume(tx: Transaction, existing: Row[Any], request: BeginCliSession) -> Row[Any]:
    """Update a session that began again: compacted in the same run, or resumed in another."""
    touch(tx, find_agent(tx, existing.agent_id), existing.instance_id)
    process = rules.cli_process(request.processes)
    agent_rows.set_process(tx, existing.agent_id, existing.instance_id, process)
    changed: dict[str, Any] = {"last_hook_at": tx.now}
    if request.processes and (existing.claimed_by_agent or not agent_rows.claims_as_agent(tx)):
        changed["processes"] = list(request.processes)
    if request.transcript_path is not None:
        changed["transcript_path"] = request.transcript_path
    return rows.change(tx, existing, **changed)


def _find_connected(tx: Transaction, request: BeginCliSession) -> Speaker | None:
    """The connected agent and instance of the token, or else of the process tree; None for neither."""
    caller = tx.caller
    if caller.instance_id is not None:
        return caller.acting_agent(), caller.instance_id
    instance = rows.find_instance(tx, request.cli, request.processes)
    if instance is not None:
        return instance.agent_id, instance.id
    if caller.agent_id is not None:
        open_instance = agent_rows.open_instance_of(tx, caller.agent_id)
        if open_instance is not None and agent_rows.is_live(tx, open_instance.last_seen_at):
            return caller.agent_id, open_instance.id
    return None


def _choose_speaker(tx: Transaction, request: BeginCliSession, existing: Row[Any] | None) -> Speaker:
    """The agent and instance for an unconnected session: those of its run, or of itself, or new ones."""
    caller = tx.caller
    if existing is not None and not rows.binds(caller, existing):
        existing = None
    prior = rows.find_newest_of_run(tx, request.cli, request.processes) or existing
    if prior is not None and prior.agent_status == "retired":
        prior = None
    if (
        prior is not None
        and rules.same_run(prior.processes, request.processes)
        and rows.is_open(tx, prior.agent_id, prior.instance_id)
    ):
        # An agent that stayed inactive would have its session ended by the next sweep.
        touch(tx, find_agent(tx, prior.agent_id), prior.instance_id)
        return prior.agent_id, prior.instance_id
    wanted_name = prior.agent_name if prior is not None else request.wanted
    stem = rules.name_stem(request.cli, wanted_name, "") or request.cli
    name = caller.agent_name or rows.free_name(tx, stem, request.cli, requested=wanted_name is not None)
    program = PROGRAMS.get(request.cli, request.cli)
    registration = register_agent(
        tx, RegisterAgent(name=name, program=program, instance_id=f"{agent_rows.HOOK_ID_PREFIX}{tx.new_id()}")
    )
    return registration.agent.id, registration.instance_id
