"""Agents and their instances as rows: made, changed, told of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update

from repomesh.domains.agents import rules
from repomesh.domains.agents.errors import AgentNameReserved, AgentNameTaken, TooManyFormerNames
from repomesh.domains.agents.models import Agent, AgentChanged, RegisterAgent
from repomesh.domains.agents.tables import agents, former_names, instances
from repomesh.domains.workspaces import tokens
from repomesh.domains.workspaces.absence import silent_before
from repomesh.kernel import limits
from repomesh.kernel.identity import Role
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

OF_HOOKS: Final = "hook:"
"""How the id of an instance begins that hooks opened, and no program of its own."""


def as_agent(row: Row[Any]) -> Agent:
    """The agent in a row of the table."""
    fields = row._asdict()
    del fields["workspace_id"], fields["name_key"]
    return Agent(**fields)


def by_name(tx: Transaction, name: str) -> Row[Any] | None:
    """The agent with this name, else the one whose name differs from it in nothing but case."""
    alike = or_(agents.c.name == name, agents.c.name_key == rules.name_key(name))
    found = tx.execute(select(agents).where(agents.c.workspace_id == tx.workspace_id, alike)).all()
    return min(found, key=lambda row: row.name != name, default=None) or by_former_name(tx, name)


def by_former_name(tx: Transaction, name: str) -> Row[Any] | None:
    """The agent that had this name before it was renamed."""
    of_agent = former_names.c.agent_id == agents.c.id
    key = former_names.c.workspace_id == tx.workspace_id, former_names.c.name_key == rules.name_key(name)
    return tx.execute(select(agents).join(former_names, of_agent).where(*key)).one_or_none()


def as_recorded(tx: Transaction, name: str) -> str:
    """A name as records spell it that were made under it, whatever its case: an agent's present or former."""
    key = rules.name_key(name)
    former = select(former_names.c.name).where(
        former_names.c.workspace_id == tx.workspace_id, former_names.c.name_key == key
    )
    spelled: str | None = tx.execute(former).scalar_one_or_none()
    if spelled is not None:
        return spelled
    agent = by_name(tx, name)
    return name if agent is None else str(agent.name)


def rename(tx: Transaction, agent: Agent, name: str) -> Agent:
    """Give an agent another name and keep the one that it has for it; answers it as it is now.

    Raises AgentNameTaken, AgentNameReserved and TooManyFormerNames.
    """
    key, former_key = rules.name_key(name), rules.name_key(agent.name)
    if key == rules.SYSTEM_NAME:
        raise AgentNameReserved(f"no agent may be called '{name}'")
    other = by_name(tx, name)
    if other is not None and other.id != agent.id:
        raise AgentNameTaken(f"there is an agent '{other.name}' already, or it was called '{name}' before")
    mine = former_names.c.workspace_id == tx.workspace_id, former_names.c.agent_id == agent.id
    if key != former_key:
        tx.execute(delete(former_names).where(*mine, former_names.c.name_key == key))
        if tx.execute(select(func.count()).where(*mine)).scalar_one() >= limits.FORMER_NAMES_MAX:
            raise TooManyFormerNames(f"'{agent.name}' had {limits.FORMER_NAMES_MAX} other names before")
        own = {"workspace_id": tx.workspace_id, "agent_id": agent.id}
        tx.execute(insert(former_names), own | {"name_key": former_key, "name": agent.name, "until": tx.now})
    renamed = agent.model_copy(update={"name": name, "version": agent.version + 1})
    here = update(agents).where(agents.c.id == agent.id)
    tx.execute(here.values(name=name, name_key=key, version=renamed.version))
    return renamed


def as_agents_write(tx: Transaction, names: Iterable[str]) -> list[str]:
    """The names, each once. That of an agent is as the agent writes it, whatever its case; others stay."""
    asked = list(dict.fromkeys(names))
    keys = {rules.name_key(name) for name in asked}
    alike = or_(agents.c.name.in_(asked), agents.c.name_key.in_(keys))
    here = select(agents.c.name, agents.c.name_key).where(agents.c.workspace_id == tx.workspace_id, alike)
    found = tx.execute(here).all()
    known = {row.name_key: row.name for row in found} | {row.name: row.name for row in found}
    for name in asked:
        if rules.name_key(name) not in known and (renamed := by_former_name(tx, name)) is not None:
            known[name] = renamed.name
    return list(dict.fromkeys(known.get(name) or known.get(rules.name_key(name), name) for name in asked))


def other_name(tx: Transaction, asked: str | None, agent_id: str) -> str | None:
    """The name that was asked for, if the agent that was given has another; else None."""
    if asked is None:
        return None
    named = by_name(tx, asked)
    return asked if agent_id not in (asked, named.id if named is not None else None) else None


