"""Recall by meaning: an endpoint makes vectors behind the commands, and its failures cost nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from completing import Model, serving
from harness import Mesh
from repomesh.domains.overview.searching import question_vectors
from repomesh.domains.sessions.tables import memory_vectors
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.kernel.settings import Settings

pytestmark = pytest.mark.anyio

CONCEPTS = (("car", "automobile", "vehicle"), ("port", "harbour"), ("lunch", "meal", "soup"))


class Thesaurus(Model):
    """An endpoint whose vectors count how often a text speaks of each concept."""

    def made(self, asked: dict[str, Any]) -> bytes:
        vectors = [
            [0.1, *(sum(text.lower().count(word) for word in words) for words in CONCEPTS)]
            for text in asked["input"]
        ]
        data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        return json.dumps({"object": "list", "data": data[::-1]}).encode()  # in whatever order


@pytest.fixture
def model() -> Iterator[Thesaurus]:
    with serving(Thesaurus()) as made:
        yield made


@pytest.fixture
def settings(settings: Settings, model: Thesaurus, request: pytest.FixtureRequest) -> Settings:
    if request.node.get_closest_marker("settings"):
        return settings
    configured = {
        "embeddings_url": model.url,
        "embeddings_model": "thesaurus",
        "embeddings_key": SecretStr("sk-1"),
    }
    return settings.model_copy(update=configured)


async def fill(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan")
    await mesh.post("/v1/memories", key="garage", content="Each automobile has its place.")
    await mesh.post("/v1/memories", key="food", content="We eat soup.", session_id="plan")
    await mesh.post("/v1/memories", key="server", content="It listens at 8787.")
    await mesh.server.embedding.run_once()


async def recalled(mesh: Mesh, text: str, **criteria: Any) -> list[str]:
    answer = await mesh.get("/v1/recall", text=text, **criteria)
    assert answer["without_meaning"] is None
    return [item["key"] for item in answer["items"]]


def vectors(mesh: Mesh) -> list[tuple[int, str]]:
    rows = select(memory_vectors.c.version, memory_vectors.c.model).order_by(memory_vectors.c.id)
    return [
        tuple(row) for row in mesh.server.store.read_now(system_caller(""), lambda tx: tx.execute(rows).all())
    ]


async def test_what_means_the_same_is_recalled_and_says_so(mesh: Mesh, model: Thesaurus) -> None:
    await fill(mesh)
    answer = await mesh.get("/v1/recall", text="Where does my car stand?")
    assert answer["items"][0]["key"] == "garage"
    assert answer["items"][0]["why"][0] == "means something like it"
    assert (await recalled(mesh, "Which meal?"))[0] == "food"
    assert (await recalled(mesh, "Which meal?", session_id="plan")) == ["food"]
    assert await recalled(mesh, "automobile", what=["chunk"]) == []
    asked = model.asked[-1]
    assert (asked["path"], asked["model"], asked["input"]) == ("/v1/embeddings", "thesaurus", ["Which meal?"])
    assert set(model.keys) == {"Bearer sk-1"}


async def test_each_memory_is_embedded_once_and_again_when_it_changed(mesh: Mesh, model: Thesaurus) -> None:
    await fill(mesh)
    assert vectors(mesh) == [(1, "thesaurus")] * 3
    before = len(model.asked)
    await mesh.server.embedding.run_once()
    assert len(model.asked) == before
    assert (await recalled(mesh, "the vehicle"))[0] == "garage"
    await mesh.post("/v1/memories", key="garage", content="Ships lie in the harbour.")
    await mesh.post("/v1/memories", key="drive", content="Take the automobile.")
    await mesh.server.embedding.run_once()
    assert sorted(vectors(mesh)) == [(1, "thesaurus")] * 3 + [(2, "thesaurus")]
    assert (await recalled(mesh, "the vehicle"))[0] == "drive"
    await mesh.delete("/v1/sessions/plan")
    assert len(vectors(mesh)) == 3
    assert "food" not in await recalled(mesh, "Which meal?")


async def test_many_are_embedded_in_bounded_requests(mesh: Mesh, model: Thesaurus) -> None:
    await mesh.server.embedding.stop()  # else it may begin with those that are there by then
    for number in range(limits.EMBEDDING_TEXTS_MAX + 1):
        await mesh.post("/v1/memories", key=f"k{number}", content="soup " * limits.EMBEDDING_TEXT_CHARS)
    await mesh.server.embedding.run_once()
    assert [len(asked["input"]) for asked in model.asked] == [limits.EMBEDDING_TEXTS_MAX, 1]
    assert {len(text) for text in model.asked[0]["input"]} == {limits.EMBEDDING_TEXT_CHARS}
    assert len(vectors(mesh)) == limits.EMBEDDING_TEXTS_MAX + 1


async def test_what_the_endpoint_does_wrong_is_said_and_words_still_count(
    mesh: Mesh, model: Thesaurus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(mesh)
    monkeypatch.setattr(limits, "EMBEDDINGS_PAUSE_S", 0.0)
    monkeypatch.setattr(limits, "EMBEDDING_S", 60.0)  # the endpoint is on a busy machine, too
    one = {"index": 0, "embedding": [1.0]}
    for answer, reason in (
        ((500, b"sk-1 leaked"), "endpoint answered 500"),
        ((200, b"no JSON"), "answered no vectors"),
        ((200, json.dumps({"data": []}).encode()), "answered no vectors"),
        ((200, json.dumps({"data": [one | {"embedding": ["x"]}]}).encode()), "answered no vectors"),
        ((200, json.dumps({"data": [one | {"embedding": [0.0, 0.0]}]}).encode()), "answered no vectors"),
        ((200, json.dumps({"data": [one]}).encode()), "another length"),
        ((200, b"x" * (limits.EMBEDDING_BYTES_MAX + 1)), "too long"),
    ):
        model.answer = answer
        said = await mesh.get("/v1/recall", text="automobile")
        assert reason in said["without_meaning"]
        assert [item["key"] for item in said["items"]] == ["garage"]
    monkeypatch.setattr(limits, "EMBEDDING_S", 0.1)
    model.hold.clear()
    assert "did not answer within" in (await mesh.get("/v1/recall", text="automobile"))["without_meaning"]


async def test_an_endpoint_that_failed_is_left_alone_for_a_while(mesh: Mesh, model: Thesaurus) -> None:
    model.answer = (500, b"")
    await fill(mesh)
    assert len(model.asked) == 1
    for _ in range(3):
        assert "answered 500" in (await mesh.get("/v1/recall", text="soup"))["without_meaning"]
    assert (len(model.asked), vectors(mesh)) == (1, [])


async def test_the_newest_vectors_are_compared_and_no_more(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "VECTORS_MAX", 2)
    await fill(mesh)
    assert (await recalled(mesh, "Which meal?"))[0] == "food"
    assert newest_kept() == 2
    await mesh.post("/v1/memories", key="more", content="Much soup.")
    await mesh.server.embedding.run_once()
    assert (await recalled(mesh, "Which meal?"))[0] == "more"
    assert newest_kept() == 2


def newest_kept() -> int:
    """How many vectors of the workspace that was asked about last stay in memory."""
    return len(next(reversed(question_vectors._vector_cache._vectors_by_key.values())).ids)


@pytest.mark.settings(embeddings_url=None)
async def test_without_an_endpoint_nothing_is_said_of_it(mesh: Mesh, model: Thesaurus) -> None:
    await fill(mesh)
    assert await recalled(mesh, "automobile") == ["garage"]
    assert (model.asked, vectors(mesh)) == ([], [])


def test_an_endpoint_needs_a_model() -> None:
    with pytest.raises(ValidationError, match="REPOMESH_EMBEDDINGS_MODEL"):
        Settings(embeddings_url="http://127.0.0.1:1/v1")
