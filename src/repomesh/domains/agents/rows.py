"""Agents and their instances as rows: made, changed, told of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, insert, select, update

from repomesh.domains.agents import rules
from repomesh.domains.agents.errors import AgentNameReserved
from repomesh.domains.agents.models import Agent, AgentChanged, RegisterAgent
from repomesh.domains.agents.tables import agents, instances
from repomesh.domains.workspaces import tokens
from repomesh.kernel.ids import new_id
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction


def as_agent(row: Row[Any]) -> Agent:
    """The agent in a row of the table."""
    fields = row._asdict()
    del fields["workspace_id"]
    return Agent(**fields)


def by_name(tx: Transaction, name: str) -> Any:
    """The select of the agent with this name."""
    return select(agents).where(agents.c.workspace_id == tx.workspace_id, agents.c.name == name)


def create(tx: Transaction, name: str, request: RegisterAgent) -> Agent:
    """Make a new agent; raises AgentNameReserved for the server's own name."""
    if name.lower() == rules.SYSTEM_NAME:
        raise AgentNameReserved(f"no agent may be called '{name}'")
    agent = Agent(
        id=new_id(),
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
    tx.execute(insert(agents), agent.model_dump() | {"workspace_id": tx.workspace_id})
    return agent


def is_live(tx: Transaction, last_seen_at: datetime) -> bool:
    """Whether who was last seen then still counts as there."""
    return tx.now - last_seen_at <= timedelta(seconds=tx.settings.agent_inactive_after_s)


def open_instance(
    tx: Transaction, agent_id: str, instance_id: str, token_id: str, process_id: str | None
) -> None:
    """Write down that this instance speaks for an agent from now on."""
    key = {"workspace_id": tx.workspace_id, "agent_id": agent_id, "id": instance_id}
    run = {"token_id": token_id, "started_at": tx.now, "last_seen_at": tx.now, "process_id": process_id}
    mine = and_(*(instances.c[name] == value for name, value in key.items()))
    again = update(instances).where(mine).values(closed_at=None, closed_reason=None, **run)
    if tx.change(again) == 0:
        tx.execute(insert(instances), key | run)


def open_instance_of(tx: Transaction, agent_id: str) -> Row[Any] | None:
    """The open instance of an agent; None when nobody speaks for it."""
    still_open = select(instances).where(
        instances.c.workspace_id == tx.workspace_id,
        instances.c.agent_id == agent_id,
        instances.c.closed_at.is_(None),
    )
    return tx.execute(still_open).one_or_none()


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


def tell(
    tx: Transaction, type_: str, agent: Agent, *, instance_id: str | None = None, reason: str = ""
) -> None:
    """Append an event with what an agent is now."""
    changed = AgentChanged(agent=agent, instance_id=instance_id, reason=reason)
    tx.emit(NewEvent(type_, f"agent/{agent.id}", changed, actor=agent.id, recipient_id=None))
