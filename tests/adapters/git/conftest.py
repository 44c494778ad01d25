"""A scratch repository with one commit, and the same as the merge queue opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from repomesh.adapters.git.repository import Repository
from repositories import Scratch


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "scratch")


@pytest.fixture
def repository(scratch: Scratch, tmp_path: Path) -> Iterator[Repository]:
    scratch.commit({"a.txt": "1\n2\n3\n4\n5\n"})
    opened = Repository(scratch.path, tmp_path / "private")
    yield opened
    opened.close()
