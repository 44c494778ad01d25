"""The port of contents: whole, durable, verified and swept alike, in a folder and on both engines."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from repomesh.adapters.contents.choice import move_into_database, open_contents
from repomesh.adapters.contents.database import DatabaseContents
from repomesh.adapters.contents.folder import FolderContents
from repomesh.adapters.contents.tables import content_pieces, contents
from repomesh.app import Server
from repomesh.kernel.data_folder import CONTENTS
from repomesh.kernel.errors import DamagedRecord, Unavailable
from repomesh.kernel.identity import system_caller
from repomesh.kernel.limits import CONTENT_PIECE_BYTES
from repomesh.kernel.ports import Contents
from repomesh.kernel.settings import Settings
from repomesh.store.base import Store
from repomesh.store.transaction import Transaction

ALL = -60.0
"""An age that every content has, whatever the clocks say."""


class Place:
    """One implementation of the port, and what a test does behind its back."""

    def __init__(self, contents_: Contents, store: Store) -> None:
        self.contents = contents_
        self.store = store

    def keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.contents.keep(digest, content)
        return digest

    def read(self, digest: str) -> bytes:
        return self.store.read_now(system_caller(""), lambda tx: self.contents.read(tx, digest))

    def age(self, seconds: float) -> None:
        """Have everything been kept so long ago."""
        raise NotImplementedError

    def change(self, digest: str) -> None:
        """Change a byte of a content."""
        raise NotImplementedError

    def cut(self, digest: str) -> None:
        """Take the end of a content away."""
        raise NotImplementedError

    def break_down(self) -> None:
        """Have nothing be written any more."""
        raise NotImplementedError


class FolderPlace(Place):
    def __init__(self, data: Path, store: Store) -> None:
        super().__init__(FolderContents(data), store)
        self.folder = data / CONTENTS

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest

    def age(self, seconds: float) -> None:
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                was = path.stat().st_mtime - seconds
                os.utime(path, (was, was))

    def change(self, digest: str) -> None:
        raw = bytearray(self._path(digest).read_bytes())
        raw[-1] ^= 1
        self._path(digest).write_bytes(raw)

    def cut(self, digest: str) -> None:
        with self._path(digest).open("r+b") as file:
            file.truncate(CONTENT_PIECE_BYTES)

    def break_down(self) -> None:
        self.folder.write_text("no folder")


class DatabasePlace(Place):
    def __init__(self, store: Store) -> None:
        super().__init__(DatabaseContents(store), store)

    def _write(self, work: object) -> None:
        self.store.write_now(system_caller(""), work)  # type: ignore[arg-type]

    def age(self, seconds: float) -> None:
        by = timedelta(seconds=seconds)

        def work(tx: Transaction) -> None:
            for row in tx.execute(select(contents)).all():
                here = contents.c.sha256 == row.sha256
                tx.change(update(contents).where(here).values(kept_at=row.kept_at - by))

        self._write(work)

    def change(self, digest: str) -> None:
        here = content_pieces.c.sha256 == digest, content_pieces.c.position == 0
        self._write(lambda tx: tx.change(update(content_pieces).where(*here).values(piece=b"changed")))

    def cut(self, digest: str) -> None:
        here = content_pieces.c.sha256 == digest, content_pieces.c.position > 0
        self._write(lambda tx: tx.change(delete(content_pieces).where(*here)))

    def break_down(self) -> None:
        self.store.close()


@pytest.fixture(params=["folder", "database/sqlite", "database/postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(kind: str) -> str:
    return kind.rpartition("/")[2] if "/" in kind else "sqlite"


@pytest.fixture
def place(kind: str, server: Server, tmp_path: Path) -> Place:
    return FolderPlace(tmp_path, server.store) if kind == "folder" else DatabasePlace(server.store)


@pytest.mark.parametrize("size", [1, CONTENT_PIECE_BYTES, CONTENT_PIECE_BYTES + 1, 3_000_000])
def test_what_was_kept_is_read_as_it_was(place: Place, size: int) -> None:
    content = random.Random(size).randbytes(size)
    assert place.read(place.keep(content)) == content


def test_a_content_that_is_not_there_is_a_damaged_record(place: Place) -> None:
    with pytest.raises(DamagedRecord) as caught:
        place.read("ab" * 32)
    assert "restore" in caught.value.hint


@pytest.mark.parametrize("spoil", ["change", "cut"])
def test_damage_is_noticed_and_mended_by_keeping_it_once_more(place: Place, spoil: str) -> None:
    content = random.Random(1).randbytes(2 * CONTENT_PIECE_BYTES)
    digest = place.keep(content)
    getattr(place, spoil)(digest)
    with pytest.raises(DamagedRecord):
        place.read(digest)
    place.keep(content)
    assert place.read(digest) == content


def test_one_content_that_many_keep_at_once_is_kept_once(place: Place) -> None:
    content = random.Random(2).randbytes(CONTENT_PIECE_BYTES + 1)
    with ThreadPoolExecutor(6) as pool:
        [digest] = set(pool.map(place.keep, [content] * 12))
    assert place.contents.old(ALL, 10) == [digest]
    assert place.read(digest) == content


def test_contents_are_listed_in_pages_and_in_order(place: Place) -> None:
    digests = sorted(place.keep(str(number).encode()) for number in range(9))
    found, after = [], ""
    while page := place.contents.old(ALL, 4, after):
        assert len(page) <= 4
        found, after = found + page, page[-1]
    assert found == digests
    assert place.contents.old(3_600, 10) == []


def test_only_what_was_not_kept_lately_is_removed(place: Place) -> None:
    old, again = place.keep(b"old"), place.keep(b"again")
    place.age(100)
    place.keep(b"again")
    assert place.contents.old(50, 10) == [old]
    assert not place.contents.remove(again, 50)
    assert place.contents.remove(old, 50)
    assert not place.contents.remove(old, 50), "it is gone already"
    assert place.read(again) == b"again"
    with pytest.raises(DamagedRecord):
        place.read(old)


def test_what_is_kept_while_it_is_swept_is_there_afterwards(place: Place) -> None:
    content = b"wanted again and again"
    digest, stop, came_between = place.keep(content), threading.Event(), threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            if place.contents.remove(digest, 50):
                came_between.set()

    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(sweep)
        try:
            deadline = time.monotonic() + 30
            for kept in itertools.count():
                if kept >= 40 and (came_between.is_set() or time.monotonic() > deadline):
                    break
                place.age(100)
                place.keep(content)
                assert place.read(digest) == content
        finally:
            stop.set()
        sweeping.result()
    assert came_between.is_set(), "nothing was removed between two times that it was kept"


def test_what_can_not_be_written_is_refused(place: Place) -> None:
    place.break_down()
    with pytest.raises(Unavailable):
        place.keep(b"words")


def test_a_shared_database_holds_contents_itself(server: Server, engine: str) -> None:
    kind = DatabaseContents if engine == "postgresql" else FolderContents
    assert type(open_contents(server.store)) is kind
    assert type(server.store.contents) is kind


@pytest.mark.parametrize("kind", ["database/sqlite", "database/postgresql"])
def test_no_row_is_longer_than_a_piece(place: Place, server: Server) -> None:
    place.keep(bytes(3 * CONTENT_PIECE_BYTES + 5))
    longest = select(func.max(func.length(content_pieces.c.piece)), func.count())
    row = server.store.read_now(system_caller(""), lambda tx: tx.execute(longest).one())
    assert tuple(row) == (CONTENT_PIECE_BYTES, 4)


@pytest.mark.parametrize("kind", ["folder"])
def test_what_a_writer_that_died_left_is_dropped(place: FolderPlace) -> None:
    place.keep(b"whole")
    left = place.folder / f".{'ab' * 32}.1.2"
    left.write_bytes(b"half")
    place.contents.drop_unfinished(3_600)
    assert left.exists(), "its writer may be at it still"
    place.contents.drop_unfinished(ALL)
    assert not left.exists()
    assert len(place.contents.old(ALL, 10)) == 1


@pytest.mark.parametrize("kind", ["database/postgresql"])
def test_files_of_a_server_on_a_shared_database_are_moved_into_it(
    place: DatabasePlace, server: Server, settings: Settings
) -> None:
    earlier = FolderPlace(settings.data, server.store)
    digests = sorted(earlier.keep(bytes([number]) * 2_000_000) for number in range(3))
    spoiled = earlier.keep(b"spoiled")
    earlier.change(spoiled)
    assert move_into_database(server.store) == 3
    assert place.contents.old(ALL, 10) == digests
    assert place.read(digests[0])[0] in range(3)
    assert earlier.contents.old(ALL, 10) == [spoiled], "nobody knows what it was"
    assert move_into_database(server.store) == 0


@pytest.mark.parametrize("kind", ["folder"])
def test_a_folder_of_one_server_keeps_its_files(server: Server, settings: Settings) -> None:
    FolderPlace(settings.data, server.store).keep(b"words")
    assert move_into_database(server.store) == 0
    assert len(FolderContents(settings.data).old(ALL, 10)) == 1
