"""Connecting agent CLIs: their settings gain what is ours, lose nothing, and come back as they were."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cli.running import git
from connect.desk import CLIS, FILES, Desk
from connect.prepared import (
    BROKEN,
    GOOD,
    LOCAL,
    MCP,
    OPEN_COMMENTED,
    QWEN,
    TOML,
    UNSUITABLE,
    PreparedStatement,
)
from repomesh.connect import jsontext
from repomesh.connect.errors import BrokenSettings, UnsuitableSettings


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home/.local/state"))
    return Desk.make(tmp_path)


def by_name(prepared: PreparedStatement) -> str:
    return prepared.name


def test_there_are_files_enough() -> None:
    assert len({one.name for one in (*GOOD, *BROKEN, *UNSUITABLE)}) >= 70


@pytest.mark.parametrize("prepared", GOOD, ids=by_name)
def test_nothing_is_lost_and_all_comes_back(desk: Desk, prepared: PreparedStatement) -> None:
    path = desk.write(prepared.path, prepared.content)
    before = desk.files()
    assert desk.join(prepared.cli)
    connected = desk.files()
    holds_all_of(path, prepared)
    assert not desk.join(prepared.cli)
    assert desk.files() == connected
    desk.part(prepared.cli)
    assert desk.files() == before


def holds_all_of(path: Path, prepared: PreparedStatement) -> None:
    """Every value that was there is still there, and every line but for a comma, and ours as well."""
    text, old = path.read_bytes().decode(), prepared.content.decode()
    if path.suffix == ".toml":
        value = tomllib.loads(text.removeprefix("\ufeff"))
        assert value["mcp_servers"]["repomesh"]["args"] == ["mcp", "--cli", "codex"]
        was = tomllib.loads(old.removeprefix("\ufeff"))
    else:
        value = jsontext.read(text).value
        was = jsontext.read(old).value if old.strip("\ufeff \t\n") else {}
        assert "repomesh" in json.dumps(value)
    assert within(was, value)
    if "repomesh" not in old and old.strip().count("\n") > 1:
        lines = iter(text.replace(",", "").splitlines())
        for line in old.replace(",", "").splitlines():
            begins = line.rstrip("]} \t")
            assert any(other.startswith(begins) for other in lines), line
    assert text.startswith("\ufeff") == old.startswith("\ufeff")
    if old.count("\n") and old.count("\r\n") == old.count("\n"):
        assert text.count("\r\n") == text.count("\n")


def within(old: object, new: object) -> bool:
    if isinstance(old, dict):
        names = [name for name in old if name != "repomesh"]
        return isinstance(new, dict) and all(name in new and within(old[name], new[name]) for name in names)
    if isinstance(old, list):
        return isinstance(new, list) and new[: len(old)] == old
    return old == new


@pytest.mark.parametrize("prepared", GOOD, ids=by_name)
def test_the_way_back_needs_no_memory(desk: Desk, prepared: PreparedStatement) -> None:
    """Without what connect remembers, entries are known by their commands."""
    path = desk.write(prepared.path, prepared.content)
    desk.join(prepared.cli)
    for kept in (desk.markers, desk.root / "home/.local/state/repomesh/connect"):
        for file in kept.glob("*.json") if kept.exists() else ():
            file.unlink()
    desk.part(prepared.cli)
    text = path.read_bytes().decode() if path.exists() else ""
    assert "hook_main" not in text
    assert "--cli" not in text
    if path.suffix == ".toml":
        tomllib.loads(text.removeprefix("\ufeff"))
    elif text.strip("\ufeff \t\r\n"):
        jsontext.read(text)


@pytest.mark.parametrize("prepared", BROKEN, ids=by_name)
def test_a_broken_file_is_left_alone(desk: Desk, prepared: PreparedStatement) -> None:
    path = desk.write(prepared.path, prepared.content)
    before = desk.files()
    with pytest.raises(BrokenSettings) as refused:
        desk.join(prepared.cli)
    assert str(path) in refused.value.message
    assert desk.files() == before
    assert not (desk.folder / ".repomesh").exists()


def test_a_broken_file_is_told_with_its_place(desk: Desk) -> None:
    path = desk.write(LOCAL, b'{\n  "a": 1\n  "b": 2\n}\n')
    done = desk("connect", "claude", "--yes")
    assert done.code == 2
    assert f"error: {path}: line 3, column 3" in done.err
    assert "hint: " in done.err


@pytest.mark.parametrize("prepared", UNSUITABLE, ids=by_name)
def test_what_leaves_no_room_is_left_alone(desk: Desk, prepared: PreparedStatement) -> None:
    path = desk.write(prepared.path, prepared.content)
    before = desk.files()
    with pytest.raises(UnsuitableSettings) as refused:
        desk.join(prepared.cli)
    assert str(path) in refused.value.message
    assert desk.files() == before


@pytest.mark.parametrize("cli", CLIS)
def test_a_cli_without_settings(desk: Desk, cli: str) -> None:
    before = desk.files()
    desk.ok("connect", cli, "--yes")
    for path in FILES[cli]:
        assert (desk.root / path).is_file()
    assert json.loads((desk.markers / f"{cli}.json").read_text())["cli"] == cli
    assert git(desk.folder, "status", "--porcelain") == ""
    desk.ok("disconnect", cli, "--yes")
    assert desk.files() == before
    assert not desk.markers.exists()
    assert not (desk.root / "home/.local/state/repomesh/connect").exists()


def test_what_is_asked_and_what_is_only_shown(desk: Desk) -> None:
    before = desk.files()
    shown = desk.ok("connect", "claude", "--dry-run")
    assert '+    "repomesh": {' in shown.out
    assert desk.files() == before
    asked = desk("connect", "claude")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert desk.files() == before
    told = json.loads(desk.ok("connect", "claude", "--yes", "--json").out)
    assert [one["cli"] for one in told] == ["claude"]
    assert told[0]["changed"] is True
    assert json.loads(desk.ok("connect", "claude", "--yes", "--json").out)[0]["changed"] is False


@pytest.mark.parametrize(("said", "written"), [("y\n", True), ("\n", True), ("n\n", False)])
def test_a_person_is_asked(desk: Desk, said: str, written: bool) -> None:
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "repomesh.cli.main", "connect", "qwen"],
        cwd=desk.folder,
        env=os.environ | {"HOME": str(desk.root / "home"), "TERM": "dumb"},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(terminal)
    os.write(keyboard, said.encode())
    out, _ = process.communicate(timeout=60)
    os.close(keyboard)
    assert b"Write this?" in out
    assert b"+++ " in out
    assert (process.returncode == 0) is written
    assert (desk.root / QWEN).exists() is written


def test_many_at_once(desk: Desk) -> None:
    """Connecting from several repositories at the same time forgets none of them."""
    desks = [desk, *(desk.repository(f"other{number}") for number in range(3))]
    before = desk.files()
    for word in ("connect", "disconnect"):
        command = [sys.executable, "-m", "repomesh.cli.main", word, "gemini", "--yes"]
        env = os.environ | {"HOME": str(desk.root / "home")}
        running = [
            subprocess.Popen(command, cwd=one.folder, env=env, stderr=subprocess.PIPE) for one in desks
        ]
        ends = [(process.communicate(timeout=120), process.returncode) for process in running]
        for one, ((_, said), code) in zip(desks, ends, strict=True):
            if code:  # somebody else was between the showing and the writing, and is told so
                assert b"changed meanwhile" in said
                one.ok(word, "gemini", "--yes")
        kept = desk.root / "home/.local/state/repomesh/connect/gemini.json"
        if word == "connect":
            assert len(json.loads(kept.read_text())["repositories"]) == 4
    assert desk.files() == before


def test_a_name_that_no_agent_can_have(desk: Desk) -> None:
    done = desk("connect", "claude", "--agent", "a b", "--yes")
    assert done.code == 2
    assert not (desk.root / MCP).exists()


def test_where_a_link_leads_is_shown(desk: Desk) -> None:
    (desk.root / MCP).symlink_to(desk.root / "home/elsewhere.json")
    shown = desk.ok("connect", "claude", "--dry-run").out
    assert f"{desk.root / MCP} -> {desk.root / 'home/elsewhere.json'}" in shown


def test_an_unknown_cli(desk: Desk) -> None:
    done = desk("connect", "emacs", "--yes")
    assert done.code == 3
    assert "opencode" in done.err


def test_without_a_name_all_that_are_installed(desk: Desk, tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("claude", "qwen"):
        (bin_ / name).write_text("#!/bin/sh\necho '2.1.3 (Some Code)'\n")
        (bin_ / name).chmod(0o755)
    path = f"{bin_}:/usr/bin:/bin"
    desk.ok("connect", "--yes", PATH=path)
    kept = sorted(file.name for file in desk.markers.iterdir())
    assert kept == ["claude.json", "qwen.json"]
    rows = {
        row["cli"]: row
        for row in json.loads(desk.ok("connect", "--status", "--json", PATH=path).out)["items"]
    }
    assert rows["claude"]["version"] == "2.1.3"
    assert rows["claude"]["connected"] is True
    assert rows["claude"]["routes"]["turn_end"] == ["Stop"]
    assert rows["claude"]["problem"] == ""
    assert rows["codex"] | {"routes": None} == {
        "cli": "codex",
        "version": None,
        "connected": False,
        "agent": None,
        "status": None,
        "last_heartbeat_at": None,
        "routes": None,
        "problem": "",
    }
    (desk.root / LOCAL).write_text("{}")
    assert "no hooks" in desk.ok("connect", "--status", PATH=path).err
    desk.ok("disconnect", "--yes", PATH=path)
    assert not desk.markers.exists()
    nothing = desk("connect", "--yes", PATH="/usr/bin:/bin")
    assert nothing.code == 3


# -- edits between connect and disconnect ----------------------------------------------------------


def test_edits_by_hand_stay(desk: Desk) -> None:
    path = desk.write(MCP, b'{\n  "mcpServers": {\n    "a": {"command": "a"}\n  }\n}\n')
    desk.ok("connect", "claude", "--yes")
    text = path.read_text().replace('"command": "a"', '"command": "edited"')
    text = text.replace('  "mcpServers"', '  // a comment\n  "more": [1, 2],\n  "mcpServers"')
    path.write_text(text)
    local = desk.root / LOCAL
    value = json.loads(local.read_text())
    value["hooks"]["Stop"].append({"hooks": [{"type": "command", "command": "mine"}]})
    value["hooks"]["PostToolUse"][0]["hooks"].append({"type": "command", "command": "beside"})
    value["permissions"] = {"allow": ["Bash(ls)"]}
    local.write_text(json.dumps(value))
    desk.ok("disconnect", "claude", "--yes")
    assert path.read_text() == (
        '{\n  // a comment\n  "more": [1, 2],\n  "mcpServers": {\n    "a": {"command": "edited"}\n  }\n}\n'
    )
    assert json.loads(local.read_text()) == {
        "hooks": {
            "PostToolUse": [{"matcher": "*", "hooks": [{"type": "command", "command": "beside"}]}],
            "Stop": [{"hooks": [{"type": "command", "command": "mine"}]}],
        },
        "permissions": {"allow": ["Bash(ls)"]},
    }


def test_edits_of_toml_by_hand_stay(desk: Desk) -> None:
    path = desk.write(TOML, b'model = "x"\n\n[mcp_servers.a]\ncommand = "a"\n')
    desk.ok("connect", "codex", "--yes")
    edited = path.read_text().replace('"x"', '"y"')
    edited += '\n[mcp_servers.repomesh.tools.send_message]\napproval_mode = "approve"\n\n# mine\n[z]\nb = 2\n'
    path.write_text(edited)
    assert "connected" in desk.ok("connect", "codex", "--yes").out
    desk.ok("disconnect", "codex", "--yes")
    assert path.read_text() == 'model = "y"\n\n[mcp_servers.a]\ncommand = "a"\n\n# mine\n[z]\nb = 2\n'


def test_a_file_that_was_made_stays_when_somebody_uses_it(desk: Desk) -> None:
    desk.ok("connect", "qwen", "--yes")
    path = desk.root / QWEN
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {"ui": {"theme": "dark"}}, indent=2))
    desk.ok("disconnect", "qwen", "--yes")
    assert json.loads(path.read_text()) == {"ui": {"theme": "dark"}}


def test_a_file_that_somebody_removed_is_no_harm(desk: Desk) -> None:
    desk.ok("connect", "claude", "--yes")
    (desk.root / MCP).unlink()
    desk.ok("disconnect", "claude", "--yes")
    assert not (desk.root / LOCAL).exists()


def test_what_went_missing_is_written_anew(desk: Desk) -> None:
    path = desk.write(QWEN, b'{"k": 1}\n')
    desk.ok("connect", "qwen", "--yes")
    connected = path.read_bytes()
    path.write_bytes(b'{"k": 1}\n')
    desk.ok("connect", "qwen", "--yes")
    assert path.read_bytes() == connected


# -- kinds of files --------------------------------------------------------------------------------


def test_a_link_stays_one_and_its_target_is_written(desk: Desk) -> None:
    target = desk.write("dotfiles/gemini.json", b'{\n  "a": 1\n}\n')
    link = desk.root / "home/.gemini/settings.json"
    link.parent.mkdir()
    link.symlink_to("../../dotfiles/gemini.json")
    before = desk.files()
    desk.ok("connect", "gemini", "--yes")
    assert link.is_symlink()
    assert "repomesh" in target.read_text()
    desk.ok("disconnect", "gemini", "--yes")
    assert desk.files() == before


def test_a_link_that_leads_nowhere(desk: Desk) -> None:
    link = desk.root / "project/.mcp.json"
    link.symlink_to("elsewhere/mcp.json")
    before = desk.files()
    desk.ok("connect", "claude", "--yes")
    assert "repomesh" in (desk.folder / "elsewhere/mcp.json").read_text()
    desk.ok("disconnect", "claude", "--yes")
    assert desk.files() == before


def test_a_linked_folder(desk: Desk) -> None:
    (desk.root / "dotfiles").mkdir()
    (desk.root / "home/.codex").symlink_to("../dotfiles")
    before = desk.files()
    desk.ok("connect", "codex", "--yes")
    assert (desk.root / "dotfiles/config.toml").exists()
    desk.ok("disconnect", "codex", "--yes")
    assert desk.files() == before


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_the_mode_stays(desk: Desk, mode: int) -> None:
    path = desk.write(TOML, b'model = "x"\n')
    path.chmod(mode)
    for word in ("connect", "disconnect"):
        desk.ok(word, "codex", "--yes")
        assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("path", [LOCAL, MCP])
def test_a_read_only_file_is_left_alone(desk: Desk, path: str) -> None:
    made = desk.write(path, b'{"a": 1}\n')
    made.chmod(0o444)
    before = desk.files()
    done = desk("connect", "claude", "--yes")
    assert done.code == 4
    assert "read-only" in done.err
    assert desk.files() == before


def test_a_read_only_folder_is_left_alone(desk: Desk) -> None:
    folder = desk.root / "home/.codex"
    folder.mkdir(mode=0o555)
    before = desk.files()
    try:
        done = desk("connect", "codex", "--yes")
        assert done.code == 4
        assert str(folder) in done.err
        assert desk.files() == before
    finally:
        folder.chmod(0o755)


def test_a_folder_in_the_place_of_a_file(desk: Desk) -> None:
    (desk.root / MCP).mkdir()
    done = desk("connect", "claude", "--yes")
    assert done.code == 2
    assert not (desk.root / LOCAL).exists()


def test_homes_that_the_environment_names(desk: Desk) -> None:
    elsewhere = desk.root / "elsewhere"
    variables = {
        "CODEX_HOME": str(elsewhere / "codex"),
        "COPILOT_HOME": str(elsewhere / "copilot"),
        "GEMINI_CLI_HOME": str(elsewhere / "gemini"),
    }
    for cli in ("codex", "copilot", "gemini"):
        desk.ok("connect", cli, "--yes", **variables)
    found = sorted(str(path.relative_to(elsewhere)) for path in elsewhere.rglob("*") if path.is_file())
    assert found == [
        "codex/config.toml",
        "codex/hooks.json",
        "copilot/hooks/repomesh.json",
        "copilot/mcp-config.json",
        "gemini/.gemini/settings.json",
    ]


def test_the_settings_with_comments_are_taken_where_they_are(desk: Desk) -> None:
    desk.write(OPEN_COMMENTED, b"{ // mine\n}\n")
    desk.ok("connect", "opencode", "--yes")
    assert not (desk.folder / "opencode.json").exists()


# -- several repositories, several work trees ------------------------------------------------------


@pytest.mark.parametrize("cli", ["codex", "gemini", "copilot"])
def test_shared_settings_stay_until_the_last_repository_leaves(desk: Desk, cli: str) -> None:
    before = desk.files()
    other = desk.repository("other")
    after_making = desk.files()
    desk.ok("connect", cli, "--yes")
    connected = desk.files()
    assert "connected" in other.ok("connect", cli, "--yes").out
    shared = set(FILES[cli])
    assert {path: other.files()[path] for path in shared} == {path: connected[path] for path in shared}
    desk.ok("disconnect", cli, "--yes")
    assert {path: desk.files()[path] for path in shared} == {path: connected[path] for path in shared}
    assert not (desk.markers / f"{cli}.json").exists()
    other.ok("disconnect", cli, "--yes")
    assert desk.files() == after_making
    assert set(before) < set(after_making)


def test_a_repository_that_is_gone_holds_nothing(desk: Desk) -> None:
    other = desk.repository("other")
    before = desk.files()
    for one in (desk, other):
        one.ok("connect", "gemini", "--yes")
    (other.markers / "gemini.json").unlink()
    desk.ok("disconnect", "gemini", "--yes")
    assert desk.files() == before


def test_each_work_tree_is_connected_for_itself(desk: Desk) -> None:
    linked = desk.root / "linked"
    git(desk.folder, "worktree", "add", "-q", str(linked))
    before = desk.files()
    desk.ok("connect", "claude", "--yes")
    there = Desk(desk.root, "linked")
    there.ok("connect", "claude", "--yes")
    assert (linked / ".mcp.json").exists()
    assert (desk.folder / ".mcp.json").exists()
    assert not (linked / ".repomesh").exists()
    there.ok("disconnect", "claude", "--yes")
    assert desk.files() == before


def test_it_is_connected_from_a_folder_below(desk: Desk) -> None:
    (desk.folder / "src").mkdir()
    Desk(desk.root, "project/src").ok("connect", "claude", "--yes")
    assert (desk.root / MCP).exists()


def test_a_tracked_file_is_not_hidden_from_git(desk: Desk) -> None:
    path = desk.write(MCP, b'{"mcpServers": {}}\n')
    git(desk.folder, "add", ".mcp.json")
    git(desk.folder, "commit", "-qm", "Add")
    desk.ok("connect", "claude", "--yes")
    assert git(desk.folder, "status", "--porcelain") == " M .mcp.json\n"
    desk.ok("disconnect", "claude", "--yes")
    assert path.read_bytes() == b'{"mcpServers": {}}\n'


# -- who it is to be, and how it gets in -----------------------------------------------------------


def test_the_agent_is_remembered(desk: Desk) -> None:
    desk.ok("connect", "claude", "--agent", "alice", "--yes")
    marker = desk.markers / "claude.json"
    assert json.loads(marker.read_text())["agent"] == "alice"
    desk.ok("connect", "claude", "--yes")
    assert json.loads(marker.read_text())["agent"] == "alice"
    desk.ok("connect", "claude", "--agent", "bob", "--yes")
    assert json.loads(marker.read_text())["agent"] == "bob"
    assert stat.S_IMODE(marker.stat().st_mode) == 0o600


def test_hooks_name_programs_that_are_there(desk: Desk) -> None:
    desk.ok("connect", "claude", "--yes")
    entry = json.loads((desk.root / MCP).read_text())["mcpServers"]["repomesh"]
    assert os.access(entry["command"], os.X_OK)
    hooks = json.loads((desk.root / LOCAL).read_text())["hooks"]
    for event, groups in hooks.items():
        words = groups[0]["hooks"][0]["command"].split()
        assert os.access(words[0], os.X_OK)
        assert Path(words[3]).is_file()
        assert words[4:6] == ["claude", event]
