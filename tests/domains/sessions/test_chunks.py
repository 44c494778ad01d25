"""Conversation stands in order, once, and is read in pages that stay small."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from harness import Mesh, Refused
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio

PATH = "/v1/sessions/talk/chunks"


@pytest.fixture
async def talk(mesh: Mesh) -> Mesh:
    """A mesh with a session."""
    await mesh.post("/v1/sessions", session_id="talk")
    return mesh


async def contents(mesh: Mesh, **criteria: Any) -> list[str]:
    return [chunk["content"] for chunk in (await mesh.get(PATH, **criteria))["items"]]


async def refused(mesh: Mesh, path: str = PATH, **body: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await mesh.post(path, **body)
    return caught.value


async def test_chunks_stand_in_the_order_of_their_sequence(talk: Mesh) -> None:
    alice = await talk.agent("alice")
    made = await alice.post(PATH, content="first", speaker="Ann", format="dialogue", tags=["a", "a"])
    assert (made["sequence"], made["author"], made["bytes"]) == (1, "alice", 5)
    assert made["sha256"] == hashlib.sha256(b"first").hexdigest()
    assert made["chunk_id"] == made["id"]
    await talk.post(PATH, content="tenth", sequence=10)
    await talk.post(PATH, content="last")
    await talk.post(PATH, content="fifth", sequence=5)
    assert await contents(talk) == ["first", "fifth", "tenth", "last"]
    assert await contents(talk, newest_first=True, limit=2) == ["last", "tenth"]
    assert await contents(talk, after=5) == ["tenth", "last"]
    counts = (await talk.get("/v1/sessions/talk"))["counts"]
    assert (counts["chunks"], counts["chunk_bytes"]) == (4, 19)


async def test_a_resend_is_answered_like_the_first_and_other_content_is_refused(talk: Mesh) -> None:
    first = await talk.post(PATH, content="hello", chunk_id="c1")
    assert await talk.post(PATH, content="hello", chunk_id="c1") == first
    assert await talk.post(PATH, content="hello", chunk_id="c1", sequence=1) == first
    for other in (
        {"content": "bye"},
        {"content": "hello", "format": "json"},
        {"content": "hello", "sequence": 9},
    ):
        answer = await refused(talk, chunk_id="c1", **other)
        assert (answer.status, answer.code) == (409, "chunk_conflict")
        assert answer.problem["sha256"] == first["sha256"]
    taken = await refused(talk, content="x", sequence=1)
    assert (taken.code, taken.problem["chunk_id"]) == ("sequence_taken", "c1")
    assert await contents(talk) == ["hello"]
    assert len([event for event in await talk.events() if event["type"] == "session.chunks_added"]) == 1


async def test_a_batch_is_kept_whole_or_not_at_all(talk: Mesh) -> None:
    good = [{"content": f"n{number}", "chunk_id": f"c{number}"} for number in range(100)]
    made = (await talk.post(f"{PATH}/batch", chunks=good))["items"]
    assert [chunk["sequence"] for chunk in made] == list(range(1, 101))
    again = (await talk.post(f"{PATH}/batch", chunks=[*good, {"content": "new"}]))["items"]
    assert again[:100] == made
    assert again[100]["sequence"] == 101
    answer = await refused(
        talk, f"{PATH}/batch", chunks=[{"content": "x"}, {"content": "y", "chunk_id": "c1"}]
    )
    assert answer.code == "chunk_conflict"
    answer = await refused(talk, f"{PATH}/batch", chunks=[{"content": "x", "sequence": 900}] * 2)
    assert answer.code == "sequence_taken"
    assert len(await contents(talk, limit=200)) == 101


async def test_json_is_kept_as_compact_text(talk: Mesh) -> None:
    await talk.post(PATH, content=[{"role": "user", "text": "hi"}], format="json")
    assert await contents(talk) == ['[{"role":"user","text":"hi"}]']


async def test_a_chunk_of_just_ten_mebibytes_comes_in_though_every_byte_is_escaped(talk: Mesh) -> None:
    text = '"\n' * (limits.CHUNK_BYTES_MAX // 2)
    made = await talk.post(PATH, content=text, chunk_id="big")
    assert made["bytes"] == limits.CHUNK_BYTES_MAX
    answer = await refused(talk, content=text + "x")
    assert answer.status == 422
    assert answer.problem["errors"][0]["field"].startswith("content")
    read, offset = "", 0
    while offset is not None:
        part = await talk.get(f"{PATH}/big", offset=offset, max_chars=1_000_000)
        read, offset = read + part["content"], part["next_offset"]
    assert read == text
    [listed] = (await talk.get(PATH))["items"]
    assert listed["truncated"]
    assert text.startswith(listed["content"])
    too_large = await talk.request("POST", PATH, content=b"x" * (limits.CONTENT_BODY_BYTES_MAX + 1))
    assert too_large.status_code == 413


async def test_pages_are_complete_do_not_overlap_and_stay_small(talk: Mesh) -> None:
    size = limits.CONTENT_PAGE_BYTES_MAX // 3
    for number in range(7):
        await talk.post(PATH, content=str(number) * size)
    for newest_first in (False, True):
        found: list[str] = []
        cursor = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = await talk.get(PATH, newest_first=newest_first, **more)
            assert len(page["items"]) <= 3
            found += [chunk["content"][0] for chunk in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == sorted("0123456", reverse=newest_first)


async def test_a_budget_cuts_texts_and_leads_on(talk: Mesh) -> None:
    for number in range(5):
        await talk.post(PATH, content=f"{number} " + "x" * 3_000)
    found, cursor = [], None
    while True:
        page = await talk.get(PATH, max_chars=2_500, **({"cursor": cursor} if cursor else {}))
        assert len(str(page)) < 3_500
        found += [chunk["content"][0] for chunk in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == list("01234")


async def test_a_resend_that_differs_in_anything_is_refused_and_says_in_what(talk: Mesh) -> None:
    whole: dict[str, Any] = {"chunk_id": "c", "content": "x", "speaker": "alice", "tags": ["a"]}
    whole["metadata"] = {"on": 1}
    first = await talk.post(PATH, **whole)
    assert await talk.post(PATH, **whole | {"metadata": {"on": 1.0}, "tags": ["a", "a"]}) == first
    for other in ({"speaker": "bob"}, {"tags": ["b"]}, {"metadata": {"on": True}}, {"format": "json"},
                  {"content": "y", "speaker": ""}, {"sequence": 9}):  # fmt: skip
        answer = await refused(talk, **whole | other)
        assert (answer.code, answer.problem["differs"]) == ("chunk_conflict", [*other])


async def test_the_last_place_can_be_taken_and_nothing_comes_behind_it(talk: Mesh) -> None:
    answer = await refused(talk, content="x", sequence=limits.SEQUENCE_MAX + 1)
    assert (answer.status, answer.problem["errors"][0]["field"]) == (422, "sequence")
    assert (await talk.post(PATH, content="x", sequence=limits.SEQUENCE_MAX))["sequence"] == 2**53 - 1
    assert (await refused(talk, content="y")).code == "sequence_used_up"
    assert (await talk.post(PATH, content="y", sequence=7))["sequence"] == 7
