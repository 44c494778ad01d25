"""One run of Claude Code is one agent: cleared, compacted, crashed and resumed it keeps its locks."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cli.running import eventually
from clis import sampling, terminal, tools
from clis.conftest import there
from clis.model import PATIENCE_S, Step, scripted
from clis.running import Desk
from clis.team import Team, enveloped, team
from clis.terminal import Terminal
from clis.wires import Answer, Text

__all__ = ["team"]
pytestmark = pytest.mark.clis
WAYS = ("http", "stdio", "hooks")
BODY = "The frobnicator moved to port 4711."
LOCKED = "locked.txt"


@pytest.fixture(params=[None, "ann"])
def wish(request: pytest.FixtureRequest) -> str | None:
    """The name that its person gave, if any."""
    return request.param


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How Claude Code is connected: over HTTP, by the proxy, or with hooks only."""
    return str(request.param)


@pytest.fixture
def seat(way: str, wish: str | None, team: Team, tmp_path: Path) -> Desk:
    """Where it works."""
    return connected(team, way, wish, tmp_path / "home")


def connected(team: Team, way: str, wish: str | None, home: Path) -> Desk:
    desk = Desk.make(there("claude"), team.folder, home)
    words = ["--http"] if way == "http" else []
    team.connect(desk, *words, *(["--agent", wish] if wish else []))
    if way == "hooks":
        (desk.folder / ".mcp.json").unlink()
    return desk


def name_of(wish: str | None) -> str:
    return wish or "claude-code"


def lock(team: Team, name: str) -> None:
    """The agent locks a file; over MCP or not, it is the same lock."""
    team.post("/v1/locks/acquire", name, resources=[LOCKED])


def holders(team: Team) -> list[str]:
    return [one["agent_name"] for one in team.get("/v1/locks")["items"] if one["resource"] == LOCKED]


def write(desk: Desk, text: str) -> Answer:
    return tools.write("claude", desk.folder, LOCKED, text)


def test_a_cleared_and_a_crashed_run_at_a_terminal(seat: Desk, wish: str | None, team: Team) -> None:
    name = name_of(wish)
    with scripted(Text("ready"), write(seat, "one\n"), Text("written")) as model:
        with terminal.claude(seat, model.url, "Be ready.") as run:
            assert model.wait_for(lambda model: len(model.turns) == 1), run.shown
            assert eventually(lambda: name in team.agents()), team.agents()
            lock(team, name)
            type_line(run, "/clear")
            assert eventually(lambda: len(sessions(team)) == 2), (run.shown, sessions(team))
            team.send(name, BODY)
            type_line(run, "Write it.")
            assert model.wait_for(lambda model: len(model.turns) == 3), run.shown
            assert eventually((seat.folder / LOCKED).exists), model.turns[-1]
        # Killed, and started again at once.
        with (
            scripted(write(seat, "two\n"), Text("written again")) as again,
            terminal.claude(seat, again.url, "Write it again.") as run,
        ):
            assert again.wait_for(lambda model: len(model.turns) == 2), run.shown
    # What a hook handed over while the next words were typed already is offered again: to the next run then.
    assert any(enveloped(asked, BODY) for asked in (*model.turns, *again.turns))
    assert (seat.folder / LOCKED).read_text() == "two\n", again.turns[-1]
    assert list(team.agents()) == [name]
    assert holders(team) == [name]


def test_a_compacted_a_killed_and_a_resumed_run_without_a_terminal(
    way: str, team: Team, tmp_path: Path
) -> None:
    desk = connected(team, way, None, tmp_path / "home")
    killed = Step(Text("never said"), go=threading.Event())
    full = replace(tools.shell("claude", "seq 2000"), tokens=sampling.FULL["claude"])
    with (
        scripted(*joining(way), full, write(desk, "one\n"), killed) as model,
        desk.running(model.url, "Work.") as run,
    ):
        assert model.steps[0].reached.wait(PATIENCE_S)
        if way == "hooks":
            assert eventually(lambda: "claude-code" in team.agents())
            lock(team, "claude-code")
        assert killed.reached.wait(PATIENCE_S), run.said
        run.kill()
    team.send("claude-code", BODY)
    resume = ["--resume", str(sessions(team)[0]["session_id"])]
    for words in (resume, [*resume, "--fork-session"]):
        ended = Step(Text("never said"), go=threading.Event())
        with (
            scripted(write(desk, words[-1]), ended) as again,
            desk.running(again.url, "Go on.", *words) as run,
        ):
            assert ended.reached.wait(PATIENCE_S), run.said
            run.kill()
        assert (desk.folder / LOCKED).read_text() == words[-1], again.turns[-1]
        assert any(enveloped(asked, BODY) for asked in again.turns)
    assert list(team.agents()) == ["claude-code"]
    assert holders(team) == ["claude-code"]


def joining(way: str) -> list[Step]:
    """The model joins and locks by itself, where it has our tools."""
    if way == "hooks":
        return [Step(tools.shell("claude", "sleep 1"))]
    register = tools.mcp("claude", "repomesh", "register_agent", model="scripted")
    return [Step(register), Step(tools.mcp("claude", "repomesh", "acquire_locks", resources=[LOCKED]))]


@pytest.mark.parametrize("wish", [None, "ann"])
@pytest.mark.parametrize("way", ["stdio", "hooks"])
def test_two_runs_at_the_same_time_are_two_agents(
    way: str, wish: str | None, team: Team, tmp_path: Path
) -> None:
    desk = connected(team, way, wish, tmp_path / "home")
    first = Step(Text("done"), go=threading.Event())
    look = tools.shell("claude", "true") if way == "hooks" else tools.mcp("claude", "repomesh", "list_agents")
    with scripted(look, first) as held, desk.running(held.url, "Work."):
        assert first.reached.wait(PATIENCE_S)
        lock(team, name_of(wish))
        with (
            scripted(look, write(desk, "no\n"), Text("done")) as model,
            desk.running(model.url, "Work.") as run,
        ):
            run.wait()
        assert "agent_active_elsewhere" not in model.turns[1]
    assert not (desk.folder / LOCKED).exists()
    assert f"locked by agent '{name_of(wish)}'" in model.turns[-1]
    assert sorted(team.agents()) == [name_of(wish), f"{name_of(wish)}-2"]


def sessions(team: Team) -> list[dict[str, object]]:
    found: list[dict[str, object]] = team.get("/v1/cli-sessions", cli="claude", live=False)["items"]
    return found


def type_line(run: Terminal, line: str) -> None:
    run.type(line.encode())
    assert eventually(lambda: line in run.shown), run.shown
    run.type(b"\r")
