"""A hook's process: what it sends, what it prints, and that nothing at all makes it harm its CLI."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.running import git
from connect.hooking import DEADLINE_S, HOOK, Place, Server, answering, environment, ok, read_request, serving
from repomesh.connect import entries, hook_main
from repomesh.domains.agents.models import PROCESS_PATTERN
from repomesh.kernel import data_folder, limits, processes


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return Place(folder).make()


def test_it_hands_over_what_it_got_and_prints_the_answer(place: Place) -> None:
    said = json.dumps({"session_id": "s1", "text": "ä\u2028"}).encode()
    with serving(answering(ok(b'{"decision":"block"}'))) as server:
        done = place.serve(server.port).hook("PostToolUse", said)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'{"decision":"block"}', b"")
    assert server.target == "/v1/hooks/claude/PostToolUse"
    assert server.body == said
    assert server.head["Host"] == f"127.0.0.1:{server.port}"
    assert server.head["Authorization"] == "Bearer rpm_secret"
    assert "X-Repomesh-Agent" not in server.head
    above = server.head["X-Repomesh-Process"].split(",")
    assert processes.name_of(os.getpid()) in above
    assert place.log == ""


def test_it_says_who_it_is_wanted_to_be(place: Place) -> None:
    place.mark(agent="alice")
    with serving(answering(ok(b"{}"))) as server:
        place.serve(server.port).hook()
        assert server.head["X-Repomesh-Agent"] == "alice"
        place.hook(REPOMESH_AGENT="bob")
        assert server.head["X-Repomesh-Agent"] == "bob"


def test_the_environment_may_name_another_server(place: Place) -> None:
    with serving(answering(ok(b"x"))) as server:
        url = f"http://localhost:{server.port}/under/"
        assert place.hook(REPOMESH_URL=url, REPOMESH_TOKEN="rpm_other").stdout == b"x"
    assert server.head["Authorization"] == "Bearer rpm_other"
    assert server.target == "/under/v1/hooks/claude/Stop"


def test_the_folders_token_goes_to_no_other_server(place: Place) -> None:
    with serving(answering(ok(b"x"))) as server:
        log = place.silent(REPOMESH_URL=f"http://127.0.0.1:{server.port}")
    assert server.requests == []
    assert "REPOMESH_TOKEN" in log


def test_nothing_to_say_is_nothing(place: Place) -> None:
    with serving(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
        assert place.serve(server.port).silent() == ""


def test_it_is_silent_where_the_cli_is_not_connected(place: Place, tmp_path: Path) -> None:
    place.marker.unlink()
    with serving(answering(ok(b"x"))) as server:
        assert place.serve(server.port).silent() == ""
        assert place.silent(cwd=tmp_path) == ""
    assert server.requests == []


# -- where it finds the data folder ----------------------------------------------------------------


def found_from(folder: Path, **env: str) -> str:
    code = (
        f"import sys; sys.path.insert(0, {str(HOOK.parent)!r}); "
        "import hook_main; print(hook_main.data_folder('claude'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment() | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_finds_the_folder_as_everybody_does(place: Place, tmp_path: Path) -> None:
    (place.folder / "a.txt").write_text("a")
    git(place.folder, "add", "a.txt")
    git(place.folder, "commit", "-qm", "Begin")
    git(place.folder, "worktree", "add", "-q", str(tmp_path / "linked"))
    git(tmp_path, "clone", "-q", "--bare", str(place.folder), str(tmp_path / "bare"))
    git(tmp_path / "bare", "worktree", "add", "-q", str(tmp_path / "of-bare"))
    allow = ("-c", "protocol.file.allow=always")
    git(place.folder, *allow, "submodule", "--quiet", "add", str(tmp_path / "bare"), "sub")
    (place.folder / "deep" / "er").mkdir(parents=True)
    plain = tmp_path / "plain" / "below"
    (tmp_path / "plain" / ".repomesh").mkdir(parents=True)
    (tmp_path / "plain" / ".repomesh" / "token").write_text("t")
    plain.mkdir()
    for start in (
        place.folder,
        place.folder / "deep" / "er",
        tmp_path / "linked",
        tmp_path / "bare",
        tmp_path / "of-bare",
        place.folder / "sub",
        plain,
    ):
        assert found_from(start) == str(data_folder.data_folder(start)), start


def test_a_named_folder_wins(place: Place, tmp_path: Path) -> None:
    assert found_from(place.folder, REPOMESH_DATA="/elsewhere") == "/elsewhere"
    assert found_from(tmp_path, CLAUDE_PROJECT_DIR=str(place.folder)) == str(place.data)
    assert found_from(tmp_path) == "None"


# -- failing open ----------------------------------------------------------------------------------


def hang(connection: socket.socket, server: Server) -> None:
    """Takes the request, and never says anything."""


def trickle(connection: socket.socket, server: Server) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: 1\r\n")
        time.sleep(0.05)


def flood(connection: socket.socket, server: Server) -> None:
    read_request(connection, server)
    while True:
        connection.sendall(b"X" * 65_536)


def reset(connection: socket.socket, server: Server) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


@pytest.mark.parametrize(
    ("treat", "reason"),
    [
        (hang, "in time"),
        (trickle, "in time"),
        (flood, "too long"),
        (reset, "reach"),
        (answering(b""), "hung up"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"), "hung up"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Le"), "hung up"),
        (answering(b"HTTP/1.1 200 OK\r\n\r\n{}"), "does not say how long"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"), "does not say how long"),
        (answering(ok(b"x" * 4_097)), "longer than 4096"),
        (answering(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"), "401"),
        (answering(b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}"), "500"),
        (answering(b"HTTP/1.1 307 Go\r\nLocation: http://example.org/\r\n\r\n"), "307"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n"), "HTTP"),
        (answering(b"\x00\xff" * 20_000), "too long"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_whatever_the_server_does_the_hook_is_silent(place: Place, treat: object, reason: str) -> None:
    with serving(treat) as server:  # type: ignore[arg-type]
        log = place.serve(server.port).silent()
    assert reason in log
    assert "claude Stop" in log
    assert "rpm_secret" not in log


def test_no_server(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "reach" in place.serve(port).silent()


def test_a_server_that_accepts_nothing(place: Place) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    try:
        for _ in range(4):  # fills the queue, so that the next connection is never made
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
            waiting.append(one)
        assert "in time" in place.serve(listening.getsockname()[1]).silent()
    finally:
        for one in [*waiting, listening]:
            one.close()


@pytest.mark.parametrize(
    "note", ["", "{", "[]", '{"url": 5}', '{"url": "ftp://x"}', "\x00", '{"url":"http://:"}']
)
def test_a_broken_note_of_the_server(place: Place, note: str) -> None:
    (place.record / "server.json").write_text(note)
    assert place.silent() != ""


def test_no_note_and_no_token(place: Place) -> None:
    (place.data / "token").unlink()
    assert "token" in place.silent()
    (place.record / "server.json").unlink()
    assert "no server" in place.silent()


def test_a_broken_marker_still_connects(place: Place) -> None:
    place.marker.write_text("{broken")
    with serving(answering(ok(b"x"))) as server:
        assert place.serve(server.port).hook().stdout == b"x"


@pytest.mark.parametrize("stdin", [b"", b"\x00\xff\xfe", b"{", b"[" * 100_000, b'"' + b"x" * 3_000_000])
@pytest.mark.parametrize("event", ["Stop", "SessionStart"])
def test_malformed_input_does_no_harm(place: Place, stdin: bytes, event: str) -> None:
    with serving(answering(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n")) as server:
        log = place.serve(server.port).silent(event, stdin)
    assert "422" in log or "no JSON" in log


def test_a_long_input_goes_without_what_tools_answered(place: Place) -> None:
    said = {"session_id": "s", "tool_input": {"file_path": "/a"}, "tool_response": "x" * 2_000_000}
    with serving(answering(ok(b"{}"))) as server:
        assert place.serve(server.port).hook("PostToolUse", json.dumps(said).encode()).stdout == b"{}"
        assert json.loads(server.body) == {"session_id": "s", "tool_input": {"file_path": "/a"}}
        said = {"tool_input": {"command": ["x" * 2_000_000]}}
        place.hook("PreToolUse", json.dumps(said).encode())
        cut = {"command": ["x" * hook_main.HOOK_TEXT_CHARS_MAX]}
        assert json.loads(server.body) == {"tool_input": cut, "repomesh_cut": True}


HUGE = hook_main.HOOK_INPUT_BYTES_MAX + 2_000_000


@pytest.mark.parametrize(
    "rest",
    [
        b'"content": "' + b"x" * HUGE,
        b'"edits": [' + b'{"old_string": "a", "new_string": "b"},' * 100_000 + b'"x"]}}',
        b'"edits": ' + b"[" * 2_000_000,
    ],
    ids=["huge", "many edits", "deep"],
)
def test_of_an_input_that_is_too_large_the_beginning_is_sent(place: Place, rest: bytes) -> None:
    begin = b'{"session_id": "s", "tool_name": "Edit", "tool_input": {"file_path": "a.py", '
    with serving(answering(ok(b"{}"))) as server:
        assert place.serve(server.port).hook("PreToolUse", begin + rest).stdout == b"{}"
    assert server.body.startswith(begin)
    assert len(server.body) == hook_main.HOOK_SENT_BYTES_MAX


def test_an_input_that_never_ends(place: Place) -> None:
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(HOOK), "claude", "Stop"],
            stdin=reading,
            cwd=place.folder,
            env=environment(),
            capture_output=True,
            timeout=DEADLINE_S,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_output_that_nobody_reads(place: Place) -> None:
    with serving(answering(ok(b"x" * 4_096))) as server:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HOOK), "claude", "Stop"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=place.serve(server.port).folder,
            env=environment(),
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("words", [[], ["claude"], ["../x", "Stop"], ["claude", "a/b"], ["a", "b", "c"]])
def test_wrong_words_do_no_harm(place: Place, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(HOOK), *words],
        input=b"{}",
        cwd=place.folder,
        env=environment(),
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_header_cannot_be_smuggled_in(place: Place) -> None:
    with serving(answering(ok(b"x"))) as server:
        place.serve(server.port).hook(REPOMESH_AGENT="a\r\nX-Evil: 1")
        assert "X-Evil" not in server.head
        asked = len(server.requests)
        place.silent(REPOMESH_URL=f"http://127.0.0.1:{server.port}", REPOMESH_TOKEN="a\nb")
    assert len(server.requests) == asked


@pytest.mark.parametrize("name", ["my agent", "-a", "\u00e4", "a" * 65, "a\tb", "..", "!"])
def test_what_is_no_agents_name_is_left_out_and_logged(place: Place, name: str) -> None:
    """The server would refuse the hook, and the guard would check nothing."""
    with serving(answering(ok(b"x"))) as server:
        assert place.serve(server.port).hook(REPOMESH_AGENT=name).stdout == b"x"
    assert "X-Repomesh-Agent" not in server.head
    assert "is no agent's name" in place.log


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "9", "a" * 64, "a."])
def test_every_agents_name_is_sent(place: Place, name: str) -> None:
    with serving(answering(ok(b"x"))) as server:
        place.serve(server.port).hook(REPOMESH_AGENT=name)
    assert server.head["X-Repomesh-Agent"] == name
    assert place.log == ""


def test_a_log_that_cannot_be_written(place: Place) -> None:
    (place.data / "hooks.log").mkdir()
    done = place.serve(1).hook()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_log_does_not_grow_without_end(place: Place) -> None:
    log = place.data / "hooks.log"
    log.write_text("old\n" * (hook_main.HOOK_LOG_BYTES_MAX // 4))
    place.serve(1).silent()
    assert not log.exists()
    assert (place.data / "hooks.log.1").read_text().startswith("old\n")
    assert "reach" in place.silent()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_without_proc_the_parent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(hook_main, "_text", unreadable)
    assert hook_main.ancestors() == [os.getppid()]


def test_the_installed_entry_point_is_the_same(place: Place) -> None:
    code = "import sys; sys.argv = ['repomesh-hook', 'claude', 'Stop']; "
    code += "from repomesh.connect.hook_main import main; main()"
    with serving(answering(ok(b"x"))) as server:
        place.serve(server.port)
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=b"{}",
            cwd=place.folder,
            env=environment(),
            capture_output=True,
        )
    assert (done.returncode, done.stdout) == (0, b"x")


@pytest.mark.parametrize("gone", [sys.executable, str(HOOK)])
def test_a_hook_that_is_gone_does_no_harm(place: Place, gone: str) -> None:
    """Python ends with 2 when its script is missing, and CLIs take 2 for a refusal."""
    command = entries.hook_command("claude", "PreToolUse").replace(gone, "/nowhere/to/be/found", 1)
    done = subprocess.run(["sh", "-c", command], input=b"{}", cwd=place.folder, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# -- what wakes a session --------------------------------------------------------------------------


def test_a_session_leaves_where_it_may_be_woken(place: Place) -> None:
    said = json.dumps({"session_id": "abc-1", "hook_event_name": "SessionStart"}).encode()
    messaging = {"CLAUDE_CODE_MESSAGING_SOCKET": "/run/in.sock", "CLAUDE_CODE_MESSAGING_TOKEN": "tok"}
    place.hook("SessionStart", said, **messaging)
    path = place.data / "wake" / "abc-1.json"
    kept = {
        "cli": "claude",
        "session_id": "abc-1",
        "socket": "/run/in.sock",
        "token": "tok",
        "process": processes.name_of(os.getpid()).partition("@")[0],
    }
    assert json.loads(path.read_text()) == kept
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "tok" not in place.log
    place.hook("SessionEnd", said, **messaging)
    assert not path.exists()


@pytest.mark.parametrize("more", [0, 1])
def test_a_process_of_a_host_with_a_long_name_is_named_alike(
    monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    host = "x" * (limits.PROCESS_MACHINE_CHARS_MAX - 1 + more) + "y"
    about = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((about.sysname, host, *about[2:])))
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    name = processes.name_of(os.getpid())
    assert hook_main.process_id(os.getpid()) + hook_main._machine() == name
    assert re.fullmatch(PROCESS_PATTERN, name)
    assert len(name) <= limits.PROCESS_ID_CHARS_MAX
    assert (host in name) is not bool(more)


@pytest.mark.parametrize("over", [False, True])
def test_a_second_process_of_a_session_leaves_a_note_of_its_own(place: Place, over: bool) -> None:
    said = json.dumps({"session_id": "abc-1"}).encode()
    messaging = {"CLAUDE_CODE_MESSAGING_SOCKET": "/run/in.sock"}
    place.hook("SessionStart", said, **messaging)
    first = place.data / "wake" / "abc-1.json"
    process = processes.name_of(os.getpid()).partition("@")[0]
    other = f"{os.getppid()}.1" if over else processes.name_of(os.getppid()).partition("@")[0]
    first.write_text(json.dumps({"process": other}))
    place.hook("SessionStart", said, **messaging)
    second = first if over else place.data / "wake" / f"abc-1:{process}.json"
    assert json.loads(second.read_text())["process"] == process
    place.hook("SessionEnd", said, **messaging)
    assert not second.exists()
    assert first.exists() is not over


@pytest.mark.parametrize("session", ["../x", "", ".", "a/b", "x" * 200, 5, None])
def test_no_session_leads_out_of_the_folder(place: Place, session: object) -> None:
    said = json.dumps({"session_id": session}).encode()
    place.silent("SessionStart", said, CLAUDE_CODE_MESSAGING_SOCKET="/run/in.sock")
    assert not (place.data / "wake").exists() or not list((place.data / "wake").iterdir())
    assert not (place.data / "x.json").exists()


# -- what it costs ---------------------------------------------------------------------------------


def test_it_imports_next_to_nothing(place: Place) -> None:
    with serving(answering(ok(b"{}"))) as server:
        place.serve(server.port)
        command = [sys.executable, "-I", "-S", "-X", "importtime", str(HOOK), "claude", "Stop"]
        done = subprocess.run(command, input=b"{}", cwd=place.folder, env=environment(), capture_output=True)
        bare = subprocess.run(
            [sys.executable, "-I", "-S", "-X", "importtime", "-c", "pass"], capture_output=True
        )
    assert done.stdout == b"{}"
    names = [{line.rpartition(b"|")[2].strip() for line in run.stderr.splitlines()} for run in (done, bare)]
    needed = {b"__future__", b"_json", b"_socket", b"fcntl"}
    frozen = {b"os", b"stat", b"_stat", b"posixpath", b"genericpath", b"_collections_abc"}
    assert names[0] - names[1] <= needed | frozen


def test_its_limits_are_the_houses() -> None:
    for name in dir(hook_main):
        if name.startswith("HOOK_"):
            assert getattr(hook_main, name) == getattr(limits, name), name
