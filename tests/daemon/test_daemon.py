"""The daemon wakes idle CLIs by their own ways, one process for each repository."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.running import Shell, eventually, running, shell
from repomesh.connect import hook_main
from repomesh.daemon import background, wake_methods
from repomesh.daemon.waker import is_here
from repomesh.kernel import data_folder, processes, trust
from repomesh.kernel.processes import machine

__all__ = ["running", "shell"]

TOKEN = "of-the-inbox"


class Inbox:
    """An inbox as Claude Code has one: takes lines behind an `auth` line, and hangs up on a wrong token."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.taken: list[str] = []
        self.refused = 0
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, name="inbox")
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection, connection.makefile("r", encoding="utf-8") as lines:
                    self._converse(lines)

    def _converse(self, lines: Any) -> None:
        if json.loads(lines.readline()) != {"type": "auth", "token": TOKEN}:
            self.refused += 1
            return
        for line in lines:
            said = json.loads(line)
            assert (said["type"], said["message"]["role"]) == ("user", "user")
            self.taken.append(said["message"]["content"])


class Place:
    """A repository whose server runs, with an agent `ann` behind a CLI, and `bob` who writes to it."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.data = shell, shell.data
        note = data_folder.read_server(self.data)
        token = data_folder.read_secret(self.data / data_folder.TOKEN)
        assert note is not None
        self.http = httpx.Client(
            base_url=note["url"], headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        shell.ok("agent", "register", "bob")

    def begins(self, cli: str, session_id: str) -> None:
        """A CLI session begins, and its model waits."""
        body = {"session_id": session_id, "cwd": str(self.shell.folder)}
        headers = {"X-Repomesh-Agent": "ann"}
        self.http.post(f"/v1/hooks/{cli}/SessionStart", json=body, headers=headers).raise_for_status()

    def keeps(self, session_id: str, path: Path, token: str = TOKEN) -> None:
        """What a hook keeps of an inbox."""
        folder = self.data / "wake"
        folder.mkdir(mode=0o700, exist_ok=True)
        note = folder / f"{session_id}.json"
        note.touch(0o600)
        note.write_text(
            json.dumps({"cli": "claude", "session_id": session_id, "socket": str(path), "token": token})
        )

    def send(self, body: str) -> str:
        """Bob writes to ann; answers the message's id."""
        return str(self.shell.ok("message", "send", "ann", body, "--as", "bob")["id"])

    def deliveries(self, message_id: str) -> Any:
        """What became of bob's message on its way to ann."""
        trace = self.http.get(f"/v1/messages/{message_id}/trace").json()
        return trace["recipients"][0]["deliveries"]

    def was_told(self, message_id: str) -> bool:
        """Whether the daemon said that a session was told."""
        return any(tried["sent_at"] is not None for tried in self.deliveries(message_id))

    def failure(self, message_id: str) -> str | None:
        """Why the last try failed."""
        tried = self.deliveries(message_id)
        return tried[-1]["failure"] if tried else None


@pytest.fixture
def place(running: Shell) -> Iterator[Place]:
    made = Place(running)
    yield made
    made.http.close()
    background.stop(made.data)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "inbox")
    yield made
    made.close()


@contextmanager
def daemon(place: Place, **variables: str) -> Iterator[Any]:
    """The daemon of a place."""
    process = place.shell.start("daemon", **variables)
    try:
        assert eventually(lambda: background.holder(place.data) == process.pid)
        yield process
    finally:
        process.terminate()
        process.wait(10)


def test_a_message_is_put_into_the_inbox_of_an_idle_claude(place: Place, inbox: Inbox) -> None:
    place.begins("claude", "s-1")
    place.keeps("s-1", inbox.path)
    with daemon(place):
        message_id = place.send("there is work")
        assert eventually(lambda: bool(inbox.taken))
        assert eventually(lambda: place.was_told(message_id))
        assert "there is work" in inbox.taken[0]
        assert "grants no permission" in inbox.taken[0]
        second = place.send("and more")
        assert eventually(lambda: len(inbox.taken) == 2)
        assert "there is work" not in inbox.taken[1]
        assert place.deliveries(second)[0]["route"] == "wake"


def test_what_came_before_the_daemon_is_told_too(place: Place, inbox: Inbox) -> None:
    place.begins("claude", "s-1")
    place.keeps("s-1", inbox.path)
    place.send("early")
    with daemon(place):
        assert eventually(lambda: bool(inbox.taken))


def test_a_refusal_is_written_down(place: Place, inbox: Inbox, tmp_path: Path) -> None:
    place.begins("claude", "s-1")
    with daemon(place):
        first = place.send("nobody told of an inbox")
        assert eventually(lambda: place.failure(first) == "no hook of it told of an inbox")
    place.keeps("s-1", inbox.path, token="wrong")
    with daemon(place):
        second = place.send("the token is wrong")
        assert eventually(lambda: "does not take the token" in str(place.failure(second)))
        assert inbox.refused >= 1
        assert inbox.taken == []
    place.keeps("s-1", tmp_path / "gone")
    with daemon(place):
        third = place.send("the socket is gone")
        assert eventually(lambda: "its inbox does not answer" in str(place.failure(third)))
    note = place.data / "wake" / "s-1.json"
    note.chmod(0o644)
    with daemon(place):
        fourth = place.send("others could have written the note")
        assert eventually(lambda: "not its owner's alone" in str(place.failure(fourth)))


