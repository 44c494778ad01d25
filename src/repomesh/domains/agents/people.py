"""People among the agents: whom a question goes to when it names nobody."""

from __future__ import annotations

from sqlalchemy import select

from repomesh.domains.agents.models import Agent
from repomesh.domains.agents.operations import as_agent, ensure_agent
from repomesh.domains.agents.rows import taken_names
from repomesh.domains.agents.rules import PERSON, free_name
from repomesh.domains.agents.tables import agents
from repomesh.store.transaction import Transaction

NAMED_UNTIL_KNOWN = "owner"
"""What the first person is called when it is asked before it ever came."""


def newest_person(tx: Transaction) -> Agent | None:
    """The person who was here last, of those in service."""
    table = agents.c
    people = table.workspace_id == tx.workspace_id, table.type == PERSON, table.status != "retired"
    row = tx.execute(
        select(agents).where(*people).order_by(table.last_seen_at.desc(), table.id).limit(1)
    ).first()
    return None if row is None else as_agent(row)


def first_person(tx: Transaction) -> Agent:
    """A person made because somebody is needed and nobody is there yet; it has no instance."""
    return ensure_agent(tx, free_name(NAMED_UNTIL_KNOWN, taken_names(tx)), PERSON)
