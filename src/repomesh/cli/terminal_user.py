"""Finds the agent of the person at this terminal; it is registered on first use."""

from __future__ import annotations

import getpass
import re
import subprocess
from typing import TYPE_CHECKING, Any

from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.kernel.unicode_text import normalize

if TYPE_CHECKING:
    from repomesh.client.client import Client

_PLACEHOLDER = "owner"
"""The person that the server registers for a question asked before any person has come."""


async def act_as_person(client: Client, name: str | None) -> dict[str, Any]:
    """Make `client` act as the agent of this person, and return the agent.

    That is `named`, else the person of the name in git's settings or of the login, made if there is none.
    """
    if name is None:
        client.act_as(None)  # REPOMESH_AGENT names a program's agent, not the person
        person = await _find_person(client)
    else:
        person = await client.call_json("agent.show", {"agent_id": name})
    client.act_as(person["id"])
    return person


async def _find_person(client: Client) -> dict[str, Any]:
    agents: dict[str, dict[str, Any]] = {
        agent["name"].casefold(): agent async for agent in client.items("agent.list", limit=200)
    }
    name = person_name()
    namesake = agents.get(name)
    if namesake is not None and namesake["type"] == "human":
        return namesake
    people = [agent for agent in agents.values() if agent["type"] == "human" and agent["status"] != "retired"]
    if [agent["name"] for agent in people] == [_PLACEHOLDER]:
        return people[0]
    return await _register(client, free_name(name, agents.keys()))


async def _register(client: Client, name: str) -> dict[str, Any]:
    """Register a person and end its presence, since a person at a prompt is not present all the time."""
    fields = {"name": name, "type": "human", "program": "repomesh inbox"}
    answer = await client.call_json("agent.register", fields)
    person: dict[str, Any] = await client.call_json("agent.leave", {"agent_id": answer["agent"]["id"]})
    return person


def person_name() -> str:
    """Return git's user.name, else the login, as an agent's name; 'person' if neither is usable."""
    return to_agent_name(_git_name()) or to_agent_name(_login()) or "person"


def to_agent_name(text: str) -> str:
    """Return text as an agent's name: 'Jané Doe' becomes 'jane-doe'; empty if no letter or digit is left."""
    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: NAME_CHARS_MAX - 4].rstrip("-")


def free_name(name: str, taken: Any) -> str:
    """Return the name, with a number if another agent has it."""
    number, candidate = 1, name
    while candidate in taken or candidate == "repomesh":
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _git_name() -> str:
    try:
        result = subprocess.run(
            ["git", "config", "user.name"],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git here
        return ""
    return result.stdout.strip()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return ""
