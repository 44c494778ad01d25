"""The doctor names what is wrong and what mends it."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from typing import Any

from cli.running import Done, Shell, eventually
from repomesh.store import folder


def _by_name(done: Done) -> dict[str, Any]:
    return {check["name"]: check for check in done.json}


def test_a_healthy_server_has_nothing_to_mend(running: Shell) -> None:
    done = running("doctor", "--json")
    checks = _by_name(done)
    assert [check for check in done.json if not check["fine"]] == []
    assert done.code == 0
    assert {"Python", "git", "token", "integrity", "schema", "server", "readiness", "access", "MCP"} <= {
        *checks
    }
    assert (running.data / "token").read_text().strip() not in done.out


def test_no_server_is_no_failure_but_its_start_is_named(shell: Shell) -> None:
    done = shell("doctor", "--json")
    assert done.code == 0
    assert _by_name(done)["server"]["fix"] == "repomesh up --detach"


def test_an_open_token_is_found_with_the_command_that_closes_it(running: Shell) -> None:
    token = running.data / "token"
    token.chmod(0o644)
    done = running("doctor", "--json")
    assert done.code == 1
    assert _by_name(done)["data folder"]["fix"] == f"chmod 600 {token}"
    assert "FAIL  data folder" in running("doctor").out


def test_a_damaged_database_is_found(running: Shell) -> None:
    running.ok("down")
    database = running.data / folder.DATABASE
    whole = database.read_bytes()
    database.write_bytes(whole[:8192] + b"\xff" * 8192 + whole[16384:])
    done = running("doctor", "--json")
    assert done.code == 1
    assert "repomesh restore" in _by_name(done)["integrity"]["fix"]


def test_a_record_that_can_not_be_read_is_named(running: Shell) -> None:
    agent_id = running.ok("agent", "register", "alice")["agent"]["id"]
    with closing(sqlite3.connect(running.data / folder.DATABASE)) as connection, connection:
        connection.execute(
            "UPDATE agents SET status_text = CAST(X'68FF' AS TEXT), last_seen_at = 'x' WHERE id = ?",
            [agent_id],
        )
    done = running("doctor", "--json")
    assert done.code == 1
    records = _by_name(done)["records"]
    assert f"agents {agent_id} (status_text, last_seen_at)" in records["detail"]
    assert "repomesh restore" in records["fix"]


def test_a_server_that_does_not_answer_is_found(running: Shell) -> None:
    pid = folder.holder(running.data)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        done = running("doctor", "--json")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.code == 1
    assert _by_name(done)["readiness"]["fix"] == "repomesh down; repomesh up --detach"
    assert eventually(lambda: running("doctor").code == 0)


def test_a_token_that_opens_nothing_is_found(running: Shell) -> None:
    done = running("doctor", "--json", REPOMESH_TOKEN="rpm_wrong")
    assert done.code == 1
    assert not _by_name(done)["access"]["fine"]


def test_postgresql_that_does_not_answer_is_found(shell: Shell) -> None:
    done = shell("doctor", "--json", REPOMESH_DATABASE_URL="postgresql://me:secret@127.0.0.1:1/x")
    assert done.code == 1
    assert not _by_name(done)["engine"]["fine"]
    assert "secret" not in done.out
