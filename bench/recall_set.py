"""A recall set with natural labels: the first line of a docstring asks, and what follows it answers.

Both are the words of the authors of some libraries. The set is built from packages that `uv.lock` pins, whose
sources stand on every machine that has set up the project; nothing of them is copied into the repository. The
question's own text never stands in its memory.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("alembic", "hypothesis", "numpy", "pydantic", "rich", "sqlalchemy")
_QUESTION_WORDS = range(5, 26)
_ANSWER_WORDS_MIN = 30
_ANSWER_CHARS_MAX = 2_000  # as long as somebody would have an agent remember
_QUESTIONS_PER_HALF = 300
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A memory's key and text, and the question that its author answered with it."""

    key: str
    question: str
    answer: str

    @property
    def half(self) -> int:
        """0: to tune on; 1: to report."""
        return int(hashlib.sha256(self.question.encode()).hexdigest()[:8], 16) % 2


@dataclass(frozen=True, slots=True)
class RecallSet:
    """Memories, and of some of them the questions."""

    memories: list[Labelled]
    tuning: list[Labelled]
    reporting: list[Labelled]


def build() -> RecallSet:
    """The set, the same wherever the same packages are installed."""
    questions: dict[str, Labelled] = {}
    answers: set[str] = set()
    for name in PACKAGES:
        for question, answer in _documented(name):
            if question not in questions and answer not in answers:
                key = hashlib.sha256(f"{question}\n{answer}".encode()).hexdigest()[:12]
                questions[question] = Labelled(key, question, answer)
                answers.add(answer)
    # By key, which is a hash: neither the packages nor the order of their files says what is newest.
    memories = sorted(questions.values(), key=lambda one: one.key)
    halves = [[one for one in memories if one.half == half][:_QUESTIONS_PER_HALF] for half in (0, 1)]
    return RecallSet(memories, *halves)


def _documented(name: str) -> Iterator[tuple[str, str]]:
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is not installed: run 'make setup'"
    assert spec.origin is not None
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                first, _, rest = text.partition("\n\n")
                question = " ".join(first.split())
                answer = _without(rest, question)[:_ANSWER_CHARS_MAX]
                if len(question.split()) in _QUESTION_WORDS and len(answer.split()) >= _ANSWER_WORDS_MIN:
                    yield question, answer


def _without(text: str, question: str) -> str:
    """A text without the question, should it repeat it."""
    said = r"\s+".join(map(re.escape, question.rstrip(".").split()))
    return re.sub(said, "", text, flags=re.IGNORECASE).strip()
