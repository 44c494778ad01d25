"""How often recall finds what answers a question, beside the engines' plain full-text rank.

The weights of recall are looked for on one half of the questions; what is reported is the other half, which
nothing was chosen by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

from sqlalchemy import select, text

from bench.databases import new_database
from bench.recall_set import Labelled, RecallSet, build
from bench.report import Report
from repomesh.app import Server, prepare
from repomesh.domains.overview.searching import recall, search
from repomesh.domains.overview.searching.models import Recall, Search
from repomesh.domains.overview.searching.ranking import RECALL_WEIGHTS, RankingWeights
from repomesh.domains.sessions.memories import store_memory
from repomesh.domains.sessions.memory_models import StoreMemory
from repomesh.domains.sessions.tables import memories
from repomesh.kernel.identity import Caller, Role
from repomesh.kernel.limits import LABEL_CHARS_MAX, MAX_CHARS_MAX
from repomesh.kernel.settings import Settings
from repomesh.kernel.words import words_of
from repomesh.store import folder as data_folder
from repomesh.store.transaction import Transaction

_SHOWN = 50  # as many as one recall answers; what comes behind counts as not found
_GRID = {"k1": (1.2, 2.0, 2.5), "b": (0.75, 0.9), "pair": (0.0, 0.5)}
# An index of the engine's own beside ours, which keeps no places of words and so has no rank.
_MAKE_SQLITE = "CREATE VIRTUAL TABLE plain USING fts5(id UNINDEXED, words)"
_MAKE_POSTGRES = "CREATE TABLE plain (id text, words tsvector)"
_FILL_SQLITE = "INSERT INTO plain (id, words) VALUES (:id, :words)"
_FILL_POSTGRES = "INSERT INTO plain (id, words) VALUES (:id, to_tsvector('simple', :words))"
_PLAIN_SQLITE = "SELECT id FROM plain WHERE words MATCH :asked ORDER BY rank LIMIT :count"
_PLAIN_POSTGRES = """
    SELECT id FROM plain WHERE words @@ CAST(:asked AS tsquery)
    ORDER BY ts_rank(words, CAST(:asked AS tsquery)) DESC LIMIT :count
