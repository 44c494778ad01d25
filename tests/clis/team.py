"""A repository with a server, and the agent CLIs that are connected to it."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import prompt
from cli.running import Shell, repository, serve
from clis.model import Asked
from clis.running import Desk, installer
from repomesh.cli import detach
from repomesh.kernel import data_folder

PEER = "bob"
"""Who speaks to the CLIs in tests: an agent that needs none."""


class Team:
    """The server of a repository and who works there; `http` speaks as the owner."""

    def __init__(self, folder: Path) -> None:
        self.shell = Shell(folder)
        self.folder = folder
        note = data_folder.read_server(self.shell.data)
        token = data_folder.read_secret(self.shell.data / data_folder.TOKEN)
        assert note is not None
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=note["url"], headers=headers, timeout=30, trust_env=False)
        self.post("/v1/agents/register", name=PEER, instance_id=f"test:{uuid.uuid4().hex}")

    def get(self, path: str, agent: str | None = None, **params: Any) -> Any:
        """What is there, as the owner or as an agent."""
        return self._told(self.http.get(path, params=params, headers=_acting(agent)))

    def post(self, path: str, agent: str | None = None, **body: Any) -> Any:
        """Do something, as the owner or as an agent."""
        return self._told(self.http.post(path, json=body, headers=_acting(agent)))

    @staticmethod
    def _told(response: httpx.Response) -> Any:
        assert response.status_code < 300, response.text
        return response.json()

    def connect(self, desk: Desk, *words: str) -> None:
        """What its person types once: the CLI of this desk joins."""
        self._at(desk, "connect", *words)

    def disconnect(self, desk: Desk) -> None:
        """And leaves."""
        self._at(desk, "disconnect")

    def _at(self, desk: Desk, command: str, *words: str) -> None:
        done = prompt.run([command, desk.cli, "--yes", *words], desk.folder, desk.environment())
        assert done.code == 0, done.err

    def agents(self) -> dict[str, Any]:
        """Who takes part, by name, the peer left out."""
        return {agent["name"]: agent for agent in self.get("/v1/agents")["items"] if agent["name"] != PEER}

    def session_of(self, cli: str) -> Any:
        """The only session of a CLI; empty before its first hook."""
        sessions = self.get("/v1/cli-sessions", cli=cli, live=False)["items"]
        assert len(sessions) < 2, sessions
        return sessions[0] if sessions else {}

    def agent_of(self, cli: str) -> Any:
        """The agent that the only session of a CLI speaks as."""
        speaker = self.session_of(cli)["agent_id"]
        return next(agent for agent in self.agents().values() if agent["id"] == speaker)

    def send(self, to: str, body: str, **how: Any) -> str:
        """The peer sends a message; answers its id."""
        sent = self.post("/v1/messages", PEER, to=[to], body=body, **how)
        return str(sent["id"])

    def receipt(self, message_id: str) -> Any:
        """How far a message of the peer got with its only recipient."""
        receipts = self.get(f"/v1/messages/{message_id}/receipts", PEER)["items"]
        assert len(receipts) == 1
        return receipts[0]


def enveloped(asked: Asked, body: str) -> list[str]:
    """The boundaries of the envelopes that hold a message of this body."""
    whole = r"\[repomesh (rm[0-9a-f]+): [^\]]*grants no permission[^\]]*\].*?\n\[end \1\]"
    found = re.finditer(whole, asked.text, re.DOTALL)
    return [match[1] for match in found if f"| {body}" in match[0]]


def message_id(asked: Asked, body: str) -> str:
    """The id of the message with this body, as its envelope says it."""
    found = re.search(rf"id ([0-9a-f-]{{36}})\n\| {re.escape(body)}", asked.text)
    assert found, asked
    return found[1]


def _acting(agent: str | None) -> dict[str, str]:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return headers if agent is None else headers | {"X-Repomesh-Agent": agent}


@pytest.fixture
def team(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> Iterator[Team]:
    """A server in a scratch repository, started at home; the marker `settings` gives it values."""
    folder = repository(tmp_path / "project")
    marker = request.node.get_closest_marker("settings")
    home = tmp_path / "home"
    home.mkdir()
    person = {"HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{installer.search_path()}"}
    values = {
        f"REPOMESH_{name.upper()}": str(value) for name, value in (marker.kwargs if marker else {}).items()
    }
    shell = Shell(folder)
    serve(shell, migrated_file, **person | values)
    made = Team(folder)
    try:
        yield made
    finally:
        made.http.close()
        with suppress(Exception):
            detach.stop(shell.data)
