"""Each check finds exactly its commit, whatever the one before it left in the work tree."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from repomesh.adapters.git.check_trees import CheckTree
from repomesh.adapters.git.repository import Repository
from repositories import Scratch

FILES = {"a.txt": "1\n2\n3\n4\n5\n", "src/b.py": "x = 1\n", "src/deep/c.py": "c\n", ".gitignore": "out\n"}


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def edit_and_hide_it(folder: Path) -> None:
    git(folder, "update-index", "--assume-unchanged", "a.txt")
    git(folder, "update-index", "--skip-worktree", "src/b.py")
    (folder / "a.txt").write_text("edited\n")
    (folder / "src/b.py").write_text("y = 1\n")


def edit_and_add_it(folder: Path) -> None:
    (folder / "src/b.py").write_text("y = 1\n")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x")


def leave_files(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out/ignored").write_text("x")
    (folder / "src/new.py").write_text("x")
    subprocess.run(["git", "init", "-q", "nested"], cwd=folder, check=True)
    (folder / "nested/file").write_text("x")


def delete_files(folder: Path) -> None:
    shutil.rmtree(folder / "src")
    (folder / "src").symlink_to("/etc")


def delete_git(folder: Path) -> None:
    shutil.rmtree(folder / ".git")
    (folder / ".git").write_text("gitdir: /nonexistent\n")


def delete_everything(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "check", [edit_and_hide_it, edit_and_add_it, leave_files, delete_files, delete_git, delete_everything]
)
def test_a_check_leaves_nothing_to_the_next(
    scratch: Scratch, repository: Repository, tmp_path: Path, check: Callable[[Path], None]
) -> None:
    base = scratch.commit(FILES)
    changed = scratch.commit({"src/deep/c.py": "changed\n"}, on=base)
    tree = CheckTree(repository, tmp_path / "checks")
    tree.check_out(base)
    assert files_in(tree.folder) == FILES
    check(tree.folder)
    tree.check_out(changed)
    assert files_in(tree.folder) == FILES | {"src/deep/c.py": "changed\n"}
    assert git(tree.folder, "status", "--porcelain", "--ignored") == ""
    assert git(tree.folder, "rev-parse", "HEAD").strip() == changed
    tree.remove()
    assert not (tmp_path / "checks").exists()


def test_nothing_that_a_check_left_runs_outside_of_it(
    scratch: Scratch, repository: Repository, tmp_path: Path
) -> None:
    base = scratch.commit(FILES | {".gitattributes": "*.py filter=evil\n"})
    changed = scratch.commit({"src/b.py": "x = 2\n"}, on=base)
    tree, evidence = CheckTree(repository, tmp_path / "checks"), tmp_path / "evidence"
    tree.check_out(base)
    git(tree.folder, "config", "filter.evil.smudge", f"touch {evidence}; cat")
    git(tree.folder, "config", "core.fsmonitor", f"touch {evidence}")
    (tree.folder / ".git/info").mkdir(exist_ok=True)
    (tree.folder / ".git/info/attributes").write_text("* filter=evil\n")
    hook = tree.folder / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {evidence}\n")
    hook.chmod(0o755)
    tree.check_out(changed)
    assert (tree.folder / "src/b.py").read_text() == "x = 2\n"
    assert not evidence.exists()


def test_nothing_is_written_behind_a_link_that_a_check_left(
    scratch: Scratch, repository: Repository, tmp_path: Path
) -> None:
    base = scratch.commit(FILES)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "HEAD").write_text("mine\n")
    tree = CheckTree(repository, tmp_path / "checks")
    tree.check_out(base)
    shutil.rmtree(tree.folder / ".git")
    (tree.folder / ".git").symlink_to(outside)
    tree.check_out(base)
    assert [path.name for path in outside.iterdir()] == ["HEAD"]
    assert (outside / "HEAD").read_text() == "mine\n"
