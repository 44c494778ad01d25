"""Requests at the prompt: ask, follow, edit from files, approve, report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cli.running import Shell, git

LIMIT_S = 20.0


@pytest.fixture
def work(running: Shell) -> Shell:
    """A prompt on a branch of its own, with an agent."""
    git(running.folder, "config", "user.name", "Jane")
    running.ok("agent", "register", "alice")
    git(running.folder, "checkout", "-q", "-b", "work")
    return running


def wait_for(work: Shell, request_id: str, *states: str) -> dict[str, Any]:
    """The request, once it has one of these states."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        shown: dict[str, Any] = work.ok("request", "show", request_id)
        if shown["state"] in states:
            return shown
        time.sleep(0.1)
    raise AssertionError(shown)


def test_a_request_goes_from_a_sentence_to_a_landed_commit(work: Shell) -> None:
    made = work.ok("request", "Write | better notes", "--files", "README.md")
    assert (made["title"], made["class"]) == ("Write | better notes", "feature")
    request = wait_for(work, made["id"][-8:], "working")
    [task] = request["tasks"]
    claimed = work.ok("task", "claim", task["task_id"], "--take-locks", "--as", "alice")
    token = str(claimed["fencing_token"])
    (Path(work.folder) / "README.md").write_text("better\n")
    git(work.folder, "commit", "-qam", "Better notes")
    submitted = work(
        *("change", "submit", "--watch", "--task-id", task["task_id"], "--fencing-token", token),
        *("--as", "alice"),
    )
    assert submitted.code == 0, submitted.err
    work.ok("task", "complete", task["task_id"], "--fencing-token", token, "--as", "alice")
    wait_for(work, made["id"], "done")
    page = work("request", "show", "Write | better notes").out
    assert "done: all 1 task(s) are done" in page
    report = work("request", "report", made["id"]).out
    landed = git(work.folder, "rev-parse", "main").strip()
    assert landed[:12] in report
    assert "# Write \\| better notes" in report
    changes = work.ok("request", "report", made["id"])["changes"]
    assert [change["landed_commit"] for change in changes] == [landed]


def test_documents_come_from_files(work: Shell, tmp_path: Path) -> None:
    made = work.ok("request", "create", "Make it faster")
    brief = tmp_path / "brief.json"
    brief.write_text(json.dumps({"goal": "Faster", "files": ["README.md"], "open_questions": ["How?"]}))
    edited = work("request", "edit", made["id"][-8:], "--brief", str(brief))
    assert edited.code == 0, edited.err
    assert "clarifying: the brief asks 1 question(s)" in edited.out
    inbox = work("inbox").out
    assert "Requests that wait for you" in inbox
    assert f"request show {made['id']}" in inbox
    approved = work("request", "approve", made["id"][-8:])
    assert "approved" in approved.out
    wait_for(work, made["id"], "working")


@pytest.mark.parametrize(
    ("content", "hint"), [(None, "Check the path"), ("{", "request show ID --json"), ("[1]", "")], ids=str
)
def test_a_wrong_document_is_refused_in_one_line(
    work: Shell, tmp_path: Path, content: str | None, hint: str
) -> None:
    made = work.ok("request", "create", "Make it faster")
    file = tmp_path / "plan.json"
    if content is not None:
        file.write_text(content)
    refused = work("request", "edit", made["id"], "--plan", str(file))
    assert refused.code == 2, refused.err
    assert refused.err.startswith("error: ")
    assert hint in refused.err


def test_a_plan_that_breaks_a_rule_says_which(work: Shell, tmp_path: Path) -> None:
    made = work.ok("request", "create", "Change it twice")
    task = {"goal": "Change it", "files": ["README.md"], "acceptance": ["It works"]}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"tasks": [task | {"key": "one"}, task | {"key": "two"}]}))
    refused = work("request", "edit", made["id"], "--plan", str(file))
    assert "the plan was not taken" in refused.out
    assert "overlap: " in refused.out


def test_one_wrong_word_is_a_wrong_command(work: Shell) -> None:
    refused = work("request", "lsit")
    assert refused.code == 2
    assert "request list" in refused.err
