"""Every command, where nothing is as it should be: it ends with the code of its class and one error."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cli import tree
from cli.running import Shell
from repomesh.cli import output
from repomesh.cli.with_client import WITHOUT_SERVER
from repomesh.client import client
from repomesh.kernel.errors import FAILURES, Failure

HERE_ONLY = {
    "api": 0,  # lists the operations
    "backup": 3,
    "connect": 3,  # no CLI of this name
    "db check": 3,
    "db current": 3,
    "db upgrade": 0,
    "disconnect": 0,
    "doctor": 0,
    "down": 0,
    "guard install": 0,
    "guard status": 0,
    "guard uninstall": 0,
    "logs": 3,
    "plan": 0,
    "restore": 3,
    "session import": 3,  # no such file
    "trust": 3,
}
"""Commands that ask no server, and how they end in a repository in which nothing was ever started."""

OUTSIDE = {"guard install": 2, "guard status": 2, "guard uninstall": 2, "plan": 2}
"""The same outside of any repository, where it differs."""

READ_ONLY = {"db upgrade": 6, "up": 6}
"""The same in a folder that may not be written."""

ALONE = {
    "artifact add": 3,
    "chunk add": 3,
    "chunk add-many": 2,
    "memory restore": 3,
    "memory retract": 3,
    "memory store": 0,
    "memory supersede": 3,
    "session complete": 3,
    "session create": 0,
    "session delegate": 3,
    "session pause": 3,
    "session resume": 3,
    "session update": 3,
}
"""Commands that write without a server, and how they end in a new data folder."""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a repository, a home of one's own, and no pauses between attempts."""
    for name in [name for name in os.environ if name.startswith("REPOMESH_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(client, "PAUSE_S", 0.0)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=[False, True], ids=["text", "json"])
def as_json(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def read_only(nowhere: Path) -> Iterator[Path]:
    """A folder that this user may not write; the superuser has one only where the kernel makes it so."""
    if os.geteuid() == 0:
        yield Path("/sys")
        return
    nowhere.chmod(0o500)
    yield nowhere
    nowhere.chmod(0o700)


def expected(leaf: tree.Leaf, usual: int, *tables: Mapping[str, int]) -> int:
    """The exit code of a command: the first table's that has it, else for all that ask a server `usual`."""
    return next((table[leaf.name] for table in tables if leaf.name in table), usual)


def wrongs(
    capsys: pytest.CaptureFixture[str], leaf: tree.Leaf, code: int | None, *, as_json: bool
) -> list[str]:
    """What is wrong with how a command ends; `code` is the expected one, None for any that fits its error."""
    ran = tree.run(capsys, *leaf.words, *(["--json"] if as_json else []))
    found = []
    if code is not None and ran.code != code:
        found.append(f"{leaf.name}: ends with {ran.code}, not {code}: {ran.err[:200]}")
    fault = tree.fault(ran, as_json=as_json) if ran.code else None
    if fault:
        found.append(f"{leaf.name}: {fault}")
    elif ran.code and as_json:
        failure = Failure(json.loads(ran.err)["failure"])
        if ran.code != FAILURES[failure].exit:
            found.append(f"{leaf.name}: ends with {ran.code} for {failure}")
    return found


def every(as_json: bool, *, without: frozenset[str] = frozenset()) -> Iterator[tree.Leaf]:
    """The commands that end, with '--json' those that have it."""
    left_out = without | tree.ENDLESS
    return (
        leaf
        for leaf in tree.leaves()
        if leaf.name not in left_out and (not as_json or "--json" in leaf.options)
    )


def _fresh(leaf: tree.Leaf, usual: int) -> int:
    noun = leaf.path[0]
    if noun in WITHOUT_SERVER and leaf.name not in ALONE and leaf.name not in HERE_ONLY:
        return 3  # nothing to be read
    return expected(leaf, usual, ALONE, HERE_ONLY)


@pytest.mark.parametrize("is_repository", [True, False], ids=["repository", "folder"])
def test_without_a_server(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    nowhere: Path,
    as_json: bool,
    is_repository: bool,
) -> None:
    found = []
    for number, leaf in enumerate(every(as_json, without=frozenset({"up"}))):
        folder = nowhere / str(number)
        folder.mkdir()
        if is_repository:
            (folder / ".git" / "objects").mkdir(parents=True)
            (folder / ".git" / "refs").mkdir()
            (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        monkeypatch.chdir(folder)
        code = _fresh(leaf, 6) if is_repository else OUTSIDE.get(leaf.name, _fresh(leaf, 6))
        found += wrongs(capsys, leaf, code, as_json=as_json)
        if (folder / ".repomesh").exists() and leaf.name not in {*ALONE, "db upgrade"}:
            found.append(f"{leaf.name}: makes a data folder")
    assert not found, "\n".join(found)


class _Other(http.server.BaseHTTPRequestHandler):
    """A server that is none of ours."""

    def do_GET(self) -> None:  # as the library calls it
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Hello</html>")

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ELSEWHERE = frozenset({*HERE_ONLY, "up", "daemon", "env", "events tail", "token show"}) - {"doctor"}
"""Commands for which a URL changes nothing, or that go on."""


UNUSED = "http://127.0.0.1:1"


@pytest.mark.parametrize("url", [UNUSED, "here"])
def test_with_a_wrong_url(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str, as_json: bool
) -> None:
    monkeypatch.setenv("REPOMESH_URL", url)
    monkeypatch.setenv("REPOMESH_TOKEN", "x")
    usual = 6 if url == UNUSED else 2
    left_out = ELSEWHERE | {"doctor"}
    found = [
        wrong
        for leaf in every(as_json, without=left_out)
        for wrong in wrongs(capsys, leaf, usual, as_json=as_json)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999", "http://[::1", "http://", "ftp://a", "http://\u00fc..a"]
)
def test_what_is_no_url_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("REPOMESH_URL", url)
    monkeypatch.setenv("REPOMESH_TOKEN", "x")
    for words in (("status", "--json"), ("agent", "list", "--json")):
        ran = tree.run(capsys, *words)
        assert (ran.code, json.loads(ran.err)["code"]) == (2, "unusable_address")


def test_where_something_else_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, other: str, as_json: bool
) -> None:
    monkeypatch.setenv("REPOMESH_URL", other)
    monkeypatch.setenv("REPOMESH_TOKEN", "x")
    left_out = ELSEWHERE | {"doctor"}
    found = [
        wrong
        for leaf in every(as_json, without=left_out)
        for wrong in wrongs(capsys, leaf, 6, as_json=as_json)
    ]
    assert not found, "\n".join(found)


def test_in_a_folder_that_may_not_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, read_only: Path, as_json: bool
) -> None:
    monkeypatch.chdir(read_only)
    found = []
    for leaf in every(as_json):
        usual = 6 if leaf.name in ALONE else _fresh(leaf, 6)
        found += wrongs(capsys, leaf, expected(leaf, usual, READ_ONLY, OUTSIDE), as_json=as_json)
    assert not found, "\n".join(found)


def test_with_a_wrong_token_and_with_a_server(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, running: Shell, as_json: bool
) -> None:
    """Both on one server: first nothing is let in, then all is, in a pipe and on a narrow terminal."""
    url = running.ok("status")["url"]
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("REPOMESH_URL", url)
        elsewhere.setenv("REPOMESH_TOKEN", "wrong")
        left_out = ELSEWHERE | {"doctor", "open"}  # it needs no token
        found = [
            wrong
            for leaf in every(as_json, without=left_out)
            for wrong in wrongs(capsys, leaf, 5, as_json=as_json)
        ]
    monkeypatch.chdir(running.folder)
    monkeypatch.setenv("COLUMNS", "60")
    left_out = frozenset({"up", "down", "daemon", "restore", "message wait", "db upgrade"})
    for narrow in (False, True) if not as_json else (False,):
        monkeypatch.setattr(output, "is_terminal", lambda narrow=narrow: narrow)
        for leaf in every(as_json, without=left_out):
            found += wrongs(capsys, leaf, None, as_json=as_json)
    assert not found, "\n".join(found)
