"""An idle CLI at a terminal begins a turn when a message comes, and nobody types anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.running import eventually
from clis import terminal
from clis.conftest import there
from clis.model import scripted
from clis.running import Desk
from clis.team import Team, enveloped, team
from clis.wires import Text

__all__ = ["team"]
pytestmark = pytest.mark.clis


@pytest.mark.parametrize("seated", [terminal.claude, terminal.codex], ids=["claude", "codex"])
def test_a_message_begins_a_turn(seated: Callable[..., Any], team: Team, tmp_path: Path) -> None:
    desk = Desk.make(there(seated.__name__), team.folder, tmp_path / "home")
    team.connect(desk)
    with scripted(Text("done"), Text("done again")) as model, seated(desk, model.url, "Work.") as seat:
        assert model.wait_for(lambda model: len(model.turns) == 1), seat.shown
        assert eventually(lambda: team.session_of(desk.cli).get("state") == "idle")
        sent = team.send(team.agent_of(desk.cli)["name"], "There is work.")
        assert model.wait_for(lambda model: len(model.turns) == 2), seat.shown
        assert len(enveloped(model.turns[1], "There is work.")) == 1
        assert seat.typed == 0
        assert eventually(lambda: bool(team.receipt(sent)["injected_at"]))
