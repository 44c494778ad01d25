"""Artifacts are kept in versions; what is large lies apart, there before its row and gone after it."""

from __future__ import annotations

import base64
import hashlib
import threading
from typing import Any

import pytest

from harness import Mesh, Refused
from repomesh.domains.sessions import artifact_models, chunk_models
from repomesh.domains.sessions.artifact_models import AddArtifact
from repomesh.jobs.contents import ContentSweeper
from repomesh.kernel import limits
from repomesh.kernel.compact_words import CompactWords, compact_words

pytestmark = pytest.mark.anyio

PATH = "/v1/sessions/work/artifacts"
LARGE = "x" * (limits.ARTIFACT_STORED_BYTES_MAX + 1)


@pytest.fixture
async def work(mesh: Mesh) -> Mesh:
    """A mesh with a session."""
    await mesh.post("/v1/sessions", session_id="work")
    return mesh


def kept(mesh: Mesh) -> list[str]:
    """The digests of all contents, in order."""
    return mesh.server.store.contents.old(-60.0, 100)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def refused(mesh: Mesh, **body: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await mesh.post(PATH, **body)
    return caught.value


async def whole(mesh: Mesh, name: str, **criteria: Any) -> str:
    read, offset = "", 0
    while offset is not None:
        part = await mesh.get(f"{PATH}/{name}/content", offset=offset, max_chars=1_000_000, **criteria)
        read, offset = read + part["content"], part["next_offset"]
    return read


async def test_an_artifact_is_kept_in_versions(work: Mesh) -> None:
    alice = await work.agent("alice")
    made = await alice.post(
        PATH, title="app", artifact_id="app.py", type="code", content="print(1)", tags=["x"]
    )
    assert (made["version"], made["author"], made["media_type"], made["bytes"]) == (
        1,
        "alice",
        "text/plain",
        8,
    )
    assert made["sha256"] == hashlib.sha256(b"print(1)").hexdigest()
    again = await alice.post(
        PATH, title="app", artifact_id="app.py", type="code", content="print(1)", tags=["x"]
    )
    assert again == made
    second = await work.post(PATH, title="app", artifact_id="app.py", type="code", content="print(2)")
    assert (second["id"], second["version"]) == (made["id"], 2)
    assert await whole(work, "app.py") == "print(2)"
    assert await whole(work, "app.py", at_version=1) == "print(1)"
    versions = (await work.get(f"{PATH}/app.py/versions"))["items"]
    assert [(one["version"], one["author"]) for one in versions] == [(2, None), (1, "alice")]
    with pytest.raises(Refused) as caught:
        await work.get(f"{PATH}/app.py/content", at_version=3)
    assert caught.value.code == "artifact_not_found"


async def test_what_is_no_text_comes_and_goes_in_base64(work: Mesh) -> None:
    raw = bytes(range(256)) * 3
    await work.post(
        PATH,
        title="i",
        artifact_id="i",
        media_type="image/png",
        content_base64=base64.b64encode(raw).decode(),
    )
    read, offset = b"", 0
    while offset is not None:
        part = await work.get(f"{PATH}/i/content", offset=offset, max_chars=200)
        assert part["encoding"] == "base64"
        read, offset = read + base64.b64decode(part["content"]), part["next_offset"]
    assert read == raw


async def test_exactly_one_content_is_taken_and_links_have_none_here(work: Mesh) -> None:
    for bad in (
        {},
        {"content": "x", "url": "https://example.org/"},
        {"content_base64": "%%%"},
        {"url": "javascript:1"},
    ):
        assert (await refused(work, title="t", **bad)).status == 422
    link = await work.post(PATH, title="t", artifact_id="l", type="link", url="https://example.org/a")
    assert link["url"] == "https://example.org/a"
    with pytest.raises(Refused) as caught:
        await work.get(f"{PATH}/l/content")
    assert caught.value.code == "artifact_is_link"


async def test_artifacts_are_found_by_type_and_tag(work: Mesh) -> None:
    await work.post(PATH, title="a", artifact_id="a", type="code", content="x", tags=["50%_off"])
    await work.post(PATH, title="b", artifact_id="b", type="data", content={"rows": []}, tags=["50xxoff"])

    async def names(**criteria: Any) -> list[str]:
        return [one["artifact_id"] for one in (await work.get(PATH, **criteria))["items"]]

    assert await names() == ["b", "a"]
    assert await names(type="code") == ["a"]
    assert await names(tag="50%_off") == ["a"]
    assert (await work.get(f"{PATH}/b"))["media_type"] == "application/json"


async def test_what_is_large_lies_apart(work: Mesh) -> None:
    made = await work.post(PATH, title="large", artifact_id="large", content=LARGE)
    await work.post(PATH, title="other", content=LARGE)
    assert kept(work) == [made["sha256"]]
    assert await whole(work, "large") == LARGE
    too_large = "x" * (limits.ARTIFACT_BYTES_MAX + 1)
    assert (
        (await refused(work, title="huge", content=too_large))
        .problem["errors"][0]["field"]
        .startswith("content")
    )


async def test_a_content_that_is_gone_is_a_damaged_record_until_it_is_added_again(work: Mesh) -> None:
    said = {"title": "large", "artifact_id": "large", "content": f"{LARGE} words"}
    made = await work.post(PATH, **said)
    assert work.server.store.contents.remove(made["sha256"], -60.0)
    with pytest.raises(Refused) as caught:
        await work.get(f"{PATH}/large/content")
    assert caught.value.code == "damaged_record"
    assert caught.value.problem["record"] == {"session_id": "work", "artifact_id": "large"}
    [found] = (await work.get("/v1/search", text="words"))["items"]
    assert (found["id"], found["snippet"]) == (made["id"], ""), "it is found, with nothing to show"
    assert await work.post(PATH, **said) == made
    assert await whole(work, "large") == f"{LARGE} words"


async def test_only_contents_that_nothing_names_are_swept(work: Mesh) -> None:
    await work.post(PATH, title="kept", content=LARGE)
    refused_ = await refused(work, title="t", type="Bad Type", content=LARGE + "y")
    assert refused_.status == 422
    await work.post("/v1/sessions/work/pause")
    await refused(work, title="late", content=LARGE + "z")  # it is kept, and its session takes nothing
    assert kept(work) == sorted([digest(LARGE), digest(LARGE + "z")])
    assert await work.server.contents.run_once() == 0  # both are new
    store = work.server.store
    assert await ContentSweeper(store, store.contents, kept_s=-60.0).run_once() == 1
    assert kept(work) == [digest(LARGE)]


async def test_contents_are_kept_before_the_transaction_by_every_way_in(
    work: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = work.server.store.contents
    on_writer: list[bool] = []
    keep = contents.keep

    def noted(sha256: str, content: bytes) -> None:
        on_writer.append(threading.current_thread().name.startswith("repomesh-write"))
        keep(sha256, content)

    monkeypatch.setattr(contents, "keep", noted)
    await work.post(PATH, title="a", content=LARGE)
    step = {"command": "add_artifact", "data": {"title": "a", "content": LARGE}}
    about = {"type": "collaborative_session_command", "session_id": "work"}
    await work.post("/v1/webhook", **about | step)
    await work.post("/v1/webhook", **about, command="batch", data={"commands": [step, step]})
    at = "2026-01-02T03:04:05Z"
    moved = {"created_at": at, "updated_at": at, "version": 1}
    artifact = moved | {"what": "artifact", "artifact_id": "a", "title": "A", "type": "data"}
    items = [
        moved | {"what": "session", "title": "S"},
        artifact | {"media_type": "text/plain", "author": None, "content": LARGE},
    ]
    await work.post("/v1/imports", import_id="i", session_id="s", after=0, items=items, done=True)
    assert on_writer == [False] * 5


def test_a_content_that_was_not_kept_is_named_by_no_row() -> None:
    prepared = AddArtifact(session_id="work", title="a", content=LARGE).prepared()
    with pytest.raises(RuntimeError, match="not kept"):
        prepared.in_row()


async def test_words_are_found_before_the_transaction_by_every_way_in(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[bool] = []

    def noted(text: str) -> CompactWords:
        inside.append(threading.current_thread().name.startswith("repomesh-write"))
        return compact_words(text)

    monkeypatch.setattr(artifact_models, "compact_words", noted)
    monkeypatch.setattr(chunk_models, "compact_words", noted)
    await mesh.post("/v1/sessions", session_id="s")
    artifact = {"title": "a", "content": "some words"}
    chunk = {"content": "other words"}
    await mesh.post("/v1/sessions/s/artifacts", **artifact)
    await mesh.post("/v1/sessions/s/chunks", **chunk)
    await mesh.post("/v1/sessions/s/chunks/batch", chunks=[chunk])
    steps = [{"command": "add_artifact", "data": artifact}, {"command": "conversation_chunk", "data": chunk}]
    about = {"type": "collaborative_session_command", "session_id": "s"}
    for step in steps:
        await mesh.post("/v1/webhook", **about | step)
    await mesh.post("/v1/webhook", **about, command="batch", data={"commands": steps})
    assert inside == [False] * 7
    assert len((await mesh.get("/v1/search", text="words"))["items"]) == 7
