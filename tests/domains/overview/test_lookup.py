"""Ids are found by their beginning or end, by who may see what they stand for."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio


async def found(speaker: Speaker | Mesh, part: str, **criteria: Any) -> list[str]:
    answer = await speaker.get("/v1/ids", part=part, **criteria)
    return [item["id"] for item in answer["items"]]


async def test_a_part_finds_what_begins_or_ends_with_it(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    task = await alice.post("/v1/tasks", goal="Write it")
    memory = await alice.post("/v1/memories", key="port", content="8787")
    for part in (task["id"], task["id"][:30], task["id"][-6:]):
        answer = await alice.get("/v1/ids", part=part)
        assert [(item["what"], item["id"], item["title"]) for item in answer["items"]] == [
            ("task", task["id"], "Write it")
        ]
        assert answer["complete"] is True
    assert await found(alice, memory["id"][-8:]) == [memory["id"]]
    assert await found(alice, memory["id"][-8:], what=["task"]) == []


async def test_a_part_has_a_shortest_length(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    with pytest.raises(Refused, match="invalid_request"):
        await found(alice, "a" * (limits.ID_PART_CHARS_MIN - 1))
    assert await found(alice, "-" * limits.ID_PART_CHARS_MIN) == []


async def test_many_matches_are_cut_and_it_is_said(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = [await alice.post("/v1/tasks", goal="x") for _ in range(limits.ID_MATCHES_MAX + 1)]
    # They were made within seconds of each other: the first characters are those of the hour.
    part = made[0]["id"][: limits.ID_PART_CHARS_MIN]
    answer = await alice.get("/v1/ids", part=part, what=["task"])
    assert [item["id"] for item in answer["items"]] == [
        task["id"] for task in reversed(made[-limits.ID_MATCHES_MAX :])
    ]
    assert answer["complete"] is False


async def test_only_the_newest_are_looked_at(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await mesh.agent("alice")
    old, *new = [await alice.post("/v1/tasks", goal="x") for _ in range(3)]
    monkeypatch.setattr(limits, "ID_ROWS_MAX", 2)
    assert await found(alice, new[0]["id"][-8:], what=["task"]) == [new[0]["id"]]
    assert await found(alice, old["id"][-8:], what=["task"]) == []


async def test_a_message_of_others_is_not_found(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    sent = await alice.post("/v1/messages", to=["bob"], subject="s", body="b")
    part = sent["id"][-8:]
    assert await found(alice, part) == await found(bob, part) == await found(mesh, part) == [sent["id"]]
    assert await found(carol, part) == []
