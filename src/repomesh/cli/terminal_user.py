"""Who the person at this terminal is among the agents: made on first use, and the same from then on."""

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
"""The person that the server makes up when somebody is asked before anybody came."""


async def act_as_person(client: Client, named: str | None) -> dict[str, Any]:
    """The agent as which this person acts; from now on `client` speaks as it.

    That is `named`, else the person of the name in git's settings or of the login, made if there is none.
    """
    if named is None:
        client.act_as(None)  # REPOMESH_AGENT is a program's, not the person's
        person = await _find_person(client)
    else:
        person = await client.call_json("agent.show", {"agent_id": named})
    client.act_as(person["id"])
    return person


async def _find_person(client: Client) -> dict[str, Any]:
    agents: dict[str, dict[str, Any]] = {
        agent["name"].casefold(): agent async for agent in client.items("agent.list", limit=200)
    }
    name = person_name()
    known = agents.get(name)
    if known is not None and known["type"] == "human":
        return known
    people = [agent for agent in agents.values() if agent["type"] == "human" and agent["status"] != "retired"]
    if [agent["name"] for agent in people] == [_PLACEHOLDER]:
        return people[0]
    return await _register(client, free_name(name, agents.keys()))


async def _register(client: Client, name: str) -> dict[str, Any]:
    """A person without an instance: one speaks for oneself with the owner's token, now and then."""
    fields = {"name": name, "type": "human", "program": "repomesh inbox"}
    made = await client.call_json("agent.register", fields)
    left: dict[str, Any] = await client.call_json("agent.leave", {"agent_id": made["agent"]["id"]})
    return left


def person_name() -> str:
    """The person's name: git's user.name, else the login, as an agent's name."""
    return to_agent_name(_git_name()) or to_agent_name(_login()) or "person"


def to_agent_name(text: str) -> str:
    """Text as an agent's name, or nothing: 'Jané Doe' becomes 'jane-doe'."""
    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: NAME_CHARS_MAX - 4].rstrip("-")


def free_name(name: str, taken: Any) -> str:
    """The name, or with a number when another has it."""
    number, free = 1, name
    while free in taken or free == "repomesh":
        number += 1
        free = f"{name}-{number}"
    return free


def _git_name() -> str:
    try:
        done = subprocess.run(
            ["git", "config", "user.name"],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git here
        return ""
    return done.stdout.strip()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return ""
