"""Several sessions at once: each is an agent of its own, also one that another started."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

import pytest

from clis import tools
from clis.conftest import there
from clis.model import PATIENCE_S, Step, scripted
from clis.running import Desk, headless
from clis.team import Team, enveloped, team
from clis.wires import Text

__all__ = ["team"]
pytestmark = pytest.mark.clis


def waiting(cli: str) -> Step:
    return Step(tools.shell(cli, "true"), go=threading.Event())


def test_two_sessions_of_a_cli_are_two_agents(team: Team, tmp_path: Path) -> None:
    desk = Desk.make(there("claude"), team.folder, tmp_path / "home")
    team.connect(desk)
    first, second = waiting("claude"), waiting("claude")
    with (
        scripted(first, Text("done")) as one,
        scripted(second, Text("done")) as two,
        desk.running(one.url, "Work.") as run,
    ):
        assert first.reached.wait(PATIENCE_S)
        [name] = team.agents()
        with desk.running(two.url, "Work, too.") as run_too:
            assert second.reached.wait(PATIENCE_S)
            [other] = team.agents().keys() - {name}
            team.send(name, "For the first.")
            team.send(other, "For the second.")
            for step in (first, second):
                assert step.go is not None
                step.go.set()
            run.wait()
            run_too.wait()
    assert enveloped(one.turns[1], "For the first.")
    assert enveloped(two.turns[1], "For the second.")
    assert "For the second." not in one.turns[1]
    assert "For the first." not in two.turns[1]


def test_one_that_another_starts_is_an_agent_of_its_own(team: Team, tmp_path: Path) -> None:
    outer = Desk.make(there("claude"), team.folder, tmp_path / "home")
    inner = Desk.make(there("codex"), team.folder, tmp_path / "home")
    team.connect(outer)
    team.connect(inner)
    step = waiting("codex")
    with scripted(step, Text("done")) as below:
        words, needed = headless(inner, below.url, "Work below.")
        started = shlex.join(["env", *(f"{name}={value}" for name, value in needed.items()), "codex", *words])
        with (
            scripted(tools.shell("claude", f"{started} </dev/null"), Text("done")) as above,
            outer.running(above.url, "Work above.") as run,
        ):
            assert step.reached.wait(PATIENCE_S)
            names = {cli: team.agent_of(cli)["name"] for cli in ("claude", "codex")}
            assert len(team.agents()) == 2, names
            assert names["claude"] != names["codex"]
            team.send(names["codex"], "For the inner.")
            assert step.go is not None
            step.go.set()
            run.wait()
    assert enveloped(below.turns[1], "For the inner.")
    assert len(above.turns) == 2
    assert not enveloped(above.turns[1], "For the inner.")
