"""What is asked of sessions, and for what is known, reads an index, however much there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plans import analyze, plans, scans, steps
from repomesh.app import Server
from repomesh.domains.overview.searching.models import Recall, Search
from repomesh.domains.overview.searching.recall import recall
from repomesh.domains.overview.searching.search import search
from repomesh.domains.sessions import chunks, vectors
from repomesh.domains.sessions.chunk_models import AddChunks, ListChunks, NewChunk, ReadChunk
from repomesh.domains.sessions.export_models import ExportSession
from repomesh.domains.sessions.exporting import export_session
from repomesh.domains.sessions.memories import list_memories, store_memory
from repomesh.domains.sessions.memory_models import ListMemories, StoreMemory
from repomesh.domains.sessions.models import CreateSession, ListSessions
from repomesh.domains.sessions.operations import create_session, list_sessions
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, system_caller
from repomesh.store.transaction import Transaction

SESSIONS, CHUNKS, MEMORIES = 2_000, 6_000, 2_000
TABLES = ("sessions", "chunks", "memories", "memory_versions", "documents")  # those that hold much here


@pytest.fixture
def owner(server: Server) -> Caller:
    """The owner of a workspace in which much was said and is remembered."""
    [workspace_id] = server.store.read_now(system_caller(""), workspace_ids)
    caller = system_caller(workspace_id)
    server.store.write_now(caller, _fill)
    if server.store.describe()["engine"] == "postgresql":
        analyze(server.store)
    return caller


def _fill(tx: Transaction) -> None:
    for number in range(SESSIONS):
        create_session(tx, CreateSession(session_id=f"s{number}", participants=(f"p{number % 400}",)))
    for number in range(CHUNKS // 200):
        said = tuple(NewChunk(content=f"said {number} {at}", chunk_id=f"c{number}-{at}") for at in range(200))
        chunks.add_chunks(tx, AddChunks(session_id=f"s{number}", chunks=said))
    for number in range(MEMORIES):
        of = f"s{number % SESSIONS}" if number % 2 else None
        store_memory(tx, StoreMemory(key=f"k{number}", content=f"known {number}", session_id=of))


def test_whatever_is_asked_reads_an_index(server: Server, owner: Caller) -> None:
    """All of it in one test, which fills the tables once."""
    sessions_and_what_they_hold(server, owner)
    searching_and_recalling(server, owner)
    memories_without_a_vector(server, owner)


def sessions_and_what_they_hold(server: Server, owner: Caller) -> None:
    asked: list[tuple[str, Callable[[Transaction], Any]]] = [
        ("sessions", lambda tx: list_sessions(tx, ListSessions())),
        ("ix_sessions_status", lambda tx: list_sessions(tx, ListSessions(status="paused"))),
        ("session_participants", lambda tx: list_sessions(tx, ListSessions(participant="p7"))),
        ("chunks", lambda tx: chunks.list_chunks(tx, ListChunks(session_id="s1"))),
        ("chunks", lambda tx: chunks.list_chunks(tx, ListChunks(session_id="s1", newest_first=True))),
        ("ix_chunks_chunk_id", lambda tx: chunks.read_chunk(tx, ReadChunk(session_id="s1", chunk_id="c1-7"))),
        ("memories", lambda tx: list_memories(tx, ListMemories())),
        ("ix_memories_key", lambda tx: list_memories(tx, ListMemories(session_id="s1", key="k1"))),
        ("chunks", lambda tx: export_session(tx, ExportSession(session_id="s1"))),
    ]
    for index, work in asked:
        found = plans(server.store, owner, work, writing=False)
        assert index in steps(found), steps(found)
        assert scans(found, *TABLES) == [], steps(found)


def searching_and_recalling(server: Server, owner: Caller) -> None:
    # Words that few texts hold: of one that most do, a planner rightly reads all.
    asked: list[Callable[[Transaction], Any]] = [
        lambda tx: search(tx, Search(text="177")),
        lambda tx: search(tx, Search(text="177", what=("memory",), session_id="s177")),
        lambda tx: search(tx, Search(text="177", order="rank")),
        lambda tx: recall(tx, Recall(text="1077 or 1177?")),
        lambda tx: recall(tx, Recall(text="1077 or 177?", what=("chunk", "task", "message"))),
    ]
    for work in asked:
        found = plans(server.store, owner, work, writing=False)
        assert scans(found, *TABLES) == [], steps(found)


def memories_without_a_vector(server: Server, owner: Caller) -> None:
    """They are found by when they changed."""

    def late(tx: Transaction) -> object:
        configured = {"embeddings_url": "http://x/v1", "embeddings_model": "m"}
        tx.settings = tx.settings.model_copy(update=configured)
        return vectors._build_request(tx, vectors.EmbedMemories(after=tx.now))

    found = plans(server.store, owner, late, writing=False)
    assert "ix_memories_updated" in steps(found), steps(found)
    assert scans(found, "memories") == []
