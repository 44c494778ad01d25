"""The CLIs themselves, without us: each plays a script, and hooks written by hand reach its model."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from clis import plain, tools
from clis.conftest import there
from clis.model import Step, scripted
from clis.running import Desk
from clis.wires import Text

pytestmark = pytest.mark.clis


def test_a_script_is_played(desk: Desk) -> None:
    work = tools.write(desk.cli, desk.folder, "made.txt", "hello\n")
    with scripted(work, Text("done")) as model, desk.running(model.url, "Write a file.") as run:
        run.wait()
    assert (desk.folder / "made.txt").read_text().strip() == "hello"
    assert len(model.turns) == 2
    assert "Write a file." in model.turns[0]


def test_opencode_plays_a_script_too(tmp_path: Path) -> None:
    desk = Desk.make(there("opencode"), tmp_path / "project", tmp_path / "home")
    work = tools.write(desk.cli, desk.folder, "made.txt", "hello\n")
    with scripted(work, Text("done")) as model, desk.running(model.url, "Write a file.") as run:
        run.wait()
    assert (desk.folder / "made.txt").read_text().strip() == "hello"


def test_a_tool_of_a_server_is_called(desk: Desk) -> None:
    plain.echo_server(desk)
    call = tools.mcp(desk.cli, "echo", "echo", words="there and back")
    with scripted(call, Text("done")) as model, desk.running(model.url, "Say it.") as run:
        run.wait()
    results = model.turns[1].text.split("there and back")
    assert len(results) >= 3, "the call and its result stand in the next request"


def test_a_step_waits_for_its_event(desk: Desk) -> None:
    step = Step(tools.write(desk.cli, desk.folder, "made.txt", "hello\n"), go=threading.Event())
    with scripted(step, Text("done")) as model, desk.running(model.url, "Write a file.") as run:
        assert step.reached.wait(20)
        assert not (desk.folder / "made.txt").exists()
        step.go.set()
        run.wait()
    assert (desk.folder / "made.txt").exists()


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
