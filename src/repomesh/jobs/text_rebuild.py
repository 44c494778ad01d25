"""Rebuilds the full-text index in the background, when a new release extracts other words from texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import structlog

from repomesh.domains.overview.searching import indexed_words
from repomesh.jobs.periodic import Periodic
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.limits import REBUILD_DOCUMENTS, TEXT_INDEX_PASS_CHARS
from repomesh.store import rebuilding
from repomesh.store.base import Store
from repomesh.store.rebuilding import OutdatedDocument, RebuildQueue

log = structlog.get_logger("repomesh.text_rebuild")

Words = dict[int, tuple[str, Sequence[str]]]
"""(type, words) by the id of a document."""


class TextRebuild(Periodic):
    """Rebuilds outdated documents in pieces that occupy the writer for some hundredths of a second each.

    Words are extracted outside of the writer's transactions. The progress is stored in the database, so that
    a stop loses no more than the piece under way.
    """

    name = "text_rebuild"

    def __init__(self, store: Store, every_s: float) -> None:
        super().__init__(every_s)
        self._store = store

    async def run_once(self) -> None:
        """Rebuild all outdated documents."""
        has_started = False
        while not self._store.damage and await self.run_piece():
            if not has_started:
                log.info("older texts are being indexed anew; searches find them by and by")
            has_started = True
        if has_started:
            log.info("all texts are indexed")

    async def run_piece(self) -> bool:
        """Rebuild the next REBUILD_DOCUMENTS documents; returns whether there were any."""
        system = system_caller("")
        queue = await self._store.read(system, lambda tx: rebuilding.remaining(tx, REBUILD_DOCUMENTS))
        if queue is None:
            return False
        words: Words = {}
        for workspace_id, of_type, documents in _group_documents(queue.documents):
            words |= await self._read_words(workspace_id, of_type, documents)
        batch = _first_fitting(queue, words)
        all_done = len(queue.documents) < REBUILD_DOCUMENTS and len(batch.documents) == len(queue.documents)
        batch_words = {
            document.id: words[document.id] for document in batch.documents if document.id in words
        }
        await self._store.write(
            system, RequestContext(), lambda tx: rebuilding.settle(tx, batch, batch_words, all_done=all_done)
        )
        return True

    async def _read_words(
        self, workspace_id: str, of_type: str, documents: Sequence[OutdatedDocument]
    ) -> Words:
        by_subject = {document.subject_id: document.id for document in documents}
        rows = await self._store.read(
            system_caller(workspace_id),
            lambda tx: list(indexed_words.read(tx, of_type, list(by_subject))),
        )
        return {by_subject[subject_id]: (of_type, subject_words) for subject_id, subject_words in rows}


def _group_documents(documents: Sequence[OutdatedDocument]) -> list[tuple[str, str, list[OutdatedDocument]]]:
    """(workspace, type, documents) of the documents that are no doubles."""
    groups: defaultdict[tuple[str, str], list[OutdatedDocument]] = defaultdict(list)
    for document in documents:
        if not document.is_double:
            groups[document.workspace_id, document.type].append(document)
    return [(workspace_id, of_type, group) for (workspace_id, of_type), group in groups.items()]


def _first_fitting(queue: RebuildQueue, words: Words) -> RebuildQueue:
    """The first documents of a queue, at least one, whose words fit into one transaction."""
    chars = 0
    for count, document in enumerate(queue.documents):
        chars += sum(map(len, words[document.id][1])) if document.id in words else 0
        if count and chars > TEXT_INDEX_PASS_CHARS:
            return replace(queue, documents=queue.documents[:count])
    return queue
