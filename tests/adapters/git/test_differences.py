"""Differences of trees, beside those that libgit2 finds by walking through both trees whole."""

from __future__ import annotations

import random
from pathlib import Path

import pygit2
import pytest

from repomesh.adapters.git.differences import TreeDifference
from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.merge_results import BlobRef
from repomesh.adapters.git.modes import EXECUTABLE, REGULAR, SUBMODULE, SYMLINK
from repomesh.adapters.git.paths import PathRefused
from repomesh.adapters.git.repository import Repository
from repomesh.kernel import limits
from repositories import Scratch


def compared(repository: Repository, old: str, new: str) -> TreeDifference:
    difference = repository.compare(old, new, 5_000)
    assert difference is not None
    return difference


def test_what_differs_between_trees(scratch: Scratch, repository: Repository) -> None:
    base = scratch.head()
    changed = scratch.commit({"a.txt": "1\n2\nx\ny\n4\n5\n", "b.bin": "\0\1", "日本.txt": "x"}, on=base)
    old, new = repository.tree(base), repository.tree(changed)
    difference = repository.compare(old, new, 10)
    assert difference is not None
    assert [
        (file.path.decode(), file.added, file.deleted, file.binary, file.size) for file in difference.files
    ] == [
        ("a.txt", 2, 1, False, 12),
        ("b.bin", 0, 0, True, 2),
        ("日本.txt", 1, 0, False, 1),
    ]
    assert repository.compare(old, new, 2) is None
    text, whole = difference.text(10_000)
    assert whole
    assert "+x\n+y\n" in text
    assert difference.text(20) == (text[:20], False)


def test_a_patch_keeps_its_id_where_it_moves(scratch: Scratch, repository: Repository) -> None:
    lines = [f"{number}\n" for number in range(30)]
    edited = [*lines[:20], "new\n", *lines[21:]]
    versions = [lines, edited, ["first\n", *lines], ["first\n", *edited]]
    trees = [
        repository.tree(scratch.commit({"a.txt": "".join(version)}, on=scratch.head()))
        for version in versions
    ]
    moved, original, other = (
        compared(repository, *pair).patch_id for pair in (trees[2:], trees[:2], (trees[0], trees[2]))
    )
    assert moved == original != other


