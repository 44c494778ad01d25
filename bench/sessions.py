"""What sessions cost when there are many: searching, recalling, listing, exporting, and taking in more."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from bench.fill_sessions import COMMON, LARGEST, LARGEST_CHUNKS, RARE, Speech, fill
from bench.load import Connection, request
from bench.messages import ask
from bench.report import Report
from bench.servers import Running, repomesh

SESSIONS, CHUNKS, MEMORIES = 1_000, 1_000_000, 100_000
_SEARCHES, _QUESTIONS, _STARTS = 300, 200, 9
_BATCHES, _PER_BATCH, _SENDERS = 400, 100, 2
_BARE = """
    CREATE TABLE chunks (session TEXT, sequence INTEGER, id TEXT, speaker TEXT, bytes INTEGER, sha256 TEXT,
    created_at INTEGER, content TEXT, PRIMARY KEY (session, sequence))
"""


def measure(report: Report, folder: Path) -> None:
    """Fill a store, then ask of it what agents and people ask."""
    folder.mkdir()
    begun = time.perf_counter()
    fill(folder / "data", SESSIONS, CHUNKS, MEMORIES)
    took_s = time.perf_counter() - begun
    report.note(f"filling with {CHUNKS:,} chunks and {MEMORIES:,} memories", took_s, "s")
    speech = Speech()
    with repomesh(folder / "data") as server:
        _export(report, server)  # first, while memory holds nothing but what it needs
        for name, words in (("rare", RARE), ("common", COMMON)):
            paths = [f"/v1/search?{urlencode({'text': words})}"] * _SEARCHES
            report.bound(f"search for a {name} word, newest first, p95", _p95_ms(server, paths), "ms", 20)
        asked = [f"What did we decide on {text}?" for text in speech.texts(_QUESTIONS, 8)]
        for name, what in (("memories", ["memory"]), ("everything", ["memory", "chunk", "message", "task"])):
            paths = [f"/v1/recall?{urlencode({'text': text, 'what': what}, doseq=True)}" for text in asked]
            report.bound(f"recall from {name}, p95", _p95_ms(server, paths), "ms", 60)
        _list(report, server)
        _take_in(report, server, speech, folder)
        report.note("resident memory at the end", server.resident_mb(), "MB")


def _p95_ms(server: Running, paths: Sequence[str]) -> float:
    taken = asyncio.run(_ask_all(server, paths))
    return statistics.quantiles(taken, n=20)[18] * 1e3


async def _ask_all(server: Running, paths: Sequence[str]) -> list[float]:
    connection = await Connection.open("127.0.0.1", server.port)
    taken = []
    for path in paths:
        raw = request("GET", path, server.token)
        start = time.perf_counter()
        status, answer = await connection.request(raw)
        taken.append(time.perf_counter() - start)
        assert status == 200, answer
        assert json.loads(answer)["items"], path
    connection.close()
    return taken


def _command(server: Running, *words: str) -> tuple[list[str], dict[str, str]]:
    """`session-cli` as a user starts it."""
    command = [str(Path(sys.executable).parent / "session-cli"), *words]
    return command, os.environ | {"REPOMESH_URL": server.url, "REPOMESH_TOKEN": server.token}


def _list(report: Report, server: Running) -> None:
    command, environment = _command(server, "list", "--limit", "200")
    taken = []
    for _ in range(_STARTS):
        start = time.perf_counter()
        shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        taken.append(time.perf_counter() - start)
        assert "session-0999" in shown
    report.bound(f"session-cli list with {SESSIONS:,} sessions, p50", statistics.median(taken), "s", 0.5)


def _export(report: Report, server: Running) -> None:
    """The largest session, as a whole: what both sides need at the most."""
    command, environment = _command(server, "export", LARGEST)
    most = _Peak(server.resident_mb)
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        memory, lines, own = psutil.Process(process.pid), 0, 0
        for lines, _ in enumerate(process.stdout, 1):
            if lines % 1_000 == 0:  # its own peak, as the system counts it, would hold ours before it began
                own = max(own, memory.memory_info().rss)
    taken_s = time.perf_counter() - start
    server_mb = most.stop()
    assert process.returncode == 0
    assert lines > LARGEST_CHUNKS
    report.note(f"export of {LARGEST_CHUNKS:,} chunks", taken_s, "s")
    report.bound("its resident memory, session-cli at the most", own / 1e6, "MB", 200)
    report.bound("its resident memory, the server at the most", server_mb, "MB", 200)


class _Peak:
    """The largest of what a measure answers, looked at ten times a second."""

    def __init__(self, measured: Callable[[], float]) -> None:
        self._measured = measured
        self._most = measured()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self._most = max(self._most, self._measured())

    def stop(self) -> float:
        """The largest so far."""
        self._ended.set()
        self._thread.join()
        return self._most


def _take_in(report: Report, server: Running, speech: Speech, folder: Path) -> None:
    """Batches of chunks over HTTP into the full store, and bare inserts of the same rows elsewhere."""
    texts = speech.texts(_BATCHES * _PER_BATCH)
    batches = [texts[start : start + _PER_BATCH] for start in range(0, len(texts), _PER_BATCH)]
    names = [f"taken-in-{number}" for number in range(_SENDERS)]
    for name in names:
        ask(server, "/v1/sessions", server.token, {"session_id": name})
    per_s = asyncio.run(_send(server, names, batches))
    bare_per_s = _insert_bare(folder / "bare.db", batches)
    report.note(f"bare inserts in batches of {_PER_BATCH}", bare_per_s, "/s")
    report.at_least(f"chunks taken in, in batches of {_PER_BATCH}", per_s, "/s", 5_000)


async def _send(server: Running, names: Sequence[str], batches: Sequence[list[str]]) -> float:
    connections = [await Connection.open("127.0.0.1", server.port) for _ in names]

    bodies = [json.dumps({"chunks": [_chunk(text) for text in batch]}).encode() for batch in batches]

    async def one(number: int) -> None:
        path = f"/v1/sessions/{names[number]}/chunks/batch"
        for body in bodies[number :: len(names)]:
            status, answer = await connections[number].request(request("POST", path, server.token, body))
            assert status == 201, answer

    start = time.perf_counter()
    await asyncio.gather(*map(one, range(len(names))))
    taken_s = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return len(batches) * _PER_BATCH / taken_s


def _chunk(text: str) -> dict[str, Any]:
    return {"content": text, "speaker": "ann", "format": "dialogue"}


def _insert_bare(path: Path, batches: Sequence[list[str]]) -> float:
    """The same rows by the driver alone, as durable, without index, event or check."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(_BARE)
        start = time.perf_counter()
        for number, batch in enumerate(batches):
            first = number * _PER_BATCH
            rows = [
                ("taken-in", first + at, f"{first + at:036}", "ann", len(text), "0" * 64, first, text)
                for at, text in enumerate(batch)
            ]
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            database.execute("COMMIT")
        return len(batches) * _PER_BATCH / (time.perf_counter() - start)
