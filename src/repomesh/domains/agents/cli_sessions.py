"""CLI sessions: which agent a run of a CLI speaks as, from its first hook to its last.

The MCP proxy and the hooks of one CLI start in any order. Whoever comes second is found to belong to the
first by the CLI's process, so that both are one agent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select

from repomesh.domains.agents import rows as agent_rows
from repomesh.domains.agents import session_rows, session_rules
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
from repomesh.domains.agents.session_models import (
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
from repomesh.domains.agents.tables import agents, cli_sessions, instances
from repomesh.kernel import limits
from repomesh.kernel.clis import PROGRAMS
from repomesh.kernel.fields import Page
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Empty, Get, command, query
from repomesh.store.log import Audience, NewEvent
from repomesh.store.paging import page
from repomesh.store.transaction import Transaction

_OF_HOOKS = "hook:"  # how the id of an instance begins that hooks opened, and no proxy


@query("cli_session.list", http=Get("/v1/cli-sessions"), scope="agents:read", errors=(AgentNotFound,))
def list_cli_sessions(tx: Transaction, request: ListCliSessions) -> Page[CliSession]:
    """List the runs of agents' CLIs that hooks told of, by CLI: those that are not over, or all."""
    table = cli_sessions.c
    statement = (
        select(cli_sessions, agents.c.name.label("agent_name"))
        .join(agents, agents.c.id == table.agent_id)
        .where(table.workspace_id == tx.workspace_id)
    )
    if request.agent is not None:
        statement = statement.where(table.agent_id == find_agent(tx, request.agent).id)
    if request.cli is not None:
        statement = statement.where(table.cli == request.cli)
    if request.live:
        statement = statement.where(table.ended_at.is_(None))
    keys = [table.cli, table.session_id]
    items, next_cursor = page(tx, statement, request, keys, session_rows.as_session)
    return Page[CliSession](items=items, next_cursor=next_cursor)


@command(
    "cli_session.begin",
    scope="agents:write",
    errors=(NotYourAgent, AgentNameReserved, AgentActiveElsewhere, AgentRetired),
    changes_access=True,
)
def begin_cli_session(tx: Transaction, request: BeginCliSession) -> BegunCliSession:
    """Bind a CLI session to its agent: the one it had, its proxy's, or one that is registered now."""
    known = session_rows.find(tx, request.cli, request.session_id)
    if known is not None:
        _require_speaker(tx, known)
    if known is not None and known.ended_at is None and _goes_on(tx, known):
        return BegunCliSession(session=session_rows.as_session(_heard_again(tx, known, request)), new=False)
    agent_id, instance_id = _speaker(tx, request, known)
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
    }
    if known is not None:
        begun = session_rows.change(tx, known, CLI_SESSION_STARTED, **row)
    else:
        key = {"workspace_id": tx.workspace_id, "cli": request.cli, "session_id": request.session_id}
        _forget_old(tx)
        tx.execute(insert(cli_sessions), key | row | {"started_at": tx.now})
        begun = _find(tx, request)
        session_rows.tell(tx, CLI_SESSION_STARTED, begun)
    return BegunCliSession(session=session_rows.as_session(begun), new=True)


@command("cli_session.note", scope="agents:write", errors=(CliSessionNotFound, NotYourAgent))
def note_cli_session(tx: Transaction, request: NoteCliSession) -> CliSession:
    """Write down that a CLI session was heard of, and what changed about it."""
    row = _find(tx, request)
    _require_speaker(tx, row)
    changed: dict[str, Any] = {"last_hook_at": tx.now}
    if request.turn_over:
        changed |= {"stop_blocks": 0, "stop_told": []}
    for name in ("state", "transcript_path", "briefing_due"):
        if getattr(request, name) is not None:
            changed[name] = getattr(request, name)
    told = request.state not in (None, row.state)
    return session_rows.as_session(
        session_rows.change(tx, row, CLI_SESSION_CHANGED if told else None, **changed)
    )


@command(
    "cli_session.end",
    scope="agents:write",
    errors=(CliSessionNotFound, NotYourAgent),
    changes_access=True,
)
def end_cli_session(tx: Transaction, request: EndCliSession) -> CliSession:
    """Note that a CLI session is over. Its instance ends with it, unless another session speaks through it.

    A proxy that its CLI kills can't say that it leaves; one that lives on registers again.
    """
    row = _find(tx, request)
    _require_speaker(tx, row)
    if row.ended_at is not None:
        return session_rows.as_session(row)
    ended = session_rows.change(
        tx,
        row,
        CLI_SESSION_ENDED,
        ended_at=tx.now,
        ended_reason=request.reason[:64] or SESSION_OVER,
        state="idle",
    )
    others = [one for one in session_rows.live_of(tx, row.agent_id) if one.instance_id == row.instance_id]
    if not others and not request.goes_on:
        depart(tx, find_agent(tx, row.agent_id), SESSION_OVER)
    return session_rows.as_session(ended)


