"""Which data folders are used, and how one that was not made here comes to be."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest

import prompt
from cli.running import Shell, eventually, git, repository
from connect.hooking import Place, environment, hold
from repomesh.adapters.contents.folder import FolderContents
from repomesh.client import discovery
from repomesh.connect import hook_main
from repomesh.kernel import adoption, data_folder, private_files, trust
from repomesh.kernel.git import RepositoryUnreadable
from repomesh.kernel.limits import FOLDER_ENTRIES_MAX, PRIVATE_FILE_BYTES_MAX
from repomesh.kernel.private_files import UnsafeFile, open_private, read_private
from repomesh.kernel.trust import StateFolderUnusable, UntrustedFolder
from repomesh.store import drafts, folder, opening


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


@pytest.fixture
def data(project: Path) -> Path:
    """A data folder that was made here, with a token."""
    made = project / data_folder.DATA
    folder.prepare(made)
    folder.write_secret(made / data_folder.TOKEN, "rpm_secret")
    folder.write_server(made, 1, "http://127.0.0.1:1", "0")
    return made


def refused(data: Path) -> UntrustedFolder:
    with pytest.raises(UntrustedFolder) as raised:
        trust.require(data)
    assert hook_main.open_trusted_folder(str(data)) is None, "a hook refuses it, too"
    return raised.value


def accepted(data: Path) -> Path:
    record = trust.require(data)
    assert record is not None
    here = hook_main.open_trusted_folder(str(data))
    assert here is not None
    assert here.record == str(record)
    return record


# -- what is trusted -------------------------------------------------------------------------------


def test_it_is_known_under_every_name_that_leads_to_it(data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data.parent)
    assert accepted(data) == accepted(tmp_path / "link" / data_folder.DATA)


def test_all_that_lies_in_it_is_its_owners_alone(shell: Shell) -> None:
    shell.ok("up", "--port", "0", "--detach")
    record = accepted(shell.data)
    for place in (shell.data, record):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        for path in place.iterdir():
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("kind", ["worktree", "submodule", "bare", "none"])
def test_every_kind_of_repository_has_one(project: Path, tmp_path: Path, kind: str) -> None:
    start = tmp_path / kind
    if kind == "worktree":
        git(project, "worktree", "add", "-q", str(start))
    elif kind == "submodule":
        allow = ("-c", "protocol.file.allow=always")
        git(project, *allow, "submodule", "--quiet", "add", str(project), "inner")
        start = project / "inner"
    elif kind == "bare":
        git(tmp_path, "clone", "-q", "--bare", str(project), str(start))
    else:
        start.mkdir()
    made = data_folder.data_folder(start)
    folder.prepare(made)
    accepted(made)
    assert hook_main.open_trusted_folder(found_by_hook(start)) is not None


def found_by_hook(start: Path) -> str | None:
    before = Path.cwd()
    os.chdir(start)
    try:
        return hook_main.data_folder("claude")
    finally:
        os.chdir(before)


def test_a_named_folder_elsewhere_has_its_record(project: Path, tmp_path: Path) -> None:
    shell = Shell(project)
    elsewhere = tmp_path / "elsewhere" / "data"
    shell.ok("up", "--port", "0", "--detach", REPOMESH_DATA=str(elsewhere))
    try:
        assert shell.ok("status", REPOMESH_DATA=str(elsewhere))["data"] == str(elsewhere)
        accepted(elsewhere)
    finally:
        shell.ok("down", "--data", str(elsewhere))


def test_an_empty_folder_becomes_ones_own(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o755)
    folder.prepare(volume)
    accepted(volume)
    assert stat.S_IMODE(volume.stat().st_mode) == 0o700


def test_many_may_make_it_at_once(tmp_path: Path) -> None:
    made = tmp_path / data_folder.DATA
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(folder.prepare, [made] * 8))
    accepted(made)


def test_a_folder_that_came_back_is_not_the_one_that_was_made(data: Path) -> None:
    """A path alone proves nothing: only who made the folder knows its id."""
    shutil.rmtree(data)
    data.mkdir(mode=0o700)
    (data / "token").write_text("rpm_attackers")
    (data / "token").chmod(0o600)
    assert "no record" in refused(data).message


def test_as_many_entries_as_the_limit(data: Path) -> None:
    for number in range(FOLDER_ENTRIES_MAX - len(list(data.iterdir()))):
        (data / f"file-{number}").touch()
    accepted(data)
    (data / "one-more").touch()
    assert str(FOLDER_ENTRIES_MAX) in refused(data).message


def test_what_others_may_do_is_taken_from_them_first(data: Path) -> None:
    data.chmod(0o750)
    assert refused(data).hint == f"chmod 700 {data}"
    data.chmod(0o700)
    (data / "token").chmod(0o640)
    assert refused(data).hint == f"chmod 600 {data / 'token'}"


def test_what_git_tracked_once_stays_refused(data: Path, project: Path) -> None:
    git(project, "add", "-f", data_folder.DATA)
    assert "git tracks" in refused_by_command(data)
    git(project, "rm", "-q", "-r", "--cached", data_folder.DATA)
    assert "may have replaced" in refused(data).message
    adoption.adopt(adoption.inspect(data))
    accepted(data)
    assert not (data / data_folder.TOKEN).exists()


def refused_by_command(data: Path) -> str:
    with pytest.raises(UntrustedFolder) as raised:
        trust.require(data)
    return raised.value.message


# -- one file --------------------------------------------------------------------------------------


def test_a_private_file_as_long_as_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * PRIVATE_FILE_BYTES_MAX)
    assert read_private(path) == path.read_bytes()
    path.write_bytes(b"x" * (PRIVATE_FILE_BYTES_MAX + 1))
    with pytest.raises(UnsafeFile):
        read_private(path)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "dangling"])
@pytest.mark.parametrize(
    "flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_APPEND]
)
def test_only_regular_files_are_opened(tmp_path: Path, kind: str, flags: int) -> None:
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "target")
        if kind == "link":
            (tmp_path / "target").write_text("mine")
    with pytest.raises(UnsafeFile) as raised:
        open_private(path, flags)
    assert str(path) in raised.value.message
    assert raised.value.hint
    assert (tmp_path / "target").exists() == (kind == "link")


def test_what_is_written_replaces_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    private_files.write_private(tmp_path / "file", b"new")
    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()


# -- the state folder ------------------------------------------------------------------------------


def test_without_xdg_the_home_folder_remembers(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder.prepare(project / data_folder.DATA)
    assert accepted(project / data_folder.DATA).is_relative_to(tmp_path / ".local/state/repomesh")
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    accepted(project / data_folder.DATA)


@pytest.mark.parametrize(
    "variables", [{"XDG_STATE_HOME": "/proc/none"}, {"XDG_STATE_HOME": "", "HOME": "relative"}]
)
def test_without_a_place_to_remember_it_says_what_to_set(project: Path, variables: dict[str, str]) -> None:
    done = prompt.run(("up", "--json"), project, environment() | variables)
    assert done.problem["code"] == StateFolderUnusable.code
    assert "XDG_STATE_HOME" in done.problem["hint"]
    assert not (project / data_folder.DATA).exists()
    hook = Place(project).hook(**variables)
    assert (hook.returncode, hook.stdout, hook.stderr) == (0, b"", b"")


def test_a_state_folder_that_others_write_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    trust.records_folder().chmod(0o777)
    with pytest.raises(StateFolderUnusable) as raised:
        folder.prepare(project / data_folder.DATA)
    assert "chmod 700" in raised.value.hint


# -- adopting --------------------------------------------------------------------------------------


def test_a_folder_of_an_earlier_version_needs_one_command(running: Shell) -> None:
    """It has no id and no record, and modes as they came; its token was its owner's for long."""
    running.ok("down")
    old = data_folder.read_secret(running.data / data_folder.TOKEN)
    (running.data / trust.ID).unlink()
    running.data.chmod(0o755)
    (running.data / "repomesh.db").chmod(0o644)
    running.data.chmod(0o700)
    done = running("status")
    assert done.code == 5
    assert f"repomesh trust --data {running.data}" in done.err
    asked = running("trust")
    assert "--yes" in asked.err
    assert running("status").code == 5, "nothing happens unasked"
    assert running.ok("trust", "--yes")["origin"] == "unknown"
    running.ok("up", "--port", "0", "--detach")
    assert running.ok("agent", "list")["items"] == []
    assert data_folder.read_secret(running.data / data_folder.TOKEN) != old
    assert running("agent", "list", REPOMESH_TOKEN=str(old)).code == 5, "what lay there before opens nothing"


