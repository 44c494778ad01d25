"""One line for a write, one word for one option, and hints that can be typed."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from cli.running import Shell
from repomesh.cli import command, failures, ids, prompt_hints, root, synonyms
from repomesh.cli.generic import flags_of, split_list
from repomesh.cli.logfile import last_lines
from repomesh.cli.logs import _follow_lines
from repomesh.client.catalogue import operations

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_without_docstrings_it_does_not_start() -> None:
    for name in ("up", "mcp", "--help"):
        refused = python("-OO", "-m", "repomesh.cli.main", name)
        assert refused.returncode == 1
        assert "docstrings" in refused.stderr
        assert "-OO" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert "has no docstring" in python("-OO", "-c", "import repomesh.app").stderr
    assert python("-O", "-c", "import repomesh.app").returncode == 0


def test_a_write_prints_one_line_with_its_id(running: Shell) -> None:
    assert running("agent", "register", "alice").out == "agent alice registered\n"
    made = running("task", "create", "Write it").out
    (task,) = running.ok("task", "list")["items"]
    assert made == f"task {task['id']} created: Write it\n"
    claimed = running("task", "claim", "--as", "alice").out
    assert claimed.startswith(f"task {task['id']} claimed: Write it, fencing token 1, until ")
    assert running("lock", "acquire", "a,b", "--as", "alice").out.startswith(
        "locked a, b, fencing token 2, until"
    )
    assert running("lock", "release", "a", "--as", "alice").out == "released a\n"
    assert "goal\tWrite it" in running("task", "update", task["id"], "--priority", "3", "--verbose").out


def test_a_new_token_is_on_a_line_of_its_own(running: Shell) -> None:
    lines = running("token", "create", "observer", "--show-token").out.splitlines()
    assert lines[0].endswith(" created")
    assert lines[1].startswith("token\trpm_")


@pytest.mark.parametrize("field", ["dependencies", "note", "reason", "task_id", "tags"])
def test_one_word_does_for_one_option_on_all_commands(field: str) -> None:
    """Unless another field of the operation is called so."""
    both = {
        "dependencies": "--depends-on",
        "note": "--reason",
        "reason": "--note",
        "task_id": "--task",
        "tags": "--tag",
    }
    for name, described in operations().items():
        own = {each.name for each in described.fields}
        for each in described.fields:
            if each.name == field and both[field][2:].replace("-", "_") not in own:
                assert both[field] in flags_of(each, described), name


def test_lists_are_given_by_commas_and_by_repetition(running: Shell) -> None:
    assert split_list("src/*.{ts,tsx}, b,[,].py") == ["src/*.{ts,tsx}", "b", "[,].py"]
    made = running.ok("agent", "register", "alice", "--capabilities", "sql,go", "--capability", "python")
    assert made["agent"]["capabilities"] == ["sql", "go", "python"]
    first, second = (running.ok("task", "create", goal) for goal in "ab")
    task = running.ok("task", "create", "c", "--depends-on", f"{first['id']},{second['id'][-8:]}")
    assert sorted(task["dependencies"]) == sorted([first["id"], second["id"]])


def test_errors_speak_of_options(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    assert "error: --limit: must be at least 1" in running("agent", "list", "--limit", "0").err
    assert "AGENT_ID: must be a name" in running("agent", "show", "a b").err
    assert "name the locks by --fencing-token" in running("lock", "release", "--as", "alice").err
    assert "--force" in running("agent", "register", "alice").err


def test_no_hint_speaks_of_routes_tools_or_fields() -> None:
    found: list[type] = [failures.RepomeshError]
    while found:
        error = found.pop()
        found += error.__subclasses__()
        hint = prompt_hints.translate_hint(error.hint) if isinstance(error.hint, str) else ""
        assert "/v1/" not in hint, hint
        for tool in (one.tool for one in operations().values() if one.tool):
            assert "_" not in tool or tool not in hint.split(), hint


def test_a_wrong_word_is_answered_with_the_right_one(shell: Shell) -> None:
    for typed, meant in synonyms.ALIASES.items():
        refused = shell(typed)
        assert refused.code == 2
        assert f"'repomesh {meant}'" in refused.err, refused.err
    assert "'repomesh down' and then 'repomesh up'" in shell("restart").err
    assert "'repomesh task --help'" in shell("task", "help").err
    assert "'repomesh task create'" in shell("task", "creat").err


def test_answers_are_sentences(running: Shell) -> None:
    for name in ("ann", "ben"):
        running.ok("agent", "register", name)
    running.ok("lock", "acquire", "a.txt", "--as", "ann")
    refused = running("lock", "acquire", "a.txt", "--as", "ben").err
    assert "hint: The line above says who holds it and until when. Ask them, or queue" in refused
    assert running("lock", "check", "a.txt", "--as", "ben").out.startswith("not free\n")
    assert running("lock", "check", "b.txt", "--as", "ben").out == "free\n"
    assert "hint: Which agent are you? Add '--as NAME'" in running("lock", "acquire", "b.txt").err
    nothing = running("search", "find", "")
    assert (nothing.out + nothing.err).count("There is no word") == 1
    assert "['" not in running("search", "find", "--help").out


def test_the_help_of_the_first_level_has_whole_sentences(shell: Shell) -> None:
    assert "...\n" not in shell("--help", COLUMNS="80").out.partition("\n")[2]


def test_a_cli_that_is_not_installed_is_told_as_such(shell: Shell, tmp_path: Path) -> None:
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    assert "Claude Code is not installed" in shell("connect", "claude", "--dry-run", **bare).err


def exists(typed: str) -> bool:
    """Whether the words of a command, as a text names it, lead to one of the tree."""
    command_: Any = None
    for word in typed.split()[1:]:
        if command_ is None:
            if word not in root.ENTRIES:
                return word.startswith("-") or word in ("…", "NAME")
            command_ = root.ENTRIES[word].load(word)
        elif isinstance(command_, TyperGroup) and re.match(r"[a-z]", word):
            if word not in command_.commands:
                return False
            command_ = command_.commands[word]
    return True


def test_every_command_that_a_text_names_exists() -> None:
    named = {(value, "a list of ids") for value in ids.LISTINGS.values()}
    named |= {(value, "a word for a command") for value in synonyms.ALIASES.values()}
    for file in (ROOT / "src" / "repomesh").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = re.findall(r"'repomesh ([a-z][\w -]*)", node.value)
                named |= {(typed.strip(), file.name) for typed in found}
    assert len(named) > 100
    assert [one for one in sorted(named) if not exists(f"repomesh {one[0]}")] == []


def test_a_verb_that_a_group_does_not_have_is_never_filled_into_a_command_that_writes(shell: Shell) -> None:
    for typed, meant in (
        ("message sent", "message outbox"),
        ("message list", "message inbox"),
        ("memory get", "memory show"),
        ("memory add", "memory store"),
        ("task done", "task complete"),
        ("agent remove", "agent retire"),
        ("meeting end", "meeting cancel"),
        ("lock unlock", "lock release"),
        ("session new", "session create"),
    ):
        assert f"Did you mean 'repomesh {meant}'? " in shell(*typed.split(), "x").err
    for group in root.ENTRIES:
        if isinstance(root.ENTRIES[group].load(group), TyperGroup) and group != "inbox":
            assert "qqqq'?" not in shell(group, "qqqq").err.replace("search find qqqq", "")


def test_hints_name_what_can_be_typed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin dir" / "repomesh"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    command.program_name.cache_clear()
    try:
        named = f"'{shlex.quote(str(program))} up'"
        assert command.replace_program_name("Start it with 'repomesh up', not .repomesh up") == (
            f"Start it with {named}, not .repomesh up"
        )
        monkeypatch.setenv("PATH", str(program.parent))
        command.program_name.cache_clear()
        assert command.program_name() == "repomesh"
    finally:
        command.program_name.cache_clear()


def test_the_shell_gets_the_variables_and_never_the_token_itself(running: Shell) -> None:
    secret = (running.data / "token").read_text().strip()
    printed = running("env", "--as", "alice").out
    assert secret not in printed
    script = printed + 'printf "%s %s %s" "$REPOMESH_URL" "$REPOMESH_TOKEN" "$REPOMESH_AGENT"'
    got = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    url = running.ok("status")["url"]
    assert got == f"{url} {secret} alice"
    assert f"set -gx REPOMESH_URL {url}" in running("env", "--shell", "fish").out
    assert running("open").out == f"{url}/openapi.json\n"


def test_the_log_is_printed_and_followed(running: Shell) -> None:
    assert "started" in running("logs").out
    assert json.loads(running("logs", "--json", "-n", "1").out)["event"] == "started"
    following = running.start("logs", "-f", "-n", "1")
    try:
        assert following.stdout is not None
        assert "started" in following.stdout.readline()
        running.ok("down")
        assert "stopped" in following.stdout.readline()
    finally:
        following.terminate()
        following.communicate()


def test_a_followed_log_goes_on_behind_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("first\n")
    path.chmod(0o600)
    lines = _follow_lines(path, 0)
    assert next(lines) == "first"
    with path.open("a") as file:
        file.write("last of the old\n")
    path.rename(tmp_path / "server.log.1")
    path.write_text("first of the new, and long enough\n")
    assert [next(lines), next(lines)] == ["last of the old", "first of the new, and long enough"]
    path.write_text("cut\n")
    assert next(lines) == "cut"


def test_as_many_lines_of_a_log_are_printed_as_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    written = [f"{number} {'x' * 500}" for number in range(1_000)]
    path.write_text("\n".join(written) + "\n")
    path.chmod(0o600)
    for count in (0, 1, 999, 1_000, 1_001):
        assert last_lines(path, count)[0] == (written[-count:] if count else [])


def test_make_takes_a_port() -> None:
    told = subprocess.run(
        ["make", "-n", "up", "PORT=1234"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "repomesh up --port 1234" in told
