"""`up` and `down`: a server starts for the repository one stands in, once, and stops cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import httpx

from cli.running import Shell, eventually, git
from repomesh.kernel import data_folder
from repomesh.store import folder, migrate


def test_up_serves_says_where_and_leaves_the_work_tree_clean(shell: Shell) -> None:
    done = shell("up", "--detach", "--port", "0")
    assert done.code == 0, done.err
    note = data_folder.read_server(shell.data)
    assert note is not None
    assert httpx.get(f"{note['url']}/healthz").json()["status"] == "ok"
    for told in (note["url"], "/mcp", "/v1/ws", "/v1/stream", str(shell.data / "token"), " connect ", "down"):
        assert told in done.out
    secret = (shell.data / "token").read_text().strip()
    assert secret not in done.out + done.err
    assert (shell.data / "token").stat().st_mode & 0o777 == 0o600
    assert shell.data.stat().st_mode & 0o777 == 0o700
    assert git(shell.folder, "status", "--porcelain") == ""


def test_down_stops_it_and_says_when_nothing_runs(running: Shell) -> None:
    assert running.ok("down")["stopped"] is True
    assert folder.holder(running.data) is None
    assert data_folder.read_server(running.data) is None
    assert running.ok("down") == {"stopped": False, "pid": None, "data": str(running.data)}


def test_a_second_server_on_the_folder_is_refused_with_the_first_ones_pid_and_url(running: Shell) -> None:
    note = data_folder.read_server(running.data)
    assert note is not None
    for options in (("--port", "0"), ("--port", "0", "--detach")):
        done = running("up", *options)
        assert done.code == 4
        assert str(note["pid"]) in done.err
        assert note["url"] in done.err
    assert running.ok("agent", "list")["items"] == []


def test_a_busy_port_is_said_with_a_command_that_works(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = shell("up", "--detach", "--port", str(port))
    assert done.code == 4
    assert f"port {port}" in done.err
    assert "another program" in done.err
    options = done.err.partition("Give another: ")[2].split()
    assert shell("up", "--detach", *options).code == 0


def test_without_a_port_a_server_takes_the_next_free_one_and_keeps_it(shell: Shell, tmp_path: Path) -> None:
    with socket.socket() as taken:
        with suppress(OSError):  # then another program has it
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        begun = shell("up", "--detach", "--json")
        first = json.loads(begun.out)
        again = json.loads(shell("up", "--detach", "--json").out)
    assert any("is used by" in note for note in first["notes"])
    assert (again["url"], again["pid"], again["notes"]) == (
        first["url"],
        first["pid"],
        ["It is running already."],
    )
    assert shell("up", "--detach", "--port", "1").code == 4
    assert shell("down").code == 0
    restarted = json.loads(shell("up", "--detach", "--json").out)
    assert restarted["url"] == first["url"]


def test_a_busy_port_names_another_server_of_ours(running: Shell, tmp_path: Path) -> None:
    note = data_folder.read_server(running.data)
    assert note is not None
    other = Shell(tmp_path)
    done = other("up", "--port", note["url"].rpartition(":")[2])
    assert done.code == 4
    assert f"a repomesh server (process {note['pid']})" in done.err


def test_every_worktree_and_folder_of_the_repository_finds_its_server(running: Shell, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(running.folder, "worktree", "add", "-q", str(linked))
    below = running.folder / "src" / "deep"
    below.mkdir(parents=True)
    running.ok("agent", "register", "alice")
    for place in (linked, below):
        names = [agent["name"] for agent in running.at(place).ok("agent", "list")["items"]]
        assert names == ["alice"]


def test_a_signal_stops_it_soon_although_requests_are_open(running: Shell) -> None:
    note = data_folder.read_server(running.data)
    assert note is not None
    address = note["url"].removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as unfinished:
        unfinished.sendall(
            b"POST /v1/agents/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
        begun = time.monotonic()
        assert running.ok("down")["stopped"] is True
        assert time.monotonic() - begun < 10  # far below any client's patience; the log has the exact time


def test_in_the_foreground_ctrl_c_ends_it_well(shell: Shell) -> None:
    process = shell.start("up", "--port", "0")
    assert eventually(lambda: data_folder.read_server(shell.data) is not None)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "Ctrl+C" in out
    assert err == ""


def test_the_server_of_a_killed_process_is_not_taken_for_running(running: Shell) -> None:
    pid = folder.holder(running.data)
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: folder.holder(running.data) is None)
    assert running.ok("down")["stopped"] is False
    assert running("agent", "list").code == 6
    assert running("up", "--detach", "--port", "0").code == 0
    assert running.ok("agent", "list")["items"] == []


def test_it_runs_on_postgresql(shell: Shell, postgres_url: str) -> None:
    done = shell("up", "--detach", "--port", "0", "--database-url", postgres_url)
    assert done.code == 0, done.err
    assert "postgresql 1" in done.out
    shell.ok("agent", "register", "alice")
    shell.ok("down")
    assert not (shell.data / folder.DATABASE).exists()
    with_url = {"REPOMESH_DATABASE_URL": postgres_url}
    assert shell.ok("db", "check", **with_url)["schema"] == migrate.HEAD
    assert shell("up", "--detach", "--port", "0", **with_url).code == 0
    assert [agent["name"] for agent in shell.ok("agent", "list")["items"]] == ["alice"]


def test_settings_that_make_no_sense_are_usage_errors(shell: Shell) -> None:
    assert shell("up", "--port", "99999").code == 2
    assert shell("up", "--port", "0", REPOMESH_LOG_LEVEL="loud").code == 2
    assert shell("up", "--host", "192.0.2.1").code == 2
    assert shell("up", "--port", "0", "--database-url", "postgresql://127.0.0.1:1/x").code == 6
    assert shell("up", "--port", "0", "--database-url", "mysql://nowhere/x").code == 2


def test_an_address_beyond_loopback_is_warned_about(shell: Shell) -> None:
    done = shell("up", "--detach", "--port", "0", "--host", "0.0.0.0")
    assert done.code == 0
    assert "warning: 0.0.0.0 can be reached from other machines" in done.err
    assert shell.ok("agent", "list")["items"] == []
