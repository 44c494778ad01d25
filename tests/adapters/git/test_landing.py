"""A branch moves with the work tree in which it is checked out, or neither of them does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from repomesh.adapters.git import following
from repomesh.adapters.git.commands import run_git
from repomesh.adapters.git.errors import GitFailed, WorkTreeBusy
from repomesh.adapters.git.file_locks import branch_lock
from repomesh.adapters.git.following import BlockedByWorkTree
from repomesh.adapters.git.landing import move_branch
from repomesh.adapters.git.repository import Repository
from repositories import Scratch

Open = Callable[[Path], Repository]


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    made = Scratch(tmp_path / "scratch")
    made.commit({"a.txt": "1\n2\n3\n", "b.txt": "b\n"})
    return made


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[Repository] = []

    def open_(path: Path) -> Repository:
        made.append(Repository(path, tmp_path / f"private-{len(made)}"))
        return made[-1]

    yield open_
    for repository in made:
        repository.close()


def land(scratch: Scratch, repository: Repository, **files: str) -> str:
    """Move main to a commit with these files, by their names without '.txt'; returns it."""
    old = scratch.git("rev-parse", "refs/heads/main")
    new = scratch.commit({f"{name}.txt": text for name, text in files.items()}, on=old)
    move_branch(repository, "refs/heads/main", old, new, "test")
    assert scratch.git("rev-parse", "refs/heads/main") == new
    return new


def refused(scratch: Scratch, repository: Repository, **files: str) -> WorkTreeBusy:
    """How a move of main is refused, which moves nothing."""
    old, before = scratch.git("rev-parse", "refs/heads/main"), scratch.git("status", "--porcelain")
    with pytest.raises(WorkTreeBusy) as busy:
        land(scratch, repository, **files)
    assert scratch.git("rev-parse", "refs/heads/main") == old
    assert scratch.git("status", "--porcelain") == before
    return busy.value


def test_the_work_tree_of_a_git_folder_elsewhere_follows(tmp_path: Path, opened: Open) -> None:
    """Else the work tree would show what landed as staged for removal, and a commit would take it back."""
    scratch = Scratch(tmp_path / "tree")
    scratch.commit({"a.txt": "a\n"})
    scratch.git("init", "-q", "--separate-git-dir", str(tmp_path / "elsewhere"))
    for path in (scratch.path, tmp_path / "tree" / "sub"):
        path.mkdir(exist_ok=True)
        land(scratch, opened(path), **{f"new-{path.name}": "n\n"})
        assert scratch.git("status", "--porcelain") == ""
    assert (scratch.path / "new-sub.txt").exists()


def test_files_that_follow_are_for_those_who_may_enter_the_work_tree(scratch: Scratch, opened: Open) -> None:
    """The server's own umask is for its data folder."""
    repository = opened(scratch.path)
    before = os.umask(0o077)
    try:
        for mode, expected in ((0o755, (0o644, 0o755)), (0o775, (0o664, 0o775)), (0o700, (0o600, 0o700))):
            scratch.path.chmod(mode)
            land(scratch, repository, **{f"{mode}/new": "n"})
            new = scratch.path / f"{mode}/new.txt"
            assert (new.stat().st_mode & 0o777, new.parent.stat().st_mode & 0o777) == expected
    finally:
        os.umask(before)


def test_the_work_tree_of_a_submodule_follows(tmp_path: Path, scratch: Scratch, opened: Open) -> None:
    outer = Scratch(tmp_path / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(scratch.path), "inner")
    inner = Scratch.at(outer.path / "inner")
    inner.git("checkout", "-q", "main")
    land(inner, opened(inner.path), new="n\n")
    assert inner.git("status", "--porcelain") == ""
    assert (inner.path / "new.txt").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("branch.main.mergeOptions", "--squash"),
        ("branch.main.mergeOptions", "--no-ff --no-commit"),
        ("merge.verifySignatures", "true"),
        ("merge.ff", "false"),
        ("merge.autoStash", "true"),
        ("commit.gpgSign", "true"),
    ],
)
def test_how_the_user_merges_does_not_matter(scratch: Scratch, opened: Open, name: str, value: str) -> None:
    scratch.git("config", name, value)
    (scratch.path / "b.txt").write_text("my own edit\n")
    land(scratch, opened(scratch.path), new="n\n", a="1\n")
    assert scratch.git("status", "--porcelain") == "M b.txt"
    assert scratch.git("stash", "list") == ""


