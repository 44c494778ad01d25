"""Nothing that a repository brings is trusted: no command sends, writes or starts anything because of it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import prompt
from cli.running import git
from connect.hooking import Place, Server, environment, serving
from repomesh.connect import hook_main
from repomesh.kernel import trust
from trust.hostile import (
    HOSTILE,
    NO_FOLDER,
    ROOT_ONLY,
    SECRET,
    Scene,
    committed_token_link,
    harmless,
    overwritten_by_a_later_commit,
    removed_but_still_tracked,
)

USUAL = (("status",), ("agent", "list"), ("up", "--port", "0"), ("daemon",), ("mcp",))
OTHERS = (
    ("up", "--port", "0", "--detach"),
    ("session", "list"),
    ("connect", "claude", "--yes"),
    ("guard", "check", "README.md"),
    ("daemon", "--detach"),
    ("down",),
    ("db", "current"),
    ("backup", "../copy.db"),
)
"""Of these each goes the same way: two entries are enough."""
EVENTS = ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SessionEnd")


def attack(connection: socket.socket, server: Server) -> None:
    """What an attacker's server does: it notes that somebody came."""
    server.requests.append(b"connected")
    connection.close()


@pytest.fixture
def attacker() -> Iterator[Server]:
    with serving(attack) as server:
        yield server


@pytest.fixture(params=HOSTILE, ids=lambda build: build.__name__)
def build(request: pytest.FixtureRequest) -> Callable[[Scene], None]:
    made: Callable[[Scene], None] = request.param
    if made in ROOT_ONLY and os.geteuid() != 0:
        pytest.skip("only the superuser can give a file to another user")
    return made


def begun(folder: Path, attacker: Server) -> Scene:
    """A clone in which nothing hostile is yet."""
    root = folder / "clone"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "README.md").write_text("A project.\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "Begin")
    (folder / "secret").write_text(SECRET)
    (folder / "bashrc").write_text("export PATH\n")
    return Scene(root, f"http://127.0.0.1:{attacker.port}", folder / "secret", folder / "bashrc")


@pytest.fixture
def scene(tmp_path: Path, attacker: Server, build: Callable[[Scene], None]) -> Iterator[Scene]:
    made = begun(tmp_path, attacker)
    try:
        build(made)
        yield made
    finally:
        made.end()


def outside(scene: Scene) -> dict[str, bytes]:
    """What stands outside of the clone, which no command may change."""
    return {
        str(path): path.read_bytes()
        for path in scene.root.parent.rglob("*")
        if scene.root not in path.parents and path.is_file()
    }


def test_the_servers_of_the_corpus_are_spoken_to_where_nothing_is_hostile(
    tmp_path: Path, attacker: Server
) -> None:
    """Else the others would prove nothing: a server that does not run is never spoken to."""
    made = begun(tmp_path, attacker)
    harmless(made)
    try:
        for speak in (
            lambda: prompt.run(("agent", "list"), made.root, environment()),
            lambda: Place(made.root).hook("Stop"),
        ):
            attacker.requests.clear()
            speak()
            assert attacker.requests != []
    finally:
        made.end()


def test_no_command_touches_anything(scene: Scene, attacker: Server, build: Callable[[Scene], None]) -> None:
    before = outside(scene)
    every = build in (committed_token_link, removed_but_still_tracked)
    for words in (*USUAL, *(OTHERS if every else ())):
        done = prompt.run(words, scene.root, environment())
        reads = words[0] not in ("up", "session", "connect") or words[:2] == ("session", "list")
        if build in NO_FOLDER and reads:
            continue  # nothing is there to be refused, and reading makes nothing
        assert done.code != 0, words
        assert "hint:" in done.err, (words, done.err)
        assert any(
            word in done.err for word in ("rm ", "chmod", "chown", "trust --data", "another folder")
        ), (
            words,
            done.err,
        )
        assert SECRET not in done.out + done.err
    assert attacker.requests == []
    assert outside(scene) == before


def test_hooks_are_silent(scene: Scene, attacker: Server, build: Callable[[Scene], None]) -> None:
    before, inside = outside(scene), git(scene.root, "status", "--porcelain", "--ignored")
    place = Place(scene.root)
    for event in EVENTS:
        said = json.dumps({"session_id": "s-1", "hook_event_name": event, "prompt": "my prompt"}).encode()
        done = place.hook(event, said, CLAUDE_CODE_MESSAGING_SOCKET="/run/in.sock")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), event
    assert attacker.requests == []
    assert outside(scene) == before
    if build is not overwritten_by_a_later_commit:  # there they look for the victim's own server, and say so
        assert git(scene.root, "status", "--porcelain", "--ignored") == inside


