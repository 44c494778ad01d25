"""Sessions at the prompt with no server: the commands hold the data folder and work on the store alone."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.running import Done, Shell, eventually
from completing import serving_model
from repomesh.cli import offline, session_files
from repomesh.kernel import data_folder
from repomesh.store import folder

MANY = 3_000


@pytest.fixture
def alone_on(shell: Shell, engine: str, request: pytest.FixtureRequest) -> Shell:
    """A prompt without a server, whose store is on each engine."""
    if engine == "sqlite":
        return shell
    url = request.getfixturevalue("postgres_url")
    return OnPostgres(shell.folder, url)


def test_reading_makes_no_data_folder(shell: Shell) -> None:
    done = shell("session", "list", "--json")
    assert (done.code, done.problem["code"]) == (3, "no_data_folder")
    assert not shell.data.exists()


@dataclass(frozen=True)
class OnPostgres(Shell):
    """A prompt whose environment names a database."""

    url: str = ""

    def __call__(self, *words: str, **options: Any) -> Done:
        return super().__call__(*words, REPOMESH_DATABASE_URL=self.url, **options)


def test_every_command_works_on_an_empty_folder_and_on_what_it_made(alone_on: Shell) -> None:
    shell = alone_on
    first = shell("memory", "store", "first", "1")
    assert (first.code, "Made the data folder" in first.err) == (0, True)
    assert shell.ok("session", "list")["items"] == []
    missing = shell("session", "summary", "plan")
    assert (missing.code, "there is no session 'plan'" in missing.err) == (3, True)

    shell.ok("session", "create", "plan", "--title", "Plan", "--participants", "Ann, Bob")
    assert shell.ok("session", "show", "plan")["participants"] == ["Ann", "Bob"]
    shell.ok("chunk", "add", "plan", "We take passkeys.", "--speaker", "Ann")
    shell.ok(
        "memory", "store", "port", "8787", "--session-id", "plan", "--type", "decision", "--tags", "net,one"
    )
    shell.ok("artifact", "add", "plan", "Code", "--content", "x = 1", "--type", "code")
    shell.ok("session", "delegate", "plan", "Write the parser", "--task-id", "t1")
    assert shell.ok("session", "summary", "plan")["decisions"][0]["text"] == "8787"
    assert shell.ok("session", "search-conversations", "passkeys")["items"][0]["session_id"] == "plan"
    wordless = shell("session", "search-conversations", "🚀")
    assert (wordless.code, "There is no word in the text" in wordless.err) == (0, True)
    found = shell.ok("session", "search-memories", "8787", "--type", "decision", "--tags", "net,one")["items"]
    assert [one["key"] for one in found] == ["port"]
    assert shell.ok("session", "list-tasks", "plan", "--status", "open")["items"][0]["key"] == "t1"
    assert shell.ok("session", "list-artifacts", "plan", "--type", "code")["items"][0]["title"] == "Code"
    shell.ok("session", "create", "other")
    shell.ok("session", "delegate", "other", "Test the parser", "--task-id", "t2")
    everywhere = shell.ok("session", "list-tasks", "--status", "open")["items"]
    assert [(one["session_id"], one["key"]) for one in everywhere] == [("other", "t2"), ("plan", "t1")]
    first = shell.ok("session", "list-tasks", "--limit", "1")
    assert ([one["key"] for one in first["items"]], "more" in first["omitted"]) == (["t2"], True)
    assert shell.ok("session", "list-artifacts", "--type", "code")["items"][0]["session_id"] == "plan"
    shell.ok("session", "delete", "other", "--yes")
    for verb, status in (("pause", "paused"), ("resume", "active"), ("complete", "completed")):
        assert shell.ok("session", verb, "plan")["status"] == status

    written = shell("session", "export", "plan").out
    assert shell.ok("session", "import", "-", "--id", "copy", stdin=written)["chunks"] == 1
    assert shell.ok("session", "delete", "plan", "--yes")["done"]
    assert [one["id"] for one in shell.ok("session", "list")["items"]] == ["copy"]


def test_a_large_session_is_deleted_to_its_end(shell: Shell) -> None:
    large(shell)
    gone = shell.ok("session", "delete", "large", "--yes")
    assert (gone["done"], gone["erased"]["chunks"]) == (True, MANY)
    assert shell.ok("session", "list")["items"] == []


def test_commands_at_the_same_time_wait_for_each_other(shell: Shell) -> None:
    started = [shell.start("session", "create", f"s{number}") for number in range(3)]
    ended = [(one.communicate()[1], one.returncode) for one in started]
    assert [code for _, code in ended] == [0, 0, 0], ended
    assert len(shell.ok("session", "list")["items"]) == 3


def test_a_server_is_asked_while_it_runs_and_not_waited_for_when_it_is_gone(shell: Shell) -> None:
    server = shell.start("up", "--port", "0")
    assert eventually(lambda: data_folder.read_server(shell.data) is not None, 60)
    shell.ok("session", "create", "plan")
    server.kill()
    server.communicate()
    assert data_folder.read_server(shell.data) is not None, "the note of the server that was killed"
    assert [one["id"] for one in shell.ok("session", "list")["items"]] == ["plan"]
    elsewhere = shell("session", "list", "--json", "--url", "http://127.0.0.1:9")
    assert elsewhere.problem["code"] == "server_unreachable"


def test_who_holds_the_folder_for_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "PATIENCE_S", 0.1)
    folder.prepare(tmp_path)
    with (
        folder.hold(tmp_path),
        pytest.raises(offline.FolderBusy, match=r"process \d+ holds"),
        offline.hold_folder(tmp_path),
    ):
        pass
    with offline.hold_folder(tmp_path) as free:
        assert free


def test_who_reads_no_further_gets_no_complaint(shell: Shell) -> None:
    large(shell)
    for format_ in ("json", "markdown"):
        export = shell.start("session", "export", "large", "--format", format_)
        assert export.stdout is not None
        assert export.stdout.readline()
        export.stdout.close()
        assert export.stderr is not None
        assert export.stderr.read() == ""
        export.wait()


def test_an_interrupt_ends_a_command_and_frees_the_folder(shell: Shell) -> None:
    large(shell)
    export = shell.start("session", "export", "large")
    assert export.stdout is not None
    export.stdout.readline()
    export.send_signal(signal.SIGINT)
    _, complaint = export.communicate()
    assert (export.returncode, "Traceback" in complaint) == (130, False)
    assert folder.holder(shell.data) is None


def test_an_export_shows_how_far_it_is_on_a_terminal_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    counts = {"chunks": 1, "memories": 0, "artifacts": 0, "tasks": 0}
    shown = []
    for stream, written in (
        (Terminal(), io.StringIO()),
        (io.StringIO(), io.StringIO()),
        (Terminal(), Terminal()),
    ):
        with session_files.progress(stream, written, after_s=0) as step:
            step({"what": "session", "counts": counts})
            step({"what": "chunk"})
        shown.append(stream.getvalue())
    assert "exporting" in shown[0]
    assert shown[1:] == ["", ""]


def test_nothing_of_a_server_is_loaded_for_one_that_runs(running: Shell) -> None:
    program = (
        "import sys; sys.argv[1:] = ['session', 'list']\n"
        "from repomesh.cli.root import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        "assert not {'sqlalchemy', 'repomesh.app', 'pydantic_settings'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=running.folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "nothing\n")


def test_a_written_summary_is_shown_with_who_wrote_it(shell: Shell) -> None:
    shell.ok("session", "create", "plan")
    with serving_model() as model:
        model.answer = "Port 8787 it is."
        named = {"REPOMESH_COMPLETIONS_URL": model.url, "REPOMESH_COMPLETIONS_MODEL": "m-1"}
        for _ in range(2):
            shown = shell("session", "summary", "plan", "--written", **named).out
            assert "written:\nPort 8787 it is.\n\n(generated by m-1, " in shown
    assert len(model.asked) == 1


def large(shell: Shell) -> None:
    """A session of more chunks than a page holds."""
    at = {"created_at": "2026-01-02T03:04:05.000006Z"}
    lines = [{"what": "session", "id": "large", "title": "Large", "updated_at": at["created_at"]} | at]
    chunk = {"what": "chunk", "content": "word " * 40} | at
    lines += [chunk | {"chunk_id": f"c{number}", "sequence": number} for number in range(1, MANY + 1)]
    shell.ok("session", "import", "-", stdin="\n".join(json.dumps(line) for line in lines))