"""

Answer = Callable[[Transaction, str], Sequence[str]]
"""The keys of what is found for a question, the best first."""


def measure(report: Report, folder: Path) -> None:
    """Both engines, each with the same memories."""
    labelled = build()
    report.note("memories of the recall set", len(labelled.memories), "")
    report.note("questions to report on", len(labelled.reporting), "")
    with _server(Settings(data=folder / "sqlite")) as (server, owner):
        _compare(report, server, owner, labelled, "SQLite")
        _tune(report, server, owner, labelled.tuning)
    with new_database() as url:
        if url is not None:
            with _server(Settings(data=folder / "postgresql", database_url=url)) as (server, owner):
                _compare(report, server, owner, labelled, "PostgreSQL")


@contextmanager
def _server(settings: Settings) -> Iterator[tuple[Server, Caller]]:
    settings.data.mkdir(parents=True)
    data_folder.prepare(settings.data)
    server = Server(settings)
    try:
        yield server, Caller(prepare(settings, server.store, "bench", None), Role.OWNER, "system")
    finally:
        server.store.close()


def _compare(report: Report, server: Server, owner: Caller, labelled: RecallSet, engine: str) -> None:
    server.store.write_now(owner, lambda tx: _load(tx, labelled.memories))
    keys = dict(
        server.store.read_now(owner, lambda tx: tx.execute(select(memories.c.id, memories.c.key)).all())
    )  # type: ignore[arg-type]

    def figures(answer: Answer) -> tuple[float, float]:
        return server.store.read_now(owner, lambda tx: _figures(tx, labelled.reporting, answer))

    ours, newest = figures(_recalled), figures(_newest)
    plain = figures(lambda tx, question: [keys[id_] for id_ in _plain(tx, question)])
    for at, name in enumerate(("recall@5", "MRR")):
        beside = f"{engine}'s full-text rank"
        report.add(f"recall on {engine}, {name}", ours[at], "", beside, plain[at], at_least=1)
        report.note(f"newest first on {engine}, {name}", newest[at], "")


def _load(tx: Transaction, labelled: Sequence[Labelled]) -> None:
    on_sqlite = tx.connection.dialect.name == "sqlite"
    tx.execute(text(_MAKE_SQLITE if on_sqlite else _MAKE_POSTGRES))
    for one in labelled:
        kept = store_memory(tx, StoreMemory(key=one.key, content=one.answer))
        words = " ".join(words_of(f"{one.key} {one.answer}"))
        tx.execute(text(_FILL_SQLITE if on_sqlite else _FILL_POSTGRES), {"id": kept.id, "words": words})


def _figures(tx: Transaction, questions: Sequence[Labelled], answer: Answer) -> tuple[float, float]:
    """The share of questions whose memory is among the first five, and the mean reciprocal rank."""
    ranks = []
    for one in questions:
        found = list(answer(tx, one.question))
        ranks.append(found.index(one.key) + 1 if one.key in found else 0)
    within = sum(0 < rank <= 5 for rank in ranks)
    return within / len(ranks), sum(1 / rank for rank in ranks if rank) / len(ranks)


def _recalled(tx: Transaction, question: str) -> Sequence[str]:
    found = recall.recall(tx, Recall(text=question, limit=_SHOWN, max_chars=MAX_CHARS_MAX))
    return [str(item.key) for item in found.items]


def _newest(tx: Transaction, question: str) -> Sequence[str]:
    """What a search for all the words finds."""
    found = search.search(tx, Search(text=question[:LABEL_CHARS_MAX], limit=_SHOWN))
    return [str(item.key) for item in found.items]


def _plain(tx: Transaction, question: str) -> Sequence[str]:
    """What holds any of the words, as the engine itself ranks it."""
    words = dict.fromkeys(words_of(question))
    if tx.connection.dialect.name == "sqlite":
        statement, asked = _PLAIN_SQLITE, " OR ".join(f'"{word}"' for word in words)
    else:
        statement, asked = _PLAIN_POSTGRES, " | ".join(f"'{word}'" for word in words)
    return list(tx.execute(text(statement), {"asked": asked, "count": _SHOWN}).scalars())


def _tune(report: Report, server: Server, owner: Caller, questions: Sequence[Labelled]) -> None:
    """Which weights of the grid do best on the half for it, beside those that recall has."""

    def all_of(tx: Transaction) -> list[tuple[float, RankingWeights]]:
        gathered = [(one.key, recall.gather(tx, Recall(text=one.question))) for one in questions]
        tried = [RankingWeights(*values) for values in product(*_GRID.values())]
        weights = [RECALL_WEIGHTS, *(_like(one) for one in tried)]
        return [(_mrr(tx, gathered, one), one) for one in weights]

    (ours, _), *tried = server.store.read_now(owner, all_of)
    best, weights = max(tried, key=lambda one: one[0])
    said = ", ".join(f"{name} {getattr(weights, name):g}" for name in _GRID)
    report.add("tuning: MRR with recall's weights", ours, "", f"with the best of the grid ({said})", best)


def _like(weights: RankingWeights) -> RankingWeights:
    return replace(RECALL_WEIGHTS, **{name: getattr(weights, name) for name in _GRID})


def _mrr(
    tx: Transaction, gathered: Sequence[tuple[str, recall.RecallCandidates]], weights: RankingWeights
) -> float:
    total = 0.0
    for key, one in gathered:
        keys = [scored.candidate.fields["key"] for scored in recall.score(tx, one, weights)][:_SHOWN]
        total += 1 / (keys.index(key) + 1) if key in keys else 0
    return total / len(gathered)
