"""What a search answers of the texts it found: where they match, in what form, and what could not be done."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import insert

from harness import Mesh
from repomesh.domains.overview.searching import snippets
from repomesh.domains.overview.searching.excerpts import IN_ABOUT, TOO_DEEP
from repomesh.domains.overview.searching.ranking import StemMatcher
from repomesh.domains.overview.searching.snippets import find_spots, snippet
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.store.searching import NO_WORDS
from repomesh.store.tables import text_rebuild

pytestmark = pytest.mark.anyio

FILLER = "lorem ipsum " * 20_000  # 240,000 characters


async def only(mesh: Mesh, text: str, **criteria: Any) -> dict[str, Any]:
    """The one thing that a search finds."""
    [item] = (await mesh.get("/v1/search", text=text, **criteria))["items"]
    return dict(item)


async def test_a_match_deep_in_a_text_is_shown(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.agent("bob")
    await mesh.post("/v1/sessions", session_id="one")
    deep = f"{FILLER}then the {{}} came{FILLER}"
    await mesh.post("/v1/sessions/one/chunks", content=deep.format("Zebra"))
    await alice.post("/v1/messages", to=["bob"], subject="s", body=deep.format("okapi"))
    await mesh.post("/v1/sessions/one/artifacts", title="t", content=deep.format("quagga"))
    await mesh.post("/v1/sessions/one/artifacts", title="t", content=deep.format("giraffe") * 3)
    await mesh.post("/v1/memories", key="k", content="lorem " * 5_000 + "then the tapir came")
    await mesh.post("/v1/tasks", goal="g", description="lorem " * 5_000 + "then the gnu came")
    for word in ("Zebra", "okapi", "quagga", "giraffe", "tapir", "gnu"):
        item = await only(mesh, word)
        assert f"then the **{word}** came" in item["snippet"], word
        assert item["snippet"].startswith("…")
        assert len(item["snippet"]) <= limits.SNIPPET_CHARS + 20
        assert "elsewhere" not in item


async def test_recall_shows_a_deep_match_and_says_why(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="one")
    await mesh.post("/v1/sessions/one/chunks", content=f"{FILLER}the zebras slept{FILLER}")
    [item] = (await mesh.get("/v1/recall", text="Where does a zebra sleep?", what=["chunk"]))["items"]
    assert "**zebras**" in item["snippet"]
    assert any(reason.startswith("holds zebra") for reason in item["why"])
    [item] = (await mesh.get("/v1/recall", text="What did the databases and zebras do?", what=["chunk"]))[
        "items"
    ]
    assert "holds zebras" in item["why"]  # the word that was asked for, not its stem


async def test_words_far_apart_are_shown_together(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="one")
    text = f"the first zebra {FILLER} the last okapi {FILLER}"
    await mesh.post("/v1/sessions/one/chunks", content=text)
    item = await only(mesh, "okapi zebra")
    assert "**zebra**" in item["snippet"]
    assert "**okapi**" in item["snippet"]
    assert " … " in item["snippet"]


async def test_a_match_outside_of_the_text_is_named(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="one")
    await mesh.post("/v1/sessions/one/chunks", content="hello", speaker="zebra")
    await mesh.post("/v1/memories", key="okapi", content="hello")
    for word in ("zebra", "okapi"):
        item = await only(mesh, word)
        assert (item["snippet"], item["elsewhere"]) == ("hello", IN_ABOUT)


async def test_long_texts_are_looked_through_within_a_bound(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.post("/v1/sessions", session_id="one")
    text = f"{FILLER}zebra"
    for _ in range(2):
        await mesh.post("/v1/sessions/one/chunks", content=text)
    monkeypatch.setattr(limits, "SNIPPET_DEEP_CHARS", len(text))
    newer, older = (await mesh.get("/v1/search", text="zebra"))["items"]
    assert "**zebra**" in newer["snippet"]
    assert (older["snippet"][:11], older["elsewhere"]) == ("lorem ipsum", TOO_DEEP)
    monkeypatch.setattr(limits, "SNIPPET_DEEP_CHARS", len(text) - 1)
    assert [item.get("elsewhere") for item in (await mesh.get("/v1/search", text="zebra"))["items"]] == [
        TOO_DEEP,
        TOO_DEEP,
    ]


async def test_json_is_found_by_what_it_says(mesh: Mesh) -> None:
    said = {"line one\nbravo": ["tab\tcharlie", 'quoted "delta"', "back\\echo", {"東京": "crème\nfoxtrot"}]}
    escaped = json.dumps(said)  # with everything beyond ASCII as \uXXXX
    alice = await mesh.agent("alice")
    await mesh.agent("bob")
    await mesh.post("/v1/sessions", session_id="one")
    add = "/v1/sessions/one/chunks"
    await mesh.post(add, content=said, chunk_id="c1")
    await mesh.post(add, content=escaped, format="json", chunk_id="c2")
    await mesh.post(add, content=escaped, chunk_id="c3")
    await mesh.post("/v1/memories", key="m1", content=said)
    await mesh.post("/v1/sessions/one/artifacts", title="a", artifact_id="a1", content=said)
    await alice.post("/v1/messages", to=["bob"], subject="s", body=escaped)
    for word in ("bravo", "charlie", "delta", "echo", "東京", "creme", "foxtrot", "one bravo 東京 foxtrot"):
        items = (await mesh.get("/v1/search", text=word))["items"]
        assert {item["key"] for item in items} == {"c1", "c2", "c3", "m1", "a1", None}, word
        for item in items:
            marked = f"**{'crème' if word == 'creme' else word.split()[0]}**"
            assert marked in item["snippet"], (word, item["snippet"])
    assert (await mesh.get("/v1/search", text="nbravo"))["items"] == []


async def test_a_written_line_end_in_a_text_cuts_no_word(mesh: Mesh) -> None:
    await mesh.post("/v1/memories", key="m1", content='it printed "alpha\\nbravo" from C:\\new')
    for word, marked in (("bravo", "**bravo**"), ("new", "**new**"), ("alpha", "**alpha**")):
        assert marked in (await only(mesh, word))["snippet"]


async def test_a_text_without_words_finds_nothing_and_the_answer_says_so(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.agent("bob")
    await mesh.post("/v1/sessions", session_id="one")
    await mesh.post("/v1/sessions/one/chunks", content="shipped 🚀", tags=["x"])
    await mesh.post("/v1/memories", key="m", content="shipped 🚀", tags=["x"])
    await mesh.post("/v1/tasks", goal="ship 🚀")
    await alice.post("/v1/messages", to=["bob"], body="shipped 🚀")
    narrowed: list[dict[str, Any]] = [
        {},
        {"session_id": "one"},
        {"tags": ["x"]},
        {"author": "alice"},
        {"order": "rank"},
        {"what": ["memory"], "type": "note"},
    ]
    for text in ("🚀", "!?", "… —"):
        for criteria in narrowed:
            answer = await mesh.get("/v1/search", text=text, **criteria)
            assert (answer["items"], answer["notice"]) == ([], NO_WORDS), (text, criteria)
        for path in ("/v1/messages", "/v1/tasks", "/v1/decisions", "/v1/recall"):
            answer = await mesh.get(path, text=text)
            assert (answer["items"], answer["notice"]) == ([], NO_WORDS), (text, path)
    assert "notice" not in await mesh.get("/v1/search", text="shipped")
    assert "notice" not in await mesh.get("/v1/messages")
    short = await mesh.request("GET", "/v1/search?text=%21%3F&max_chars=500")
    assert short.json()["notice"] == NO_WORDS
    assert len(short.text) <= 500


async def test_a_search_says_while_older_texts_are_not_indexed(mesh: Mesh) -> None:
    def begin(tx: Any) -> None:
        below = tx.text_index.newest(tx.connection) + 1
        tx.execute(insert(text_rebuild), {"id": 1, "below": below, "started_at": 2 * below})

    await mesh.server.text_rebuild.stop()
    await mesh.post("/v1/memories", key="m", content="parser")
    mesh.server.store.write_now(system_caller(""), begin)
    await mesh.post("/v1/memories", key="n", content="lexer")
    for path in ("/v1/search", "/v1/recall", "/v1/messages", "/v1/tasks", "/v1/decisions"):
        answer = await mesh.get(path, text="lexer")
        assert "50 % of the older texts" in answer["notice"], path
    assert (await only(mesh, "lexer"))["key"] == "n"


def test_a_snippet_marks_letters_of_scripts_without_spaces_as_they_stand() -> None:
    asked = StemMatcher(["東京", "京タ", "タワ", "ワー"])
    text = "昨日は東京タワーへ行きました。"
    assert snippet(text, find_spots(text, asked)) == "昨日は**東京タワー**へ行きました。"
    hangul = "서버를 다시"
    assert snippet(hangul, find_spots(hangul, StemMatcher(["서버"]))) == "**서버**를 다시"
    wide = "ﷺ ㍿ and ﬁle"
    assert snippet(wide, find_spots(wide, StemMatcher(["file"]))) == "ﷺ ㍿ and **ﬁle**"
    pointed = "שָׁלוֹם עולם"
    assert snippet(pointed, find_spots(pointed, StemMatcher(["שלום"]))) == "**שָׁלוֹם** עולם"


def test_a_snippet_of_an_identifier_marks_it_whole() -> None:
    for text in ("call parseJsonBody now", "größer parseJsonBody now"):
        assert "**parseJsonBody**" in snippet(text, find_spots(text, StemMatcher(["json"])))


def test_a_snippet_has_three_parts_at_the_most() -> None:
    words = ["alpha", "bravo", "charlie", "delta"]
    for count, marks in ((1, 1), (2, 2), (3, 3), (4, 3)):
        text = f" {FILLER}".join(words[:count])
        shown = snippet(text, find_spots(text, StemMatcher(words[:count])))
        assert shown.count("**") == 2 * marks, shown
        assert len(shown) <= limits.SNIPPET_CHARS + 2 * 2 * marks + 3 * marks


def test_matches_are_weighed_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snippets, "SNIPPET_SPOTS_MAX", 3)
    text = "alpha " * 5_000 + FILLER + "omega"
    assert {stem for _, _, stem in find_spots(text, StemMatcher(["alpha", "omega"]))} == {"alpha"}
    monkeypatch.setattr(snippets, "SNIPPET_SPOTS_MAX", 5_001)
    assert {stem for _, _, stem in find_spots(text, StemMatcher(["alpha", "omega"]))} == {"alpha", "omega"}
