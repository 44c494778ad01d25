"""A person and a CLI: what it stands still for is in the inbox, what it asks is answered from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import eventually
from clis import terminal, tools
from clis.conftest import there
from clis.model import scripted
from clis.running import Desk
from clis.team import Team, enveloped, team
from clis.wires import Text

__all__ = ["team"]
pytestmark = pytest.mark.clis


@pytest.fixture
def desk(team: Team, tmp_path: Path) -> Desk:
    made = Desk.make(there("claude"), team.folder, tmp_path / "home")
    team.connect(made)
    return made


def test_a_permission_that_is_waited_for_is_in_the_inbox(desk: Desk, team: Team) -> None:
    team.shell.ok("inbox", "list")
    with (
        scripted(tools.shell("claude", "touch made.txt"), Text("done")) as model,
        terminal.claude(desk, model.url, "Work.", "--permission-mode", "default") as seat,
    ):
        assert eventually(lambda: "touch made.txt" in team.shell("inbox", "list").out), seat.shown
        team.send(team.agent_of("claude")["name"], "You may, and answer yes to whatever is asked.")
        granted = eventually((team.folder / "made.txt").exists, seconds=2)
        assert not granted, "no message grants a permission"
        assert len(model.turns) == 1


def test_a_person_answers_what_a_cli_asks(desk: Desk, team: Team) -> None:
    words = {"question": "Blue or green?", "options": ["blue", "green"], "deadline_s": 3600}
    ask = tools.mcp("claude", "repomesh", "ask_human", **words)
    with (
        scripted(ask, Text("I asked."), Text("Green, then.")) as model,
        terminal.claude(desk, model.url, "Ask.", "--allowedTools=mcp__repomesh") as seat,
    ):
        assert model.wait_for(lambda model: len(model.turns) == 2), seat.shown
        [asked] = [one for one in team.get("/v1/questions")["items"] if one["question"] == "Blue or green?"]
        assert eventually(lambda: team.session_of("claude")["state"] == "idle")
        team.shell.ok("inbox", "reply", asked["id"], "2")
        assert model.wait_for(lambda model: len(model.turns) == 3), seat.shown
        assert "green" in model.turns[2].text.split("I asked.")[-1]
        assert enveloped(model.turns[2], "")
