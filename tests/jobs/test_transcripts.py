"""Looking through a transcript, which is another program's file and may be anything."""

from __future__ import annotations

import os
from pathlib import Path

from repomesh.jobs.transcripts import boundaries_in
from repomesh.kernel.limits import TRANSCRIPT_TAIL_BYTES

BOUNDARY, OTHER = "rm0123456789abcdef01234567", "rmffffffffffffffffffffffff"


def test_only_the_boundaries_that_stand_in_it_are_found(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"text":"[repomesh {BOUNDARY}: 1 message]"}}\n')
    assert boundaries_in(str(path), [BOUNDARY, OTHER]) == {BOUNDARY}
    assert boundaries_in(str(path), []) == set()


def test_only_the_tail_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    filler = b"x" * TRANSCRIPT_TAIL_BYTES
    path.write_bytes(BOUNDARY.encode() + filler + OTHER.encode())
    assert boundaries_in(str(path), [BOUNDARY, OTHER]) == {OTHER}


def test_a_transcript_that_is_no_regular_file_is_none(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it for reading would wait for ever
    for path in (pipe, tmp_path, tmp_path / "missing", Path("/dev/zero"), None):
        assert boundaries_in(None if path is None else str(path), [BOUNDARY]) is None
    assert boundaries_in("bad\0path", [BOUNDARY]) is None
    assert boundaries_in("", [BOUNDARY]) is None


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\xff\xfe\x00" + BOUNDARY.encode() + b"\x80")
    assert boundaries_in(str(path), [BOUNDARY]) == {BOUNDARY}
