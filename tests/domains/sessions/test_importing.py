"""A session comes in as it was, all of it or nothing, and nobody sees it before it is whole."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio

AT = "2026-01-02T03:04:05.000006Z"
LATER = "2026-02-03T04:05:06.000007Z"
SESSION = {"what": "session", "title": "Plan", "created_at": AT, "updated_at": LATER, "version": 7}
CHUNK = {"what": "chunk", "chunk_id": "c", "sequence": 2**53, "content": "some words", "created_at": AT}
SAID = {"key": "k", "type": "decision", "content": {"a": 1}, "author": "alice"}
MEMORY = SAID | {"what": "memory", "version": 3, "created_at": AT, "updated_at": LATER}
VERSION = SAID | {"what": "memory_version", "version": 1, "content": 0, "change": "stored", "at": AT}
FILE = {"artifact_id": "a", "media_type": "text/plain", "author": "bob"}
ARTIFACT = FILE | {"what": "artifact", "title": "A", "type": "code", "content": "new", "version": 2}
ARTIFACT |= {"created_at": AT, "updated_at": LATER}
OLD = FILE | {"what": "artifact_version", "content": "old", "version": 1, "at": AT}
SESSION |= {"status": "completed", "reason": "shipped", "created_by": "carol", "participants": ["Ann"]}


async def send(mesh: Mesh, *items: dict[str, Any], after: int = 0, done: bool = False) -> Any:
    return await mesh.post(
        "/v1/imports", import_id="i", session_id="plan", after=after, items=items, done=done
    )


async def refused(mesh: Mesh, *items: dict[str, Any], **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await send(mesh, *items, **more)
    return caught.value


async def seen(mesh: Mesh) -> list[Any]:
    """All that there is to see of sessions."""
    found = [await mesh.get(path) for path in ("/v1/sessions", "/v1/memories")]
    found.append(await mesh.get("/v1/search", text="words"))
    return [one["items"] for one in found] + [await mesh.events(type="session")]


async def exported(mesh: Mesh, session_id: str) -> list[dict[str, Any]]:
    page = await mesh.get(f"/v1/sessions/{session_id}/export")
    found: list[dict[str, Any]] = page["items"]
    while page["next_cursor"]:
        page = await mesh.get(f"/v1/sessions/{session_id}/export", cursor=page["next_cursor"])
        found += page["items"]
    return found


async def test_what_was_exported_elsewhere_is_here_as_it_was(mesh: Mesh) -> None:
    await send(mesh, SESSION, CHUNK, MEMORY, VERSION)
    assert await seen(mesh) == [[], [], [], []]
    progress = await mesh.get("/v1/imports/i")
    assert (progress["taken"], progress["counts"]["memories"]) == (4, 1)
    await send(mesh, VERSION, ARTIFACT, OLD, after=3, done=True)  # the first of them is there already
    session = await mesh.get("/v1/sessions/plan")
    wanted = {"created_by": "carol", "created_at": AT, "updated_at": LATER, "version": 7, "reason": "shipped"}
    assert {name: session[name] for name in wanted} == wanted
    [chunk] = (await mesh.get("/v1/sessions/plan/chunks"))["items"]
    assert (chunk["sequence"], chunk["created_at"], chunk["author"]) == (2**53, AT, None)
    [memory] = (await mesh.get("/v1/memories", session_id="plan"))["items"]
    assert (memory["version"], memory["updated_at"], memory["author"]) == (3, LATER, "alice")
    versions = (await mesh.get(f"/v1/memories/{memory['id']}/versions"))["items"]
    assert [(one["version"], one["content"], one["at"]) for one in versions] == [
        (3, {"a": 1}, LATER),
        (1, 0, AT),
    ]
    old = await mesh.get("/v1/sessions/plan/artifacts/a/content", at_version=1)
    assert (old["content"], (await mesh.get("/v1/sessions/plan/artifacts/a"))["version"]) == ("old", 2)
    assert len((await mesh.get("/v1/search", text="words"))["items"]) == 1
    [event] = await mesh.events(type="session")
    assert (event["type"], event["data"]["counts"]["artifacts"]) == ("session.imported", 1)
    assert (await mesh.get("/v1/sessions", participant="Ann"))["items"][0]["id"] == "plan"
    assert (await refused(mesh, SESSION)).code == "session_exists"


async def test_an_export_keeps_its_order_and_ids_are_new(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="here")
    for key in ("b", "a", "c"):
        await mesh.post("/v1/memories", session_id="here", key=key, content=key)
        await mesh.post("/v1/sessions/here/artifacts", artifact_id=key, title=key, content=key)
    items = await exported(mesh, "here")
    sent = [dict(one) for one in items]
    for one in sent:
        one.pop("session_id", None)
        for name in ("counts", "truncated", "bytes", "sha256") + (
            ("id",) if one["what"] == "session" else ()
        ):
            one.pop(name, None)
        if one["what"] == "artifact":
            one["content"] = one["artifact_id"]
    await send(mesh, *sent, done=True)
    copied = await exported(mesh, "plan")
    for one, other in zip(items, copied, strict=True):
        differing = {name for name in one if one[name] != other[name]}
        assert differing <= {"id", "session_id"}, (one, other)
    assert [one["key"] for one in (await mesh.get("/v1/memories", session_id="plan"))["items"]] == [
        "c",
        "a",
        "b",
    ]


async def test_what_can_not_be_taken_is_named_and_nothing_is_seen(mesh: Mesh) -> None:
    assert (await refused(mesh, CHUNK)).problem["item"] == 1
    for bad, item in ((CHUNK, 3), (SESSION, 3), (VERSION, 3), (OLD, 3)):
        answer = await refused(mesh, SESSION, CHUNK, bad, done=True)
        assert (answer.code, answer.problem["item"]) == ("import_refused", item)
    wrong = await refused(mesh, SESSION, MEMORY | {"version": 0})
    assert wrong.problem["errors"][0]["field"] == "items.1.memory.version"
    await send(mesh, SESSION, CHUNK)
    assert (await refused(mesh, MEMORY, after=3)).problem["taken"] == 2
    await send(mesh, SESSION)  # begins anew
    await mesh.delete("/v1/imports/i")
    assert (await refused(mesh, MEMORY, after=1)).code == "import_not_found"
    assert await seen(mesh) == [[], [], [], []]
    await mesh.post("/v1/sessions", session_id="plan")


async def test_an_imported_artifact_has_exactly_one_content(mesh: Mesh) -> None:
    for item in (ARTIFACT, OLD):
        for contents in ({"content": None}, {"url": "https://example.org/a"}):
            assert (await refused(mesh, SESSION, item | contents)).code == "invalid_request"


async def test_an_import_that_nobody_goes_on_with_is_dropped(mesh: Mesh) -> None:
    await send(mesh, SESSION, CHUNK)
    mesh.clock.advance(limits.IMPORT_KEPT_S + 1)
    for _ in range(2):
        await mesh.sweep()
    with pytest.raises(Refused):
        await mesh.get("/v1/imports/i")
    assert await mesh.events(type="session") == []


async def test_only_the_owner_says_who_wrote_what(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    with pytest.raises(Refused) as caught:
        await alice.post("/v1/imports", import_id="i", session_id="plan", after=0, items=[SESSION])
    assert caught.value.status == 403


async def test_json_in_imported_chunks_is_found_by_its_words(mesh: Mesh) -> None:
    """As in chunks that were added: by what the JSON says, not by how its text escapes it."""
    await send(mesh, SESSION, CHUNK | {"format": "json", "content": r'"caf\u00e9 au lait"'}, done=True)
    found = await mesh.get("/v1/search", text="café", what=["chunk"])
    assert len(found["items"]) == 1
