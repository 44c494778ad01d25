"""What commands print and how they end."""

from __future__ import annotations

import json

import pytest

from cli.running import Shell


def test_json_is_the_answer_itself_and_plain_lines_are_tab_separated(running: Shell) -> None:
    running.ok("agent", "register", "alice", "--capabilities", "python", "--capabilities", "sql")
    assert running.ok("agent", "show", "alice")["capabilities"] == ["python", "sql"]
    done = running("agent", "list")
    header, row = done.out.splitlines()
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert (cells["name"], cells["status"], cells["capabilities"]) == ("alice", "active", "python, sql")


def test_the_exit_code_tells_the_class_of_the_failure(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    url = running.ok("status")["url"]
    ends = {
        ("agent", "list", "--limit", "0"): 2,
        ("agent", "list", "--limit", "many"): 2,
        ("agent", "lst"): 2,
        ("agent", "show", "nobody"): 3,
        ("agent", "register", "alice"): 4,
    }
    assert {words: running(*words).code for words in ends} == ends
    assert running("agent", "list", REPOMESH_URL=url, REPOMESH_TOKEN="wrong").code == 5
    assert running("agent", "list", "--url", "http://127.0.0.1:1").code == 6


def test_an_error_has_a_hint_on_standard_error_and_is_json_when_asked(running: Shell) -> None:
    done = running("agent", "show", "nobody")
    assert done.out == ""
    assert done.err.startswith("error: there is no agent 'nobody'\nhint: ")
    problem = running("agent", "show", "nobody", "--json").problem
    assert (problem["code"], problem["failure"]) == ("agent_not_found", "not_found")


def test_without_a_server_the_command_that_starts_one_is_named(shell: Shell) -> None:
    done = shell("agent", "list")
    assert done.code == 6
    assert "repomesh up" in done.err


def test_a_new_token_is_shown_only_when_asked_for(running: Shell) -> None:
    refused = running("token", "create", "observer")
    assert (refused.code, "--to-file" in refused.err) == (2, True)
    assert running.ok("token", "list")["items"][1:] == []
    file = running.folder / "token.txt"
    hidden = running("token", "create", "observer", "--to-file", str(file))
    assert "rpm_" not in hidden.out + hidden.err
    assert (file.read_text()[:4], file.stat().st_mode & 0o777) == ("rpm_", 0o600)
    shown = running.ok("token", "create", "agent", "--agent", "bob", "--show-token")
    url = running.ok("status")["url"]
    known = {"REPOMESH_URL": url, "REPOMESH_TOKEN": shown["token"]}
    assert running("token", "list", **known).code == 5
    assert running("agent", "list", **known).code == 0
    assert running("token", "revoke", shown["token_id"]).code == 0
    assert running("agent", "list", **known).code == 5


def test_where_the_token_lies_is_said_and_not_what_it_is(running: Shell) -> None:
    secret = (running.data / "token").read_text().strip()
    told = running.ok("token", "show")
    assert told["from"] == str(running.data / "token")
    assert secret not in json.dumps(told)
    assert running.ok("token", "show", "--show-token")["token"] == secret
    assert running.ok("token", "show", REPOMESH_TOKEN="mine")["from"] == "REPOMESH_TOKEN"


def test_another_workspace_of_the_server_has_its_own_token(running: Shell) -> None:
    made = running.ok("workspace", "add", "other", "--show-token")
    running.ok("agent", "register", "alice")
    url = running.ok("status")["url"]
    there = {"REPOMESH_URL": url, "REPOMESH_TOKEN": made["token"]}
    assert running.ok("agent", "list", **there)["items"] == []
    assert running("workspace", "list", **there).code == 5
    assert [each["name"] for each in running.ok("workspace", "list")["items"]] == ["project", "other"]
    running.ok("workspace", "remove", made["workspace"]["id"])
    assert running("agent", "list", **there).code == 5


@pytest.mark.parametrize(
    ("typed", "offered"), [("ag", "agent"), ("agent li", "list"), ("agent list --st", "--status")]
)
def test_the_shell_completes_what_is_typed(shell: Shell, typed: str, offered: str) -> None:
    words = f"repomesh {typed}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = shell(_REPOMESH_COMPLETE="complete_bash", **asked)
    assert offered in done.out.split()


def test_the_folders_token_is_sent_to_no_other_server(running: Shell) -> None:
    done = running("agent", "list", REPOMESH_URL="http://localhost:1")
    assert done.code == 6
    url = running.ok("status")["url"]
    assert running("agent", "list", REPOMESH_URL=url.replace("127.0.0.1", "localhost")).code == 0


def test_any_operation_can_be_called_by_name(running: Shell) -> None:
    made = running("api", "agent.register", "name=carol", "capabilities=python,sql", "force=true")
    assert made.json["agent"]["capabilities"] == ["python", "sql"]
    shown = running("api", "agent.show", "--stdin", stdin='{"agent_id": "carol"}')
    assert shown.json["name"] == "carol"
    assert running("api", "agent.fly").code == 3
    assert running("api", "agent.show", "agent=carol").code == 2
    assert "agent.register" in running("api", "--list").out


@pytest.mark.parametrize(
    "words", [("--help",), ("agent", "--help"), ("agent", "register", "--help"), ("--version",)]
)
def test_help_needs_no_server(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell(*words).code == 0


def test_texts_of_others_play_no_tricks_on_the_terminal(running: Shell) -> None:
    running.ok("agent", "register", "mallory")
    running.ok("agent", "heartbeat", "mallory", "--status-text", "fine\u202egnihton")
    assert "\u202e" not in running("agent", "list").out
    assert running.ok("agent", "show", "mallory")["status_text"] == "fine\u202egnihton"
