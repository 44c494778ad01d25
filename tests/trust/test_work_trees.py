"""A `.git` leads to another repository's data folder only when that repository leads back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import prompt
from cli.running import git, repository
from connect.hooking import Place, answering, environment, ok, serving
from repomesh.connect import hook_main
from repomesh.domains.overview.cli_hooks.models import GuardEdit
from repomesh.kernel import data_folder, work_trees
from repomesh.kernel.data_folder import ForeignWorkTree
from repomesh.surfaces.hooks.dialects.writes import TargetExtent, WriteSet, WriteTarget
from repomesh.surfaces.hooks.repo_paths import find_repository_paths


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The victim's repository, with a linked work tree and a submodule."""
    made = repository(tmp_path / "home")
    git(made, "worktree", "add", "-q", str(tmp_path / "linked"))
    allow = ("-c", "protocol.file.allow=always")
    git(made, *allow, "submodule", "--quiet", "add", str(repository(tmp_path / "library")), "inner")
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """What was unpacked: nothing yet."""
    made = tmp_path / "archive"
    made.mkdir()
    return made


def by_hook(start: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.chdir(start)
    return hook_main.data_folder("claude")


# -- what an archive may bring ---------------------------------------------------------------------


def file_to_a_linked_work_tree(home: Path, archive: Path) -> None:
    (archive / ".git").write_text(f"gitdir: {home}/.git/worktrees/linked\n")


def folder_with_a_common_folder(home: Path, archive: Path) -> None:
    git(archive, "init", "-q")
    (archive / ".git" / "commondir").write_text(f"{home}/.git\n")


def file_to_a_folder_with_a_common_folder(home: Path, archive: Path) -> None:
    """The attacker's own folder leads back to the archive, as a linked one does."""
    own = archive / "worktrees" / "x"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (own / "commondir").write_text(f"{home}/.git\n")
    (own / "gitdir").write_text(f"{archive}/.git\n")
    (archive / ".git").write_text("gitdir: worktrees/x\n")


def link_to_a_linked_work_tree(home: Path, archive: Path) -> None:
    (archive / ".git").symlink_to(home / ".git/worktrees/linked")


def link_to_the_file_of_one(home: Path, archive: Path) -> None:
    (archive / ".git").symlink_to(home.parent / "linked" / ".git")


def bare_with_a_common_folder(home: Path, archive: Path) -> None:
    (archive / "HEAD").write_text("ref: refs/heads/main\n")
    (archive / "commondir").write_text(f"{home}/.git\n")


REFUSED = (
    file_to_a_linked_work_tree,
    folder_with_a_common_folder,
    file_to_a_folder_with_a_common_folder,
    link_to_a_linked_work_tree,
    link_to_the_file_of_one,
    bare_with_a_common_folder,
)


def file_to_the_repository(home: Path, archive: Path) -> None:
    (archive / ".git").write_text(f"gitdir: {home}/.git\n")


def link_to_the_repository(home: Path, archive: Path) -> None:
    (archive / ".git").symlink_to(home / ".git")


def file_to_a_submodule(home: Path, archive: Path) -> None:
    (archive / ".git").write_text(f"gitdir: {home}/.git/modules/inner\n")


def repository_that_names_its_work_tree(home: Path, archive: Path) -> None:
    git(archive, "init", "-q")
    git(archive, "config", "core.worktree", str(home))


def bare_that_names_its_work_tree(home: Path, archive: Path) -> None:
    git(archive.parent, "clone", "-q", "--bare", str(home), str(archive))
    git(archive, "config", "core.bare", "false")
    git(archive, "config", "core.worktree", str(home))


ITS_OWN = (
    file_to_the_repository,
    link_to_the_repository,
    file_to_a_submodule,
    repository_that_names_its_work_tree,
    bare_that_names_its_work_tree,
)


@pytest.mark.parametrize("build", REFUSED)
def test_what_leads_to_a_repository_that_does_not_lead_back_is_refused(
    home: Path, archive: Path, build: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(home, archive)
    (archive / "deep").mkdir()
    for start in (archive, archive / "deep"):
        with pytest.raises(ForeignWorkTree) as raised:
            data_folder.data_folder(start)
        assert "worktree repair" in raised.value.hint
        assert by_hook(start, monkeypatch) is None
    assert work_trees.home(archive) is None


@pytest.mark.parametrize("build", ITS_OWN)
def test_what_is_bound_to_no_other_folder_has_its_own_data(
    home: Path, archive: Path, build: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(home, archive)
    assert data_folder.data_folder(archive) == archive / data_folder.DATA
    assert by_hook(archive, monkeypatch) == f"{archive}/{data_folder.DATA}"


def test_neither_a_command_nor_a_hook_speaks_to_the_server_of_the_repository(
    home: Path, archive: Path
) -> None:
    place = Place(home).make()
    file_to_a_linked_work_tree(home, archive)
    with serving(answering(ok(b"{}"))) as server:
        place.serve(server.port)
        for words in (("status",), ("token", "list"), ("agent", "list"), ("up", "--port", "0"), ("down",)):
            done = prompt.run((*words, "--json"), archive, environment())
            assert done.problem["code"] == ForeignWorkTree.code, words
            assert f"git -C {archive} worktree repair" in done.problem["hint"]
        assert place.hook("SessionStart", cwd=archive).stdout == b""
        doctor = prompt.run(("doctor",), archive, environment())
        assert "worktree repair" in doctor.out + doctor.err
        assert server.requests == []
        assert place.hook("Stop", cwd=home.parent / "linked").stdout == b"{}", "the real one is"
    assert not (archive / data_folder.DATA).exists()


def test_a_cli_is_offered_nothing_there(home: Path, archive: Path) -> None:
    file_to_a_linked_work_tree(home, archive)
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    hello["params"] |= {"capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}  # type: ignore[operator]
    done = prompt.run(("mcp", "--cli", "claude"), archive, environment(), json.dumps(hello) + "\n")
    assert "not connected in this folder" in done.out
    assert "worktree repair" in done.err


def test_the_server_takes_what_is_written_there_for_another_repository(home: Path, archive: Path) -> None:
    file_to_a_linked_work_tree(home, archive)
    writes = WriteSet((WriteTarget("README.md", TargetExtent.FILE),))
    assert find_repository_paths(writes, str(archive), str(home)) is None
    assert find_repository_paths(writes, str(home.parent / "linked"), str(home)) == GuardEdit(
        files=("README.md",)
    )


# -- what is bound both ways -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linked", "home/inner", "of-bare", "relative"])
def test_commands_and_hooks_find_the_same_where_git_leads_both_ways(
    home: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(home), str(tmp_path / "bare.git"))
    git(tmp_path / "bare.git", "worktree", "add", "-q", str(tmp_path / "of-bare"))
    git(home, "worktree", "add", "-q", str(tmp_path / "relative"))
    own = home / ".git/worktrees/relative"
    (own / "gitdir").write_text(f"{os.path.relpath(tmp_path / 'relative/.git', own)}\n")
    (tmp_path / "relative/.git").write_text("gitdir: ../home/.git/worktrees/relative\n")
    there = {"home/inner": home / "inner", "of-bare": tmp_path / "bare.git"}.get(name, home)
    for start in (tmp_path / name, tmp_path / name / "deep"):
        start.mkdir(exist_ok=True)
        assert data_folder.data_folder(start) == there / data_folder.DATA
        assert by_hook(start, monkeypatch) == f"{there}/{data_folder.DATA}"


def test_a_moved_work_tree_is_repaired_by_git(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    (tmp_path / "linked").rename(moved)
    with pytest.raises(ForeignWorkTree):
        data_folder.data_folder(moved)
    git(moved, "worktree", "repair")
    assert data_folder.data_folder(moved) == home / data_folder.DATA
    assert by_hook(moved, monkeypatch) == f"{home}/{data_folder.DATA}"


def test_a_copied_work_tree_is_none(home: Path, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "linked", tmp_path / "copy")
    with pytest.raises(ForeignWorkTree):
        data_folder.data_folder(tmp_path / "copy")


def test_a_link_to_a_work_tree_leads_to_its_repository(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "linked")
    assert data_folder.data_folder(tmp_path / "link") == home / data_folder.DATA
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path / "link"))
    assert by_hook(tmp_path, monkeypatch) == f"{home}/{data_folder.DATA}"


def test_in_gits_own_folder_it_is_the_repositorys(home: Path) -> None:
    for start in (home / ".git", home / ".git/hooks", home / ".git/worktrees/linked"):
        assert data_folder.data_folder(start) == home / data_folder.DATA


def test_the_environment_of_a_git_hook_names_the_repository(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(home / ".git/worktrees/linked"))
    assert data_folder.data_folder(tmp_path / "linked") == home / data_folder.DATA
    monkeypatch.setenv("GIT_DIR", str(home / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert data_folder.data_folder(tmp_path) == home / data_folder.DATA


def test_what_git_does_not_take_for_its_own_is_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "empty" / ".git").mkdir(parents=True)
    assert data_folder.data_folder(home / "empty") == home / data_folder.DATA
    assert by_hook(home / "empty", monkeypatch) == f"{home}/{data_folder.DATA}"