def test_a_copy_speaks_to_no_other_server_and_can_be_adopted(running: Shell, tmp_path: Path) -> None:
    copy = Shell(tmp_path / "copy")
    shutil.copytree(running.folder, copy.folder)
    done = copy("agent", "list")
    assert "copied" in done.err
    assert "repomesh trust --data" in done.err
    made = copy.ok("trust", "--yes")
    assert (made["origin"], made["was_at"]) == ("copied", str(running.data))
    assert copy("agent", "list").code == 6, "its own server does not run yet"
    accepted(copy.data)
    assert running.ok("agent", "list")["items"] == [], "the first one is as it was"
    assert data_folder.read_secret(copy.data / data_folder.TOKEN) is None
    assert not (copy.data / "server.json").exists()


def test_a_moved_repository_keeps_its_token(project: Path, data: Path, tmp_path: Path) -> None:
    moved = Shell(tmp_path / "moved")
    project.rename(moved.folder)
    assert "moved" in moved("status").err
    made = moved.ok("trust", "--yes")
    assert (made["origin"], made["token_kept"]) == ("moved", True)
    assert data_folder.read_secret(moved.data / data_folder.TOKEN) == "rpm_secret"
    assert data_folder.read_server(moved.data) is None, "its server ran elsewhere"
    assert moved.ok("trust")["origin"] == "trusted"


