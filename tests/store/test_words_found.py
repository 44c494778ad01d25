"""Which words find which texts: the same on both engines, in scripts from all over the world."""

# ruff: noqa: RUF001

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notebook import Notebook
from repomesh.kernel.ids import new_id
from repomesh.kernel.words import Word, distinct_words, flatten_words, words_to_find
from repomesh.store.base import search_words
from repomesh.store.prepared import DRIVER
from repomesh.store.sqlite_text import index_waiting
from repomesh.store.transaction import Transaction

TABLE: list[tuple[str, str, bool]] = [
    # English and code
    ("The Parser, at last.", "parser", True),
    ("The Parser, at last.", "parse", False),
    ("def snake_case(value): pass", "snake_case", True),
    ("def snake_case(value): pass", "case", True),
    ("def parseJsonBody(text)", "parseJsonBody", True),
    ("def parseJsonBody(text)", "parsejsonbody", True),
    ("def parseJsonBody(text)", "json", True),
    ("def parseJsonBody(text)", "parse_json_body", True),
    ("def parse_json_body(text)", "parseJsonBody", True),
    ("def parseJsonBody(text)", "parseXmlBody", False),
    ("class HTTPServerError", "server", True),
    ("class HTTPServerError", "HttpServerError", True),
    ("github and javascript", "GitHub JavaScript", True),
    ("GitHub and JavaScript", "github javascript", True),
    ("several APIs", "apis", True),
    ("see `src/repomesh/app.py`", "src/repomesh/app.py", True),
    ("see `src/repomesh/app.py`", "app.py", True),
    ("see `src/repomesh/app.py`", "repomesh", True),
    ("os.path.join is dotted", "os.path.join", True),
    ("os.path.join is dotted", "path", True),
    ("C:\\new\\table", "new table", True),
    ("released v1.2.3 on port 8787", "v1.2.3", True),
    ("released v1.2.3 on port 8787", "8787", True),
    ("released v1.2.3 on port 8787", "878", False),
    ("a quoted \\nbravo line end", "bravo", True),
    ("a quoted \\nbravo line end", "\\nbravo", True),
    # Latin with marks: German, French, Vietnamese, Turkish, Polish
    ("Größe und STRASSE", "grosse straße", True),
    ("Crème brûlée", "creme brulee", True),
    ("cre\u0300me", "crème", True),
    ("Tiếng Việt có dấu", "tieng viet", True),
    ("Diyarbakır, İstanbul", "istanbul", True),
    ("zażółć gęślą jaźń", "zazołc", True),
    ("ﬁle № ５", "file 5", True),
    # Greek, Cyrillic, Armenian, Georgian
    ("Ελλάδα και ΟΔΟΣ", "ελλαδα οδός", True),
    ("Ёлка и Йогурт", "елка йогурт", True),
    ("Ёлка и Йогурт", "елк", False),
    ("Հայերեն լեզու", "հայերեն", True),
    ("ქართული ენა", "ქართული", True),
    # Hebrew: with and without points
    ("שָׁלוֹם עֲלֵיכֶם", "שלום", True),
    ("שלום עליכם", "שָׁלוֹם", True),
    ("שלום עליכם", "שלם", False),
    # Arabic and Persian: harakat, hamza, tatweel, zero-width joiners
    ("مُحَمَّدٌ رَسُولٌ", "محمد", True),
    ("محمد رسول", "مُحَمَّد", True),
    ("أحمد إلى آخر", "احمد الى اخر", True),
    ("مـحـمـد", "محمد", True),
    ("می\u200cخواهم بروم", "میخواهم", True),
    ("محمد رسول", "حمد", False),
    # Hindi, Bengali, Tamil, Telugu, Malayalam: vowel signs belong to words
    ("हिन्दी में खोज", "हिन्दी", True),
    ("हिन्दी में खोज", "हिन्द", False),
    ("हिन्दी में खोज", "खोज में", True),
    ("ज़रूरत है", "जरूरत", True),
    ("বাংলা ভাষা", "বাংলা", True),
    ("বাংলা ভাষা", "বাংল", False),
    ("தமிழ் மொழி", "தமிழ்", True),
    ("తెలుగు భాష", "భాష", True),
    ("മലയാളം", "മലയാളം", True),
    # Amharic and Mongolian
    ("አማርኛ ቋንቋ", "ቋንቋ", True),
    ("ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ", "ᠪᠢᠴᠢᠭ", True),
    # Chinese, also glued to ASCII
    ("今天讨论了部署方案", "部署", True),
    ("今天讨论了部署方案", "部署方案", True),
    ("今天讨论了部署方案", "案", True),
    ("今天讨论了部署方案", "方部", False),
    ("步2 重跑gen-itgc后50条悬空引用清零", "itgc", True),
    ("步2 重跑gen-itgc后50条悬空引用清零", "gen-itgc 悬空", True),
    ("步2 重跑gen-itgc后50条悬空引用清零", "50", True),
    ("使用API接口，使用数据库。", "api接口", True),
    ("使用API接口，使用数据库。", "口使", False),
    # Japanese
    ("東京タワーで会議", "東京", True),
    ("東京タワーで会議", "タワー", True),
    ("東京タワーで会議", "会", True),
    ("東京タワーで会議", "京都", False),
    ("ｶﾞｲﾄﾞ", "ガイド", True),
    ("カ\u3099イト\u3099", "ガイド", True),
    ("ガイド", "カイト", False),
    # Korean: particles are glued on; also decomposed
    ("서버를 다시 시작했다", "서버", True),
    ("서버를 다시 시작했다", "시작", True),
    ("서버를 다시 시작했다", "종료", False),
    ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글", True),
    # Thai, Lao, Khmer, Burmese, Tibetan, New Tai Lue
    ("สวัสดีครับผมชื่อสมชาย", "สมชาย", True),
    ("สวัสดีครับผมชื่อสมชาย", "สวัสดี", True),
    ("สวัสดีครับผมชื่อสมชาย", "ลาก่อน", False),
    ("ใช้เซิร์ฟเวอร์postgresใหม่", "postgres", True),
    ("ສະບາຍດີເພື່ອນ", "ເພື່ອນ", True),
    ("ខ្ញុំនិយាយភាសាខ្មែរ", "ខ្មែរ", True),
    ("မြန်မာဘာသာစကား", "ဘာသာ", True),
    ("བོད་སྐད་ཡིན", "སྐད", True),
    ("\u1982\u19b0\u19c2 \u1991", "\u1982\u19b0", True),
    # Signs and emoji are no words
    ("shipped 🚀 today", "🚀", False),
    ("shipped 🚀 today", "shipped🚀", True),
    ("1️⃣ first", "1", True),
    ("C++ and C#", "c++", True),
    ("— … ♥", "…", False),
    ("soft\u00adhyphen", "softhyphen", True),
    ("one\u200btwo", "two", True),
    ("under\u2060score", "underscore", True),
    # Beyond the basic plane
    ("𠮷野家で食べる", "𠮷野", True),
    ("𝔘𝔫𝔦𝔠𝔬𝔡𝔢 text", "unicode", True),
]


