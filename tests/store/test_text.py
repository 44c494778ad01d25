"""Full text: the same words are found on both engines."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from notebook import Notebook
from repomesh.kernel import limits
from repomesh.kernel.ids import new_id
from repomesh.store.base import search_words
from repomesh.store.prepared import DRIVER
from repomesh.store.sqlite_text import count_unindexed, index_waiting
from repomesh.store.transaction import Transaction


class Shelf:
    """Texts that can be found by their words."""

    def __init__(self, notebook: Notebook, indexed: bool) -> None:
        self._notebook = notebook
        self._indexed = indexed
        self._names: dict[str, str] = {}

    def _write(self, work: Callable[[Transaction], object]) -> None:
        self._notebook.store.write_now(self._notebook.caller, work)

    def put(self, name: str, text: str) -> None:
        id_ = new_id()
        self._names[id_] = name
        self._write(lambda tx: tx.index_text("note", id_, text))
        self._index()

    def remove(self, name: str) -> None:
        [id_] = [id_ for id_, known in self._names.items() if known == name]
        self._write(lambda tx: tx.text_index.remove(tx.connection, tx.workspace_id, "note", id_))

    def find(
        self,
        words: str,
        before: int | None = None,
        forms: tuple[str, ...] = (),
        types: Sequence[str] = ("other", "note"),
    ) -> list[str]:
        def search(tx: Transaction) -> list[tuple[int, str]]:
            asked = [*search_words(words), *([forms] if forms else [])]
            found = tx.text_index.find(tx.connection, tx.workspace_id, types, asked, before, 100)
            return [(position, id_) for position, _, id_ in found]

        return [self._names[id_] for _, id_ in self._notebook.store.read_now(self._notebook.caller, search)]

    def _index(self) -> None:
        """What the writer does when it has time, on the engine that indexes behind the commands."""

        def index(tx: Transaction) -> None:
            driver = tx.connection.info.get(DRIVER)
            if driver is not None and self._indexed:
                index_waiting(driver, 1_000)

        self._write(index)


@pytest.fixture(params=[True, False], ids=["indexed", "waiting"])
def shelf(notebook: Notebook, request: pytest.FixtureRequest) -> Shelf:
    return Shelf(notebook, request.param)


def test_what_was_removed_is_not_found_and_what_follows_it_is(shelf: Shelf) -> None:
    shelf.put("one", "release notes")
    shelf.put("two", "release plan")
    shelf.remove("two")
    assert shelf.find("release") == ["one"]
    shelf.put("three", "release date")
    assert shelf.find("release") == ["three", "one"]


def test_words_are_found_inside_paths_names_and_markdown(shelf: Shelf) -> None:
    shelf.put("path", "see `src/app.py`, or http://example.org/a-b?c=d")
    shelf.put("name", "snake_case and kebab-case, v1.2.3")
    for word in ("src", "app", "py", "src/app.py", "example.org", "a-b", "APP"):
        assert shelf.find(word) == ["path"], word
    for word in ("snake", "snake_case", "kebab-case", "v1.2.3"):
        assert shelf.find(word) == ["name"], word
    assert shelf.find("case app") == []


def test_the_newest_comes_first_and_every_word_must_be_there(shelf: Shelf) -> None:
    for name in ("one", "two", "three"):
        shelf.put(name, f"release notes {name}")
    assert shelf.find("notes release") == ["three", "two", "one"]
    assert shelf.find("notes two") == ["two"]


def test_case_and_accents_make_no_difference(shelf: Shelf) -> None:
    shelf.put("menu", "Crème brûlée, STRASSE, Größe, Ελλάδα, ЮГИ, 東京 タワー, ngữ")
    for word in ("creme", "CRÈME", "cre\u0300me", "straße", "grosse", "ελλαδα", "юги", "東京", "ngu"):
        assert shelf.find(word) == ["menu"], word
    assert shelf.find("東") == ["menu"]
    assert shelf.find("京都") == []


def test_no_search_text_means_anything_but_its_words(shelf: Shelf) -> None:
    shelf.put("plain", "b")
    for words in ("", "   ", "!?", "'", '"', "\\", "a' | 'b", "NOT", "* OR 1", ":*", "\ud7ff&"):
        assert shelf.find(words) == [], words


def test_texts_of_any_size_and_kind_can_be_kept(shelf: Shelf) -> None:
    shelf.put("long word", "x" * 100_000)
    shelf.put("many words", " ".join(f"{n:x}" for n in range(150_000)))
    shelf.put("wide words", " ".join(chr(0x20000 + n % 30_000) * 7 + str(n) for n in range(60_000)))
    shelf.put("no words", "— … 🚀")
    assert shelf.find("x" * 100_000) == ["long word"]
    assert shelf.find("1f") == ["many words"]


def test_what_is_forgotten_is_not_found(shelf: Shelf, notebook: Notebook) -> None:
    id_ = new_id()
    notebook.store.write_now(notebook.caller, lambda tx: tx.index_text("note", id_, "gone tomorrow"))
    notebook.store.write_now(
        notebook.caller, lambda tx: tx.text_index.remove(tx.connection, tx.workspace_id, "note", id_)
    )
    assert shelf.find("tomorrow") == []


def test_one_of_several_forms_is_enough_among_the_types_asked_for(shelf: Shelf) -> None:
    shelf.put("one", "the indexes of a release")
    shelf.put("two", "reindexing")
    assert shelf.find("", forms=("index", "indexes")) == ["one"]
    assert shelf.find("release", forms=("index", "indexes")) == ["one"]
    assert shelf.find("", forms=("release", "reindexing")) == ["two", "one"]
    assert shelf.find("release", forms=("reindexing",)) == []
    assert shelf.find("release", types=["other"]) == []
    assert shelf.find("release", types=["other", "note"]) == ["one"]
    assert shelf.find("") == []


def write_texts(notebook: Notebook, count: int) -> None:
    def work(tx: Transaction) -> None:
        for number in range(count):
            tx.index_text("note", new_id(), f"number{number}")

    notebook.store.write_now(notebook.caller, work)


def count_waiting(notebook: Notebook) -> int:
    return notebook.store.write_now(notebook.caller, lambda tx: count_unindexed(tx.connection.info[DRIVER]))


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_however_much_one_command_wrote_it_is_indexed_before_the_next(notebook: Notebook) -> None:
    write_texts(notebook, limits.TEXT_INDEX_PASS + limits.TEXT_INDEX_BATCH + 1)
    assert count_waiting(notebook) == 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_what_a_server_left_waiting_the_next_one_indexes(notebook: Notebook) -> None:
    write_texts(notebook, 2 * limits.TEXT_INDEX_BATCH)

    def forget(tx: Transaction) -> None:
        driver = tx.connection.info[DRIVER]
        driver.execute("INSERT INTO document_text (document_text) VALUES ('delete-all')")
        driver.execute("UPDATE document_index SET through = 0")

    notebook.store.write_now(notebook.caller, forget)
    notebook.store.close()
    again = notebook.reopened()
    try:
        deadline = time.monotonic() + 30
        while count_waiting(again) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert count_waiting(again) == 0
    finally:
        again.store.close()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_very_long_text_is_indexed_in_parts_and_may_be_removed_between_them(notebook: Notebook) -> None:
    size = limits.TEXT_INDEX_PASS_CHARS
    words = [f"w{number:07}" for number in range(size * 5 // 2 // 9)]

    def work(tx: Transaction) -> None:
        connection = tx.connection
        driver = connection.info[DRIVER]

        def add() -> str:
            tx.text_index.add(tx, [(tx.workspace_id, "note", subject := new_id(), words)])
            assert tx.connection  # which writes what waits
            return subject

        def found() -> list[str]:
            asked = [words[0], words[-1]]
            rows = tx.text_index.find(connection, tx.workspace_id, ["note"], asked, None, 10)
            return [subject for _, _, subject in rows]

        while index_waiting(driver, limits.TEXT_INDEX_PASS):
            pass
        first = add()
        for left in (1, 1, 0):
            assert index_waiting(driver, limits.TEXT_INDEX_PASS) == left
            assert found() == [first]
        second, third = add(), add()
        assert index_waiting(driver, limits.TEXT_INDEX_PASS) == 2
        assert found() == [second, first]  # the third is beyond what a search reads of waiting texts
        tx.text_index.remove(connection, tx.workspace_id, "note", second)
        tx.text_index.remove(connection, tx.workspace_id, "note", first)
        assert found() == [third]
        while index_waiting(driver, limits.TEXT_INDEX_PASS):
            pass
        assert found() == [third]
        driver.execute("INSERT INTO document_text (document_text) VALUES ('integrity-check')")

    notebook.store.write_now(notebook.caller, work)
