"""Rows of agents and their instances: find, create and change them, and emit their events."""

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
from repomesh.domains.workspaces.server_downtime import silent_before
from repomesh.kernel import limits
from repomesh.kernel.identity import Role
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

HOOK_ID_PREFIX: Final = "hook:"
"""The prefix of the ids of instances that hooks opened."""


def as_agent(row: Row[Any]) -> Agent:
    """The agent in a row of the table."""
    fields = row._asdict()
    del fields["workspace_id"], fields["name_key"]
    return Agent(**fields)


def find_by_name(tx: Transaction, name: str) -> Row[Any] | None:
    """The agent with this name, else in another case, else as a former name; None if there is none."""
    same_name = or_(agents.c.name == name, agents.c.name_key == rules.name_key(name))
    rows = tx.execute(select(agents).where(agents.c.workspace_id == tx.workspace_id, same_name)).all()
    return min(rows, key=lambda row: row.name != name, default=None) or find_by_former_name(tx, name)


def find_by_former_name(tx: Transaction, name: str) -> Row[Any] | None:
    """The agent that had this name, in any case, before it was renamed; None for none."""
    of_agent = former_names.c.agent_id == agents.c.id
    key = former_names.c.workspace_id == tx.workspace_id, former_names.c.name_key == rules.name_key(name)
    return tx.execute(select(agents).join(former_names, of_agent).where(*key)).one_or_none()


def names_before(tx: Transaction, agent_id: str) -> list[str]:
    """The former names of an agent, oldest first."""
    of_agent = former_names.c.workspace_id == tx.workspace_id, former_names.c.agent_id == agent_id
    statement = select(former_names.c.name).where(*of_agent).order_by(former_names.c.until)
    return list(tx.execute(statement).scalars())


def recorded_name(tx: Transaction, name: str) -> str:
    """A present or former name of an agent, spelled as in records; `name` itself if no agent has it."""
    key = rules.name_key(name)
    former = select(former_names.c.name).where(
        former_names.c.workspace_id == tx.workspace_id, former_names.c.name_key == key
    )
    spelled: str | None = tx.execute(former).scalar_one_or_none()
    if spelled is not None:
        return spelled
    agent = find_by_name(tx, name)
    return name if agent is None else str(agent.name)


def rename(tx: Transaction, agent: Agent, name: str) -> Agent:
    """Rename an agent and reserve its old name for it; returns the renamed agent.

    Raises AgentNameTaken, AgentNameReserved and TooManyFormerNames.
    """
    key, former_key = rules.name_key(name), rules.name_key(agent.name)
    if key != former_key and key in _reserved_keys(tx, agent):
        raise AgentNameReserved(f"no agent may be called '{name}'")
    other = find_by_name(tx, name)
    if other is not None and other.id != agent.id:
        reason = "is there already" if rules.name_key(other.name) == key else f"was called '{name}' before"
        hint = "Choose another name: a name stays reserved for the agent that had it."
        raise AgentNameTaken(f"the agent '{other.name}' {reason}", hint=hint)
    of_agent = former_names.c.workspace_id == tx.workspace_id, former_names.c.agent_id == agent.id
    if key != former_key:
        tx.execute(delete(former_names).where(*of_agent, former_names.c.name_key == key))
        if tx.execute(select(func.count()).where(*of_agent)).scalar_one() >= limits.FORMER_NAMES_MAX:
            raise TooManyFormerNames(f"'{agent.name}' had {limits.FORMER_NAMES_MAX} other names before")
        owner_columns = {"workspace_id": tx.workspace_id, "agent_id": agent.id}
        tx.execute(
            insert(former_names),
            owner_columns | {"name_key": former_key, "name": agent.name, "until": tx.now},
        )
    renamed = agent.model_copy(update={"name": name, "version": agent.version + 1})
    statement = update(agents).where(agents.c.id == agent.id)
    tx.execute(statement.values(name=name, name_key=key, version=renamed.version))
    return renamed


