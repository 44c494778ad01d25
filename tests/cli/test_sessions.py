"""Sessions at the prompt: made, searched, exported and taken in again."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

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


def items_of(document: str) -> list[dict[str, Any]]:
    """What a document holds, but for the tasks, which stay where they are, and the ids that are new."""
    found = [one for one in json.loads(document)["items"] if one["what"] != "task"]
    for one in found:
        if one["what"] == "session":
            one["id"] = "S"
            del one["counts"]["tasks"]
        else:
            one.pop("id", None)
            one.pop("session_id", None)
    return found


def test_an_export_comes_in_again_as_it_was(running: Shell) -> None:
    fill(running)
    running.ok("session", "complete", "plan", "--reason", "shipped")
    written = {name: running("session", "export", "plan", "--format", name).out for name in ("json", "jsonl")}
    first = items_of(written["json"])
    assert [json.loads(line)["what"] for line in written["jsonl"].splitlines()][:2] == ["session", "chunk"]
    written["pretty"] = json.dumps(json.loads(written["json"]), indent=2)
    for number, (name, text) in enumerate(written.items()):
        (running.folder / "file").write_text(text)
        done = running.ok("session", "import", "file", "--id", f"copy{number}")
        expected = {"chunks": 2, "memories": 3, "artifacts": 2, "tasks_left_out": 1}
        assert done == {"session_id": f"copy{number}"} | expected, name
        assert items_of(running("session", "export", f"copy{number}").out) == first, name
    assert {"memory_version", "artifact"} <= {one["what"] for one in first}
    found = running.ok("session", "search-memories", "8787", "--session", "copy0")["items"]
    assert [one["key"] for one in found] == ["port"]
    markdown = running("session", "export", "plan", "--format", "markdown").out
    assert "# Plan the login" in markdown
    assert "## 1 Ann\n\nWe take passkeys." in markdown
    assert "## decision: wrong (retracted: a guess)" in markdown


def test_a_bad_file_imports_nothing_and_is_told_by_its_line(running: Shell) -> None:
    fill(running)
    lines = running("session", "export", "plan", "--format", "jsonl").out.splitlines()
    document = running("session", "export", "plan").out
    bad = {
        "": "line 1: the file is empty",
        "[]": "line 1: does not begin with an object",
        "{}": "line 1: is none of the things",
        "\n".join(lines[1:]): "line 1: the first thing is not a session",
        "\n".join([*lines[:3], "{"]): "line 4: is no JSON",
        "\n".join([*lines, "7"]): f"line {len(lines) + 1}: is none of the things",
        "\n".join(lines[:4]): "the file was cut: it holds 1 of 3 memories",
        document[: len(document) // 2]: "is no JSON",
        document.rstrip().removesuffix("]}"): "is expected, and the file ends",
        document + "1": "the document has ended before",
        document.rstrip().removesuffix("]}") + ",]}": "a value is expected after ','",
        "\n".join([*lines[:2], *lines[1:]]): "line 3: chunk: chunk 'c1' or its place 1 is in the file before",
        "\n".join(
            [lines[0], json.dumps(json.loads(lines[1]) | {"sequence": 0}), *lines[2:]]
        ): "line 2: chunk: ",
        "\n".join([lines[0], lines[1].replace("created_at", "made_at"), *lines[2:]]): "line 2: chunk: ",
        lines[0] + "[" * 100_000: "line 1: ",
    }
    for text, reason in bad.items():
        refused = running("session", "import", "-", "--id", "copy", stdin=text)
        assert (refused.code, reason in refused.err, "Traceback" in refused.err) == (2, True, False), (
            reason,
            refused.err,
        )
        assert [one["id"] for one in running.ok("session", "list")["items"]] == ["plan"]
    (running.folder / "latin").write_bytes(b"\xff\xfe")
    assert running("session", "import", "latin").code == 2
    assert running("session", "import", "none").code == 3
    assert running("session", "import", "-", stdin=document).code == 4  # 'plan' is there
    assert running.ok("session", "import", "-", "--id", "copy", stdin=document)["memories"] == 3


def test_session_cli_is_the_same(running: Shell) -> None:
    program = "from repomesh.cli.main import session; session()"
    command = [sys.executable, "-c", program, "list", "--json"]
    done = subprocess.run(command, cwd=running.folder, capture_output=True, text=True)
    assert json.loads(done.stdout)["items"] == []