def test_a_content_that_is_too_large_is_not_compared(
    scratch: Scratch, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libgit2 would hold the interpreter for a second for each 50 MB."""
    base = scratch.commit({"old": "x" * 2_000, "a.txt": "a\n"})
    changed = scratch.commit({"old": "y" * 2_000, "a.txt": "b\n", "new": "z\n" * 1_000}, on=base)
    old, new = repository.tree(base), repository.tree(changed)
    whole = compared(repository, old, new)
    monkeypatch.setattr(limits, "CHANGE_COMPARED_BYTES_MAX", 1_999)
    difference = compared(repository, old, new)
    assert [(file.path, file.binary, file.added, file.size) for file in difference.files] == [
        (b"a.txt", False, 1, 2),
        (b"new", True, 0, 2_000),
        (b"old", True, 0, 2_000),
    ]
    assert [(file.old, file.new) for file in difference.files] == [(f.old, f.new) for f in whole.files]
    other = scratch.commit({"old": "w" * 2_000, "a.txt": "b\n", "new": "z\n" * 1_000}, on=base)
    assert compared(repository, old, repository.tree(other)).patch_id != difference.patch_id
    assert [path for path, _number, _text in difference.added_lines(10)] == ["a.txt"]
    assert "Binary files" in difference.text(10_000)[0]


def test_a_path_through_too_many_folders_is_refused(scratch: Scratch, repository: Repository) -> None:
    base = scratch.head()
    for folders, is_taken in (
        (limits.QUEUE_PATH_FOLDERS_MAX, True),
        (limits.QUEUE_PATH_FOLDERS_MAX + 1, False),
    ):
        path = "d/" * folders + "a"
        deep = scratch.commit({path: "x"}, on=base)
        for trees in ((base, deep), (deep, base)):
            old, new = map(repository.tree, trees)
            if is_taken:
                assert [file.path for file in compared(repository, old, new).files] == [path.encode()]
                continue
            with pytest.raises(PathRefused):
                repository.compare(old, new, 5_000)


def test_a_tree_of_countless_files_is_given_up_early(scratch: Scratch, repository: Repository) -> None:
    """Ten folders in each of ten folders, and so on, are few objects and ten milliards of files."""
    base = repository.tree(scratch.head())
    level = BlobRef("100644", repository.write_blob(b"x"))
    tree = repository.splice(base, {f"f{number}".encode(): level for number in range(10)})
    for _ in range(9):
        listing = "".join(f"040000 tree {tree}\td{number}\n" for number in range(10))
        tree = scratch.git("mktree", input_=listing.encode())
    assert repository.compare(base, tree, 5_000) is None
    assert repository.compare(tree, base, 5_000) is None
    few = repository.splice(base, {b"d/e/f": level, b"a.txt": None})
    assert {file.path for file in compared(repository, base, few).files} == {b"d/e/f", b"a.txt"}
    assert repository.compare(base, few, 1) is None


def test_the_difference_is_that_of_the_whole_trees(scratch: Scratch, repository: Repository) -> None:
    """Random trees with folders, links, executables, submodules and binary files in each other's places."""
    chance = random.Random(14)
    whole = pygit2.Repository(str(scratch.path))
    contents = [
        repository.write_blob(content)
        for content in (
            b"",
            b"a\n",
            b"a\nb\n" * 9,
            b"a\nb\n" * 8 + b"c",
            b"\0\1",
            "ä\r\n".encode() * 3,
            b"\xff\n",
        )
    ]
    names = [b"a", b"a/b", b"a/b/c", b"a/d", b"e/f", b"e.f", b"e", b"e-", b"\xff", b"g/h/i/j"]
    modes = [REGULAR, REGULAR, REGULAR, EXECUTABLE, SYMLINK, SUBMODULE]
    versions = []
    for _ in range(25):
        files = {
            name: BlobRef(chance.choice(modes), chance.choice(contents))
            for name in chance.sample(names, chance.randrange(len(names)))
        }
        versions.append(repository.splice(repository.tree(scratch.head()), dict(files)))
    for old, new in ((chance.choice(versions), chance.choice(versions)) for _ in range(150)):
        difference = compared(repository, old, new)
        expected = whole[old].diff_to_tree(whole[new])
        has_binary = any(file.binary for file in difference.files)
        assert (difference.patch_id == str(expected.patchid)) is not has_binary
        text = "".join(patch.data.decode("utf-8", "replace") for patch in expected)
        assert difference.text(100_000) == (text, True)


def test_no_attribute_or_setting_hides_what_was_added(scratch: Scratch, repository: Repository) -> None:
    base = scratch.commit({".gitattributes": "* -diff\n"})
    scratch.git("config", "diff.context", "0")
    changed = scratch.commit({"a.txt": "1\n2\n3\n4\nsecret\n"}, on=base)
    difference = compared(repository, repository.tree(base), repository.tree(changed))
    assert [(file.added, file.binary) for file in difference.files] == [(1, False)]
    assert list(difference.added_lines(10)) == [("a.txt", 5, "secret\n")]
    assert "-5\n+secret\n" in difference.text(1_000)[0]
    assert " 4\n" in difference.text(1_000)[0]


def test_contents_of_another_repository_are_found(scratch: Scratch, tmp_path: Path) -> None:
    scratch.commit({"a.txt": "1\n"})
    scratch.git("clone", "-q", "--shared", ".", str(tmp_path / "borrower"))
    borrower = Scratch.at(tmp_path / "borrower")
    changed = borrower.commit({"a.txt": "2\n"})
    repository = Repository(borrower.path, tmp_path / "private")
    trees = repository.tree(scratch.head()), repository.tree(changed)
    assert list(compared(repository, *trees).added_lines(10)) == [("a.txt", 1, "2\n")]


def test_a_content_that_is_gone_is_a_failure(scratch: Scratch, repository: Repository) -> None:
    base, changed = scratch.head(), scratch.commit({"a.txt": "2\n"})
    blob = scratch.git("rev-parse", f"{changed}:a.txt")
    (scratch.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GitFailed):
        compared(repository, repository.tree(base), repository.tree(changed)).files  # noqa: B018
