"""What people alone may do."""

from __future__ import annotations

from repomesh.domains.agents.rules import PERSON
from repomesh.domains.meetings.errors import OnlyPeople
from repomesh.kernel.identity import Caller


def is_person(caller: Caller) -> bool:
    """Whether a caller is a person, or the owner acting as nobody."""
    return caller.agent_type == PERSON if caller.agent_id is not None else caller.is_admin


def require_person(caller: Caller, what: str) -> None:
    """Raise OnlyPeople unless a person asks for it."""
    if not is_person(caller):
        raise OnlyPeople(f"only people {what}")
