"""Fills a store with the conversations and memories of a large team, by the operations' own functions."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics

from repomesh.app import Server, prepare
from repomesh.domains.sessions import chunks, memories, rows
from repomesh.domains.sessions.chunk_models import NewChunk
from repomesh.domains.sessions.memory_models import StoreMemory
from repomesh.domains.sessions.models import CreateSession
from repomesh.domains.sessions.operations import create_session
from repomesh.kernel.identity import Caller, Role
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.store.transaction import Transaction

LARGEST = "session-0000"
LARGEST_CHUNKS = 100_000
WORDS = 40
RARE, COMMON = "xylophone", "value"
_RARE_EVERY = 100_000
_PER_REQUEST, _PER_COMMIT = 200, 5_000
_TYPES = ("decision", "fact", "idea", "question", "action_item", "note")


class Speech:
    """Texts of the words of the language's own manual, as often as they occur there; the same in each run."""

    def __init__(self) -> None:
        self._words = re.findall(r"[a-z]+", " ".join(topics.values()).lower())
        self._chance = random.Random(7)

    def texts(self, count: int, length: int = WORDS) -> list[str]:
        """So many texts of so many words."""
        words = self._chance.choices(self._words, k=count * length)
        return [" ".join(words[start : start + length]) for start in range(0, len(words), length)]


def fill(data: Path, session_count: int, chunk_count: int, memory_count: int) -> None:
    """Keep chunks in sessions, a tenth of them in the largest, and memories in each and in none."""
    folder.prepare(data)
    settings = Settings(data=data)
    server = Server(settings)
    speech = Speech()
    try:
        owner = Caller(prepare(settings, server.store, "bench", None), Role.OWNER, "system")
        server.store.write_now(owner, lambda tx: _sessions(tx, session_count))
        numbers = iter(range(chunk_count))
        while some := list(islice(numbers, _PER_COMMIT)):
            server.store.write_now(owner, lambda tx, some=some: _chunks(tx, some, session_count, speech))  # type: ignore[misc]
        numbers = iter(range(memory_count))
        while some := list(islice(numbers, _PER_COMMIT)):
            server.store.write_now(owner, lambda tx, some=some: _memories(tx, some, session_count, speech))  # type: ignore[misc]
    finally:
        server.store.close()


def _name(number: int) -> str:
    return f"session-{number:04}"


def _sessions(tx: Transaction, count: int) -> None:
    for number in range(count):
        request = CreateSession(session_id=_name(number), title=f"Work {number}", participants=("ann", "bob"))
        create_session(tx, request)


def _chunks(tx: Transaction, numbers: list[int], session_count: int, speech: Speech) -> None:
    for start in range(0, len(numbers), _PER_REQUEST):
        some = numbers[start : start + _PER_REQUEST]
        turn = some[0] // _PER_REQUEST
        name = LARGEST if some[0] < LARGEST_CHUNKS else _name(1 + turn % (session_count - 1))
        new = list(_spoken(some, speech))
        chunks.add(tx, rows.find_active(tx, name), new)


def _spoken(numbers: list[int], speech: Speech) -> Iterator[NewChunk]:
    for number, text in zip(numbers, speech.texts(len(numbers)), strict=True):
        # From the middle of each stretch, so that the newest of them is not the newest of all.
        said = f"{text} {RARE}" if number % _RARE_EVERY == _RARE_EVERY // 2 else text
        yield NewChunk(content=said, speaker=("ann", "bob")[number % 2], format="dialogue")


def _memories(tx: Transaction, numbers: list[int], session_count: int, speech: Speech) -> None:
    for number, text in zip(numbers, speech.texts(len(numbers), WORDS // 2), strict=True):
        request = StoreMemory(
            key=f"memory-{number}",
            content=text,
            type=_TYPES[number % len(_TYPES)],
            session_id=None if number % 4 == 0 else _name(number % session_count),
            tags=(f"tag-{number % 50}",),
        )
        memories.store_memory(tx, request)