def taken_names(tx: Transaction) -> set[str]:
    """The keys of the names that agents have or had."""
    return {
        key
        for table in (agents, former_names)
        for key in tx.execute(
            select(table.c.name_key).where(table.c.workspace_id == tx.workspace_id)
        ).scalars()
    }


def create(tx: Transaction, name: str, request: RegisterAgent) -> Agent:
    """Make a new agent; raises AgentNameReserved for the server's own name."""
    if rules.name_key(name) == rules.SYSTEM_NAME:
        raise AgentNameReserved(f"no agent may be called '{name}'")
    agent = Agent(
        id=tx.new_id(),
        name=name,
        type=request.type,
        program=request.program,
        model=request.model,
        capabilities=list(request.capabilities),
        status="active",
        status_text="",
        resources={},
        created_at=tx.now,
        last_seen_at=tx.now,
        version=1,
    )
    own = {"workspace_id": tx.workspace_id, "name_key": rules.name_key(name)}
    tx.execute(insert(agents), agent.model_dump() | own)
    return agent


def is_live(tx: Transaction, last_seen_at: datetime) -> bool:
    """Whether who was last seen then still counts as there."""
    return last_seen_at >= silent_before(tx, tx.settings.agent_inactive_after_s)


def open_instance(
    tx: Transaction, agent_id: str, instance_id: str, token_id: str, process_id: str | None
) -> None:
    """Write down that this instance speaks for an agent from now on."""
    key = {"workspace_id": tx.workspace_id, "agent_id": agent_id, "id": instance_id}
    run = {"token_id": token_id, "started_at": tx.now, "last_seen_at": tx.now, "process_id": process_id}
    run |= {"claimed_by_agent": by_agent(tx)}
    mine = and_(*(instances.c[name] == value for name, value in key.items()))
    again = update(instances).where(mine).values(closed_at=None, closed_reason=None, **run)
    if tx.change(again) == 0:
        tx.execute(insert(instances), key | run)


def by_agent(tx: Transaction) -> bool:
    """Whether an agent's own token claims what this command names, and so binds nobody but that agent."""
    return tx.caller.role is Role.AGENT


def open_instance_of(tx: Transaction, agent_id: str) -> Row[Any] | None:
    """The open instance of an agent; None when nobody speaks for it."""
    still_open = select(instances).where(
        instances.c.workspace_id == tx.workspace_id,
        instances.c.agent_id == agent_id,
        instances.c.closed_at.is_(None),
    )
    return tx.execute(still_open).one_or_none()


def set_process(tx: Transaction, agent_id: str, instance_id: str, process: str | None) -> None:
    """Note from which process hooks speak through an instance, unless a program of its own has said so.

    An agent's own token does not move an instance that the owner's token bound to a process.
    """
    if process is None:
        return
    table = instances.c
    of_hooks = table.id.startswith(OF_HOOKS, autoescape=True)
    if by_agent(tx):
        of_hooks = and_(of_hooks, table.claimed_by_agent.is_(True))
    mine = and_(
        instances.c.workspace_id == tx.workspace_id,
        instances.c.agent_id == agent_id,
        instances.c.id == instance_id,
        or_(table.process_id.is_(None), of_hooks),
    )
    tx.execute(update(instances).where(mine).values(process_id=process, claimed_by_agent=by_agent(tx)))


def close_instances(tx: Transaction, agent_id: str, reason: str) -> None:
    """End the open instance of an agent, and its token with it."""
    still_open = and_(
        instances.c.workspace_id == tx.workspace_id,
        instances.c.agent_id == agent_id,
        instances.c.closed_at.is_(None),
    )
    for token_id in tx.execute(select(instances.c.token_id).where(still_open)).scalars().all():
        tokens.revoke(tx, token_id, agent_id, reason)
    tx.execute(update(instances).where(still_open).values(closed_at=tx.now, closed_reason=reason))


def change(tx: Transaction, agent: Agent, **fields: Any) -> Agent:
    """Write what changed about an agent; answers it as it is now."""
    changed = agent.model_copy(update=fields | {"version": agent.version + 1})
    tx.execute(
        update(agents)
        .where(agents.c.id == agent.id)
        .values(**changed.model_dump(exclude={"id", "name", "created_at"}))
    )
    return changed


def emit_changed(
    tx: Transaction, type_: str, agent: Agent, *, instance_id: str | None = None, reason: str = ""
) -> None:
    """Append an event with what an agent is now."""
    changed = AgentChanged(agent=agent, instance_id=instance_id, reason=reason)
    tx.emit(NewEvent(type_, f"agent/{agent.id}", changed, actor=agent.id, recipient_id=None))
