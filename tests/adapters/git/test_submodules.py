"""Work trees of checks hold the files of submodules that were fetched, and say which were not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from repomesh.adapters.git.check_trees import CheckTree
from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.repository import Repository
from repomesh.kernel import limits
from repositories import Scratch

LOCAL = ("-c", "protocol.file.allow=always")


@pytest.fixture
def library(tmp_path: Path) -> Scratch:
    """A library with a submodule of its own, `deep`."""
    inner = Scratch(tmp_path / "inner")
    inner.commit({"deep.txt": "deep\n"})
    made = Scratch(tmp_path / "library")
    made.commit({"library.py": "x = 1\n"})
    made.git(*LOCAL, "submodule", "add", "-q", str(inner.path), "deep")
    made.git("commit", "-q", "-m", "deep")
    return made


@pytest.fixture
def tree(scratch: Scratch, repository: Repository, library: Scratch, tmp_path: Path) -> CheckTree:
    scratch.git(*LOCAL, "submodule", "add", "-q", str(library.path), "libs/läb")
    scratch.git(*LOCAL, "submodule", "update", "-q", "--init", "--recursive")
    scratch.git("commit", "-q", "-m", "library")
    return CheckTree(repository, tmp_path / "checks")


def files(tree: CheckTree) -> dict[str, str]:
    """The files of the tree, without those of git."""
    paths = [path for path in tree.folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {
        str(path.relative_to(tree.folder)): path.read_text() for path in paths if path.name != ".gitmodules"
    }


def test_submodules_are_there_and_follow_the_commit(
    scratch: Scratch, library: Scratch, tree: CheckTree
) -> None:
    first = scratch.head()
    library.commit({"library.py": "x = 2\n"})
    work = Scratch.at(scratch.path / "libs/läb")
    work.git(*LOCAL, "pull", "-q", "--no-recurse-submodules")
    scratch.git("commit", "-q", "-am", "newer")
    expected = {
        "a.txt": "1\n2\n3\n4\n5\n",
        "libs/läb/library.py": "x = 1\n",
        "libs/läb/deep/deep.txt": "deep\n",
    }
    assert tree.check_out(first) == []
    assert files(tree) == expected
    (tree.folder / "libs/läb/library.py").write_text("left by a check\n")
    (tree.folder / "libs/läb/left").write_text("left by a check\n")
    assert tree.check_out(scratch.head()) == []
    assert files(tree) == expected | {"libs/läb/library.py": "x = 2\n"}
    before = scratch.git("rev-parse", "HEAD~2")
    assert tree.check_out(before) == []
    assert files(tree) == {"a.txt": expected["a.txt"]}
    tree.remove()


def test_a_submodule_that_was_not_fetched_is_empty_and_named(scratch: Scratch, tree: CheckTree) -> None:
    assert tree.check_out(scratch.head()) == []
    shutil.rmtree(scratch.path / ".git/modules/libs/läb/modules/deep")
    assert tree.check_out(scratch.head()) == ["libs/läb/deep"]
    assert "libs/läb/deep/deep.txt" not in files(tree)
    shutil.rmtree(scratch.path / ".git/modules")
    assert tree.check_out(scratch.head()) == ["libs/läb"]
    assert list(files(tree)) == ["a.txt"]
    tree.remove()


def test_nothing_is_written_behind_a_link_in_the_way_of_a_submodule(
    scratch: Scratch, tree: CheckTree, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "läb").mkdir(parents=True)
    tree.check_out(scratch.head())
    shutil.rmtree(tree.folder / "libs")
    (tree.folder / "libs").symlink_to(outside)
    assert tree.check_out(scratch.head()) == []
    assert list((outside / "läb").iterdir()) == []
    assert "libs/läb/library.py" in files(tree)
    shutil.rmtree(tree.folder / "libs/läb")
    (tree.folder / "libs/läb").symlink_to(outside / "läb")
    tree.check_out(scratch.head())
    assert list((outside / "läb").iterdir()) == []
    tree.remove()


@pytest.mark.parametrize("name", ["../../objects", "..", "libs/läb/../../../modules/libs/läb", "/etc"])
def test_a_name_leads_nowhere_else(scratch: Scratch, tree: CheckTree, name: str) -> None:
    text = f'[submodule "{name}"]\n\tpath = libs/läb\n\turl = ./x\n'
    hostile = scratch.commit({".gitmodules": text}, on=scratch.head())
    assert tree.check_out(hostile) == ["libs/läb"]
    tree.remove()


def test_submodules_are_counted(scratch: Scratch, tree: CheckTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECK_SUBMODULES_MAX", 0)
    with pytest.raises(GitFailed, match="submodules"):
        tree.check_out(scratch.head())
    monkeypatch.setattr(limits, "CHECK_SUBMODULES_MAX", 1)
    assert tree.check_out(scratch.head()) == []
    tree.remove()
