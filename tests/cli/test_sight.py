"""What a command answers is in sight: texts, actors, ids, what was looked at, and what the server did."""

from __future__ import annotations

import json

from cli.running import Shell


def test_a_fresh_review_shows_what_is_to_be_reviewed(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    made = running.ok(
        "review", "request", "--title", "Parser", "--reviewers", "bob", "--diff", "+x = 1", "--as", "alice"
    )
    shown = running("review", "show", made["id"])
    for text in ("Parser", "alice", "bob", "+x = 1", made["id"]):
        assert text in shown.out
    assert "nothing was said yet" in shown.err
    running.ok("review", "comment", made["id"], "--body", "Why one?", "--as", "bob")
    assert "Why one?" in running("review", "show", made["id"]).out


def test_lists_show_ids_texts_and_who_acted(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    task = running.ok("task", "create", "Write the parser", "--as", "alice")
    running.ok("session", "create", "plan")
    running.ok("chunk", "add", "plan", "We take\npasskeys.", "--speaker", "Ann")
    assert "We take passkeys." in running("chunk", "list", "plan").out
    found = running("search", "find", "parser", "--what", "task").out.splitlines()
    assert dict(zip(found[0].split("\t"), found[1].split("\t"), strict=True))["id"] == task["id"]
    listed = running("events", "list", "--type", "task.created").out.splitlines()
    assert dict(zip(listed[0].split("\t"), listed[1].split("\t"), strict=True))["actor_name"] == "alice"


def test_an_empty_answer_says_what_was_looked_at(running: Shell) -> None:
    assert "nothing among memory; '--what' looks elsewhere" in running("search", "recall", "parser").err
    assert "nothing among task;" in running("search", "find", "parser", "--what", "task").err


def test_the_servers_log_tells_of_its_start_and_stop(running: Shell) -> None:
    url = running.ok("status")["url"]
    running.ok("down")
    lines = [json.loads(line) for line in (running.data / "server.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["started", "stopped"]
    assert lines[0]["url"] == url


def test_the_servers_log_tells_once_why_it_refuses(running: Shell) -> None:
    (running.data / "repomesh.db").unlink()
    for _ in range(2):
        assert running("task", "create", "x").code == 6
    code = running("task", "create", "x", "--json").problem["code"]
    lines = [json.loads(line) for line in (running.data / "server.log").read_text().splitlines()]
    assert [line["code"] for line in lines if line["event"] == "refused"].count(code) == 1
