"""Rebuilds the full-text index behind the commands, when a new release finds other words in texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import structlog

from repomesh.domains.overview import indexed_words
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
    """Works off what a migration left, in pieces that keep the writer for some hundredths of a second each.

    Words are found on a reader, outside of the writer's transactions. How far it is stands in the database,
    so that a stop costs the piece at work and no more.
    """

    name = "text_rebuild"

    def __init__(self, store: Store, every_s: float) -> None:
        super().__init__(every_s)
        self._store = store

    async def run_once(self) -> None:
        """Rebuild all that has to be."""
        some = False
        while not self._store.damage and await self.run_piece():
            if not some:
                log.info("older texts are being indexed anew; searches find them by and by")
            some = True
        if some:
            log.info("all texts are indexed")

    async def run_piece(self) -> bool:
        """Rebuild the next documents; answers whether there were any to do."""
        system = system_caller("")
        found = await self._store.read(system, lambda tx: rebuilding.remaining(tx, REBUILD_DOCUMENTS))
        if found is None:
            return False
        words: Words = {}
        for workspace_id, of_type, some in _grouped(found.documents):
            words |= await self._words(workspace_id, of_type, some)
        done = _light(found, words)
        all_done = len(found.documents) < REBUILD_DOCUMENTS and len(done.documents) == len(found.documents)
        kept = {document.id: words[document.id] for document in done.documents if document.id in words}
        await self._store.write(
            system, RequestContext(), lambda tx: rebuilding.settle(tx, done, kept, all_done=all_done)
        )
        return True

    async def _words(self, workspace_id: str, of_type: str, some: Sequence[OutdatedDocument]) -> Words:
        by_subject = {document.subject_id: document.id for document in some}
        read = await self._store.read(
            system_caller(workspace_id),
            lambda tx: list(indexed_words.read(tx, of_type, list(by_subject))),
        )
        return {by_subject[subject_id]: (of_type, found) for subject_id, found in read}


def _grouped(documents: Sequence[OutdatedDocument]) -> list[tuple[str, str, list[OutdatedDocument]]]:
    """(workspace, type, documents) of those that are no doubles."""
    groups: defaultdict[tuple[str, str], list[OutdatedDocument]] = defaultdict(list)
    for document in documents:
        if not document.is_double:
            groups[document.workspace_id, document.type].append(document)
    return [(workspace_id, of_type, some) for (workspace_id, of_type), some in groups.items()]


def _light(found: RebuildQueue, words: Words) -> RebuildQueue:
    """The first of some documents, at least one, whose words are not too many for one transaction."""
    chars = 0
    for count, document in enumerate(found.documents):
        chars += sum(map(len, words[document.id][1])) if document.id in words else 0
        if count and chars > TEXT_INDEX_PASS_CHARS:
            return replace(found, documents=found.documents[:count])
    return found
