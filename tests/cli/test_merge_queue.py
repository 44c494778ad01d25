"""The merge queue at the prompt: submit and follow, decide in the inbox, report, take back."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import Shell, git


@pytest.fixture
def work(running: Shell) -> Shell:
    """A prompt on a branch of its own; its person is Jane, and an agent is there."""
    git(running.folder, "config", "user.name", "Jane")
    running.ok("agent", "register", "alice")
    git(running.folder, "checkout", "-q", "-b", "work")
    return running


def commit(shell: Shell, name: str, text: str, subject: str) -> None:
    (Path(shell.folder) / name).write_text(text)
    git(shell.folder, "add", name)
    git(shell.folder, "commit", "-qm", subject)


def test_a_change_is_followed_until_it_lands_and_is_taken_back(work: Shell) -> None:
    commit(work, "notes.txt", "one\n", "Write | notes")
    submitted = work("change", "submit", "--watch", "--as", "alice")
    assert submitted.code == 0, submitted.err
    assert "landed" in submitted.out.splitlines()[-1]
    (change,) = work.ok("change", "list")["items"]
    report = work("queue", "report", "--since", "1h").out
    assert "- landed: 1 (1 by ort)" in report
    assert "Write \\| notes" in report
    assert work.ok("queue", "report")["landed"][0]["id"] == change["id"]
    assert work.ok("queue", "replay")["same"]
    refused = work("rollback", change["id"][-8:], "--as", "alice")
    assert refused.code == 2
    assert "Write | notes" in refused.err
    assert "--yes" in refused.err
    made = work.ok("rollback", change["id"][-8:], "--yes", "--reason", "It was wrong", "--as", "alice")
    watched = work("change", "watch", made["id"])
    assert watched.code == 0, watched.err
    assert git(work.folder, "ls-tree", "--name-only", "main").split() == ["README.md"]
    assert "rollback needs either" in work("rollback").err


def test_a_change_that_waits_for_a_person_is_in_the_inbox(work: Shell) -> None:
    commit(work, "repomesh.toml", "[queue]\nbatch_max = 3\n", "Configure the queue")
    change = work.ok("change", "submit", "--as", "alice")
    inbox = work("inbox").out
    assert "Changes that wait for you" in inbox
    assert "Configure the queue of alice" in inbox
    assert f"change approve {change['id']}" in inbox
    assert work.ok("change", "list", "--waits-for", "approval")["items"][0]["id"] == change["id"]
    work.ok("change", "reject", change["id"][-8:], "--comment", "Not now", "--as", "jane")
    watched = work("change", "watch", change["id"][-8:])
    assert watched.code == 1
    assert "Not now" in watched.out
    assert "Changes that wait" not in work("inbox").out
