"""The index of an older release is made anew from what there is, in pieces, while others work."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from sqlalchemy import insert, text

from harness import Mesh
from repomesh.domains.sessions.memories import store_memory
from repomesh.domains.sessions.memory_models import StoreMemory
from repomesh.jobs import text_rebuild as worker
from repomesh.jobs.text_rebuild import TextRebuild
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.store import rebuilding
from repomesh.store.prepared import DRIVER
from repomesh.store.sqlite_text import index_waiting
from repomesh.store.tables import text_rebuild
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio

SYSTEM = system_caller("")


def indexed(tx: Transaction) -> dict[tuple[str, str], list[str]]:
    """The words of every document, by type and subject."""
    found = tx.connection.execute(text("SELECT type, subject_id, words FROM documents")).all()
    return {
        (row.type, row.subject_id): sorted(row.words.split() if isinstance(row.words, str) else row.words)
        for row in found
    }


def begin(tx: Transaction) -> None:
    """Leave the index as a migration from an older release does: without what it must find anew."""
    below = tx.text_index.newest(tx.connection) + 1
    tx.execute(insert(text_rebuild), {"id": 1, "below": below, "started_at": below})
    driver = tx.connection.info.get(DRIVER)
    if driver is None:
        tx.connection.execute(text("UPDATE documents SET words = '{}'"))
        return
    while index_waiting(driver, 1_000):
        pass
    driver.execute("INSERT INTO document_text (document_text) VALUES ('delete-all')")
    driver.execute("UPDATE documents SET words = 'older words'")


@pytest.fixture
async def quiet(mesh: Mesh) -> Mesh:
    """A server whose own worker does nothing."""
    await mesh.server.text_rebuild.stop()
    return mesh


async def some_of_everything(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.agent("bob")
    await alice.post("/v1/sessions", session_id="one")
    chunks = "/v1/sessions/one/chunks"
    await alice.post(chunks, content="parseJson 東京\nbravo", speaker="Ann", tags=["x"])
    await mesh.post(chunks, content={"a\nkey": ["größe"]}, format="json")
    await mesh.post(chunks, content=" ".join(f"w{number}" for number in range(50_000)))
    await alice.post("/v1/memories", key="m1", content="a parser", tags=["y"], session_id="one")
    await mesh.post("/v1/memories", key="m2", content={"why": "c\nd"})
    artifact = "/v1/sessions/one/artifacts"
    await alice.post(artifact, title="Code", description="small", content="x = 1", type="code", tags=["z"])
    await mesh.post(artifact, title="Large", content="large " * limits.ARTIFACT_STORED_BYTES_MAX)
    await mesh.post(artifact, title="Binary", content_base64="AAAA")
    await mesh.post(artifact, title="Link", url="https://example.org/some/page", type="link")
    await alice.post("/v1/messages", to=["bob"], subject="Hello", body='{"said": "e\\nf"}')
    await mesh.post("/v1/tasks", goal="Write it", description="a lexer")
    await mesh.post("/v1/decisions", topic="Ports", decision="8787", rationale="it was free")


async def test_everything_is_found_by_the_same_words_as_before(
    quiet: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = quiet
    await some_of_everything(mesh)
    store = mesh.server.store
    before = store.read_now(SYSTEM, indexed)
    assert {what for what, _ in before} == {"chunk", "memory", "artifact", "message", "task", "decision"}
    store.write_now(SYSTEM, begin)
    assert (await mesh.get("/v1/search", text="lexer"))["items"] == []
    monkeypatch.setattr(worker, "REBUILD_DOCUMENTS", 3)
    rebuild, left = TextRebuild(store, 60), [100]
    while await rebuild.run_piece():
        left.append(store.read_now(SYSTEM, rebuilding.left_percent) or 0)
        newest = (await mesh.get("/v1/search", text="8787"))["items"]
        assert [item["title"] for item in newest] == ["Ports"]  # the newest come first
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert store.read_now(SYSTEM, indexed) == before
    assert [item["title"] for item in (await mesh.get("/v1/search", text="json"))["items"]] == ["Ann 1"]
    assert "notice" not in await mesh.get("/v1/search", text="lexer")


async def test_what_changes_meanwhile_keeps_its_new_words(quiet: Mesh) -> None:
    mesh = quiet
    store: Any = mesh.server.store
    await mesh.post("/v1/memories", key="m1", content="old one")
    await mesh.post("/v1/memories", key="m2", content="old two")
    store.write_now(SYSTEM, begin)
    workspace = (await mesh.get("/v1/workspaces"))["items"][0]["id"]
    write = store.write

    async def changed_first(*arguments: Any) -> Any:
        """A command commits after the worker read, and before it writes."""
        store.write = write
        await mesh.post("/v1/memories", key="m2", content="new two")
        return await write(*arguments)

    store.write = changed_first
    await TextRebuild(store, 60).run_once()
    for word, keys in (("old", ["m1"]), ("new", ["m2"]), ("two", ["m2"]), ("one", ["m1"])):
        found = (await mesh.get("/v1/search", text=word))["items"]
        assert [item["key"] for item in found] == keys, word
    assert store.read_now(SYSTEM, rebuilding.left_percent) is None
    if "sqlite" in store.describe()["engine"]:
        store.write_now(
            system_caller(workspace),
            lambda tx: tx.connection.info[DRIVER].execute(
                "INSERT INTO document_text (document_text) VALUES ('integrity-check')"
            ),
        )


async def test_a_server_rebuilds_by_itself_and_tells_until_then(quiet: Mesh) -> None:
    mesh = quiet
    store = mesh.server.store
    workspace = (await mesh.get("/v1/workspaces"))["items"][0]["id"]
    store.write_now(
        system_caller(workspace), lambda tx: store_memory(tx, StoreMemory(key="m", content="parser"))
    )
    store.write_now(SYSTEM, begin)
    answer = await mesh.get("/v1/search", text="parser")
    assert (answer["items"], "100 % of the older texts" in answer["notice"]) == ([], True)
    mesh.server.text_rebuild.start()
    with anyio.fail_after(30):
        while "notice" in await mesh.get("/v1/search", text="parser"):  # noqa: ASYNC110 - its answer changes
            await anyio.sleep(0.01)
    assert [item["key"] for item in (await mesh.get("/v1/search", text="parser"))["items"]] == ["m"]
