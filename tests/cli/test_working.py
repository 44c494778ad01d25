"""The main job at the prompt: agents talk, claim, lock, and follow what happens."""

from __future__ import annotations

import json
import subprocess
import sys

from cli.running import Shell, eventually
from repomesh.kernel import data_folder


def test_agents_talk(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    sent = running.ok("message", "send", "bob", "Ready?", "--subject", "Release", "--as", "alice")
    (found,) = running.ok("message", "inbox", "--unread", REPOMESH_AGENT="bob")["items"]
    assert (found["id"], found["body"]) == (sent["id"], "Ready?")
    running.ok("message", "reply", sent["id"], "-", "--as", "bob", stdin="Yes,\nready.\n")
    thread = running("message", "thread", sent["id"], "--as", "alice").out
    assert "alice to bob" in thread
    assert "Yes,\nready." in thread
    (receipt,) = running.ok("message", "receipts", sent["id"], "--as", "alice")["items"]
    assert receipt["status"] == "acked"
    refused = running("message", "inbox")
    assert refused.code == 2
    assert "--as NAME" in refused.err


def test_work_is_claimed_locked_and_done(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    running.ok("lock", "acquire", "port:1", "--as", "bob")  # so that a token below the claim's was given
    task = running.ok("task", "create", "Write it", "--scope", "docs/", "--priority", "3")
    claimed = running.ok("task", "claim", "--take-locks", "--as", "alice")
    assert claimed["task"]["id"] == task["id"]
    refused = running("lock", "acquire", "docs/a.md", "--as", "bob")
    assert refused.code == 4
    assert "alice" in refused.err
    assert running.ok("lock", "check", "docs/a.md", "src/", "--as", "bob")["free"] is False
    assert "docs/**" in running("lock", "list").out
    assert running("task", "progress", task["id"], "--note", "mine", "--as", "bob").code == 4
    stale = str(claimed["fencing_token"] + 1)
    assert running("task", "complete", task["id"], "--fencing-token", stale, "--as", "alice").code == 4
    done = running.ok("task", "complete", task["id"], "--result", "it is", "--as", "alice")
    assert done["status"] == "done"
    assert (
        running.ok("lock", "acquire", "docs/a.md", "--as", "bob")["fencing_token"] > claimed["fencing_token"]
    )
    assert running("task", "claim", "--as", "bob").code in (3, 4)
    over = running("task", "complete", task["id"], "--as", "alice")
    assert (over.code, "is done and can't be completed" in over.err) == (4, True)
    other = running.ok("task", "create", "Read it")
    unclaimed = running("task", "complete", other["id"], "--as", "alice")
    assert (unclaimed.code, "Claim it first" in unclaimed.err) == (2, True)


def test_the_log_is_followed(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    following = running.start("events", "tail", "--follow", "--json", "--type", "task", "--type", "blocker")
    try:
        running.ok("events", "post", "blocker", "--data", '{"what": "no disk"}', "--as", "alice")
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["data"] == {"what": "no disk"}
        running.ok("task", "create", "Buy a disk")
        assert json.loads(following.stdout.readline())["type"] == "task.created"
    finally:
        following.terminate()
        following.communicate()
    shown = running("events", "tail", "--by", "alice").out
    assert "blocker" in shown
    assert "task.created" not in shown


def test_following_goes_on_when_the_server_was_restarted(running: Shell) -> None:
    note = data_folder.read_server(running.data)
    assert note is not None
    following = running.start("events", "tail", "--follow", "--json", "--after", "0")
    assert following.stdout is not None
    try:
        running.ok("agent", "register", "alice")
        seen = [json.loads(following.stdout.readline())["seq"]]
        running.ok("down")
        assert running("up", "--detach", "--port", note["url"].rpartition(":")[2]).code == 0
        running.ok("agent", "register", "bob")
        last = running.ok("status")["last_seq"]
        while seen[-1] < last:
            seen.append(json.loads(following.stdout.readline())["seq"])
    finally:
        following.terminate()
        following.communicate()
    assert seen == list(range(1, last + 1))


def test_the_log_is_archived(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    moved = running.ok("log", "prune", "--before", "3")
    assert (moved["events"], moved["oldest_seq"]) == (2, 3)
    assert running("events", "tail", "--after", "1").code == 3


def test_streams_and_waits_do_not_hold_up_a_stop(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    open_ = [
        running.start("events", "tail", "--follow", "-n", "1"),
        running.start("message", "wait", "--timeout-s", "50", "--as", "alice"),
    ]
    assert open_[0].stdout is not None
    open_[0].stdout.readline()
    try:
        assert running.ok("down")["stopped"] is True
    finally:
        for process in open_:
            process.kill()
            process.communicate()


def test_an_agent_cli_gets_its_tools_over_stdio(running: Shell) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "checker", "version": "1"},
        },
    }
    proxy = subprocess.Popen(
        [sys.executable, "-m", "repomesh.cli.main", "mcp", "--agent", "carol"],
        cwd=running.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert proxy.stdin is not None
    assert proxy.stdout is not None
    proxy.stdin.write(json.dumps(hello) + "\n")
    proxy.stdin.flush()
    assert json.loads(proxy.stdout.readline())["result"]["serverInfo"]["name"] == "repomesh"
    assert running.ok("agent", "show", "carol")["status"] == "active"
    proxy.communicate(timeout=20)
    assert proxy.returncode == 0
    assert eventually(lambda: running.ok("agent", "show", "carol")["status"] == "inactive")


def test_json_holds_nothing_that_a_terminal_obeys_and_the_same_value(running: Shell) -> None:
    goal = "red \x9b turned \u202e hidden \u200b tag \U000e0041 soft \xad lines \u2028 and é 🙂"
    made = running("task", "create", goal, "--json")
    assert made.json["goal"] == goal
    assert "\\u202e" in made.out
    assert "é 🙂" in made.out
    for done in (made, running("task", "list", "--json"), running("events", "tail", "--json")):
        assert not set("\x9b\u202e\u200b\U000e0041\xad\u2028") & set(done.out)


def test_an_export_and_an_error_are_as_harmless(running: Shell) -> None:
    title = "\x9b2J\u202e"
    running.ok("session", "create", "plan", "--title", title)
    exported = running("session", "export", "plan", "--format", "jsonl")
    assert json.loads(exported.out.splitlines()[0])["title"] == title
    refused = running("task", "show", "\u202e", "--json")
    assert refused.problem["code"]
    assert not {"\x9b", "\u202e"} & set(exported.out + refused.err)
