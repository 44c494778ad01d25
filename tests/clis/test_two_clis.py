"""Two different CLIs on one repository: one asks the other by name, is answered, and nobody polls."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from cli.running import eventually
from clis import terminal, tools
from clis.conftest import there
from clis.model import PATIENCE_S, Asked, ScriptedModel, Step, scripted
from clis.relay import relayed
from clis.running import Desk
from clis.team import Team, enveloped, message_id, team
from clis.wires import Answer, Text
from repomesh.kernel import data_folder

__all__ = ["team"]
pytestmark = pytest.mark.clis
QUESTION, ANSWER = "Which port does the frobnicator take?", "It takes 4711."
WATCHED_S = 30
POLLS = ("message.wait", "message.inbox", "message.list")


def ask(cli: str, to: str) -> Answer:
    return tools.mcp(cli, "repomesh", "send_message", to=[to], body=QUESTION)


def reply(cli: str) -> Step:
    """Answer the question that was delivered, by the id that its envelope names."""

    def given(asked: Asked) -> Answer:
        parent = message_id(asked, QUESTION)
        return tools.mcp(cli, "repomesh", "send_message", parent_message_id=parent, body=ANSWER)

    return Step(given)


def polled(team: Team) -> list[str]:
    """The lines of the server's figures that tell of somebody who looked for messages."""
    text = team.http.get("/metrics").text
    assert '"message.send"' in text
    return [line for line in text.splitlines() if any(f'"{name}"' in line for name in POLLS)]


@pytest.mark.parametrize("answerer", ["codex", "gemini", "copilot", "qwen"])
def test_an_idle_one_reads_the_answer_of_a_busy_one(answerer: str, team: Team, tmp_path: Path) -> None:
    ann = Desk.make(there("claude"), team.folder, tmp_path / "home")
    ben = Desk.make(there(answerer), team.folder, tmp_path / "home")
    team.connect(ann, "--agent", "ann")
    team.connect(ben, "--agent", "ben")
    busy = Step(tools.shell(answerer, "true"), go=threading.Event())
    with (
        scripted(busy, reply(answerer), Text("done")) as his,
        scripted(ask("claude", "ben"), Text("I asked."), Text("Thanks.")) as hers,
        ben.running(his.url, "Work."),
    ):
        assert busy.reached.wait(PATIENCE_S)
        with terminal.claude(ann, hers.url, "Ask ben.", "--allowedTools=mcp__repomesh") as seat:
            assert hers.wait_for(lambda model: len(model.turns) == 2), seat.shown
            assert eventually(lambda: team.session_of("claude")["state"] == "idle")
            assert busy.go is not None
            busy.go.set()
            assert hers.wait_for(lambda model: len(model.turns) == 3), seat.shown
            assert enveloped(his.turns[1], QUESTION)
            assert enveloped(hers.turns[2], ANSWER)
            assert seat.typed == 0
    assert polled(team) == []


def test_one_that_waits_in_a_call_reads_the_answer(team: Team, tmp_path: Path) -> None:
    ann = Desk.make(there("gemini"), team.folder, tmp_path / "home")
    ben = Desk.make(there("copilot"), team.folder, tmp_path / "home")
    team.connect(ann, "--agent", "ann")
    team.connect(ben, "--agent", "ben")
    busy = Step(tools.shell("copilot", "true"), go=threading.Event())
    wait = tools.mcp("gemini", "repomesh", "wait_for_messages", timeout_s=50)
    with (
        scripted(busy, reply("copilot"), Text("done")) as his,
        scripted(ask("gemini", "ben"), wait, Text("Thanks.")) as hers,
        ben.running(his.url, "Work."),
    ):
        assert his.wait_for(lambda model: len(model.turns) == 1), "he is busy before she asks"
        with ann.running(hers.url, "Ask ben.") as run:
            assert hers.wait_for(lambda model: len(model.turns) == 2)
            assert busy.go is not None
            busy.go.set()
            run.wait()
    assert ANSWER in hers.turns[2]
    assert enveloped(his.turns[1], QUESTION)


@pytest.mark.slow
def test_waiting_costs_few_requests(team: Team, tmp_path: Path) -> None:
    """Idle in a terminal, with a task that waits: at most ten requests a minute, of whatever sort."""
    desk = Desk.make(there("claude"), team.folder, tmp_path / "home")
    team.connect(desk, "--agent", "ann")
    wait = tools.mcp("claude", "repomesh", "wait_for_messages")
    note = data_folder.read_server(team.shell.data)
    assert note is not None
    with relayed(note["url"]) as relay, scripted(wait, Text("I wait.")) as model:
        elsewhere = {
            "REPOMESH_URL": relay.url,
            "REPOMESH_TOKEN": data_folder.read_secret(team.shell.data / data_folder.TOKEN) or "",
        }
        with terminal.claude(desk, model.url, "Wait.", "--allowedTools=mcp__repomesh", **elsewhere) as seat:
            assert two_turns(model), seat.shown
            assert eventually(lambda: team.session_of("claude")["state"] == "idle")
            before = len(relay.requests)
            time.sleep(WATCHED_S)
            during = relay.requests[before:]
    assert before, "nothing came through the relay"
    assert len(during) <= 10 * WATCHED_S / 60, during


def two_turns(model: ScriptedModel) -> bool:
    return model.wait_for(lambda model: len(model.turns) == 2)
