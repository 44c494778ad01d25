"""People among the agents: the recipient of a question that names nobody."""

from __future__ import annotations

from sqlalchemy import select

from repomesh.domains.agents.models import Agent
from repomesh.domains.agents.operations import as_agent, ensure_agent
from repomesh.domains.agents.rows import find_by_former_name, find_by_name, taken_names
from repomesh.domains.agents.rules import FIRST_PERSON_NAME, PERSON, free_name
from repomesh.domains.agents.tables import agents
from repomesh.store.transaction import Transaction

OWNER_NAME = "the owner"
"""The owner without an acting agent, where a name is recorded: with a space, as no agent's name has."""


def is_person_named(tx: Transaction, name: str) -> bool:
    """Whether a recorded name, maybe a former one, stands for the owner or for an agent that is a person."""
    agent = find_by_name(tx, name) or find_by_former_name(tx, name)
    return name == OWNER_NAME or (agent is not None and agent.type == PERSON)


def newest_person(tx: Transaction) -> Agent | None:
    """The person seen last, of those not retired; None if there is none."""
    table = agents.c
    in_service = table.workspace_id == tx.workspace_id, table.type == PERSON, table.status != "retired"
    row = tx.execute(
        select(agents).where(*in_service).order_by(table.last_seen_at.desc(), table.id).limit(1)
    ).first()
    return None if row is None else as_agent(row)


def first_person(tx: Transaction) -> Agent:
    """Make the first person, without an instance, so that a question has a recipient."""
    return ensure_agent(tx, free_name(FIRST_PERSON_NAME, taken_names(tx)), PERSON)
