"""The stem that the forms of a word share, and the forms that a stem may stand in."""

from __future__ import annotations

from functools import lru_cache
from threading import local

_ENDINGS = (
    *("s", "es", "ed", "ing", "ings", "e", "er", "ers", "or", "ors", "ion", "ions", "ation", "ations"),
    *("ate", "ates", "ated", "ating", "able", "al", "ly", "ment", "ments"),
)
_DOUBLED = ("ed", "ing", "er", "ers")  # as in running and stopped
_Y_ENDINGS = ("ies", "ied", "y", "ying")
_CHARS_MIN, _CHARS_MAX = 3, 30  # shorter ones have no forms, longer ones are no words

_of_thread = local()  # a stemmer keeps the word it works on, so each thread has its own


@lru_cache(maxsize=50_000)  # a few thousand words make up nearly every text
def stem(word: str) -> str:
    """The stem that a word shares with its other forms (Porter's second algorithm for English)."""
    if not (_CHARS_MIN <= len(word) <= _CHARS_MAX and word.isascii() and word.isalpha()):
        return word
    stemmer = getattr(_of_thread, "stemmer", None)
    if stemmer is None:
        from snowballstemmer.english_stemmer import EnglishStemmer  # type: ignore[import-untyped]

        stemmer = _of_thread.stemmer = EnglishStemmer()
    return str(stemmer.stemWord(word))


@lru_cache(maxsize=5_000)
def forms(word: str) -> tuple[str, ...]:
    """A word and the usual other forms of its stem, whether they exist or not.

    An index of whole words finds all of these faster than words with the stem as a prefix, and no unrelated
    words that only begin like it.
    """
    root = stem(word)
    if root == word and not word.isalpha():
        return (word,)
    possible_forms = [root, *(root + ending for ending in _ENDINGS)]
    possible_forms += [root + root[-1] + ending for ending in _DOUBLED]
    if root.endswith("i"):
        possible_forms += [root[:-1] + ending for ending in _Y_ENDINGS]
    return tuple(dict.fromkeys([word, *(form for form in possible_forms if stem(form) == root)]))