@pytest.mark.parametrize("inside", ["connect/claude.json", "deep/er/link"])
def test_no_folder_with_a_link_inside_is_adopted(project: Path, tmp_path: Path, inside: str) -> None:
    link = project / data_folder.DATA / inside
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path)
    with pytest.raises(UntrustedFolder) as raised:
        adoption.inspect(project / data_folder.DATA)
    assert str(link) in raised.value.hint


def test_no_folder_is_adopted_that_git_tracks_or_that_is_in_use(project: Path, data: Path) -> None:
    (data / trust.ID).unlink()
    with folder.hold(data), pytest.raises(adoption.FolderServed):
        adoption.inspect(data)
    git(project, "add", "-f", data_folder.DATA)
    with pytest.raises(UntrustedFolder):
        adoption.inspect(data)


# -- which server the token goes to ----------------------------------------------------------------


def test_a_note_in_the_repository_names_no_server(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "server.json").write_text(
        json.dumps({"pid": os.getpid(), "url": "http://attacker.example", "version": "0"})
    )
    folder.write_server(data, os.getpid(), "http://127.0.0.1:1", "0")
    with hold(data):
        assert discovery.find(data=data).url == "http://127.0.0.1:1"
    monkeypatch.setenv("REPOMESH_URL", "http://attacker.example")
    assert discovery.find(data=data).token is None


# -- git -------------------------------------------------------------------------------------------


def test_git_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("repomesh.kernel.git.GIT_S", 0.2)
    with pytest.raises(RepositoryUnreadable) as raised:
        data_folder.data_folder(tmp_path)
    assert "did not answer" in raised.value.message


def test_a_pipe_in_place_of_git_hangs_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".git")
    done = prompt.start(("status",), tmp_path, environment())
    assert eventually(done.ended)
    assert done.wait().code != 0
    hook = Place(tmp_path).hook()
    assert (hook.returncode, hook.stdout, hook.stderr) == (0, b"", b"")