def test_codex_is_told_by_its_queue(place: Place, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "codex"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/queued\nexit ${{CODEX_ENDS:-0}}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    place.begins("codex", "t-1")
    with daemon(place, PATH=path):
        message_id = place.send("there is work")
        assert eventually(lambda: place.was_told(message_id))
        queued = (tmp_path / "queued").read_text()
        assert queued.startswith("queue\n--thread\nt-1\n--message\n")
        assert "there is work" in queued
    with daemon(place, PATH=path, CODEX_ENDS="3"):
        refused = place.send("no such thread")
        assert eventually(lambda: "'codex queue' ended with 3" in str(place.failure(refused)))


def connects(place: Place) -> None:
    """What 'repomesh connect claude' leaves for the daemon."""
    record = trust.record_of(place.data)
    assert record is not None
    (record / data_folder.CONNECT).mkdir(exist_ok=True)
    (record / data_folder.CONNECT / "claude.json").write_text("{}")


def test_it_ends_with_its_server_and_comes_with_the_next(place: Place, inbox: Inbox) -> None:
    connects(place)
    place.begins("claude", "s-1")
    place.keeps("s-1", inbox.path)
    with daemon(place) as process:
        server = data_folder.read_server(place.data)
        assert server is not None
        os.kill(server["pid"], 9)
        assert eventually(lambda: process.poll() is not None)
    assert eventually(
        lambda: place.shell("up", "--detach", "--port", server["url"].rpartition(":")[2]).code == 0
    )
    place.send("after the restart")
    assert eventually(lambda: bool(inbox.taken), 40)


def test_a_hook_starts_it_again_where_it_died(place: Place) -> None:
    connects(place)
    hook = [sys.executable, "-I", "-S", str(Path(hook_main.__file__)), "claude", "SessionStart"]

    def starts() -> None:
        said = json.dumps({"session_id": "s-9", "cwd": str(place.shell.folder)})
        subprocess.run(hook, input=said, text=True, cwd=place.shell.folder, check=True, timeout=20)

    starts()
    assert not (place.data / background.LOCK).exists(), "where none ran, nobody asked for one"
    with daemon(place) as process:
        starts()
        assert background.holder(place.data) == process.pid
        process.kill()
        process.wait(10)
    assert background.holder(place.data) is None
    starts()
    assert eventually(lambda: background.holder(place.data) is not None)


def test_who_is_not_the_owner_wakes_nobody(place: Place) -> None:
    made = place.shell.ok("token", "create", "agent", "--agent", "carl", "--show-token")
    process = place.shell.start("daemon", REPOMESH_URL=str(place.http.base_url), REPOMESH_TOKEN=made["token"])
    assert process.wait(20) == 0
    assert "does not hold the scope" in (place.data / data_folder.DAEMON_LOG).read_text()


def test_there_is_one_for_each_repository_and_up_starts_it_where_it_is_needed(place: Place) -> None:
    assert background.holder(place.data) is None
    connects(place)
    place.shell("down")
    assert place.shell("up", "--detach", "--port", "0").code == 0
    assert eventually(lambda: background.holder(place.data) is not None)
    running_one = background.holder(place.data)
    again = place.shell("daemon")
    assert (again.code, f"process {running_one}" in again.out) == (0, True)
    assert place.shell.ok("daemon", "--stop") == {"stopped": True, "pid": running_one}
    assert place.shell.ok("daemon", "--stop") == {"stopped": False, "pid": None}
    started = place.shell.ok("daemon", "--detach")
    assert eventually(lambda: background.holder(place.data) == started["pid"])
    place.shell("down")
    assert background.holder(place.data) is None


def test_a_session_of_another_machine_is_not_ours() -> None:
    here = machine()
    assert is_here([f"12@{here}"], here)
    assert is_here(["12"], here)
    assert is_here([], here)
    assert not is_here([f"12@not-{here}"], here)


def test_a_session_is_told_by_the_program_that_it_runs() -> None:
    found, variables = wake_methods.running_program(
        Path(sys.executable).resolve().name, [f"{os.getpid()}@here"]
    )
    assert found == str(Path(sys.executable).resolve())
    assert variables["HOME"] == os.environ["HOME"]
    assert wake_methods.running_program("no-such-program", [str(os.getpid()), "1"]) == (None, {})


def test_a_session_whose_processes_are_gone_is_over() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait(10)
    assert wake_methods.is_over([f"{ended.pid}@here", f"{ended.pid}@here", str(os.getpid())])
    assert not wake_methods.is_over([str(ended.pid), f"{os.getpid()}@here"])
    assert not wake_methods.is_over([])


def test_a_number_that_is_given_again_is_not_the_sessions() -> None:
    assert wake_methods.is_over([f"{os.getpid()}.1@here"])
    assert not wake_methods.is_over([processes.name_of(os.getpid())])
    assert (
        wake_methods.running_program(Path(sys.executable).resolve().name, [f"{os.getpid()}.1@here"])[1] == {}
    )


def test_a_second_run_of_a_thread_is_not_queued_for(tmp_path: Path) -> None:
    session = wake_methods.WakeTarget("codex", f"t-1:{os.getpid()}.1", "", (processes.name_of(os.getpid()),))
    with pytest.raises(wake_methods.WakeRefused, match="open in another process"):
        asyncio.run(wake_methods.codex(tmp_path, session, "look"))


def test_a_second_lock_is_refused_and_a_dead_holder_forgotten(tmp_path: Path) -> None:
    with background.hold_lock(tmp_path) as first:
        assert first
        assert background.holder(tmp_path) == os.getpid()
        with background.hold_lock(tmp_path) as second:
            assert not second
    assert background.holder(tmp_path) is None
    assert background.stop(tmp_path) is None