@command("cli_session.permission", scope="agents:write", errors=(CliSessionNotFound, NotYourAgent))
def report_permission(tx: Transaction, request: ReportPermission) -> Empty:
    """Tell the people of the workspace that a CLI waits for its person's permission. Grants nothing."""
    row = _find(tx, request)
    _require_speaker(tx, row)
    asked = PermissionRequested(
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
        NewEvent(AGENT_PERMISSION_REQUESTED, subject, asked, audience, severity="warning", actor=row.agent_id)
    )
    return Empty()


@command("cli_session.sweep", scope="agents:admin")
def sweep_cli_sessions(tx: Transaction, request: SweepCliSessions) -> EndedCliSessions:
    """End the CLI sessions whose agent went silent or whose instance is closed."""
    table = cli_sessions.c
    lost = (
        select(table.cli, table.session_id)
        .join(agents, agents.c.id == table.agent_id)
        .outerjoin(
            instances,
            (instances.c.workspace_id == table.workspace_id)
            & (instances.c.agent_id == table.agent_id)
            & (instances.c.id == table.instance_id),
        )
        .where(table.workspace_id == tx.workspace_id, table.ended_at.is_(None))
        .where(or_(agents.c.status != "active", instances.c.closed_at.is_not(None)))
        .limit(limits.RECLAIM_MAX)
    )
    ended = []
    for found in tx.execute(lost).all():
        row = _find(tx, CliSessionKey(cli=found.cli, session_id=found.session_id))
        session_rows.change(tx, row, CLI_SESSION_ENDED, ended_at=tx.now, ended_reason="gone", state="idle")
        ended.append(row.session_id)
    return EndedCliSessions(session_ids=ended)


def _forget_old(tx: Transaction) -> None:
    """Forget the sessions that nobody will resume any more; done when another begins, which is seldom."""
    old = tx.now - timedelta(seconds=limits.CLI_SESSIONS_KEPT_S)
    table = cli_sessions.c
    tx.execute(delete(cli_sessions).where(table.workspace_id == tx.workspace_id, table.ended_at < old))


def _find(tx: Transaction, key: CliSessionKey | BeginCliSession) -> Row[Any]:
    row = session_rows.find(tx, key.cli, key.session_id)
    if row is None:
        raise CliSessionNotFound(f"no hook told of a session '{key.session_id}' of {key.cli}")
    return row


def _require_speaker(tx: Transaction, row: Row[Any]) -> None:
    """Raise NotYourAgent unless the caller's token may speak for the agent of a CLI session."""
    if not tx.caller.is_admin and tx.caller.agent_id != row.agent_id:
        raise NotYourAgent(f"this token does not speak for '{row.agent_name}'")


def _goes_on(tx: Transaction, row: Row[Any]) -> bool:
    return row.agent_status != "retired" and session_rows.is_open(tx, row.agent_id, row.instance_id)


def _heard_again(tx: Transaction, known: Row[Any], request: BeginCliSession) -> Row[Any]:
    """A session that began again in the same run: resumed, cleared or compacted."""
    touch(tx, find_agent(tx, known.agent_id), known.instance_id)
    changed: dict[str, Any] = {
        "processes": list(request.processes) or known.processes,
        "last_hook_at": tx.now,
    }
    if request.transcript_path is not None:
        changed["transcript_path"] = request.transcript_path
    return session_rows.change(tx, known, **changed)


def _speaker(tx: Transaction, request: BeginCliSession, known: Row[Any] | None) -> tuple[str, str]:
    """The agent and the instance that a CLI session speaks as from now on."""
    caller = tx.caller
    if caller.instance_id is not None:
        return caller.acting_agent(), caller.instance_id
    found = session_rows.instance_of(tx, request.cli, request.processes)
    if found is not None and caller.agent_id in (None, found.agent_id):
        return found.agent_id, found.id
    if caller.agent_id is not None:
        open_one = agent_rows.open_instance_of(tx, caller.agent_id)
        if open_one is not None and agent_rows.is_live(tx, open_one.last_seen_at):
            return caller.agent_id, open_one.id
    wanted = known.agent_name if known is not None else request.wanted
    stem = session_rules.stem(request.cli, wanted, "") or request.cli
    name = caller.agent_name or session_rows.free_name(tx, stem, request.cli, wanted=wanted is not None)
    program = PROGRAMS.get(request.cli, request.cli)
    made = register_agent(tx, RegisterAgent(name=name, program=program, instance_id=f"{_OF_HOOKS}{new_id()}"))
    return made.agent.id, made.instance_id
