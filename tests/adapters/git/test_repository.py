"""Merges, trees, refs and differences on real repositories, beside what git itself answers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from repomesh.adapters.git.errors import (
    GitFailed,
    NoGitRepository,
    ObjectsMissing,
    RefMoved,
    RevisionNotFound,
)
from repomesh.adapters.git.merge_results import BlobRef, Conflicted, Merged
from repomesh.adapters.git.repository import Repository
from repomesh.adapters.git.signatures import Signature
from repositories import Scratch

ODD_NAMES = [
    "a b",
    "tab\there",
    "new\nline",
    'quo"te',
    "fälle",
    "-dash",
    "日本/語.txt",
    "back\\slash",
    b"not\xffutf8".decode("utf-8", "surrogateescape"),
]


def test_commits_merge_without_a_work_tree(scratch: Scratch, repository: Repository) -> None:
    base = scratch.head()
    ours = scratch.commit({"a.txt": "1!\n2\n3\n4\n5\n"})
    theirs = scratch.commit({"a.txt": "1\n2\n3\n4\n5!\n", "b.txt": "b\n"}, on=base)
    rival = scratch.commit({"a.txt": "1?\n2\n3\n4\n5\n"}, on=base)
    for merged in (
        repository.merge(ours, theirs),
        repository.merge_trees(*(repository.tree(commit) for commit in (base, ours, theirs))),
    ):
        assert isinstance(merged, Merged)
        assert repository.file(merged.tree, b"a.txt") == b"1!\n2\n3\n4\n5!\n"
        assert repository.file(merged.tree, b"b.txt") == b"b\n"
    for result in (
        repository.merge(ours, rival),
        repository.merge_trees(*(repository.tree(commit) for commit in (base, ours, rival))),
    ):
        assert isinstance(result, Conflicted)
        [file] = result.files
        sides = [
            None if side is None else repository.blob(side.oid)
            for side in (file.base, file.ours, file.theirs)
        ]
        assert file.path == b"a.txt"
        assert [side[:2] for side in sides if side] == [b"1\n", b"1!", b"1?"]


def test_conflicts_of_renames_modes_and_deletions_are_conflicts(
    scratch: Scratch, repository: Repository
) -> None:
    base = scratch.head()
    deleted = scratch.commit({"a.txt": None, "k": "k"}, on=base)
    changed = scratch.commit({"a.txt": "1\n2\n3\n4\n5\nx\n"}, on=base)
    result = repository.merge(deleted, changed)
    assert isinstance(result, Conflicted)
    assert [(file.path, file.ours) for file in result.files] == [(b"a.txt", None)]
    one = scratch.commit({"a.txt": None, "one.txt": "1\n2\n3\n4\n5\n"}, on=base)
    other = scratch.commit({"a.txt": None, "other.txt": "1\n2\n3\n4\n5\n"}, on=base)
    assert isinstance(repository.merge(one, other), Conflicted)


def test_a_renamed_file_takes_the_change_of_the_other_side(scratch: Scratch, repository: Repository) -> None:
    base = scratch.head()
    moved = scratch.commit({"a.txt": None, "dir/moved.txt": "1\n2\n3\n4\n5\n"}, on=base)
    changed = scratch.commit({"a.txt": "1\n2\n3\n4\n5\nnew\n"}, on=base)
    merged = repository.merge(moved, changed)
    assert isinstance(merged, Merged)
    assert repository.file(merged.tree, b"dir/moved.txt") == b"1\n2\n3\n4\n5\nnew\n"


def test_the_process_is_started_again_when_it_ended_or_was_asked_nonsense(
    scratch: Scratch, repository: Repository
) -> None:
    base = scratch.head()
    ours, theirs = scratch.commit({"x": "x"}, on=base), scratch.commit({"y": "y"}, on=base)
    assert isinstance(repository.merge(ours, theirs), Merged)
    with pytest.raises(GitFailed):
        repository.merge(ours, "1" * 40)
    assert isinstance(repository.merge(ours, theirs), Merged)
    process = repository._merging._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert isinstance(repository.merge(ours, theirs), Merged)


def test_no_driver_hook_or_filter_of_the_repository_runs(scratch: Scratch, repository: Repository) -> None:
    evidence = scratch.path.parent / "evidence"
    for name in ("merge.evil.driver", "filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv"):
        scratch.git("config", name, f"touch {evidence}; false")
    scratch.git("config", "core.fsmonitor", f"touch {evidence}")
    hook = scratch.path / ".git/hooks/reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {evidence}\n")
    hook.chmod(0o755)
    evil = {".gitattributes": "* merge=evil filter=evil diff=evil\n"}
    base = scratch.commit(evil)
    evidence.unlink(missing_ok=True)  # making the commits ran them
    ours = scratch.commit({"a.txt": "1!\n2\n3\n4\n5\n"}, on=base)
    theirs = scratch.commit({"a.txt": "1\n2\n3\n4\n5!\n"}, on=base)
    evidence.unlink(missing_ok=True)
    assert isinstance(repository.merge(ours, theirs), Merged)
    difference = repository.compare(repository.tree(base), repository.tree(ours), 10)
    assert difference is not None
    assert [(file.path, file.binary) for file in difference.files] == [(b"a.txt", False)]
    assert [line[2] for line in difference.added_lines(10)] == ["1!\n"]
    difference.text(1_000)
    repository.move_ref("refs/heads/made", None, ours)
    repository.pin("refs/repomesh/changes/x/1", ours)
    assert not evidence.exists()


def test_trees_are_spliced_as_git_writes_them(scratch: Scratch, repository: Repository) -> None:
    chance = random.Random(3)
    files: dict[str, str | None] = {}
    names = [
        *ODD_NAMES,
        *(f"d{number % 5}/e{number % 3}/f{number}" for number in range(40)),
        "a",
        "a.b",
        "a-b/c",
        "a0",
    ]
    tree = repository.tree(scratch.head())
    for _ in range(12):
        changes: dict[str, str | None] = {
            name: None if chance.random() < 0.4 else f"{chance.random()}" for name in chance.sample(names, 15)
        }
        files |= changes
        blobs = {
            os.fsencode(name): None
            if content is None
            else BlobRef("100644", repository.write_blob(content.encode()))
            for name, content in changes.items()
        }
        tree = repository.splice(tree, blobs)
        present = {name: content for name, content in files.items() if content is not None}
        assert scratch.listed(tree) == {os.fsencode(name) for name in present} | {b"a.txt"}
        assert tree == scratch.written_tree({**present, "a.txt": "1\n2\n3\n4\n5\n"})


def test_a_file_takes_the_place_of_a_folder_and_back(scratch: Scratch, repository: Repository) -> None:
    blob = BlobRef("100644", repository.write_blob(b"x"))
    start = repository.tree(scratch.head())
    tree = repository.splice(start, {b"d/e/f": blob, b"d/g": blob})
    tree = repository.splice(tree, {b"d": blob})
    assert scratch.listed(tree) == {b"a.txt", b"d"}
    tree = repository.splice(tree, {b"d/e": blob, b"nothing/there": None})
    assert scratch.listed(tree) == {b"a.txt", b"d/e"}
    assert repository.splice(tree, {b"d/e": None}) == start


def test_refs_move_only_from_where_they_are(scratch: Scratch, repository: Repository) -> None:
    one = scratch.head()
    two, three = scratch.commit({"b": "b"}, on=one), scratch.commit({"c": "c"}, on=one)
    repository.move_ref("refs/heads/line", None, one)
    with pytest.raises(RefMoved):
        repository.move_ref("refs/heads/line", None, two)
    repository.move_ref("refs/heads/line", one, two, "because")
    assert scratch.git("log", "-1", "--walk-reflogs", "--format=%gs", "line") == "because"
    with pytest.raises(RefMoved) as moved:
        repository.move_ref("refs/heads/line", one, three)
    assert moved.value.actual == two
    assert repository.branch_tip("line") == two
    repository.move_ref("refs/heads/line", two, None)
    assert repository.branch_tip("line") is None
    with pytest.raises(RefMoved):
        repository.move_ref("refs/heads/line", two, three)


def test_pins_keep_commits_from_the_collector(scratch: Scratch, repository: Repository) -> None:
    author = Signature("Ada", "ada@example.org", 1_700_000_000, 60)
    tree = repository.splice(
        repository.tree(scratch.head()), {b"x": BlobRef("100644", repository.write_blob(b"x"))}
    )
    kept, lost = (
        repository.write_commit(tree, [scratch.head()], text, author, author) for text in ("k", "l")
    )
    repository.pin("refs/repomesh/changes/1/1", kept)
    assert scratch.git("for-each-ref", "--format=%(refname)", "refs/repomesh/").split() == [
        "refs/repomesh/changes/1/1"
    ]
    scratch.git("-c", "gc.pruneExpire=now", "gc", "-q")
    assert scratch.git("cat-file", "-t", kept) == "commit"
    assert scratch.git("cat-file", "-t", lost, check=False) == ""
    repository.unpin("refs/repomesh/changes/1/1")
    repository.unpin("refs/repomesh/changes/1/1")
    assert repository.ref("refs/repomesh/changes/1/1") is None


def test_what_names_a_commit(scratch: Scratch, repository: Repository) -> None:
    head = scratch.head()
    scratch.git("branch", "feat/ü")
    for name in ("main", "feat/ü", head, head[:8], "refs/heads/main"):
        assert repository.resolve(name) == head
    for name in (
        "nope",
        "-main",
        "--all",
        "main\n",
        "",
        "main^",
        ":/x",
        "..",
        "@{-1}",
        "../main",
        "f" * 40,
        "\0",
        "x" * 5000,
    ):
        with pytest.raises(RevisionNotFound):
            repository.resolve(name)


def test_of_several_who_move_a_ref_one_does(scratch: Scratch, repository: Repository, tmp_path: Path) -> None:
    """Repositories that were opened apart, on threads, and git itself, all from the same old commit."""
    commits = [scratch.commit({"a.txt": f"{number}\n"}, on=scratch.head()) for number in range(3)]
    rivals = [repository, Repository(scratch.path, tmp_path / "rival")]
    at = scratch.head()
    scratch.git("update-ref", "refs/heads/line", at)
    scratch.git("pack-refs", "--all")

    def move(number: int) -> bool:
        try:
            rivals[number].move_ref("refs/heads/line", at, commits[number], f"by {number}")
        except (RefMoved, GitFailed):
            return False
        return True

    with ThreadPoolExecutor(3) as threads:
        for _ in range(40):
            moved = threads.submit(scratch.git, "update-ref", "refs/heads/line", commits[2], at, check=False)
            done = list(threads.map(move, (0, 1)))
            moved.result()
            tip = repository.branch_tip("line")
            assert tip in commits
            assert done == [tip == commits[0], tip == commits[1]]
            scratch.git("update-ref", "refs/heads/line", at)


def test_a_place_without_a_repository_is_refused(tmp_path: Path) -> None:
    for make in (lambda: None, lambda: (tmp_path / ".git").write_text("gitdir: /nonexistent\n")):
        make()
        with pytest.raises(NoGitRepository):
            Repository(tmp_path, tmp_path / "private")


def test_a_linked_work_tree_is_its_repository(
    scratch: Scratch, repository: Repository, tmp_path: Path
) -> None:
    scratch.git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "side")
    linked = Repository(tmp_path / "linked", tmp_path / "private")
    assert linked.git_dir == repository.git_dir
    ours, theirs = scratch.commit({"x": "x"}), scratch.commit({"y": "y"}, on=scratch.head())
    assert isinstance(linked.merge(ours, theirs), Merged)
    linked.close()


def test_the_merge_is_that_of_git(scratch: Scratch, repository: Repository) -> None:
    """Random pairs: clean or not, and with which tree, as `git merge` in a work tree says."""
    chance = random.Random(11)
    lines = [f"{number}\n" for number in range(30)]
    base = scratch.commit({f"f{name}": "".join(lines) for name in range(4)})
    for _ in range(12):
        sides = []
        for side in "AB":
            edited: dict[str, str | None] = {}
            for _ in range(2):
                name, place = f"f{chance.randrange(4)}", chance.randrange(30)
                edited[name] = "".join([*lines[:place], f"{side}{chance.random()}\n", *lines[place + 1 :]])
            sides.append(scratch.commit(edited, on=base))
        scratch.git("checkout", "-q", "--detach", sides[0])
        done = subprocess.run(
            ["git", "merge", "-q", "--no-edit", sides[1]], cwd=scratch.path, capture_output=True, check=False
        )
        result = repository.merge(*sides)
        assert isinstance(result, Merged) == (done.returncode == 0)
        if isinstance(result, Merged):
            assert result.tree == scratch.git("rev-parse", "HEAD^{tree}")
        else:
            scratch.git("merge", "--abort")


def test_what_can_not_be_read_is_no_missing_branch_or_commit(
    repository: Repository, scratch: Scratch
) -> None:
    """Else a fault of the disk would pause the queue, or send a change back to its author."""
    refs = scratch.path / ".git" / "refs" / "heads"
    blob = scratch.git("rev-parse", "HEAD:a.txt")
    for name, content in (("damaged", "junk"), ("gone", "1" * 40), ("file", blob)):
        (refs / name).write_text(f"{content}\n")
    with pytest.raises(GitFailed, match="corrupted loose reference"):
        repository.branch_tip("damaged")
    with pytest.raises(ObjectsMissing):
        repository.resolve("gone")
    for name in ("none", "file", "main/below", "a..b", "-", "", "\0", "x" * 300, "refs/heads/none"):
        assert repository.branch_tip(name) is None
        with pytest.raises(RevisionNotFound):
            repository.resolve(name)
    head = scratch.head()
    for commit in ("2" * 40, blob, "main"):
        with pytest.raises(RevisionNotFound):
            repository.commit(commit)
    file = scratch.path / ".git" / "objects" / head[:2] / head[2:]
    file.chmod(0o644)
    file.write_bytes(b"damaged")
    fresh = Repository(scratch.path, scratch.path.parent / "private-2")
    for read in (fresh.commit, fresh.resolve, fresh.has, fresh.tree):
        with pytest.raises(GitFailed) as failed:
            read(head)
        assert not isinstance(failed.value, ObjectsMissing)
    fresh.close()


def test_a_commit_whose_encoding_can_not_be_read_is_read(scratch: Scratch, repository: Repository) -> None:
    raw = scratch.git("cat-file", "commit", "HEAD").encode()
    head, _, message = raw.partition(b"\n\n")
    odd = head + b"\nencoding \xff\xfe\n\n" + message + b" \xe4\n"
    made = scratch.git("hash-object", "-t", "commit", "-w", "--stdin", input_=odd)
    assert "\N{REPLACEMENT CHARACTER}" in repository.commit(made).message
