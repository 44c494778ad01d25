"""A workspace with a repository of its own, and agents that submit changes to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import Mesh
from repositories import Scratch, at_home

FILES = {"a.txt": "".join(f"{number}\n" for number in range(30)), "src/b.py": "x = 1\n"}


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    made = Scratch(tmp_path / "repository")
    made.commit(FILES)
    return made


@pytest.fixture
async def queue(mesh: Mesh, scratch: Scratch) -> Mesh:
    """A running server whose home workspace is the scratch repository. Its main branch is not checked out."""
    scratch.git("checkout", "-q", "--detach")
    at_home(mesh, scratch.path)
    return mesh
