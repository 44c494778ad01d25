"""The CLIs themselves, without us: each plays a script, and hooks written by hand reach its model."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from clis import plain, tools
from clis.conftest import there
from clis.model import PATIENCE_S, Step, scripted
from clis.running import Desk
from clis.wires import Text

pytestmark = pytest.mark.clis


def test_a_script_is_played(desk: Desk) -> None:
    plain.echo_server(desk)
    step = Step(tools.write(desk.cli, desk.folder, "made.txt", "hello\n"), go=threading.Event())
    call = tools.mcp(desk.cli, "echo", "echo", words="there and back")
    with scripted(step, call, Text("done")) as model, desk.running(model.url, "Write a file.") as run:
        assert step.reached.wait(PATIENCE_S)
        assert not (desk.folder / "made.txt").exists(), "a step waits for its event"
        assert step.go is not None
        step.go.set()
        run.wait()
    assert (desk.folder / "made.txt").read_text().strip() == "hello"
    assert len(model.turns) == 3
    assert "Write a file." in model.turns[0]
    assert model.turns[2].text.count("there and back") >= 2, "the call and its result"


def test_opencode_plays_a_script_too(tmp_path: Path) -> None:
    desk = Desk.make(there("opencode"), tmp_path / "project", tmp_path / "home")
    work = tools.write(desk.cli, desk.folder, "made.txt", "hello\n")
    with scripted(work, Text("done")) as model, desk.running(model.url, "Write a file.") as run:
        run.wait()
    assert (desk.folder / "made.txt").read_text().strip() == "hello"


def test_hooks_reach_the_next_request(desk: Desk, tmp_path: Path) -> None:
    moment = plain.MOMENTS[desk.cli]
    answers = {
        event: plain.context(desk.cli, event, f"These words came at {event}.")
        for event in (moment.start, moment.prompt, moment.after)
    }
    answers[moment.end] = plain.go_on(desk.cli, f"These words came at {moment.end}.")
    plain.telling(desk, tmp_path / "hooks", answers)
    work = tools.write(desk.cli, desk.folder, "made.txt", "hello\n")
    with scripted(work, Text("done"), Text("done now")) as model, desk.running(model.url, "Write.") as run:
        run.wait()
    for turn, events in enumerate([(moment.start, moment.prompt), (moment.after,), (moment.end,)]):
        for event in events:
            assert f"These words came at {event}." in model.turns[turn], event


def test_a_hook_refuses_an_edit(desk: Desk, tmp_path: Path) -> None:
    before = plain.MOMENTS[desk.cli].before
    plain.telling(desk, tmp_path / "hooks", {before: plain.deny(desk.cli, before, "Somebody else has it.")})
    work = tools.write(desk.cli, desk.folder, "made.txt", "hello\n")
    with scripted(work, Text("done")) as model, desk.running(model.url, "Write.") as run:
        run.wait()
    assert not (desk.folder / "made.txt").exists()
    assert "Somebody else has it." in model.turns[1]
