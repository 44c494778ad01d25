"""How tokens are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domains.requests.planning.projects import planned
from repomesh.domains.requests.planning import tokens


class FakeEncoding:
    """Takes each word for a token."""

    def encode_ordinary(self, text: str) -> list[str]:
        return text.split()


def test_without_a_vocabulary_four_characters_are_a_token() -> None:
    plan = planned({"a.py": "x = 12345\n"}, ["a.py"])
    assert (plan.token_method, plan.tasks[0].size.tokens) == ("characters/4", 3)


def test_with_a_vocabulary_tiktoken_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_encoding", FakeEncoding)
    plan = planned({"a.py": "x = 12345\n"}, ["a.py"])
    assert (plan.token_method, plan.tasks[0].size.tokens) == ("tiktoken/o200k_base", 3)


def test_of_many_files_tokens_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_encoding", FakeEncoding)
    assert tokens.counter(501)[0] == "characters/4"
    assert tokens.counter(500)[0] == "tiktoken/o200k_base"


@pytest.mark.parametrize("folder", ["", "missing", "."])
def test_tiktoken_never_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str) -> None:
    import tiktoken

    def refuse(*_: Any) -> None:
        raise AssertionError("asked for a vocabulary that is not there")

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / folder) if folder else "")
    tokens._encoding.cache_clear()
    assert tokens.counter(1)[0] == "characters/4"
    tokens._encoding.cache_clear()