class Library:
    """Texts of one example, and which of them some words find."""

    def __init__(self, notebook: Notebook, *, indexed: bool = True) -> None:
        self._notebook = notebook
        self._indexed = indexed
        self._texts: dict[str, str] = {}

    def put(self, texts: list[str]) -> None:
        self._texts = {new_id(): text for text in texts}

        def write(tx: Transaction) -> None:
            for id_, text in self._texts.items():
                tx.index_text("note", id_, text)

        self._notebook.store.write_now(self._notebook.caller, write)
        if self._indexed:
            self._notebook.store.write_now(self._notebook.caller, index)

    def found(self, query: str) -> set[str]:
        def find(tx: Transaction) -> set[str]:
            words = search_words(query)
            found = tx.text_index.find(tx.connection, tx.workspace_id, ["note"], words, None, 1_000)
            return {self._texts[id_] for _, _, id_ in found if id_ in self._texts}

        return self._notebook.store.read_now(self._notebook.caller, find)


def index(tx: Transaction) -> None:
    driver = tx.connection.info.get(DRIVER)
    while driver is not None and index_waiting(driver, 1_000):
        pass


def holds(words: list[str], asked: list[Word]) -> bool:
    """What finding means: the rule by which both engines are judged."""
    return bool(asked) and all(set(flatten_words([one])) & set(words) for one in asked)


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "waiting"])
def test_each_query_of_the_table_finds_its_text_or_does_not(notebook: Notebook, indexed: bool) -> None:
    library = Library(notebook, indexed=indexed)
    library.put(list(dict.fromkeys(text for text, _, _ in TABLE)))
    wrong = [(text, query) for text, query, finds in TABLE if (text in library.found(query)) != finds]
    assert wrong == []


def test_the_table_is_large_and_wide() -> None:
    assert len(TABLE) >= 60
    assert len(set(TABLE)) == len(TABLE)


# Letters and signs of many kinds, so that runs of scripts, marks, cases and separators meet.
_PIECES = st.one_of(
    st.sampled_from(
        ["parseJson", "HTTPServer", "a_b", "C:\\new", "\\n", "東京", "タワー", "한글", "สวัส", "ที่"]
    ),
    st.sampled_from(
        ["नमस्ते", "שָׁלוֹם", "مُحَمَّد", "größe", "ǅ", "ﬁ", "½", "🚀", "\u200b", "\u00ad", " ", ".", "9"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4),
)
_TEXTS = st.lists(st.lists(_PIECES, min_size=1, max_size=8).map("".join), min_size=1, max_size=4, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=_TEXTS)
def test_every_word_of_a_text_finds_it_and_the_engines_agree(notebook: Notebook, texts: list[str]) -> None:
    library = Library(notebook)
    library.put(texts)
    words = {text: distinct_words(text) for text in texts}
    for text in texts:
        for query in [text, *words[text][:12]]:
            expected = {other for other in texts if holds(words[other], search_words(query))}
            assert library.found(query) == expected, query
            assert text in expected or not search_words(query)


@given(text=st.lists(_PIECES, min_size=1, max_size=8).map("".join))
def test_a_word_is_found_as_it_stands_in_the_index(text: str) -> None:
    words = distinct_words(text)
    for word in words:
        assert word
        assert not set(word) & set(" \"'\\\0")
        assert holds(words, words_to_find(word)), word
    assert holds(words, words_to_find(text)) or not words


def test_a_query_without_words_finds_nothing(notebook: Notebook) -> None:
    library = Library(notebook)
    library.put(["shipped 🚀 today", "— … ♥", "b"])
    for query in ("", "   ", "!?", "🚀", "…", "👨‍👩‍👧", "'", '"', "\\", ":*", "\u0301", "\u200d"):
        assert library.found(query) == set(), query


def test_words_far_apart_in_one_text_are_found_together(notebook: Notebook) -> None:
    library = Library(notebook)
    long = "alpha " + " ".join(f"filler{number}" for number in range(150_000)) + " omega"
    library.put([long, "alpha alone"])
    assert library.found("alpha omega") == {long}
    assert library.found("omega filler75000") == {long}