def test_the_hint_names_what_git_tracks(project: Path) -> None:
    (project / ".RepoMesh").mkdir()
    (project / ".RepoMesh" / "token").write_text("rpm_attackers")
    git(project, "add", ".")
    with pytest.raises(UntrustedFolder) as raised:
        folder.prepare(project / data_folder.DATA)
    assert f"'git -C {project} rm -r -f .RepoMesh'" in raised.value.hint
    assert not (project / data_folder.DATA).exists()


@contextmanager
def coming_and_going(*paths: Path) -> Iterator[None]:
    """Write and remove the files again and again while inside, their folders too."""
    ended = Event()

    def write() -> None:
        while not ended.is_set():
            for path in paths:
                path.parent.mkdir(exist_ok=True, parents=True)
                private_files.write_private(path, b"x")
            for path in paths:
                path.unlink(missing_ok=True)
                with suppress(OSError):
                    path.parent.rmdir()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            yield
        finally:
            ended.set()
        writing.result()


def test_files_that_come_and_go_meanwhile_are_no_fault(data: Path) -> None:
    with coming_and_going(data / "note"):
        for _ in range(1_000):
            assert trust.record_of(data) is not None
            assert hook_main.open_trusted_folder(str(data)) is not None


def test_files_that_come_and_go_while_the_database_is_looked_for_are_no_fault(data: Path) -> None:
    backup, log = data / "backups" / "first.db", data / f"{data_folder.DATABASE}-wal"
    with coming_and_going(data / data_folder.DATABASE, log, backup):
        for _ in range(300):
            with suppress(opening.DatabaseMissing):
                opening.prepare_file(data)
            adoption.inspect(data)


def test_contents_that_are_erased_meanwhile_are_not_listed(data: Path) -> None:
    name = "ab" * 32
    with coming_and_going(data / data_folder.CONTENTS / name[:2] / name):
        for _ in range(300):
            assert set(FolderContents(data).old(-60.0, 10)) <= {name}


def unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def test_a_folder_is_adopted_while_files_in_it_go(data: Path) -> None:
    for _ in range(20):
        (data / trust.ID).unlink()
        (data / "wake").mkdir(exist_ok=True)
        sessions = [data / "wake" / f"{number}.json" for number in range(50)]
        for path in sessions:
            private_files.write_private(path, b"{}")
        with ThreadPoolExecutor(1) as pool:
            gone = pool.submit(unlink, sessions[::-1])
            adoption.adopt(adoption.inspect(data))
            gone.result()
        accepted(data)


def test_sessions_that_begin_at_once_all_keep_where_they_are_woken(data: Path) -> None:
    place = Place(data.parent)
    trust_record = accepted(data)
    (trust_record / data_folder.CONNECT).mkdir()
    place.mark()

    def begin(number: int) -> int:
        said = json.dumps({"session_id": f"s{number}"}).encode()
        return place.hook("SessionStart", said, CLAUDE_CODE_MESSAGING_SOCKET="/run/in.sock").returncode

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(begin, range(6))) == {0}
    assert "FileExistsError" not in place.log
    assert len(list((data / "wake").iterdir())) == 6


def test_a_draft_is_removed_once_its_process_is_gone(data: Path) -> None:
    draft, descriptor = private_files.create_draft(data / "note")
    assert drafts.sweep(data) == []
    os.close(descriptor)  # as the end of its process does
    assert drafts.sweep(data) == [draft.name]


def test_a_sweep_breaks_no_file_that_is_being_written(data: Path) -> None:
    ended = Event()

    def sweep() -> None:
        while not ended.is_set():
            drafts.sweep(data)

    with ThreadPoolExecutor(2) as pool:
        sweepers = [pool.submit(sweep) for _ in range(2)]
        try:
            for number in range(2_000):
                private_files.write_private(data / "note", str(number).encode())
        finally:
            ended.set()
        for sweeper in sweepers:
            sweeper.result()
    assert (data / "note").read_bytes() == b"1999"
