"""Requests whose words are extracted before their transaction, so that the writer does not wait for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import PrivateAttr

from repomesh.kernel import limits
from repomesh.kernel.operation import Model


class PreparesWords(Model):
    """A request with a text that may be long."""

    _words: list[str] | None = PrivateAttr(None)

    def cached_words(self, find_words: Callable[[], list[str]]) -> list[str]:
        """The words that `find_words` returns; it is called once and its result kept."""
        if self._words is None:
            self._words = find_words()
        return self._words


def is_long(content: Any) -> bool:
    """Whether the words of a text are worth a thread; of JSON it is not known."""
    return not isinstance(content, str) or len(content) > limits.WORDS_INSIDE_CHARS
