"""Normalisation: the standard library's result, from pieces of bounded length."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repomesh.kernel import unicode_text
from repomesh.kernel.limits import NORMALIZED_AT_ONCE_CHARS
from repomesh.kernel.unicode_text import Form, normalize

FORMS: tuple[Form, ...] = ("NFC", "NFD", "NFKC", "NFKD")
HONEST = [
    "Mẹ̀ẹ́ña şöñ ",
    "한국어 조합 " + unicodedata.normalize("NFD", "한국어 조합"),
    "ন্তু ো কো শ্রী",
    "ශ්‍රී ලංකාව ෝ",
    "漢字かな交じり文 ガ",
    "مُحَمَّدٌ رَسُولٌ ",
    "שָׁלוֹם עוֹלָם ",
    "ཧཱུྂ",
    "Ǻǻ ﬁ Ⅷ ",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", HONEST)
def test_equals_the_standard_library_wherever_the_pieces_meet(form: Form, text: str) -> None:
    for shift in range(len(text) + 1):
        long = "x" * shift + text * (3 * NORMALIZED_AT_ONCE_CHARS // len(text))
        assert normalize(form, long) == unicodedata.normalize(form, long)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=200, max_size=800), st.sampled_from(FORMS))
def test_equals_the_standard_library(text: str, form: Form) -> None:
    assert normalize(form, text) == unicodedata.normalize(form, text)


@pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0f73\u0f71", "\u05b0\u0591", "\u0344"])
def test_no_piece_is_longer_than_the_limit(marks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    real = unicodedata.normalize

    def counting(form: Form, text: str) -> str:
        lengths.append(len(text))
        return real(form, text)

    monkeypatch.setattr(unicode_text.unicodedata, "normalize", counting)
    text = "a" + marks * 50_000
    normalize("NFD", text)
    assert max(lengths) <= NORMALIZED_AT_ONCE_CHARS
    assert sum(lengths) == len(text)
