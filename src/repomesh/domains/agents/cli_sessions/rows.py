"""Rows of CLI sessions: find them by key or process, change them, and bind them to instances of agents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, select, update

from repomesh.domains.agents import rows as agent_rows
from repomesh.domains.agents.cli_sessions import rules
from repomesh.domains.agents.cli_sessions.models import CliSession, CliSessionChanged
from repomesh.domains.agents.rules import name_key
from repomesh.domains.agents.tables import agents, cli_sessions, instances
from repomesh.domains.workspaces.server_downtime import silent_before
from repomesh.kernel import limits, processes
from repomesh.kernel.clis import REPORT_SESSION_END, cli_of
from repomesh.kernel.identity import Caller, Role
from repomesh.store.damage import readable_rows
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import shown_text

GONE = "gone"
"""Why a session ended that no hook ended: its agent went silent."""

_WITH_AGENT = (
    select(
        *cli_sessions.c,
        agents.c.name.label("agent_name"),
        agents.c.type.label("agent_type"),
        agents.c.status.label("agent_status"),
    )
    .select_from(cli_sessions)
    .join(agents, agents.c.id == cli_sessions.c.agent_id)
    .where(cli_sessions.c.workspace_id == bindparam("ws"))
)
_FIND = PreparedStatement(
    _WITH_AGENT.where(
        cli_sessions.c.cli == bindparam("cli"), cli_sessions.c.session_id == bindparam("session")
    )
)
_LIVE = _WITH_AGENT.where(cli_sessions.c.ended_at.is_(None))
_LIVE_OF_AGENT = PreparedStatement(_LIVE.where(cli_sessions.c.agent_id == bindparam("agent")))
_OPEN_INSTANCES = (
    select(
        instances.c.agent_id,
        instances.c.id,
        instances.c.process_id,
        instances.c.last_seen_at,
        instances.c.claimed_by_agent,
        agents.c.name,
        agents.c.program,
    )
    .join(agents, agents.c.id == instances.c.agent_id)
    .where(
        instances.c.workspace_id == bindparam("ws"),
        instances.c.closed_at.is_(None),
        instances.c.process_id.is_not(None),
    )
)
_NEWEST = (
    _WITH_AGENT.where(
        cli_sessions.c.cli == bindparam("cli"), cli_sessions.c.last_hook_at >= bindparam("since")
    )
    .order_by(cli_sessions.c.last_hook_at.desc())
    .limit(limits.CLI_SESSIONS_LOOKED_AT)
)
# Sessions that do not bind the caller are excluded before the limit, so that they crowd out no others.
_NEWEST_OF_OWNER = PreparedStatement(_NEWEST.where(cli_sessions.c.claimed_by_agent.is_(False)))
_NEWEST_OF_AGENT = PreparedStatement(_NEWEST.where(cli_sessions.c.agent_id == bindparam("agent")))
_INSTANCE = select(instances.c.closed_at).where(
    instances.c.workspace_id == bindparam("ws"),
    instances.c.agent_id == bindparam("agent"),
    instances.c.id == bindparam("instance"),
)


def find(tx: Transaction, cli: str, session_id: str) -> Row[Any] | None:
    """The CLI session with its agent's name, type and status; None for an unknown one."""
    row: Row[Any] | None = tx.execute(
        _FIND, {"ws": tx.workspace_id, "cli": cli, "session": session_id}
    ).one_or_none()
    return row


def find_run(
    tx: Transaction, cli: str, session_id: str, ancestors: Sequence[str]
) -> tuple[str, Row[Any] | None]:
    """The CLI session of the run from which a hook came: the id under which it is kept, and its row.

    The id is the CLI's own, unless the session lives in another process as well: two windows may resume one
    session. Then the later run has a row of its own. The row is None for an unknown run.
    """
    row = find(tx, cli, session_id)
    if row is None or not rules.is_other_run(row.processes, ancestors):
        return session_id, row
    own_id = rules.second_run_id(session_id, ancestors[0])
    own_row = find(tx, cli, own_id)
    if (own_row is not None and own_row.ended_at is None) or _still_runs(row):
        return own_id, own_row
    return session_id, row


