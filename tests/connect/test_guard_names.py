"""The guard and names: odd files, misspelt agents, paths by hand; with a real server and real git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.running import Shell, git, running, shell
from connect.test_guard import change, guarded, tried

__all__ = ["guarded", "running", "shell"]

ODD = [
    b"src/a\xff.py",
    b"src/t\tb",
    b"src/li\nne",
    b"src/back\\slash",
    b"src/de\x7fl",
    b"src/" + b"d/" * 80 + b"x",
]


def test_a_name_that_is_odd_hides_neither_itself_nor_others(guarded: Shell) -> None:
    guarded.ok("lock", "acquire", "./notes:x.md", "--as", "bob")
    root = os.fsencode(guarded.folder)
    for name in ODD:
        (Path(os.fsdecode(root + b"/" + name))).parent.mkdir(parents=True, exist_ok=True)
        Path(os.fsdecode(root + b"/" + name)).write_text("x")
        git(guarded.folder, "add", "-A")
        assert tried(guarded.folder, "commit", "-m", "Odd").code == 1, name
        git(guarded.folder, "rm", "-rqf", "--cached", "src")
        Path(os.fsdecode(root + b"/" + name)).unlink()
    change(guarded.folder, "notes:x.md")
    refused = tried(guarded.folder, "commit", "-m", "Notes")
    assert refused.code == 1
    assert "bob has locked notes:x.md" in refused.err


@pytest.mark.parametrize("name", ["nobody", "Bob", "no body", "b\u00f6b", "bob\n"])
def test_a_committer_that_is_unknown_holds_nothing(guarded: Shell, name: str) -> None:
    change(guarded.folder, "src/a.py")
    refused = tried(guarded.folder, "commit", "-m", "Mine", REPOMESH_AGENT=name)
    assert refused.code == 1
    assert "there is no agent" in refused.err
    assert ("did you mean 'bob'?" in refused.err) == (name == "Bob")
    git(guarded.folder, "reset", "-q", "src")
    change(guarded.folder, "docs/a.md")
    git(guarded.folder, "reset", "-q", "src")
    assert tried(guarded.folder, "commit", "-m", "Free", REPOMESH_AGENT=name).code == 0


def test_a_clean_merge_is_checked(guarded: Shell) -> None:
    lines = "".join(f"{number}\n" for number in range(20))
    change(guarded.folder, "src/a.py", text=lines)
    git(guarded.folder, "commit", "-qm", "Add", "--no-verify")
    git(guarded.folder, "checkout", "-q", "-b", "side")
    change(guarded.folder, "src/a.py", text=lines + "end\n")
    git(guarded.folder, "commit", "-qm", "End", "--no-verify")
    git(guarded.folder, "checkout", "-q", "main")
    change(guarded.folder, "src/a.py", text="begin\n" + lines)
    git(guarded.folder, "commit", "-qm", "Begin", "--no-verify")
    refused = tried(guarded.folder, "merge", "--no-edit", "side")
    assert refused.code == 1
    assert "bob has locked src/**" in refused.err


def test_paths_by_hand(guarded: Shell, tmp_path: Path) -> None:
    (guarded.folder / "docs").mkdir()
    for path in ("src/a.py", "./src//a.py", "src/", ".", "src/*", str(guarded.folder / "src/a.py")):
        assert guarded("guard", "check", path).code == 4, path
    for path in ("docs", "docs/*", "srcs/a.py", "s*c/a.py"):
        assert guarded("guard", "check", path).code == 0, path
    assert guarded("guard", "check", str(tmp_path / "elsewhere")).code == 2


def test_a_former_name_is_its_agents(guarded: Shell) -> None:
    """A program that was started under it goes on; in another spelling it is nobody's."""
    guarded.ok("agent", "rename", "bob", "--name", "carol")
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "-m", "Mine", REPOMESH_AGENT="Bob").code == 1
    assert tried(guarded.folder, "commit", "-m", "Mine", REPOMESH_AGENT="bob").code == 0