def test_a_branch_that_is_rebased_does_not_move(scratch: Scratch, opened: Open) -> None:
    base = scratch.head()
    scratch.commit({"a.txt": "mine\n"})
    side = scratch.commit({"a.txt": "theirs\n"}, on=base)
    scratch.git("rebase", side, check=False)
    repository = opened(scratch.path)
    assert "is being rebased" in refused(scratch, repository, new="n\n").message
    scratch.git("rebase", "--abort")
    land(scratch, repository, new="n\n")


def test_a_merge_under_way_holds_the_branch(scratch: Scratch, opened: Open) -> None:
    base = scratch.head()
    scratch.commit({"a.txt": "mine\n"})
    scratch.git("merge", scratch.commit({"a.txt": "theirs\n"}, on=base), check=False)
    error = refused(scratch, opened(scratch.path), new="n\n")
    assert "unmerged" in error.message
    assert "finish or abort" in error.hint.lower()


@pytest.mark.parametrize("lock", ["HEAD.lock", "refs/heads/main.lock", "index.lock"])
def test_a_lock_that_a_git_left_holds_the_branch(scratch: Scratch, opened: Open, lock: str) -> None:
    file = scratch.path / ".git" / lock
    repository = opened(scratch.path)
    old = scratch.head()
    new = scratch.commit({"new.txt": "n\n"}, on=old)
    file.write_text("")
    with pytest.raises(WorkTreeBusy, match="lock"):
        move_branch(repository, "refs/heads/main", old, new, "test")
    assert not (scratch.path / "new.txt").exists()
    file.unlink()
    assert scratch.git("status", "--porcelain") == ""
    move_branch(repository, "refs/heads/main", old, new, "test")
    assert scratch.git("status", "--porcelain") == ""


def test_a_branch_in_two_work_trees_does_not_move(tmp_path: Path, scratch: Scratch, opened: Open) -> None:
    scratch.git("worktree", "add", "-q", "-f", str(tmp_path / "second"), "main")
    repository = opened(scratch.path)
    assert "several work trees" in refused(scratch, repository, new="n\n").message
    Scratch.at(tmp_path / "second").git("checkout", "-q", "--detach")
    land(scratch, repository, new="n\n")


def test_a_work_tree_that_is_gone_holds_nothing(tmp_path: Path, scratch: Scratch, opened: Open) -> None:
    scratch.git("checkout", "-q", "--detach")
    scratch.git("worktree", "add", "-q", str(tmp_path / "gone"), "main")
    (tmp_path / "gone" / ".git").unlink()
    land(scratch, opened(scratch.path), new="n\n")


def test_edits_in_the_way_are_named(scratch: Scratch, opened: Open) -> None:
    (scratch.path / "a.txt").write_text("my own edit\n")
    (scratch.path / "new.txt").write_text("mine, too\n")
    with pytest.raises(BlockedByWorkTree) as blocked:
        land(scratch, opened(scratch.path), a="other\n", new="n\n")
    assert set(blocked.value.files) == {"a.txt", "new.txt"}
    assert (scratch.path / "a.txt").read_text() == "my own edit\n"


def test_an_ignored_file_is_not_overwritten(scratch: Scratch, opened: Open) -> None:
    (scratch.path / ".git/info/exclude").write_text("*.txt\nbuilt\n")
    (scratch.path / "new.txt").write_text("mine\n")
    (scratch.path / "built").write_text("mine, too\n")
    old = scratch.head()
    new = scratch.commit({"new.txt": "n\n", "built/a.txt": "a\n"}, on=old)
    with pytest.raises(BlockedByWorkTree) as blocked:
        move_branch(opened(scratch.path), "refs/heads/main", old, new, "test")
    assert set(blocked.value.files) == {"new.txt", "built"}
    assert (scratch.path / "new.txt").read_text() == "mine\n"