def _still_runs(row: Row[Any]) -> bool:
    """Whether no hook ended a session and its process runs."""
    if row.ended_at is not None and row.ended_reason != GONE:
        return False
    return processes.runs(row.processes[0], row.last_hook_at) is True


def binds(caller: Caller, claim: Any) -> bool:
    """Whether the process or session of a claim speaks for a caller as well.

    What an owner's token claimed binds owners' tokens, and those of the agent that it was claimed for. What
    an agent's own token claimed binds that agent's tokens alone: else it would catch other programs'
    sessions. `claim` is a CLI session or an instance.
    """
    if caller.role is Role.OWNER and claim.claimed_by_agent:
        return False
    return caller.agent_id == claim.agent_id or (caller.role is Role.OWNER and caller.agent_id is None)


def record_name(row: Row[Any]) -> str:
    """The name of a CLI session in logs and answers that leave it out."""
    return f"cli_session/{row.cli}/{row.session_id}"


def live_sessions(tx: Transaction, agent_id: str) -> Sequence[Row[Any]]:
    """The CLI sessions of an agent that are not over."""
    rows = tx.execute(_LIVE_OF_AGENT, {"ws": tx.workspace_id, "agent": agent_id})
    return readable_rows(tx, rows, record_name)


def find_by_process(tx: Transaction, process_id: str) -> Row[Any] | None:
    """The live CLI session whose CLI is this process, if it binds the caller; None when there is none."""
    all_rows = readable_rows(tx, tx.execute(_LIVE, {"ws": tx.workspace_id}), record_name)
    rows = [row for row in all_rows if binds(tx.caller, row)]
    candidates = [(rules.depth(row.processes, process_id), row) for row in rows]
    matches = [(steps, row) for steps, row in candidates if steps is not None]
    matches.sort(key=lambda match: (match[0], -match[1].last_hook_at.timestamp()))
    return matches[0][1] if matches else None


def find_instance(tx: Transaction, cli: str, ancestors: Sequence[str]) -> Row[Any] | None:
    """The live instance that speaks for the CLI from which a hook of the caller with these ancestors came.

    An instance with a live CLI session must be equally far above that session's hook: else it is a CLI that
    started this one.
    """
    since = silent_before(tx, tx.settings.agent_inactive_after_s)
    matches = []
    open_instances = tx.execute(_OPEN_INSTANCES, {"ws": tx.workspace_id})
    for row in readable_rows(tx, open_instances, lambda row: f"instance/{row.agent_id}/{row.id}"):
        steps = rules.depth(ancestors, row.process_id)
        if steps is None or row.last_seen_at < since or not rules.can_run(cli, row.program):
            continue
        if not binds(tx.caller, row):
            continue
        depths = [
            rules.depth(session.processes, row.process_id)
            for session in live_sessions(tx, row.agent_id)
            if session.instance_id == row.id
        ]
        if all(depth in (None, steps) for depth in depths):
            matches.append((steps, row))
    matches.sort(key=lambda match: match[0])
    return matches[0][1] if matches else None


def find_newest_of_run(tx: Transaction, cli: str, ancestors: Sequence[str]) -> Row[Any] | None:
    """The newest session of the CLI run from which a hook of the caller came; None if unknown.

    One process may have several, one after another or side by side: cleared, forked, of a subagent.
    """
    since = tx.now - timedelta(seconds=limits.CLI_RUN_REMEMBERED_S)
    params: dict[str, Any] = {"ws": tx.workspace_id, "cli": cli, "since": since}
    if tx.caller.agent_id is None:
        rows = readable_rows(tx, tx.execute(_NEWEST_OF_OWNER, params), record_name)
    else:
        all_rows = tx.execute(_NEWEST_OF_AGENT, params | {"agent": tx.caller.agent_id})
        rows = [row for row in readable_rows(tx, all_rows, record_name) if binds(tx.caller, row)]
    return next((row for row in rows if rules.same_run(row.processes, ancestors)), None)


def is_running(tx: Transaction, agent_id: str, instance: Row[Any] | None) -> bool | None:
    """Whether a process that speaks for an agent runs: its open instance's, or a live session's.

    None when that can't be known from this machine; then only the time of the last call counts.
    """
    sightings = [(row.processes[0], row.last_hook_at) for row in live_sessions(tx, agent_id) if row.processes]
    if instance is not None:
        sightings.append((instance.process_id, instance.last_seen_at))
    states = [processes.runs(process, seen_at) for process, seen_at in sightings]
    if any(states):
        return True
    return None if None in states or not states else False


