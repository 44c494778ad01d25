"""Memories are kept under keys, in versions, and are corrected rather than lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Text, func, type_coerce, update

from harness import Mesh, Refused
from repomesh.domains.sessions.tables import memories, memory_versions
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.store.tables import events
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio


async def keys(mesh: Mesh, **criteria: Any) -> list[str]:
    return [memory["key"] for memory in (await mesh.get("/v1/memories", **criteria))["items"]]


async def refused(mesh: Mesh, path: str = "/v1/memories", **body: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await mesh.post(path, **body)
    return caught.value


async def test_an_existing_key_gets_a_version_and_the_old_ones_stay(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    source = {"type": "chunk", "id": "c1"}
    first = await alice.post(
        "/v1/memories", key="port", content={"port": 80}, type="decision", confidence=0.5, sources=[source]
    )
    assert (first["version"], first["author"], first["sources"]) == (1, "alice", [source])
    second = await mesh.post("/v1/memories", key="port", content={"port": 8787}, type="decision")
    assert (second["id"], second["version"], second["author"]) == (first["id"], 2, None)
    same = await mesh.post("/v1/memories", key="port", content={"port": 8787}, type="decision")
    assert same == second
    versions = (await mesh.get(f"/v1/memories/{first['id']}/versions"))["items"]
    assert [(one["version"], one["content"]["port"]) for one in versions] == [(2, 8787), (1, 80)]
    restored = await mesh.post(f"/v1/memories/{first['id']}/restore", version=1, reason="it was right")
    assert (restored["content"], restored["version"], restored["confidence"]) == ({"port": 80}, 3, 0.5)
    missing = await refused(mesh, f"/v1/memories/{first['id']}/restore", version=9)
    assert missing.code == "memory_not_found"


async def test_a_memory_holds_any_json_but_null(mesh: Mesh) -> None:
    for number, content in enumerate([False, 0, "", [], {}, [None]]):
        made = await mesh.post("/v1/memories", key=f"k{number}", content=content)
        assert (await mesh.get(f"/v1/memories/{made['id']}"))["content"] == content
    assert (await refused(mesh, key="none", content=None)).code == "invalid_request"


async def test_keys_are_unique_in_a_session_and_in_the_workspace(mesh: Mesh) -> None:
    for session in ("one", "two"):
        await mesh.post("/v1/sessions", session_id=session)
    made = [
        await mesh.post(
            "/v1/memories", key="k", content=str(where), **({"session_id": where} if where else {})
        )
        for where in ("one", "two", None)
    ]
    assert len({memory["id"] for memory in made}) == 3
    assert len(await keys(mesh)) == 3
    assert len(await keys(mesh, session_id="one")) == 1
    assert [one["content"] for one in (await mesh.get("/v1/memories", workspace_wide=True))["items"]] == [
        "None"
    ]
    assert len(await keys(mesh, workspace_wide=False)) == 2


async def test_memories_are_found_by_what_they_are(mesh: Mesh) -> None:
    await mesh.post("/v1/memories", key="a", content="x", type="idea", tags=["ui", "now"])
    await mesh.post("/v1/memories", key="b", content="x", type="question", tags=["ui"])
    await mesh.post("/v1/memories", key="c", content="x", type="my_word")
    assert await keys(mesh) == ["c", "b", "a"]
    assert await keys(mesh, type="question") == ["b"]
    assert await keys(mesh, tag="ui") == ["b", "a"]
    assert await keys(mesh, tag="ui", type="idea") == ["a"]
    assert await keys(mesh, key="c") == ["c"]
    page = await mesh.get("/v1/memories", tag="ui", limit=1)
    assert page["next_cursor"]
    assert await keys(mesh, tag="ui", limit=1, cursor=page["next_cursor"]) == ["a"]
    for bad in ("Upper", "two words", ""):
        assert (await refused(mesh, key="d", content=1, type=bad)).status == 422


async def test_what_is_superseded_or_retracted_is_found_no_more_unless_asked_for(mesh: Mesh) -> None:
    old = await mesh.post("/v1/memories", key="old", content="80")
    await mesh.post("/v1/memories", key="new", content="8787")
    path = f"/v1/memories/{old['id']}"
    assert (await refused(mesh, f"{path}/supersede", by="old", reason="x")).code == "supersedes_itself"
    assert (await refused(mesh, f"{path}/supersede", by="none", reason="x")).code == "memory_not_found"
    gone = await mesh.post(f"{path}/supersede", by="new", reason="moved")
    assert (gone["status"], gone["superseded_by"], gone["reason"]) == ("superseded", "new", "moved")
    assert await keys(mesh) == ["new"]
    assert await keys(mesh, status="superseded") == ["old"]
    assert await keys(mesh, key="old") == ["old"]
    assert (await refused(mesh, f"{path}/retract", reason="wrong")).code == "memory_status"
    assert (await refused(mesh, f"{path}/retract", reason="")).status == 422
    back = await mesh.post("/v1/memories", key="old", content="81")
    assert (back["status"], back["superseded_by"], back["version"]) == ("current", None, 3)
    await mesh.post(f"{path}/retract", reason="wrong")
    changes = [one["change"] for one in (await mesh.get(f"{path}/versions"))["items"]]
    assert changes == ["retracted", "stored", "superseded", "stored"]


async def test_a_budget_shows_long_json_as_the_beginning_of_its_text(mesh: Mesh) -> None:
    await mesh.post("/v1/memories", key="long", content={"words": ["word"] * 2_000})
    page = await mesh.get("/v1/memories", max_chars=1_000)
    [item] = page["items"]
    assert item["truncated"]
    assert item["content"].startswith('{"words":["word"')
    assert page["omitted"]


async def test_only_the_version_that_was_read_is_changed(mesh: Mesh) -> None:
    await mesh.post("/v1/memories", key="k", content=1)
    await mesh.post("/v1/memories", headers={"If-Match": '"1"'}, key="k", content=2)
    with pytest.raises(Refused) as caught:
        await mesh.post("/v1/memories", headers={"If-Match": '"1"'}, key="k", content=3)
    assert caught.value.code == "stale_version"


async def test_what_differs_only_in_its_type_is_another_value(mesh: Mesh) -> None:
    values: list[Any] = [1, True, 0, False, [1], [True], {"on": 1}, {"on": True}, {"in": [{"on": False}]}]
    for number, value in enumerate(values, 1):
        stored = await mesh.post("/v1/memories", key="light", content=value)
        assert (stored["version"], stored["content"]) == (number, value)
        assert type(stored["content"]) is type(value)
    same = await mesh.post("/v1/memories", key="light", content={"in": [{"on": False}]})
    assert same["version"] == len(values)
    one = await mesh.post("/v1/memories", key="light", content=1)
    assert (await mesh.post("/v1/memories", key="light", content=1.0))["version"] == one["version"]


def _nested(levels: int) -> Any:
    value: Any = "deep"
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


async def test_a_memory_nests_so_deep_wherever_it_is_shown_and_no_deeper(mesh: Mesh) -> None:
    most = _nested(limits.JSON_DEPTH_MAX)
    kept = await mesh.post("/v1/memories", key="deep", content=most)
    assert (await mesh.get(f"/v1/memories/{kept['id']}"))["content"] == most
    assert (await mesh.get("/v1/memories"))["items"][0]["content"] == most
    assert (await mesh.events(type="memory"))[0]["data"]["memory"]["content"] == most
    caught = await refused(mesh, key="deeper", content=_nested(limits.JSON_DEPTH_MAX + 1))
    assert (caught.status, caught.code) == (422, "invalid_request")
    assert "the limit is 64" in caught.problem["detail"]


async def test_what_an_older_release_kept_deeper_is_still_read(mesh: Mesh) -> None:
    kept = await mesh.post("/v1/memories", key="old", content=["deep"])
    old, short = "[" * 198 + '"deep"' + "]" * 198, '["deep"]'

    def deepen(tx: Transaction) -> None:
        for table, column in ((memories, "content"), (memory_versions, "content"), (events, "data")):
            text = type_coerce(table.c[column], Text)
            deeper = func.replace(text, short, old)
            tx.execute(update(table).values({column: type_coerce(deeper, table.c[column].type)}))

    mesh.server.store.write_now(system_caller(""), deepen)
    shown = f"/v1/memories/{kept['id']}"
    for path in (shown, f"{shown}/versions", "/v1/memories", "/v1/events"):
        assert "deep" in json.dumps(await mesh.get(path))
    assert (await mesh.get("/v1/memories", max_chars=700))["items"][0]["truncated"] is True
    assert "deep" in json.dumps(await mesh.get("/v1/search", text="deep"))
    again = await mesh.post(f"/v1/memories/{kept['id']}/restore", version=1)
    assert again["version"] == 2
