"""Repositories that do not have everything, and disks that take nothing more."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from repomesh.adapters.git.errors import GitFailed, NoGitRepository, ObjectsMissing
from repomesh.adapters.git.merge_results import Merged
from repomesh.adapters.git.repository import Repository
from repositories import Scratch

LINES = "".join(f"{number}\n" for number in range(20))


@contextmanager
def opened(scratch: Scratch, private: Path) -> Iterator[Repository]:
    repository = Repository(scratch.path, private)
    try:
        yield repository
    finally:
        repository.close()


@pytest.fixture
def origin(tmp_path: Path) -> Scratch:
    """Five commits on main, and a branch that left it two commits before its end."""
    made = Scratch(tmp_path / "origin")
    commits = [
        made.commit({"a.txt": LINES.replace("0\n", f"{number}\n", 1), f"{number}.txt": f"{number}\n"})
        for number in range(5)
    ]
    made.commit({"a.txt": LINES.replace("0\n", "2\n", 1) + "end\n"}, on=commits[2], branch="work")
    made.git("config", "uploadpack.allowFilter", "true")
    return made


def clone(origin: Scratch, path: Path, *options: str) -> Scratch:
    origin.git("clone", "-q", *options, f"file://{origin.path}", str(path))
    made = Scratch.at(path)
    made.git("branch", "-q", "work", "origin/work")
    return made


def test_a_shallow_clone_merges_what_its_history_has(origin: Scratch, tmp_path: Path) -> None:
    scratch = clone(origin, tmp_path / "clone", "--depth", "4", "--no-single-branch")
    with opened(scratch, tmp_path / "private") as repository:
        main, work = repository.resolve("main"), repository.resolve("work")
        assert repository.merge_base(main, work) == origin.git("merge-base", "main", "work")
        merged = repository.merge(main, work)
        assert isinstance(merged, Merged)
        assert merged.tree == origin.git("merge-tree", "--write-tree", "main", "work")
        assert [commit.id for commit in repository.commits_between(main, work, 10)] == [work]


def test_what_a_shallow_clone_lacks_can_be_fetched(origin: Scratch, tmp_path: Path) -> None:
    scratch = clone(origin, tmp_path / "clone", "--depth", "1", "--no-single-branch")
    with opened(scratch, tmp_path / "private") as repository:
        main, work = repository.resolve("main"), repository.resolve("work")
        assert repository.merge_base(main, work) is None
        assert repository.is_shallow
        with pytest.raises(ObjectsMissing, match="git merge-tree") as refused:
            repository.merge(main, work)
        assert "git fetch --unshallow" in refused.value.hint
        assert repository.is_current()
        scratch.git("fetch", "-q", "--unshallow")
        assert not repository.is_current()
    with opened(scratch, tmp_path / "private") as repository:
        assert isinstance(repository.merge(main, work), Merged)
        assert repository.merge_base(main, work) is not None


def test_what_a_partial_clone_lacks_can_be_fetched(origin: Scratch, tmp_path: Path) -> None:
    scratch = clone(origin, tmp_path / "clone", "--filter=blob:none", "--no-checkout")
    with opened(scratch, tmp_path / "private") as repository:
        main, work = repository.resolve("main"), repository.resolve("work")
        with pytest.raises(ObjectsMissing) as refused:
            repository.merge(main, work)
        blob = repository.blob_at(repository.tree(main), b"a.txt")
        assert blob is not None
        with pytest.raises(ObjectsMissing):
            repository.blob(blob.oid)
        assert "git fetch --refetch --no-filter" in refused.value.hint
        scratch.git("fetch", "-q", "--refetch", "--no-filter")
        assert isinstance(repository.merge(main, work), Merged)
        assert repository.blob(blob.oid) == LINES.replace("0\n", "4\n", 1).encode()


def test_a_repository_with_long_ids_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "sha256"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(path)], check=True)
    with pytest.raises(NoGitRepository, match="ids of SHA-256"):
        Repository(path, tmp_path / "private")


def test_a_disk_that_takes_nothing_is_a_failure_of_git(scratch: Scratch, repository: Repository) -> None:
    """As the super user may write anywhere, a file stands where git makes the folder of an object."""
    head = scratch.head()
    scratch.git("repack", "-adq")
    scratch.git("prune-packed")
    commit = repository.commit(head)
    objects = scratch.path / ".git" / "objects"
    for number in range(256):
        (objects / f"{number:02x}").write_text("")
    blob = repository.blob_at(commit.tree, b"a.txt")
    for number in range(8):
        author, text = commit.author, f"{number}"
        with pytest.raises(GitFailed, match="can't be written"):
            repository.write_blob(text.encode())
        with pytest.raises(GitFailed, match="can't be written"):
            repository.write_commit(commit.tree, [head], text, author, author)
        with pytest.raises(GitFailed, match="can't be written"):
            repository.splice(commit.tree, {text.encode(): blob})
