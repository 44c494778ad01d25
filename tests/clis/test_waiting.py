"""Claude Code waits for messages by an MCP task: its turn is over, and the task's result begins another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clis import plain, terminal, tools
from clis.conftest import there
from clis.model import scripted
from clis.running import Desk
from clis.team import Team, team
from clis.wires import Text

__all__ = ["team"]
pytestmark = pytest.mark.clis


def test_a_task_wakes_an_idle_session(team: Team, tmp_path: Path) -> None:
    desk = Desk.make(there("claude"), team.folder, tmp_path / "home")
    plain.server(desk, "repomesh", sys.executable, "-m", "repomesh.cli.main", "mcp", "--agent", "ann")
    wait = tools.mcp("claude", "repomesh", "wait_for_messages")
    with (
        scripted(wait, Text("I wait."), Text("I have read it.")) as model,
        terminal.claude(desk, model.url, "Wait.", "--allowedTools=mcp__repomesh") as seat,
    ):
        assert model.wait_for(lambda model: len(model.turns) == 2), "the turn goes on while the task waits"
        team.send("ann", "There is work.")
        assert model.wait_for(lambda model: len(model.turns) == 3)
        assert "There is work." in model.turns[2]
        assert seat.typed == 0
