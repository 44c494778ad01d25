"""Work trees of checks: nobody gets one in which something still runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from repomesh.adapters.git import check_trees
from repomesh.adapters.git.check_trees import CheckTree, remove_left
from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.repository import Repository
from repositories import Scratch


def test_a_tree_in_which_a_check_still_runs_is_not_used_again(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "repository")
    commit = scratch.commit({"a": "a\n"})
    repository = Repository(scratch.path, tmp_path / "private")
    root = tmp_path / "trees"
    first = CheckTree(repository, root)
    first.check_out(commit)
    with subprocess.Popen(["cat"], cwd=first.folder, stdin=subprocess.PIPE, pass_fds=[first.lock]) as check:
        os.close(first.lock)  # the server that started it was killed
        second = CheckTree(repository, root)
        assert second.folder != first.folder
        assert check.stdin is not None
        check.stdin.close()
    third = CheckTree(repository, root)
    assert third.folder == first.folder
    (third.folder / "left").write_text("by the first\n")
    third.check_out(commit)
    assert sorted(path.name for path in third.folder.iterdir()) == [".git", "a"]
    third.remove()
    second.remove()
    assert not root.exists()
    repository.close()


def test_what_a_killed_server_left_is_removed_unless_it_is_in_use(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "repository")
    commit = scratch.commit({"a": "a\n"})
    repository = Repository(scratch.path, tmp_path / "private")
    killed, used, recent = (CheckTree(repository, tmp_path / "queue" / "w" / "checks") for _ in range(3))
    for tree in (killed, used):
        tree.check_out(commit)
        os.utime(tree.folder.with_suffix(".lock"), (0, 0))
    os.close(killed.lock)
    recent.check_out(commit)
    os.close(recent.lock)
    remove_left(tmp_path / "queue")
    assert [tree.folder.exists() for tree in (killed, used, recent)] == [False, True, True]
    recent.folder.with_suffix(".lock").unlink()
    shutil.rmtree(recent.folder)
    shutil.rmtree(recent.folder.with_suffix(".git"))
    used.remove()
    assert not used.folder.parent.exists()
    repository.close()


def test_two_servers_of_a_machine_have_trees_of_their_own(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "repository")
    scratch.commit({"a": "a\n"})
    repository = Repository(scratch.path, tmp_path / "private")
    trees = [CheckTree(repository, tmp_path / "trees") for _ in range(3)]
    assert len({tree.folder for tree in trees}) == 3
    for tree in trees:
        tree.remove()
    repository.close()


def link(root: Path) -> None:
    root.symlink_to(root.with_name("elsewhere"))


def open_to_others(root: Path) -> None:
    root.mkdir()
    root.chmod(0o777)


def of_somebody_else(root: Path) -> None:
    root.mkdir(mode=0o700)
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder of somebody else")
    os.chown(root, 1, 1)


@pytest.mark.parametrize("prepare", [link, open_to_others, of_somebody_else])
def test_a_folder_in_memory_that_another_user_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path], None]
) -> None:
    shared = tmp_path / "shm"
    (shared / "elsewhere").mkdir(parents=True)
    monkeypatch.setattr(check_trees, "SHARED_MEMORY", shared)
    monkeypatch.setattr(check_trees.limits, "CHECK_MEMORY_FREE_MIN", 0)
    private = tmp_path / "data" / "workspace"
    assert check_trees.root_for(private).parent == shared
    root = check_trees.root_for(private)
    root.rmdir()
    prepare(root)
    assert check_trees.root_for(private) == private / "checks"
    for file in (root / "0.lock", root / "0" / "kept"):
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, (0, 0))
    remove_left(tmp_path / "none")
    assert (root / "0" / "kept").exists()
    scratch = Scratch(tmp_path / "repository")
    repository = Repository(scratch.path, tmp_path / "private")
    with pytest.raises(GitFailed, match="not a folder of this user"):
        CheckTree(repository, root)
    repository.close()