def test_hooks_and_commands_agree(scene: Scene, build: Callable[[Scene], None]) -> None:
    """What the short check of hooks lets pass that of commands does, too, but for what only git knows."""
    here = hook_main.open_trusted_folder(str(scene.data))
    assert (here is None) == (trust.record_of(scene.data) is None)
    if here is not None:
        assert build is overwritten_by_a_later_commit
        assert json.loads((Path(here.record) / trust.RECORD).read_text())["path"] == str(scene.data)


def test_a_cli_is_offered_nothing(scene: Scene, attacker: Server, build: Callable[[Scene], None]) -> None:
    """`repomesh mcp --cli claude`, which user-level settings start in every repository."""
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "c", "version": "1"},
        },
    }
    done = prompt.run(("mcp", "--cli", "claude"), scene.root, environment(), json.dumps(hello) + "\n")
    assert done.code == 0
    assert "not connected in this folder" in done.out
    assert attacker.requests == []
    if build not in NO_FOLDER:
        assert "hint:" in done.err


def test_git_goes_on_where_the_guard_is_installed(scene: Scene, attacker: Server) -> None:
    """Git's hooks are the user's own; they say that nothing was checked, and why."""
    (scene.root / "new.txt").write_text("new\n")
    git(scene.root, "add", "new.txt")
    done = prompt.run(("guard", "check", "--hook", "pre-commit"), scene.root, environment())
    assert done.code == 0, done.err
    assert attacker.requests == []


MODULES = ("repomesh", "structlog", "typer", "httpx", "orjson", "pydantic", "uvicorn", "json", "socket")


@pytest.mark.parametrize("folder", ["", "sub"])
def test_no_module_of_the_repository_is_loaded(tmp_path: Path, attacker: Server, folder: str) -> None:
    scene = begun(tmp_path, attacker)
    place = scene.root / folder
    place.mkdir(exist_ok=True)
    loaded = tmp_path / "loaded"
    for module in MODULES:
        for where in (scene.root, place):
            (where / f"{module}.py").write_text(f"open({str(loaded)!r}, 'a').write({module!r})")
    git(scene.root, "add", ".")
    git(scene.root, "commit", "-qm", "Modules")
    (tmp_path / "home").mkdir()
    own = environment() | {"HOME": str(tmp_path / "home"), "XDG_STATE_HOME": str(tmp_path / "state")}
    own |= {"PYTHONPATH": "."}  # as many who develop have it
    try:
        for words in (
            ("up", "--detach", "--port", "0"),
            ("connect", "claude", "--yes"),
            ("guard", "install"),
            ("daemon", "--detach"),
            ("status",),
        ):
            done = prompt.run(words, place, own)
            assert done.code == 0, (words, done.err)
        git(place, "commit", "-qm", "Guarded", "--allow-empty", environment=own)
    finally:
        prompt.run(("down",), place, own)
    assert not loaded.exists()


def test_doctor_says_what_to_do(scene: Scene, build: Callable[[Scene], None]) -> None:
    done = prompt.run(("doctor", "--json"), scene.root, environment())
    found = {check["name"]: check for check in json.loads(done.out)}
    if build in NO_FOLDER:
        assert not found["data folder"]["required"]
        return
    assert done.code == 1
    assert not found["data folder"]["fine"]
    assert found["data folder"]["fix"]
    assert "access" not in found
