"""Checks for what only people may do."""

from __future__ import annotations

from repomesh.domains.agents.errors import OnlyPeople
from repomesh.domains.agents.rules import PERSON
from repomesh.kernel.identity import Caller


def is_person(caller: Caller) -> bool:
    """Whether a caller is a person, or the owner without an acting agent."""
    return caller.agent_type == PERSON if caller.agent_id is not None else caller.is_admin


def require_person(caller: Caller, action: str) -> None:
    """Raise OnlyPeople unless the caller is a person; `action` completes "only people …"."""
    if not is_person(caller):
        raise OnlyPeople(f"only people {action}")
