"""CLI sessions as rows: found by their key, by a process, and bound to an agent's instance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, select, update

from repomesh.domains.agents import session_rules
from repomesh.domains.agents.session_models import CliSession, CliSessionChanged
from repomesh.domains.agents.tables import agents, cli_sessions, instances
from repomesh.kernel.clis import cli_of
from repomesh.store.log import NewEvent
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_SEEN = (
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
_FIND = Prepared(
    _SEEN.where(cli_sessions.c.cli == bindparam("cli"), cli_sessions.c.session_id == bindparam("session"))
)
_LIVE = _SEEN.where(cli_sessions.c.ended_at.is_(None))
_LIVE_OF_AGENT = Prepared(_LIVE.where(cli_sessions.c.agent_id == bindparam("agent")))
_OPEN_INSTANCES = (
    select(
        instances.c.agent_id,
        instances.c.id,
        instances.c.process_id,
        instances.c.last_seen_at,
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
_INSTANCE = select(instances.c.closed_at).where(
    instances.c.workspace_id == bindparam("ws"),
    instances.c.agent_id == bindparam("agent"),
    instances.c.id == bindparam("instance"),
)


def find(tx: Transaction, cli: str, session_id: str) -> Row[Any] | None:
    """The CLI session with its agent's name, type and status; None when it was never heard of."""
    row: Row[Any] | None = tx.execute(
        _FIND, {"ws": tx.workspace_id, "cli": cli, "session": session_id}
    ).one_or_none()
    return row


def live_of(tx: Transaction, agent_id: str) -> Sequence[Row[Any]]:
    """The CLI sessions of an agent that are not over."""
    return tx.execute(_LIVE_OF_AGENT, {"ws": tx.workspace_id, "agent": agent_id}).all()


def of_process(tx: Transaction, process_id: str) -> Row[Any] | None:
    """The live CLI session whose CLI is this process; None when no hook told of one."""
    rows = tx.execute(_LIVE, {"ws": tx.workspace_id}).all()
    near = [(session_rules.depth(row.processes, process_id), row) for row in rows]
    found = [(steps, row) for steps, row in near if steps is not None]
    found.sort(key=lambda one: (one[0], -one[1].last_hook_at.timestamp()))
    return found[0][1] if found else None


def instance_of(tx: Transaction, cli: str, processes: Sequence[str]) -> Row[Any] | None:
    """The live instance that speaks for the CLI from which a hook with these ancestors came.

    One that a live CLI session stands for already must stand in the same place above its hook: else it is a
    CLI that started this one.
    """
    since = tx.now - timedelta(seconds=tx.settings.agent_inactive_after_s)
    found = []
    for row in tx.execute(_OPEN_INSTANCES, {"ws": tx.workspace_id}).all():
        steps = session_rules.depth(processes, row.process_id)
        if steps is None or row.last_seen_at < since or not session_rules.may_be(cli, row.program):
            continue
        known = [
            session_rules.depth(one.processes, row.process_id)
            for one in live_of(tx, row.agent_id)
            if one.instance_id == row.id
        ]
        if all(one in (None, steps) for one in known):
            found.append((steps, row))
    found.sort(key=lambda one: one[0])
    return found[0][1] if found else None


def is_open(tx: Transaction, agent_id: str, instance_id: str) -> bool:
    """Whether an instance is there and not closed."""
    key = {"ws": tx.workspace_id, "agent": agent_id, "instance": instance_id}
    row = tx.execute(_INSTANCE, key).one_or_none()
    return row is not None and row.closed_at is None


def free_name(tx: Transaction, stem: str, cli: str, *, wanted: bool = False) -> str:
    """The first of 'stem', 'stem-2' … that an agent of this CLI may have now.

    A name that was asked for may belong to an agent of any program, as long as nobody speaks for it.
    """
    since = tx.now - timedelta(seconds=tx.settings.agent_inactive_after_s)
    table = agents.c
    known = select(table.name, table.program, table.status, table.last_seen_at).where(
        table.workspace_id == tx.workspace_id, table.name.startswith(stem, autoescape=True)
    )
    taken = {}
    for row in tx.execute(known):
        speaks = row.status == "active" and row.last_seen_at >= since
        foreign = cli_of(row.program) not in (None, cli) and not (wanted and row.name == stem)
        taken[row.name] = speaks or foreign or row.status == "retired"
    return session_rules.first_free(stem, taken)


def change(tx: Transaction, row: Any, type_: str | None = None, **values: Any) -> Row[Any]:
    """Write what changed about a CLI session, with an event of `type_`; answers it as it is now."""
    mine = and_(
        cli_sessions.c.workspace_id == tx.workspace_id,
        cli_sessions.c.cli == row.cli,
        cli_sessions.c.session_id == row.session_id,
    )
    tx.execute(update(cli_sessions).where(mine).values(**values))
    changed = find(tx, row.cli, row.session_id)
    assert changed is not None
    if type_ is not None:
        tell(tx, type_, changed)
    return changed


def tell(tx: Transaction, type_: str, row: Any) -> None:
    """Append an event with what a CLI session is now."""
    session = as_session(row)
    data = CliSessionChanged(session=session)
    tx.emit(NewEvent(type_, f"agent/{session.agent_id}", data, actor=session.agent_id))


def as_session(row: Any) -> CliSession:
    """The CLI session in a row."""
    return CliSession(**{name: getattr(row, name) for name in CliSession.model_fields})
