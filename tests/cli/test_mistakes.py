"""What people mistype, and the answer that names what they meant."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from cli.running import Shell, environment
from repomesh.cli import failures, generic, root, secrets, spelling
from repomesh.client.catalogue import operation, operations
from repomesh.operations import registry


def test_printed_ids_and_names_are_taken_in_a_session(running: Shell) -> None:
    running.ok("session", "create", "database")
    chunk = running.ok("chunk", "add", "database", "We took SQLite.")
    artifact = running(
        "api", "artifact.add", "session_id=database", "title=The schema", "content=create table"
    ).json
    memory = running.ok("memory", "store", "database-choice", "SQLite")
    for part in (chunk["id"], chunk["id"][-8:], chunk["id"][-8:-2]):
        assert running.ok("chunk", "read", "database", part)["content"] == "We took SQLite."
    for part in (artifact["id"], artifact["id"][-8:], "The schema"):
        assert running.ok("artifact", "read", "database", part)["content"] == "create table"
        assert running.ok("artifact", "show", "database", part)["id"] == artifact["id"]
    for part in (memory["id"][-8:], "database-choice"):
        assert running.ok("memory", "show", part)["id"] == memory["id"]
    assert running("session", "export", "database", "--output", "session.json").code == 0
    running.ok("session", "import", "session.json", "--session-id", "copy")
    copied = running.ok("chunk", "read", "copy", chunk["id"][-8:])
    assert (copied["content"], copied["chunk_id"]) == ("We took SQLite.", chunk["id"])
    assert running.ok("artifact", "read", "copy", artifact["id"][-8:])["content"] == "create table"
    newer = running.ok("memory", "store", "database", "PostgreSQL")
    superseded = running.ok(
        "memory", "supersede", "database-choice", "--by", newer["id"][-8:], "--reason", "grown"
    )
    assert superseded["superseded_by"] == "database"
    assert running.ok("memory", "show", "database-choice")["status"] == "superseded"
    missing = running("memory", "show", "databse").err
    assert "there is no memory 'databse'" in missing
    assert "Did you mean 'database'?" in missing
    missing = running("session", "show", "databse").err
    assert "Did you mean 'database'? 'repomesh session list' lists the sessions." in missing


def test_the_beginning_of_a_printed_id_and_a_goal_name_a_task(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    task = running.ok("task", "create", "Write it")
    assert running.ok("task", "show", task["id"][-8:-2])["id"] == task["id"]
    assert running.ok("task", "show", "write it")["id"] == task["id"]
    assert "Did you mean 'next'?" in running("task", "claim", "nxt", "--as", "alice").err
    assert running.ok("task", "claim", "next", "--as", "alice")["task"]["id"] == task["id"]
    running.ok("task", "cancel", task["id"], "--reason", "Not needed")
    over = running("task", "claim", "Write it", "--as", "alice").err
    assert "'possible'" not in over


def test_names_near_by_are_offered(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    for words in (("agent", "show", "alcie"), ("message", "inbox", "--as", "alcie")):
        assert "hint: Did you mean 'alice'? 'repomesh agent list' lists the agents." in running(*words).err
    assert "'repomesh channel list'" in running("channel", "show", "nowhere").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lock", "acquire", "", "--as", "alice"), "RESOURCES: must not be empty"),
        (("search", "find", "x", "--what", "memroy"), "Did you mean 'memory'?"),
        (("search", "find", "x", "--order", "rnak"), "Did you mean 'rank'?"),
        (("session", "create", "My Session"), "SESSION_ID: must be lower-case letters, digits, '_' and '-'"),
        (
            ("review", "request", "--title", "x", "--reviewers", "alice", "--as", "alice"),
            "Send '--commit-range', '--diff', or both.",
        ),
        (("lock", "release", "1", "--as", "alice"), "--fencing-token 1"),
    ],
)
def test_wrong_values_are_told_in_words_of_the_prompt(
    running: Shell, words: tuple[str, ...], said: str
) -> None:
    running.ok("agent", "register", "alice")
    refused = running(*words)
    assert refused.code in (2, 4)
    assert said in refused.err
    assert "Tuple" not in refused.err
    assert "named fields" not in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "--port", "99999"), "--port: must be at most 65535\nhint: Correct it and try again."),
        (("--as", "alice", "status"), "Put it after the command: 'repomesh … --as NAME'."),
        (("message", "--as", "alice", "inbox"), "Put it after the command: 'repomesh message … --as NAME'."),
        (("lock", "acquire", "a", "--wiat", "3"), "Did you mean '--wait'"),
        (("search", "sqlite"), "Did you mean 'repomesh search find sqlite'?"),
        (("message", "hi you"), "A text is given with 'repomesh message send TO BODY'."),
        (("memory", "the key"), "A text is given with 'repomesh memory store KEY CONTENT'."),
        (("meeting", "vote", "m", "agre"), "error: CHOICE: 'agre' is not one of"),
        (
            ("meeting", "vote", "agree", "m"),
            "MEETING_ID CHOICE'. Did you mean 'repomesh meeting vote m agree'?",
        ),
        (
            ("message", "send", "--to", "ben", "--body", "hi"),
            "position: 'repomesh message send TO BODY'",
        ),
        (("message", "send", "ben", "hi", "--as"), "hint: Name the agent: '--as NAME'."),
        (
            ("message", "send", "ben", "hi", "you"),
            'in quotes: repomesh message send ben "hi you".',
        ),
        (("task", "create", "Fix", "it", "now"), 'repomesh task create "Fix it now"'),
        (("meeting", "speak", "m"), "Give CONTENT, or '-' to read it from standard input."),
        (("meeting", "minutes", "m", "m.md"), "Name the file with '--output m.md'."),
        (("message", "send", "ben", "hi", "--ack-required", "true"), "takes no value: leave out 'true'."),
        (
            ("message", "send", "ben", "hi", "--ack-required", "no"),
            "takes no value: leave out --ack-required",
        ),
        (("message", "send", "ben", "hi", "--ack-required=true"), "Give --ack-required alone"),
        (("task", "list", "--ready", "false"), "takes no value: write --no-ready."),
    ],
)
def test_wrong_words_are_answered_with_the_right_ones(
    shell: Shell, words: tuple[str, ...], said: str
) -> None:
    refused = shell(*words)
    assert refused.code == 2
    assert said in refused.err


def test_an_option_that_is_not_near_is_not_offered(shell: Shell) -> None:
    assert "--version" not in shell("--json", "status").err


def test_hints_about_tokens_and_addresses_can_be_followed_at_the_prompt(running: Shell) -> None:
    url = running.ok("status")["url"]
    running.ok("agent", "register", "alice")
    wrong = running("agent", "list", REPOMESH_TOKEN="wrong")
    assert "REPOMESH_TOKEN is set and is none of this server's" in wrong.err
    made = running.ok("token", "create", "agent", "--agent", "zoe", "--show-token")
    other = running("agent", "list", "--as", "alice", REPOMESH_URL=url, REPOMESH_TOKEN=made["token"])
    assert "Leave --as (or REPOMESH_AGENT) out" in other.err
    assert running("agent", "list", REPOMESH_URL=f"{url}/v1/").code == 0
    nowhere = running("agent", "list", REPOMESH_URL=f"{url}/else", REPOMESH_TOKEN=made["token"])
    assert "a server's URL has no path" in nowhere.err


def test_a_token_whose_file_cannot_be_made_is_not_made(running: Shell) -> None:
    nowhere = running.folder / "none" / "t"
    assert running("token", "create", "agent", "--agent", "zoe", "--to-file", str(nowhere)).code == 3
    full = running("token", "create", "agent", "--agent", "zoe", "--to-file", "/dev/full")
    assert full.code != 0
    assert running.ok("token", "list")["items"][1:] == []
    file = running.folder / "t"
    refused = running("token", "create", "agent", "--agent", "repomesh", "--to-file", str(file))
    assert (refused.code != 0, file.exists()) == (True, False)
    assert running("token", "create", "agent", "--agent", "zoe", "--to-file", str(file)).code == 0
    assert running.ok("token", "list")["items"][1]["agent_name"] == "zoe"


def test_a_token_that_could_not_be_written_is_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t"
    with pytest.raises(KeyError), secrets.secret_file(file, operation("token.create")) as keep:
        keep({})
    assert not file.exists()


def test_a_lock_is_released_by_the_words_that_acquired_it(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    for acquired, released in (("src/", "src"), ("src", "src/"), ("src/**", "src")):
        running.ok("lock", "acquire", acquired, "--as", "alice")
        assert "'alice' holds 'src" in running("lock", "release", "src/app.py", "--as", "bob").err
        assert running("lock", "release", released, "--as", "alice").code == 0
    assert "nobody does" in running("lock", "release", "src", "--as", "bob").err


def test_single_words_with_commas_are_several_options(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    for given, options in (
        (("--options", "yes,no"), ["yes", "no"]),
        (("--option", "yes", "--option", "no"), ["yes", "no"]),
        (("--options", "Yes, at once"), ["Yes, at once"]),
        (("--options", "1,000"), ["1,000"]),
    ):
        asked = running.ok("question", "ask", "Shall we?", *given, "--as", "alice")
        assert [one if isinstance(one, str) else one["text"] for one in asked["options"]] == options
    by_nobody = running("question", "answer", asked["id"], "1").err
    assert "'repomesh inbox reply ID ANSWER'" in by_nobody


def test_the_inbox_takes_its_options_before_any_verb(running: Shell) -> None:
    running.ok("agent", "register", "bob")
    shown = running("inbox", "--as", "bob", "--json")
    assert shown.code == 0
    assert "'repomesh message inbox --as bob'" in shown.err
    assert "Put them after it: 'repomesh inbox list …'." in running("inbox", "--as", "bob", "list").err


def test_a_backup_makes_no_folders(running: Shell) -> None:
    folder = running.folder / "nope"
    refused = running("backup", str(folder / "b.db"))
    assert (refused.code, folder.exists()) == (3, False)
    assert f"no such folder: {folder}" in refused.err


def test_a_wait_may_be_longer_than_a_request(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    running.ok("message", "send", "bob", "Hi", "--as", "alice")
    assert running.ok("message", "wait", "--timeout-s", "999", "--as", "bob")["items"]


@pytest.fixture
def team(running: Shell) -> Shell:
    for name in ("ann", "ben"):
        running.ok("agent", "register", name)
    return running


def test_an_id_that_fits_several_messages_shows_sender_and_text(team: Shell) -> None:
    first = team.ok("message", "send", "ben", "The port is free", "--as", "ann")["id"]
    titled = ("message", "send", "ben", "Longer text", "--subject", "Lunch")
    second = team.ok(*titled, "--as", "ann")["id"]
    shown = team("message", "ack", first[:6], "--as", "ben").err
    assert f"{first}  message ann: The port is free" in shown
    assert f"{second}  message ann: Lunch" in shown


def test_the_recipient_that_was_meant_is_named(team: Shell) -> None:
    team.ok("channel", "create", "dev", "--as", "ann")
    for words, said in (
        (("hello", "ben"), "The order is TO BODY. Did you mean 'repomesh message send ben hello'?"),
        (("dev", "hi"), "Did you mean '#dev'?"),
        (("all", "hi"), "'*' sends a message to everybody."),
    ):
        assert f"hint: {said}" in team("message", "send", *words, "--as", "ann").err
    sent = team.ok("message", "send", "ben", "hi", "--as", "ann")["id"]
    swapped = team("message", "react", "thumbs", sent, "--as", "ben").err
    assert f"Did you mean 'repomesh message react {sent} thumbs'?" in swapped


def test_a_session_is_made_and_filled_by_what_people_type(running: Shell) -> None:
    said = running("session", "create", "Choosing the database").err
    assert 'repomesh session create choosing-the-database --title "Choosing the database"' in said
    assert "Did you mean 'My-channel'?" in running("channel", "create", "My channel").err
    running.ok("session", "create", "database")
    for text in ("words", "two words"):
        swapped = running("chunk", "add", text, "database").err
        assert "The order is SESSION_ID CONTENT. Did you mean 'repomesh chunk add database" in swapped
    assert "'-' to read it from standard input, or '--file PATH'" in running("chunk", "add", "database").err
    chunk = running.ok("chunk", "add", "database", "--file", "README.md")
    assert running.ok("chunk", "read", "database", chunk["id"])["content"] == "A project.\n"
    assert "exclude each other" in running("chunk", "add", "database", "x", "--file", "README.md").err
    assert running.ok("memory", "store", "readme", "--file", "README.md")["content"] == "A project.\n"
    (running.folder / "latin1.txt").write_bytes("Grüße".encode("latin-1"))
    (running.folder / "dash.txt").write_text("-")
    for words in (("chunk", "add", "database"), ("memory", "store", "greeting")):
        refused = running(*words, "--file", "latin1.txt")
        assert (refused.code, "not UTF-8" in refused.err) == (2, True)
    assert running.ok("memory", "store", "dash", "--file", "dash.txt", stdin="x")["content"] == "-"
    artifact = running.ok("artifact", "add", "database", "README.md")
    assert running.ok("artifact", "read", "database", "README.md")["content"] == "A project.\n"
    assert artifact["title"] == "README.md"
    assert "'--file PATH'" in running("artifact", "add", "database", "nothing.md").err
    found = running.ok("search", "find", "a", "project")["items"]
    assert {one["what"] for one in found} == {"chunk", "memory", "artifact"}
    assert running.ok("session", "search-memories", "a", "project")["items"]
    out = running.folder / "database.json"
    assert running("session", "export", "nothing", "-o", str(out)).code == 3
    assert not out.exists()
    assert "wrote" in running("session", "export", "database", "-o", str(out)).err
    assert out.read_text() == running("session", "export", "database").out
    asked = running("session", "delete", "database").err
    assert "Delete session 'database' with 1 chunk, 11 bytes of chunks, 1 artifact?" in asked
    assert running("session", "delete", "database", "--yes").out == "session database deleted\n"


def test_durations_and_times_are_taken_as_people_write_them(team: Shell) -> None:
    assert generic.parse_seconds("--ttl-s", "5m") == 300
    assert generic.parse_seconds("--ttl-s", "1.5") == 1.5
    sent = team.ok("message", "send", "ben", "hi", "--ttl", "5m", "--as", "ann")["id"]
    shown = team.ok("message", "show", sent, "--as", "ann")
    lasts = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
    assert lasts.total_seconds() == 300
    wrong = team("lock", "acquire", "a", "--ttl-s", "soon", "--as", "ann").err
    assert "--ttl-s: 'soon' is no duration\nhint: Give a number of seconds, or '90s', '5m'" in wrong
    for words in (("message", "inbox", "--as", "ann"), ("events", "list")):
        assert "'2h' or '3d' for so long ago" in team(*words, "--since", "yesterday").err


def test_a_meeting_names_its_next_step(team: Shell) -> None:
    made = team("meeting", "create", "Which?", "ann", "ben").out
    meeting = made.split()[1]
    begin = f"'repomesh meeting start {meeting}' begins it"
    assert begin in made
    assert begin in team("meeting", "speak", meeting, "x", "--as", "ann").err
    team.ok("meeting", "start", meeting)
    for name in ("ann", "ben"):
        team.ok("meeting", "speak", meeting, "x", "--kind", "proposal", "--as", name)
    assert "1 of 2 have voted; waiting for ben" in team("meeting", "vote", meeting, "yes", "--as", "ann").out
    shown = team.ok("meeting", "show", meeting)
    assert [one["vote"] for one in shown["participants"]] == ["agree", None]


def test_the_claim_of_somebody_else_is_told_as_one(team: Shell) -> None:
    task = team.ok("task", "create", "Write it")["id"]
    team.ok("task", "claim", task, "--as", "ben")
    refused = team("task", "complete", task, "--as", "ann").err
    assert "error: ben has claimed this task" in refused
    assert f"'repomesh task show {task}'" in refused
    assert "Acquire" not in team("lock", "release", "nothing", "--as", "ann").err


def test_a_goal_of_any_length_names_the_one_task_that_it_begins(team: Shell) -> None:
    task = team.ok("task", "create", "Add a health check")["id"]
    assert team.ok("task", "show", "Add")["id"] == task
    assert team.ok("task", "claim", "add a health", "--as", "ann")["task"]["id"] == task
    facade = team.ok("task", "create", "facade")["id"]
    assert team.ok("task", "show", "facade")["id"] == facade
    team.ok("task", "create", "Add a page")
    several = team("task", "show", "Add").err
    assert "'Add' names 2 tasks" in several
    assert "is too short to find an id by" in team("task", "show", "Bad").err


def test_memories_of_one_key_are_told_apart_by_their_sessions(running: Shell) -> None:
    for session in ("one", "two"):
        running.ok("session", "create", session)
        running.ok("memory", "store", "port", "4711", "--session-id", session)
    shown = running("memory", "show", "port").err
    assert "'port' names 2 memories" in shown
    assert "port (session one)" in shown
    assert "port (session two)" in shown


@pytest.mark.parametrize("words", [["--help"], ["events", "--help"], [], ["api"]])
def test_a_closed_pipe_ends_a_command_without_a_word(shell: Shell, words: list[str]) -> None:
    for _ in range(3):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "repomesh.cli.main", *words],
            cwd=shell.folder,
            env=environment(),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, "")


def test_without_words_it_prints_its_help(shell: Shell) -> None:
    done = shell()
    assert (done.code, done.err) == (0, "")
    assert done.out == shell("--help").out


def test_a_server_outside_of_git_says_so(running: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    started = Shell(folder)("up", "--detach", "--port", "0")
    Shell(folder)("down")
    assert f"warning: {folder} is not a git repository" in started.err
    assert "is not a git repository" not in running("up", "--detach").err


def _patterns(schema: object) -> Iterator[str]:
    """Every pattern in a JSON schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for each in schema.values():
            yield from _patterns(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _patterns(each)


def test_every_pattern_of_a_field_has_a_form_in_words() -> None:
    for name in operations():
        if name.partition(".")[0] not in root.ENTRIES:
            continue
        for pattern in _patterns(registry[name].request.model_json_schema()):
            assert not failures.describe_pattern(pattern).startswith("a text like"), (name, pattern)


def test_help_speaks_of_options_and_not_of_fields(shell: Shell) -> None:
    for noun, words in (
        ("message", "reply"),
        ("lock", "acquire"),
        ("chunk", "read"),
        ("chunk", "add"),
        ("task", "update"),
        ("message", "outbox"),
    ):
        shown = shell(noun, words, "--help").out
        assert not re.search(r"`|If-Match|/v1/|<list|<str>|<float>|[a-z]_[a-z]+|\{[A-Za-z]", shown), shown


@pytest.mark.parametrize(
    ("word", "words", "near"),
    [
        ("alcie", ["alice", "bob"], ["alice"]),
        ("--json", ["--version", "--help"], []),
        ("--wait", ["--wait-s", "--ttl-s"], ["--wait-s"]),
        ("xyz", ["alice"], []),
    ],
)
def test_near_words_are_near_by_spelling(word: str, words: list[str], near: list[str]) -> None:
    assert spelling.similar_words(word, words) == near
