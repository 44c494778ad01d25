"""Idle at a terminal: a message starts a turn, and nobody types."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import eventually
from clis import terminal
from clis.conftest import there
from clis.model import scripted
from clis.running import Desk
from clis.team import Team, enveloped, team
from clis.wires import Text
from repomesh.daemon import background

__all__ = ["team"]
pytestmark = pytest.mark.clis
SITS = {"claude": terminal.claude, "codex": terminal.codex}


@pytest.mark.parametrize("name", sorted(SITS))
def test_a_message_wakes_an_idle_cli(
    name: str, team: Team, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    desk = Desk.make(there(name), team.folder, tmp_path / "home")
    team.connect(desk)
    data = team.shell.data
    request.addfinalizer(lambda: background.stop(data))
    assert eventually(lambda: background.holder(data) is not None), "connect starts the daemon"
    with (
        scripted(Text("I am ready."), Text("I have read it.")) as model,
        SITS[name](desk, model.url, "Be ready.") as seat,
    ):
        assert model.wait_for(lambda model: len(model.turns) == 1, 40)
        assert eventually(lambda: idle(team, name), 40)
        agent = team.agent_of(name)
        sent = team.send(agent["name"], "There is work.")
        assert model.wait_for(lambda model: len(model.turns) == 2), team.get(f"/v1/messages/{sent}/trace")
        assert len(enveloped(model.turns[1], "There is work.")) == 1
        assert "did not type this" in model.turns[1].text
        assert seat.typed == 0
        assert eventually(lambda: team.receipt(sent)["status"] == "injected"), team.get(
            f"/v1/messages/{sent}/trace"
        )
    (recipient,) = team.get(f"/v1/messages/{sent}/trace")["recipients"]
    assert [delivery["route"] for delivery in recipient["deliveries"]] == ["wake"]
    receipt = team.receipt(sent)
    assert receipt["stored_at"] < receipt["offered_at"] < receipt["injected_at"]


def idle(team: Team, name: str) -> bool:
    """Whether the CLI's only session waits for its person."""
    sessions = team.get("/v1/cli-sessions", cli=name)["items"]
    return [session["state"] for session in sessions] == ["idle"]