@pytest.mark.parametrize("moment", ["update-ref", "update-index"])
def test_a_user_who_switches_branches_just_then_keeps_the_other_branch(
    scratch: Scratch, opened: Open, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Neither is it moved, nor are files of what landed staged there."""
    base = scratch.head()
    scratch.git("branch", "feature")
    old = scratch.commit({"b.txt": "main\n"})
    new = scratch.commit({"a.txt": "landed\n", "new.txt": "n\n"}, on=old)
    switched: list[str] = []

    def switching(git_dir: Path | None, words: list[str], **options: Any) -> Any:
        if moment in words and not switched:
            switched.append(scratch.git("checkout", "-q", "feature"))
        return run_git(git_dir, words, **options)

    monkeypatch.setattr(following, "run_git", switching)
    move_branch(opened(scratch.path), "refs/heads/main", old, new, "test")
    assert switched
    assert [scratch.git("rev-parse", name) for name in ("main", "feature")] == [new, base]
    assert scratch.git("symbolic-ref", "HEAD") == "refs/heads/feature"
    assert scratch.git("status", "--porcelain") == ""


def test_a_switch_that_has_written_the_index_and_not_yet_head_is_waited_for(
    scratch: Scratch, opened: Open
) -> None:
    old = scratch.head()
    scratch.commit({"other.txt": "o\n"}, on=old, branch="feature")
    new = scratch.commit({"a.txt": "landed\n"}, on=old)
    hook = scratch.path / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch .git/written; sleep 0.3\n")
    hook.chmod(0o755)
    with subprocess.Popen(["git", "checkout", "-q", "feature"], cwd=scratch.path):
        wait_for(scratch.path / ".git/written")
        assert scratch.git("symbolic-ref", "HEAD") == "refs/heads/main"
        move_branch(opened(scratch.path), "refs/heads/main", old, new, "test")
    assert scratch.git("symbolic-ref", "HEAD") == "refs/heads/feature"
    assert (scratch.git("rev-parse", "main"), scratch.git("status", "--porcelain")) == (new, "")


def test_a_checkout_that_began_before_the_branch_moved_shows_what_landed(
    scratch: Scratch, opened: Open
) -> None:
    scratch.git("checkout", "-q", "-b", "feature")
    scratch.commit({"b.txt": "other\n"})
    old = scratch.git("rev-parse", "main")
    new = scratch.commit({"a.txt": "landed\n"}, on=old)
    scratch.git("config", "filter.slow.smudge", "sleep 0.3; cat")
    (scratch.path / ".git/info/attributes").write_text("b.txt filter=slow\n")
    with subprocess.Popen(["git", "checkout", "-q", "main"], cwd=scratch.path):
        wait_for(scratch.path / ".git/index.lock")
        move_branch(opened(scratch.path), "refs/heads/main", old, new, "test")
    assert scratch.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert scratch.git("rev-parse", "main") == new
    assert (scratch.path / "a.txt").read_text() == "landed\n"
    assert scratch.git("status", "--porcelain") == ""


def test_files_go_back_where_the_branch_can_not_move_behind_them(
    scratch: Scratch, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = scratch.head()
    new = scratch.commit({"a.txt": "landed\n", "new.txt": "n\n"}, on=old)
    (scratch.path / "b.txt").write_text("my own edit\n")
    monkeypatch.setattr(following, "_HOOK", f"{following._HOOK}[ $REPOMESH_FILES_OLD = {new} ]\n")
    with pytest.raises(WorkTreeBusy):
        move_branch(opened(scratch.path), "refs/heads/main", old, new, "test")
    assert scratch.head() == old
    assert scratch.git("status", "--porcelain") == "M b.txt"


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.005)


KILLED = """
import os, signal, sys
from pathlib import Path
from repomesh.adapters.git.file_locks import branch_lock, moving_ref
from repomesh.adapters.git.repository import Repository

repository = Repository(Path(sys.argv[1]), Path(sys.argv[2]))
with branch_lock(repository, "main") as lock, moving_ref([lock]):
    Path(sys.argv[1], ".git/refs/heads/main.lock").write_text(f"{sys.argv[3]}\\n")  # as libgit2 does
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_process_that_was_killed_while_it_moved_a_branch_is_removed(
    tmp_path: Path, scratch: Scratch, opened: Open
) -> None:
    scratch.git("checkout", "-q", "--detach")
    repository, new = opened(scratch.path), scratch.commit({"b": "b"}, on=scratch.head())
    words = [sys.executable, "-c", KILLED, str(scratch.path), str(tmp_path / "killed"), new]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    with branch_lock(repository, "main") as lock:
        move_branch(repository, "refs/heads/main", scratch.head(), new, "test", [lock])
    assert scratch.git("rev-parse", "main") == new


def test_a_lock_of_somebody_else_stays(scratch: Scratch, opened: Open) -> None:
    scratch.git("checkout", "-q", "--detach")
    repository, new = opened(scratch.path), scratch.commit({"b": "b"}, on=scratch.head())
    ref_lock = scratch.path / ".git/refs/heads/main.lock"
    ref_lock.touch()
    with branch_lock(repository, "main") as lock, pytest.raises(GitFailed, match=r"main\.lock"):
        move_branch(repository, "refs/heads/main", scratch.head(), new, "test", [lock])
    with branch_lock(repository, "main") as lock:
        os.pwrite(lock, str(time.time_ns() - 3_600_000_000_000).encode(), 0)  # killed an hour ago
    with branch_lock(repository, "main"):
        assert ref_lock.exists()
