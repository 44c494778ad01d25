"""A workspace with a small repository, and requests to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from harness import Mesh
from repositories import Scratch, at_home

FILES = {
    "shop/__init__.py": "",
    "shop/cart.py": "TOTAL = 1\n",
    "shop/mail.py": "SENDER = 'shop'\n",
    "tests/test_cart.py": "from shop import cart\n",
    "CHANGELOG.md": "# Changelog\n",
}

Configure = Callable[[str], None]


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    made = Scratch(tmp_path / "repository")
    made.commit(FILES)
    return made


@pytest.fixture
def configure(scratch: Scratch) -> Configure:
    """Writes `repomesh.toml` on the target branch."""

    def write(text: str) -> None:
        scratch.commit({"repomesh.toml": text}, on=scratch.git("rev-parse", "main"), branch="main")

    return write


@pytest.fixture
async def shop(mesh: Mesh, scratch: Scratch) -> Mesh:
    """A running server whose home workspace is the repository. Its main branch is not checked out."""
    scratch.git("checkout", "-q", "--detach")
    at_home(mesh, scratch.path)
    return mesh


@pytest.fixture
def planned(shop: Mesh) -> Callable[..., Awaitable[dict[str, Any]]]:
    """A request as it is when the server has made the plans that are due."""

    async def make(**fields: Any) -> dict[str, Any]:
        made = await shop.post("/v1/requests", **({"text": "Do it"} | fields))
        await shop.server.planning.run_once()
        shown: dict[str, Any] = await shop.get(f"/v1/requests/{made['id']}")
        return shown

    return make
