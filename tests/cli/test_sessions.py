"""Sessions at the prompt: made, searched, exported and taken in again."""

from __future__ import annotations

import json
import subprocess
import sys

from cli.running import Shell


def fill(shell: Shell) -> None:
    """A session with something of each sort."""
    for name in ("alice", "bob"):
        shell.ok("agent", "register", name)
    shell.ok(
        "session", "create", "plan", "--title", "Plan the login", "--participants", "Ann", "--as", "alice"
    )
    shell.ok("api", "chunk.add", "session_id=plan", "chunk_id=c1", "speaker=Ann", "content=We take passkeys.")
    large = {"session_id": "plan", "chunk_id": "large", "content": "word " * 1_200_000}
    shell.ok("api", "chunk.add", "--stdin", stdin=json.dumps(large))
    for key, text in (("port", "8787"), ("old", "80"), ("wrong", "81")):
        given = {"session_id": "plan", "key": key, "type": "decision", "content": text, "tags": ["net"]}
        shell.ok("api", "memory.store", "--stdin", stdin=json.dumps(given))
    ids = {one["key"]: one["id"] for one in shell.ok("memory", "list", "--session-id", "plan")["items"]}
    shell.ok("memory", "supersede", ids["old"], "--by", "port", "--reason", "moved")
    shell.ok("memory", "retract", ids["wrong"], "--reason", "a guess")
    for artifact in (
        {"artifact_id": "a", "content": "x = 1", "type": "code"},
        {"artifact_id": "b", "content_base64": "AAH/" * 100},
    ):
        given = {"session_id": "plan", "title": "A"} | artifact
        shell.ok("api", "artifact.add", "--stdin", stdin=json.dumps(given))
    shell.ok("session", "delegate", "plan", "Write the parser", "--task-id", "t1", "--agent", "bob")


def test_an_empty_store_has_nothing_and_what_is_missing_is_told(running: Shell) -> None:
    assert running.ok("session", "list")["items"] == []
    assert "nothing" in running("session", "list").err
    assert running.ok("session", "search-conversations", "parser")["items"] == []
    missing = running("session", "show", "none")
    assert missing.code == 3
    assert "there is no session 'none'" in missing.err


def test_a_session_is_found_searched_and_deleted_after_a_yes(running: Shell) -> None:
    fill(running)
    assert (
        running("session", "list", "--status", "active").out.splitlines()[1].startswith("plan\tactive\tPlan")
    )
    assert running.ok("session", "show", "plan")["counts"]["memories"] == 3
    assert running.ok("session", "summary", "plan")["decisions"][0]["text"] == "8787"
    (found,) = running.ok("session", "search-conversations", "passkeys")["items"]
    assert found["key"] == "c1"
    (found,) = running.ok("session", "search-memories", "8787", "--type", "decision", "--tags", "net")[
        "items"
    ]
    assert found["key"] == "port"
    assert (
        "Write the parser"
        in running("session", "list-tasks", "plan", "--status", "open", "--agent", "bob").out
    )
    assert running.ok("session", "list-artifacts", "plan", "--type", "code")["items"][0]["artifact_id"] == "a"
    running.ok("memory", "store", "note", "Plain words.", "--session-id", "plan")
    running.ok("memory", "store", "list", '["some", "words"]')
    (kept,) = running.ok("memory", "list", "--key", "list")["items"]
    assert kept["content"] == ["some", "words"]
    (recalled, *_) = running.ok("search", "recall", "which words are plain?", "--what", "memory")["items"]
    assert recalled["key"] == "note"
    running.ok("session", "pause", "plan", "--reason", "lunch")
    running.ok("session", "resume", "plan")
    running.ok("session", "complete", "plan")
    kept = running("session", "delete", "plan", stdin="n\n")
    assert kept.code != 0
    assert "2 chunks" in kept.err
    assert running.ok("session", "delete", "plan", "--yes")["done"]
    assert running.ok("session", "list")["items"] == []


def test_an_export_comes_in_again_as_it_was(running: Shell) -> None:
    fill(running)
    running.ok("session", "complete", "plan", "--reason", "shipped")
    written = running("session", "export", "plan")
    assert written.code == 0, written.err
    (running.folder / "plan.jsonl").write_text(written.out)
    done = running.ok("session", "import", "plan.jsonl", "--id", "copy")
    assert done == {"session_id": "copy", "chunks": 2, "memories": 3, "artifacts": 2, "tasks_left_out": 1}
    again = running("session", "export", "copy").out
    same = (
        "what",
        "status",
        "title",
        "reason",
        "sequence",
        "chunk_id",
        "sha256",
        "key",
        "content",
        "content_base64",
    )
    first, second = (
        sorted(
            json.dumps({name: one.get(name) for name in same})
            for one in map(json.loads, text.splitlines())
            if one["what"] != "task"
        )
        for text in (written.out, again)
    )
    assert first == second
    markdown = running("session", "export", "plan", "--format", "markdown").out
    assert "# Plan the login" in markdown
    assert "## 1 Ann\n\nWe take passkeys." in markdown
    assert "## decision: wrong (retracted: a guess)" in markdown
    refused = running("session", "import", "-", stdin="{}\n")
    assert (refused.code, "line 1" in refused.err) == (2, True)


def test_session_cli_is_the_same(running: Shell) -> None:
    program = "from repomesh.cli.main import session; session()"
    command = [sys.executable, "-c", program, "list", "--json"]
    done = subprocess.run(command, cwd=running.folder, capture_output=True, text=True)
    assert json.loads(done.stdout)["items"] == []
