"""Which server is spoken to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from cli.running import git
from connect.hooking import hold
from repomesh.client.discovery import find
from repomesh.client.errors import ServerNotFound
from repomesh.kernel import data_folder
from repomesh.store import folder


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPOMESH_URL", "REPOMESH_TOKEN", "REPOMESH_AGENT", "REPOMESH_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A repository whose server answers at port 1."""
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    with _serve(root / data_folder.DATA):
        yield root


def _serve(data: Path) -> IO[bytes]:
    folder.prepare(data)
    folder.write_secret(data / data_folder.TOKEN, "rpm_secret")
    folder.write_server(data, os.getpid(), "http://127.0.0.1:1", "0")
    return hold(data)


def test_the_repository_that_one_stands_in_names_it(project: Path, tmp_path: Path) -> None:
    linked, below = tmp_path / "linked", project / "a" / "b"
    git(project, "worktree", "add", "-q", str(linked))
    below.mkdir(parents=True)
    for start in (project, linked, below):
        found = find(start=start)
        assert (found.url, found.token, found.data) == (
            "http://127.0.0.1:1",
            "rpm_secret",
            project / data_folder.DATA,
        )


def test_the_environment_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOMESH_AGENT", "alice")
    assert find(start=project).agent == "alice"
    monkeypatch.setenv("REPOMESH_TOKEN", "mine")
    assert find(start=project).token == "mine"
    monkeypatch.setenv("REPOMESH_URL", "http://elsewhere:80/")
    found = find(start=project)
    assert (found.url, found.token, found.agent) == ("http://elsewhere:80", "mine", "alice")


def test_what_the_caller_names_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOMESH_URL", "http://mesh.example")
    monkeypatch.setenv("REPOMESH_TOKEN", "mine")
    monkeypatch.setenv("REPOMESH_AGENT", "alice")
    address = find(url="http://other.example", token="theirs", agent="bob")
    assert (address.url, address.token, address.agent) == ("http://other.example", "theirs", "bob")


def test_the_folders_token_goes_to_its_own_server_only(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPOMESH_URL", "http://localhost:1")
    assert find(start=project).token == "rpm_secret"
    monkeypatch.setenv("REPOMESH_URL", "http://elsewhere:1")
    assert find(start=project).token is None


def test_outside_of_git_the_nearest_folder_above_counts(tmp_path: Path) -> None:
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    with _serve(tmp_path / data_folder.DATA):
        assert find(start=below).data == tmp_path / data_folder.DATA


def test_submodules_and_bare_repositories_have_their_own(project: Path, tmp_path: Path) -> None:
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(project), "inner")
    assert data_folder.repository(project / "inner") == project / "inner"
    bare, linked = tmp_path / "bare.git", tmp_path / "of-bare"
    git(tmp_path, "clone", "-q", "--bare", str(project), str(bare))
    git(bare, "worktree", "add", "-q", str(linked))
    assert data_folder.repository(linked) == bare


def test_none_is_said_with_the_command_that_starts_one(tmp_path: Path) -> None:
    with pytest.raises(ServerNotFound) as refused:
        find(start=tmp_path)
    assert "repomesh up" in refused.value.hint
