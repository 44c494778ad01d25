"""What a long chunk costs is paid outside of the transaction, and its words are indexed in bounded passes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness import Mesh
from repomesh.domains.sessions import chunk_models
from repomesh.domains.sessions.chunk_models import AddChunk, NewChunk
from repomesh.kernel import compact_words, limits, words
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.words import distinct_words, parts, words_of
from repomesh.operations import registry
from repomesh.store.sqlite_text import index_waiting
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio

_ADD = "INSERT INTO documents (workspace_id, type, subject_id, words) VALUES (?, ?, ?, ?)"


@pytest.mark.parametrize("operation", ["chunk.add", "chunk.add_many"])
async def test_a_content_is_hashed_and_its_words_found_before_the_transaction(
    mesh: Mesh, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.post("/v1/sessions", session_id="long", title="Long")
    running = False
    prepared_inside: list[bool] = []
    write, prepare = mesh.server.store.write, chunk_models.prepare

    async def noted(caller: Any, context: Any, work: Callable[[Transaction], Any]) -> Any:
        def inside(tx: Transaction) -> Any:
            nonlocal running
            running = True
            try:
                return work(tx)
            finally:
                running = False

        return await write(caller, context, inside)

    def counted(content: Any, format_: str) -> Any:
        prepared_inside.append(running)
        return prepare(content, format_)

    monkeypatch.setattr(mesh.server.store, "write", noted)
    monkeypatch.setattr(chunk_models, "prepare", counted)
    body = {"content": "a zebra among horses"}
    if operation == "chunk.add":
        await mesh.post("/v1/sessions/long/chunks", **body)
    else:
        await mesh.post("/v1/sessions/long/chunks/batch", chunks=[body])
    assert prepared_inside == [False]
    found = await mesh.get("/v1/search", text="zebra horses")
    assert [item["what"] for item in found["items"]] == ["chunk"]


LONG = "a zebra among horses " * 800

LONG_TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("chunk.add", {"session_id": "long", "content": LONG}),
    ("chunk.add_many", {"session_id": "long", "chunks": [{"content": LONG}]}),
    ("artifact.add", {"session_id": "long", "title": "t", "content": LONG}),
    ("memory.store", {"key": "k", "content": LONG}),
    ("memory.store", {"key": "k", "content": {"text": LONG}}),
    ("message.send", {"to": ["*"], "body": LONG}),
    ("task.create", {"goal": "g", "description": LONG}),
    ("decision.record", {"topic": "t", "decision": "d", "rationale": LONG}),
    ("batch.run", {"steps": [{"operation": "memory.store", "request": {"key": "k", "content": LONG}}]}),
]


@pytest.mark.parametrize(("operation", "request_"), LONG_TEXTS)
async def test_no_words_of_a_long_text_are_found_inside_a_transaction(
    mesh: Mesh, operation: str, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.post("/v1/sessions", session_id="long")
    await mesh.agent("alice")
    await mesh.agent("bob")
    workspace = (await mesh.get("/v1/workspaces"))["items"][0]["id"]
    agent = (await mesh.get("/v1/agents"))["items"][0]
    caller = system_caller(workspace)
    if operation == "message.send":
        caller = replace(caller, agent_id=agent["id"], agent_name=agent["name"])
    inside, outside = set[int](), set[int]()
    words_of_, running = words.words_of, threading.local()
    write = mesh.server.store.write

    async def noted(caller: Any, context: Any, work: Callable[[Transaction], Any]) -> Any:
        def run(tx: Transaction) -> Any:
            running.now = True
            try:
                return work(tx)
            finally:
                running.now = False

        return await write(caller, context, run)

    def counted(text: str) -> list[str]:
        (inside if getattr(running, "now", False) else outside).add(len(text))
        return words_of_(text)

    monkeypatch.setattr(mesh.server.store, "write", noted)
    monkeypatch.setattr(words, "words_of", counted)
    monkeypatch.setattr(compact_words, "words_of", counted)
    one = registry[operation]
    await mesh.server.dispatch(one, caller, one.request(**request_), RequestContext())
    assert max(inside, default=0) <= limits.WORDS_INSIDE_CHARS
    assert max(outside) >= len(LONG)
    assert len((await mesh.get("/v1/search", text="zebra horses"))["items"]) == 1


def test_what_was_prepared_is_no_part_of_the_request() -> None:
    request = AddChunk(session_id="x", content="twice twice")
    before = request.model_dump_json()
    assert request.prepared() is request.prepared()
    assert request.model_dump_json() == before
    assert request.prepared().words.joined() == "twice"


def test_the_different_words_of_a_long_text_are_found_in_parts() -> None:
    text = " ".join(f"word{number % 500} ünïcode" for number in range(40_000))
    assert len(list(parts(text, limits.WORDS_AT_ONCE_CHARS))) > 1
    found = NewChunk(content=text).prepared().words
    assert sorted(found) == sorted(set(words_of(text)))
    assert len(found) == len(set(words_of(text)))
    assert distinct_words("b a b") == ["b", "a"]
    assert distinct_words("b a", "a c") == ["b", "a", "c"]


@pytest.mark.parametrize("length", [0, 3, 100_000])
def test_words_in_groups_are_joined_once_each_whatever_comes_before_them(length: int) -> None:
    found = compact_words.compact_words(" ".join(f"w{number}" for number in range(length)))
    joined = found.behind(["zebra", "w0", "zebra"]).behind(["w2", "first"]).joined().split(" ")
    assert sorted(joined) == sorted({"first", "zebra", "w0", "w2"} | {f"w{n}" for n in range(length)})


def test_no_word_stands_in_two_parts() -> None:
    spaced, unspaced = "ab " * 100, "ab" * 100
    for text in (spaced, unspaced, "東京。" * 100, unspaced + " " + spaced):
        cut = list(parts(text, 10))
        assert "".join(part for _, part in cut) == text
        assert [text[start:].startswith(part) for start, part in cut] == [True] * len(cut)
        assert [word for _, part in cut for word in words_of(part)] == words_of(text)
    assert len(list(parts(unspaced, 10))) == 1


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_one_pass_of_the_index_takes_a_bounded_number_of_characters(mesh: Mesh) -> None:
    count = 5
    workspace = (await mesh.get("/v1/workspaces"))["items"][0]["id"]
    store: Any = mesh.server.store
    words = "x" * (limits.TEXT_INDEX_PASS_CHARS // 2)
    passes: list[int] = []

    def work(tx: Transaction) -> None:
        driver = store._driver
        while index_waiting(driver, limits.TEXT_INDEX_PASS):
            pass
        for number in range(count):
            row = workspace, "chunk", f"00000000-0000-0000-0000-00000000000{number}", words
            driver.execute(
                "INSERT INTO documents (workspace_id, type, subject_id, words) VALUES (?, ?, ?, ?)", row
            )
        while not passes or passes[-1]:
            passes.append(index_waiting(driver, limits.TEXT_INDEX_PASS))

    store.write_now(system_caller(workspace), work)
    assert passes == [3, 1, 0]
