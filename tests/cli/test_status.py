"""`status` names who is there, what is held and what waits, and whose server answers."""

from __future__ import annotations

from pathlib import Path

from cli.running import Shell, repository


def test_it_names_agents_locks_questions_messages_and_tasks(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    running.ok("lock", "acquire", "src/", "--as", "alice")
    sent = running.ok("message", "send", "bob", "Stop the release", "--priority", "urgent", "--as", "alice")
    running.ok("question", "ask", "Which port?", "--as", "alice")
    first = running.ok("task", "create", "Write the docs")
    running.ok("task", "create", "Publish the docs", "--dependencies", first["id"])
    told = running.ok("status")
    assert (told["data"], told["warning"]) == (str(running.data), None)
    assert told["agents"]["active"] == 2
    assert {"alice", "bob"} <= {one["name"] for one in told["agents"]["items"]}
    assert [(one["resource"], one["agent_name"]) for one in told["locks"]] == [("src/**", "alice")]
    assert [one["question"] for one in told["questions"]] == ["Which port?"]
    assert [(one["id"], one["waits_for"]) for one in told["urgent"]] == [(sent["id"], ["bob"])]
    assert {name: told["tasks"][name] for name in ("ready", "waiting", "claimed", "blocked")} == {
        "ready": 1,
        "waiting": 1,
        "claimed": 0,
        "blocked": 0,
    }
    shown = running("status").out
    for text in (
        told["url"],
        str(running.data),
        "src/**: alice",
        "Which port?",
        "waits for bob",
        "1 waiting",
    ):
        assert text in shown
    running.ok("message", "ack", sent["id"], "--as", "bob")
    assert running.ok("status")["urgent"] == []


def test_it_warns_when_the_server_is_another_repositorys(running: Shell, tmp_path: Path) -> None:
    other = Shell(repository(tmp_path / "other"))
    there = {
        "REPOMESH_URL": running.ok("status")["url"],
        "REPOMESH_TOKEN": (running.data / "token").read_text().strip(),
    }
    told = other.ok("status", **there)
    assert told["data"] == str(running.data)
    assert f"the server of {running.folder}, not that of {other.folder}" in told["warning"]
    assert f"warning: {told['warning']}\n" == other("status", **there).err