def _reserved_keys(tx: Transaction, agent: Agent) -> set[str]:
    """The keys of names that an agent can't take by itself: others act, or are asked, under them."""
    if tx.caller.is_admin or agent.type == rules.PERSON:
        return {rules.SYSTEM_NAME}
    names = rules.SYSTEM_NAME, *rules.NAMES_OF_OTHERS, tx.settings.webhook_agent
    return {rules.name_key(name) for name in names}


def canonical_agent_names(tx: Transaction, names: Iterable[str]) -> list[str]:
    """The names, each once; names of agents, in any case or former, become the agent's own spelling."""
    unique_names = list(dict.fromkeys(names))
    keys = {rules.name_key(name) for name in unique_names}
    same_name = or_(agents.c.name.in_(unique_names), agents.c.name_key.in_(keys))
    statement = select(agents.c.name, agents.c.name_key).where(
        agents.c.workspace_id == tx.workspace_id, same_name
    )
    rows = tx.execute(statement).all()
    spellings = {row.name_key: row.name for row in rows} | {row.name: row.name for row in rows}
    for name in unique_names:
        if rules.name_key(name) not in spellings and (renamed := find_by_former_name(tx, name)) is not None:
            spellings[name] = renamed.name
    return list(
        dict.fromkeys(
            spellings.get(name) or spellings.get(rules.name_key(name), name) for name in unique_names
        )
    )


def other_name(tx: Transaction, requested: str | None, agent_id: str) -> str | None:
    """The requested name (or id), if it is not the agent's; None if it is, or if no name was requested."""
    if requested is None:
        return None
    row = find_by_name(tx, requested)
    return requested if agent_id not in (requested, row.id if row is not None else None) else None


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
    key_columns = {"workspace_id": tx.workspace_id, "name_key": rules.name_key(name)}
    tx.execute(insert(agents), agent.model_dump() | key_columns)
    return agent


def is_live(tx: Transaction, last_seen_at: datetime) -> bool:
    """Whether an agent or instance last seen at this time still counts as live."""
    return last_seen_at >= silent_before(tx, tx.settings.agent_inactive_after_s)


def open_instance(
    tx: Transaction, agent_id: str, instance_id: str, token_id: str, process_id: str | None
) -> None:
    """Open an instance that speaks for an agent, or reopen it if it was closed."""
    key = {"workspace_id": tx.workspace_id, "agent_id": agent_id, "id": instance_id}
    columns = {"token_id": token_id, "started_at": tx.now, "last_seen_at": tx.now, "process_id": process_id}
    columns |= {"claimed_by_agent": claims_as_agent(tx)}
    of_instance = and_(*(instances.c[name] == value for name, value in key.items()))
    reopened = update(instances).where(of_instance).values(closed_at=None, closed_reason=None, **columns)
    if tx.change(reopened) == 0:
        tx.execute(insert(instances), key | columns)


def claims_as_agent(tx: Transaction) -> bool:
    """Whether the caller has an agent's own token, so that its claims bind nobody but that agent."""
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
    """Record the process whose hooks use an instance, unless a program of its own has set one.

    An agent's own token does not move an instance that the owner's token bound to a process.
    """
    if process is None:
        return
    table = instances.c
    of_hooks = table.id.startswith(HOOK_ID_PREFIX, autoescape=True)
    if claims_as_agent(tx):
        of_hooks = and_(of_hooks, table.claimed_by_agent.is_(True))
    may_set = and_(
        instances.c.workspace_id == tx.workspace_id,
        instances.c.agent_id == agent_id,
        instances.c.id == instance_id,
        or_(table.process_id.is_(None), of_hooks),
    )
    tx.execute(
        update(instances).where(may_set).values(process_id=process, claimed_by_agent=claims_as_agent(tx))
    )


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
    """Update fields of an agent; returns the changed agent."""
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
    """Emit an event of `type_` with the present state of an agent."""
    data = AgentChanged(agent=agent, instance_id=instance_id, reason=reason)
    tx.emit(NewEvent(type_, f"agent/{agent.id}", data, actor=agent.id, recipient_id=None))
