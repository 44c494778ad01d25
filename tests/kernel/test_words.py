"""Words of texts, the rules by themselves: which queries find which texts is tested on the stores."""

from __future__ import annotations

import sys
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repomesh.kernel import words as kernel_words
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.limits import WORDS_AT_ONCE_CHARS
from repomesh.kernel.words import (
    distinct_words,
    is_paired,
    locate_words,
    parts,
    words_of,
    words_to_find,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Parser_2, at last.", ["the", "parser", "2", "at", "last"]),
        ("parseJson HTTPServer APIs", ["parsejson", "parse", "json", "httpserver", "http", "server", "apis"]),
        ("ÜberName", ["ubername", "uber", "name"]),
        ("a\\nb", ["a", "nb", "n", "b"]),
        ("東京X", ["東", "京", "東京", "x"]),
        ("ที่นี่", ["ที่", "นี่", "ที่นี่"]),
        ("हिन्दी", ["हिन्दी"]),
        ("… 🚀 ♥ ™", ["tm"]),
        ("", []),
    ],
)
def test_a_text_is_taken_apart(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_query_asks_for_the_whole_or_all_parts_and_for_pairs() -> None:
    assert words_to_find("parseJson") == [("parsejson", "parse"), ("parsejson", "json")]
    assert words_to_find("東京都") == ["東京", "京都"]
    assert words_to_find("京 京") == ["京"]
    assert words_to_find("a A Á") == ["a"]
    assert words_to_find("🚀") == []


def test_a_long_word_is_cut_at_its_hundredth_letter() -> None:
    for letter in ("x", "я"):
        assert (
            words_of(letter * 100) == words_of(letter * 101) == words_to_find(letter * 500) == [letter * 100]
        )
    assert words_of("x" * 99) != words_of("x" * 100)
    [whole, first, second] = words_of("x" * 150 + "Yy" * 1 + "z" * 150)
    assert (len(whole), len(first), len(second)) == (100, 100, 100)


def test_each_character_folds_to_what_folds_to_itself() -> None:
    for code in range(1, sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000:
            continue
        words = words_of(f"a{chr(code)}b")
        for word in words:
            assert word in words_of(word), hex(code)


@given(st.text(st.characters(codec="utf-8")))
def test_the_words_of_the_parts_are_those_of_the_text(text: str) -> None:
    assert [word for _, part in parts(text, 5) for word in words_of(part)] == words_of(text)
    assert distinct_words(text) == list(dict.fromkeys(words_of(text)))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_places_of_words_lie_in_the_text(text: str) -> None:
    for start, end, word in locate_words(text, words_of(text)):
        assert 0 <= start < end <= len(text)
        assert word


@given(st.text("ab\u4eca\u5929\ufdfa\u3300\u0e34\u0301", min_size=120, max_size=400))
def test_a_text_without_spaces_is_cut_in_the_midst_and_loses_no_word(text: str) -> None:
    with mock.patch.object(kernel_words, "_UNBROKEN_CHARS_MAX", 100):
        pieces = list(parts(text, 10))
    assert all(text[start : start + len(part)] == part for start, part in pieces)
    assert max(len(part) for _, part in pieces) <= 10 + 100
    found = {word for _, part in pieces for word in words_of(part)}
    assert {word for word in words_of(text) if is_paired(word) and len(word) <= 2} <= found


@pytest.mark.parametrize("letter", ["\ufdfa", "\u3300", "\ufb03", "\u4eca", "x"])
def test_the_longest_text_without_spaces_is_taken_apart_in_bounded_pieces(letter: str) -> None:
    longest = max(len(part) for _, part in parts(letter * 1_000_000, WORDS_AT_ONCE_CHARS))
    assert longest <= WORDS_AT_ONCE_CHARS + 10_000
    assert len("".join(words_of(letter))) <= 3 * 6


def test_marks_without_end_take_no_time_without_end() -> None:
    for mark in ("\u0301", "\u0e34", "\u093f", "\u3099"):
        assert words_of("a" + mark * 200_000)
        assert words_to_find("ก" + mark * 200_000)


@pytest.mark.parametrize(
    ("text", "known", "shown"),
    [
        ('{"a": "b\\nc"}', False, '{"a": "b\nc"}'),
        ('  ["\\u6771\\u4eac", "\\ud83d\\ude80"]', False, '  ["東京", "🚀"]'),
        ('["\\ud83d alone", "\\u0000"]', True, '["  alone", " "]'),
        ('["\\\\n", "\\"", "\\/"]', False, '["\\n", """, "/"]'),
        ("{ not json \\n", False, "{ not json \\n"),
        ("C:\\new", False, "C:\\new"),
        ('{"a": 1}\\n{"b": 2}', True, '{"a": 1}\n{"b": 2}'),
        ("[" * 100_000 + "\\n", False, "[" * 100_000 + "\\n"),
    ],
)
def test_json_is_read_without_its_escapes(text: str, known: bool, shown: str) -> None:
    assert without_escapes(text, is_json=known) == shown
    assert without_escapes(text, is_json=known).encode()
