"""Large contents of many words, and searches among them: a real server goes on answering others meanwhile."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from fault.running import AT_FULL_SIZE, Process
from fault.watching import GROWTH_BYTES_MAX, STALL_S_MAX, resident_bytes, watched
from repomesh.kernel import limits
from repomesh.kernel.settings import Settings

pytestmark = pytest.mark.fault

SENDERS = 6
CHARS = limits.CHUNK_BYTES_MAX - 1_000 if AT_FULL_SIZE else 1_000_000
QUESTIONS = 8
QUESTIONS_EACH = 10 if AT_FULL_SIZE else 2
WORDS = [f"w{number:x}" for number in range(256)]


@pytest.fixture
def process(settings: Settings) -> Iterator[Process]:
    started = Process(settings.data, settings.database_url)
    started.start()
    yield started
    started.stop()


def test_large_contents_of_many_words_cost_others_little(process: Process) -> None:
    made = random.Random(1)
    words = " ".join(f"w{made.getrandbits(40):x}" for _ in range(CHARS // 12))[: CHARS - 20]
    headers = {"Authorization": f"Bearer {process.token}", "Content-Type": "application/json"}
    with httpx.Client(base_url=process.url, headers=headers, timeout=120) as client:
        assert client.post("/v1/sessions", json={"session_id": "long"}).status_code == 201
        # One of each first: what every server needs once is not counted.
        assert send(client, body_of("first")) == 201
        body = body_of(f"{' '.join(WORDS)} {words}")  # made here: who asks for the health is in this process
        assert ask(client, 0) == 200
        before = resident_bytes(process)
        with watched(process) as took:
            answered = at_once(SENDERS, lambda _number: send(client, body))
            answered += at_once(QUESTIONS, partial(ask, client))
        grown = resident_bytes(process) - before
    assert answered == [201] * SENDERS + [200] * QUESTIONS
    assert max(took) <= STALL_S_MAX
    assert grown <= GROWTH_BYTES_MAX


def at_once(count: int, work: Callable[[int], int]) -> list[int]:
    """What a number of threads answer, each of which is given its number."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def body_of(content: str) -> bytes:
    """The body with which a chunk is added."""
    return json.dumps({"content": content}).encode()


def send(client: httpx.Client, body: bytes) -> int:
    """The status of a chunk's answer."""
    return client.post("/v1/sessions/long/chunks", content=body).status_code


def ask(client: httpx.Client, number: int) -> int:
    """The status of the last of some searches and recalls of many words, each of which must be answered."""
    for turn in range(QUESTIONS_EACH):
        ranked = {"text": WORDS[number * QUESTIONS_EACH + turn], "order": "rank"}
        client.get("/v1/search", params=ranked).raise_for_status()
        status = (
            client.get("/v1/recall", params={"text": " ".join(WORDS[:200])}).raise_for_status().status_code
        )
    return status