def is_spoken_for(tx: Transaction, agent_id: str, instance: Row[Any]) -> bool:
    """Whether an open instance is in use: seen recently, and its process is not known to have ended."""
    since = silent_before(tx, tx.settings.agent_inactive_after_s)
    return bool(instance.last_seen_at >= since and is_running(tx, agent_id, instance) is not False)


def is_open(tx: Transaction, agent_id: str, instance_id: str) -> bool:
    """Whether an instance exists and is not closed."""
    key = {"ws": tx.workspace_id, "agent": agent_id, "instance": instance_id}
    row = tx.execute(_INSTANCE, key).one_or_none()
    return row is not None and row.closed_at is None


def free_name(tx: Transaction, stem: str, cli: str, *, requested: bool = False) -> str:
    """The first of 'stem', 'stem-2' … that an agent of this CLI may have now.

    A `requested` stem itself may be the name of an agent of any program, as long as nobody speaks for it.
    """
    table = agents.c
    key = name_key(stem)
    statement = select(
        table.id, table.name_key, table.name, table.program, table.status, table.last_seen_at
    ).where(table.workspace_id == tx.workspace_id, table.name_key.startswith(key, autoescape=True))
    taken = {}
    for row in tx.execute(statement).all():
        if not readable_rows(tx, [row], lambda row: f"agent/{row.id}"):
            taken[shown_text(row.name_key)] = True
            continue
        is_requested = requested and (row.name == stem or row.name_key == key)
        is_foreign = cli_of(row.program) not in (None, cli) and not is_requested
        taken[row.name] = taken[row.name_key] = is_foreign or row.status == "retired" or _has_speaker(tx, row)
    return rules.first_free(stem, taken)


def is_kept_by_hooks(tx: Transaction, agent_id: str, instance_id: str | None) -> bool:
    """Whether a live CLI session uses the instance and its hooks will report the session's end."""
    return instance_id is not None and any(
        row.instance_id == instance_id and row.cli in REPORT_SESSION_END
        for row in live_sessions(tx, agent_id)
    )


def rebind(tx: Transaction, agent_id: str, instance_id: str, new_instance_id: str) -> None:
    """Move the live CLI sessions of an agent's instance to another instance."""
    live_of_instance = and_(
        cli_sessions.c.workspace_id == tx.workspace_id,
        cli_sessions.c.agent_id == agent_id,
        cli_sessions.c.instance_id == instance_id,
        cli_sessions.c.ended_at.is_(None),
    )
    tx.execute(update(cli_sessions).where(live_of_instance).values(instance_id=new_instance_id))


def _has_speaker(tx: Transaction, agent: Row[Any]) -> bool:
    """Whether somebody speaks for an agent. A run that was only idle for long keeps its agent."""
    running = is_running(tx, agent.id, agent_rows.open_instance_of(tx, agent.id))
    if running is not None:
        return running
    since = silent_before(tx, tx.settings.agent_inactive_after_s)
    return bool(agent.status == "active" and agent.last_seen_at >= since)


def change(tx: Transaction, row: Any, type_: str | None = None, **values: Any) -> Row[Any]:
    """Update a CLI session, and emit `type_` if given; returns the changed row."""
    of_session = and_(
        cli_sessions.c.workspace_id == tx.workspace_id,
        cli_sessions.c.cli == row.cli,
        cli_sessions.c.session_id == row.session_id,
    )
    tx.execute(update(cli_sessions).where(of_session).values(**values))
    changed = find(tx, row.cli, row.session_id)
    assert changed is not None
    if type_ is not None:
        emit_changed(tx, type_, changed)
    return changed


def emit_changed(tx: Transaction, type_: str, row: Any) -> None:
    """Emit an event of `type_` with the present state of a CLI session."""
    session = as_session(row)
    data = CliSessionChanged(session=session)
    tx.emit(NewEvent(type_, f"agent/{session.agent_id}", data, actor=session.agent_id))


def as_session(row: Any) -> CliSession:
    """The CLI session in a row."""
    return CliSession(**{name: getattr(row, name) for name in CliSession.model_fields})
