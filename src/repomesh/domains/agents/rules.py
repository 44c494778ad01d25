"""Pure decisions about the registration of agents, and their names."""

from __future__ import annotations

import re
from collections.abc import Container
from enum import Enum

from repomesh.domains.agents.errors import AgentActiveElsewhere, AgentNameTaken, AgentStale, PersonReserved
from repomesh.domains.agents.models import RegisterAgent
from repomesh.kernel.identity import Caller, Role
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.kernel.unicode_text import normalize

FIRST_PERSON_NAME = "owner"
"""The name of a person who is asked a question before any person has joined."""

NAMES_OF_OTHERS = (FIRST_PERSON_NAME, "human", "person", "system", "admin", "webhook")
"""Names that no agent takes by itself: messages and questions to them are meant for somebody else."""

SYSTEM_NAME = "repomesh"
"""The name under which the server itself writes; no agent may have it, in any case."""


PERSON = "human"
"""The type of agents that are people."""


def name_key(name: str) -> str:
    """The key by which names are compared: names that differ only in case have the same key."""
    return normalize("NFKC", name).casefold()


class RegistrationKind(Enum):
    """How a registration joins an agent that exists."""

    RETURN = "return"  # nobody else speaks for it
    TAKE_OVER = "take over"  # an open instance is replaced


def decide_registration(
    request: RegisterAgent, name: str, open_instance_id: str | None, open_instance_live: bool
) -> RegistrationKind:
    """Decide whether and how `request` may join the existing agent `name`.

    Raises AgentNameTaken, AgentActiveElsewhere and AgentStale.
    """
    if not request.reuse_existing:
        raise AgentNameTaken(f"there is an agent '{name}' already")
    if open_instance_id is None or open_instance_id == request.instance_id:
        return RegistrationKind.RETURN
    if request.force:
        return RegistrationKind.TAKE_OVER
    if open_instance_live:
        raise AgentActiveElsewhere(f"another live instance speaks for '{name}'")
    if not request.takeover_if_stale:
        raise AgentStale(f"an instance of '{name}' went silent but was not closed")
    return RegistrationKind.TAKE_OVER


def require_person(type_: str, caller: Caller) -> None:
    """Raise PersonReserved when an agent's own token would make a person of it."""
    if type_ == PERSON and caller.role is Role.AGENT and caller.agent_type != PERSON:
        raise PersonReserved("a token of an agent can't make it one of type 'human'")


def free_name(program: str, taken: Container[str]) -> str:
    """The first of 'program', 'program-2', 'program-3' … whose key is not among those taken."""
    stem = re.sub(r"[^a-z0-9]+", "-", program.lower()).strip("-") or "agent"
    stem = stem[: NAME_CHARS_MAX - 8].rstrip("-")
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        if name_key(name) not in taken and name != SYSTEM_NAME:
            return name
        number += 1
