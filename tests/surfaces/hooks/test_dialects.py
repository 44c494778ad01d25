"""The dialects understand what the real CLIs say, and are understood by them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repomesh.kernel.clis import PROGRAMS
from repomesh.surfaces.hooks.dialects import DIALECTS, HookPhase
from repomesh.surfaces.hooks.dialects.shell import writes_of_command

SAMPLES = Path(__file__).parents[2] / "clis" / "samples"
FILES = sorted(SAMPLES.glob("*/*.json"))
MADE = "/home/ann/project/made.txt"


def read(cli: str, name: str, **changes: Any) -> Any:
    said = json.loads((SAMPLES / cli / f"{name}.json").read_text())
    return DIALECTS[cli].read(name.partition(".")[0], said | changes)


def test_there_is_a_dialect_for_each_cli_that_is_known() -> None:
    assert list(DIALECTS) == list(PROGRAMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_sample_of_an_event_is_understood_or_of_no_interest(path: Path) -> None:
    event = path.name.partition(".")[0]
    heard = DIALECTS[path.parent.name].read(event, json.loads(path.read_text()))
    if event not in DIALECTS[path.parent.name].events:
        assert heard is None
    elif heard is not None:
        assert heard.session_id
        assert heard.cwd == "/home/ann/project"


@pytest.mark.parametrize(
    ("cli", "name", "moment"),
    [
        ("claude", "SessionStart", HookPhase.SESSION_START),
        ("claude", "SessionStart.compact", HookPhase.COMPACTED),
        ("codex", "SessionStart.compact", HookPhase.COMPACTED),
        ("qwen", "SessionStart.compact", HookPhase.COMPACTED),
        ("copilot", "preCompact.auto", HookPhase.COMPACTED),
        ("claude", "UserPromptSubmit", HookPhase.PROMPT),
        ("gemini", "BeforeAgent", HookPhase.PROMPT),
        ("copilot", "postToolUse.bash", HookPhase.AFTER_TOOL),
        ("gemini", "AfterAgent", HookPhase.TURN_END),
        ("copilot", "agentStop", HookPhase.TURN_END),
        ("claude", "PermissionRequest.Bash", HookPhase.PERMISSION),
        ("copilot", "notification.permission_prompt", HookPhase.PERMISSION),
        ("codex", "SessionEnd", HookPhase.SESSION_END),
    ],
)
def test_events_are_moments(cli: str, name: str, moment: HookPhase) -> None:
    assert read(cli, name).phase is moment


@pytest.mark.parametrize(
    ("cli", "name", "paths"),
    [
        ("claude", "PreToolUse.Edit", (MADE,)),
        ("claude", "PreToolUse.Write", (MADE,)),
        ("claude", "PreToolUse.Read", ()),
        ("codex", "PreToolUse.apply_patch", ("made.txt",)),
        ("codex", "PreToolUse.Bash-patch", ("made.txt",)),
        ("codex", "PreToolUse.Bash", ()),
        ("gemini", "BeforeTool.replace", (MADE,)),
        ("gemini", "BeforeTool.write_file", (MADE,)),
        ("copilot", "preToolUse.create", (MADE,)),
        ("copilot", "preToolUse.edit", (MADE,)),
        ("qwen", "PreToolUse.edit", (MADE,)),
        ("qwen", "PreToolUse.read_file", ()),
    ],
)
def test_the_files_that_a_tool_writes_are_found(cli: str, name: str, paths: tuple[str, ...]) -> None:
    assert read(cli, name).writes.paths == paths


def test_arguments_may_be_json_in_a_string() -> None:
    assert read("copilot", "preToolUse.edit", toolArgs=json.dumps({"path": "a.py"})).writes.paths == ("a.py",)


def test_an_editor_that_only_shows_a_file_writes_nothing() -> None:
    def writes(command: str) -> tuple[str, ...]:
        arguments = {"command": command, "path": "a.py"}
        return DIALECTS["copilot"].writes_of_tool("str_replace_editor", arguments).paths

    assert writes("view") == ()
    assert writes("str_replace") == ("a.py",)
    assert DIALECTS["copilot"].writes_of_tool("edit", {"command": "view", "path": "a.py"}).paths == ("a.py",)


def test_a_prompt_that_nobody_wrote_is_none() -> None:
    assert read("qwen", "UserPromptSubmit", prompt="").phase is HookPhase.AFTER_TOOL


def test_only_questions_to_a_person_are_permissions() -> None:
    assert read("qwen", "Notification.auth_success") is None
    assert read("copilot", "permissionRequest.bash") is None


def test_a_subagent_is_not_the_session() -> None:
    assert read("claude", "PreToolUse.Edit", agent_id="a1").nested
    assert not read("claude", "PreToolUse.Edit").nested


def test_a_turn_that_was_held_back_says_so() -> None:
    for cli, name in (("claude", "Stop"), ("gemini", "AfterAgent"), ("copilot", "agentStop")):
        assert read(cli, name).loop_guard is False
        assert read(cli, name, stop_hook_active=True).loop_guard is True


def test_clearing_a_session_does_not_end_its_process() -> None:
    assert read("claude", "SessionEnd", reason="clear").goes_on
    assert not read("claude", "SessionEnd", reason="other").goes_on


def test_answers_are_in_the_words_of_each_cli() -> None:
    def said(data: bytes) -> Any:
        return json.loads(data)

    claude = DIALECTS["claude"]
    assert said(claude.context_output("PostToolUse", "x")) == {
        "hookSpecificOutput": {"hookEventName": "PostToolUse", "additionalContext": "x"}
    }
    assert said(claude.block("Stop", "x")) == {"decision": "block", "reason": "x"}
    assert said(claude.deny("PreToolUse", "x"))["hookSpecificOutput"]["permissionDecision"] == "deny"
    gemini = DIALECTS["gemini"]
    assert said(gemini.block("AfterAgent", "x")) == {"decision": "deny", "reason": "x"}
    assert said(gemini.deny("BeforeTool", "x")) == {"decision": "deny", "reason": "x"}
    copilot = DIALECTS["copilot"]
    assert said(copilot.context_output("postToolUse", "x")) == {"additionalContext": "x"}
    assert said(copilot.deny("preToolUse", "x"))["permissionDecision"] == "deny"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        *("session_id", "sessionId", "tool_name", "toolName", "tool_input", "toolArgs", "cwd", "source"),
        *("prompt", "transcript_path", "stop_hook_active", "reason", "notification_type"),
    ]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(said=st.dictionaries(KEYS, ANYTHING, max_size=8), cli=st.sampled_from(sorted(DIALECTS)))
def test_whatever_is_said_nothing_breaks(said: dict[str, Any], cli: str) -> None:
    for event in DIALECTS[cli].events:
        heard = DIALECTS[cli].read(event, said)
        assert heard is None or heard.session_id


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("ls -l src", ()),
        ("cat > a.txt <<'EOF'\nrm b\necho > c\nEOF", ("a.txt",)),
        ("cat <<A >a <<B\nx > 1\nA\ny > 2\nB\necho z > c", ("a", "c")),
        ("sed -i 's/a/b/' x.py y.py", ("x.py", "y.py")),
        ("sed 's/a/b/' x.py", ()),
        ("cd src && echo hi >> b.py 2>&1", ("src/b.py",)),
        ("cp -r a b/c", ("b/c",)),
        ("mv old.py new.py", ("old.py", "new.py")),
        ("make | tee -a log/x", ("log/x",)),
        ("python -c 'print(1>2)'", ()),
        ('echo "a > b"', ()),
        ("rm -rf build/*", ("build/*",)),
        ("X=1 sudo rm 'with space'", ("with space",)),
        ("dd if=/dev/zero of=disk.img", ("disk.img",)),
        ("git checkout main", ("main", ".")),
        ("git checkout main -- f.py", ("f.py",)),
        ("git rm -f g.py", ("g.py",)),
        ("echo x > /dev/null", ()),
        ("echo x | tee /dev/stderr /dev/shm/shop/a.py", ("/dev/shm/shop/a.py",)),
        ("echo x > /dev/../home/ann/a.py", ("/dev/../home/ann/a.py",)),
        ("rm -rf /dev/s*/shop", ("/dev/s*/shop",)),
        ("echo 'unclosed > x", ()),
        ("apply_patch <<'E'\n*** Begin Patch\n*** Update File: a.py\n*** Move to: b.py\nE", ("a.py", "b.py")),
    ],
)
def test_what_a_shell_command_writes(command: str, paths: tuple[str, ...]) -> None:
    assert writes_of_command(command).paths == paths


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(alphabet=st.sampled_from("ab >|&;'\"<\n$(){}*-/#\\"), max_size=60))
def test_no_command_breaks_the_reader(command: str) -> None:
    assert all(target.path for target in writes_of_command(command).targets)


@pytest.mark.parametrize(
    ("tool", "arguments", "paths"),
    [
        ("mcp__filesystem__write_file", {"path": "a.py", "content": "x"}, ("a.py",)),
        ("mcp__my__files__edit_file", {"file_path": "a.py"}, ("a.py",)),
        ("mcp__filesystem__create_file", {"path": "a.py"}, ("a.py",)),
        ("mcp__filesystem__move_file", {"source": "a.py", "destination": "b.py"}, ("a.py", "b.py")),
        ("mcp__ide__write_file", {"filePath": "a.py"}, ("a.py",)),
        ("mcp__ide__edit_file", {"uri": "file:///w/a%20b.py"}, ("/w/a b.py",)),
        ("mcp__filesystem__read_file", {"path": "a.py"}, ()),
        ("write_file", {"path": "a.py"}, ()),
    ],
)
def test_tools_of_mcp_servers_that_write_files(
    tool: str, arguments: dict[str, str], paths: tuple[str, ...]
) -> None:
    assert DIALECTS["claude"].writes_of_tool(tool, arguments).paths == paths
    matched = re.search(DIALECTS["claude"].events["PreToolUse"].matcher, tool) is not None
    assert matched is bool(paths)


def test_what_is_typed_into_a_running_shell_is_a_command_in_an_unknown_folder() -> None:
    def typed(text: str) -> Any:
        return DIALECTS["copilot"].writes_of_tool("write_bash", {"input": text})

    assert typed("rm /w/a.py{enter}").paths == ("/w/a.py",)
    assert typed("rm a.py{enter}").unresolved
    assert not typed("y{enter}")
    assert not typed("{up}{enter}")
