"""A database file that is removed or replaced under a running server takes no more writes."""

from __future__ import annotations

import shutil

import pytest

from harness import Mesh, Refused
from repomesh.kernel.settings import Settings
from repomesh.store import folder

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]


@pytest.mark.parametrize("name", [folder.DATABASE, f"{folder.DATABASE}-wal"])
@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_acknowledged_that_would_be_lost(
    mesh: Mesh, settings: Settings, replaced: bool, name: str
) -> None:
    alice = await mesh.agent("alice")
    await alice.post("/v1/messages", to=["alice"], body="kept")
    path = settings.data / name
    if replaced:
        shutil.copy(path, path.with_name("copy"))
        path.with_name("copy").replace(path)
    else:
        path.unlink()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await alice.post("/v1/messages", to=["alice"], body="into a file without a name")
        assert refused.value.code == "database_damaged"
        assert "removed or replaced" in str(refused.value)
    assert (await mesh.request("GET", "/readyz")).json()["status"] == "read_only"
