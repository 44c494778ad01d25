"""The data folder: one server at a time, and its secrets for its owner only."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from repomesh.store import folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "deep" / "data"
    folder.prepare(made)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_its_owners_alone_and_ignored_by_git(data: Path) -> None:
    assert mode(data) == 0o700
    subprocess.run(["git", "init", "-q", data.parent], check=True)
    (data / "secret").write_text("x")
    seen = subprocess.run(
        ["git", "-C", data.parent, "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert seen.stdout == ""


def test_a_secret_is_never_readable_by_others(data: Path) -> None:
    token = data / folder.TOKEN
    before = os.umask(0)
    try:
        token.write_text("old, for everybody")
        token.chmod(0o644)
        folder.write_secret(token, "new")
    finally:
        os.umask(before)
    assert mode(token) == 0o600
    assert folder.read_secret(token) == "new"
    assert [path.name for path in data.iterdir() if "token" in path.name] == ["token"]


def test_a_secret_is_not_written_through_a_link(data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    (data / folder.TOKEN).symlink_to(elsewhere)
    folder.write_secret(data / folder.TOKEN, "ours")
    assert elsewhere.read_text() == "theirs"
    assert folder.read_secret(data / folder.TOKEN) == "ours"


def test_a_held_folder_is_refused_with_who_holds_it(data: Path) -> None:
    program = (
        "import sys, os; from pathlib import Path; from repomesh.store import folder\n"
        "data = Path(sys.argv[1])\n"
        "with folder.hold(data):\n"
        "    folder.write_server(data, os.getpid(), 'http://127.0.0.1:1', '1')\n"
        "    print(os.getpid(), flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, data], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    pid = int(other.stdout.readline())
    assert folder.holder(data) == pid
    with pytest.raises(folder.FolderInUse) as refused, folder.hold(data):
        pass
    assert refused.value.details == {"pid": pid, "url": "http://127.0.0.1:1"}
    other.kill()
    other.communicate()
    assert folder.holder(data) is None
    with folder.hold(data):
        assert mode(data / folder.LOCK) == 0o600
        assert folder.holder(data) == os.getpid()


def test_a_holder_that_is_no_server_is_waited_for(data: Path) -> None:
    first = folder.hold(data)
    first.__enter__()
    later = threading.Timer(0.1, first.__exit__, (None, None, None))
    later.start()
    with folder.hold(data, patience_s=30):
        assert folder.holder(data) == os.getpid()
    later.join()
    folder.write_server(data, os.getpid(), "http://127.0.0.1:1", "1")
    with folder.hold(data), pytest.raises(folder.FolderInUse, match="answers at"), folder.hold(data, 30):
        pass


def test_of_many_that_want_a_folder_one_has_it(data: Path) -> None:
    held, refused = [], []
    together, done = threading.Barrier(4), threading.Event()

    def want() -> None:
        together.wait()
        try:
            with folder.hold(data):
                held.append(1)
                done.wait(10)
        except folder.FolderInUse:
            refused.append(1)
            if len(refused) == 3:
                done.set()

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 3)
