"""Removes the contents that no artifact names any more."""

from __future__ import annotations

import asyncio

import structlog

from repomesh.domains.sessions.artifacts import named_contents
from repomesh.jobs.periodic import Periodic
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import system_caller
from repomesh.kernel.limits import (
    CONTENT_KEPT_S,
    CONTENTS_SWEPT_EVERY_S,
    CONTENTS_SWEPT_MAX,
)
from repomesh.kernel.ports import Contents
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.contents")


class ContentSweeper(Periodic):
    """Checks all contents every `every_s` seconds, and removes those that no row names.

    A content is kept before the row that names it commits, and one kept within `kept_s` is never removed; so
    rows may be read and contents removed at different moments.
    """

    name = "contents"

    def __init__(
        self,
        store: Store,
        contents: Contents,
        kept_s: float = CONTENT_KEPT_S,
        every_s: float = CONTENTS_SWEPT_EVERY_S,
    ) -> None:
        super().__init__(every_s)
        self._store = store
        self._contents = contents
        self._kept_s = kept_s

    async def run_once(self) -> int:
        """Check all contents once; returns how many were removed."""
        await asyncio.to_thread(self._contents.drop_unfinished, self._kept_s)
        removed_count, after = 0, ""
        while digests := await asyncio.to_thread(self._contents.old, self._kept_s, CONTENTS_SWEPT_MAX, after):
            after = digests[-1]
            removed_count += await self._remove_unnamed(digests)
        return removed_count

    async def _remove_unnamed(self, digests: list[str]) -> int:
        named_digests = await self._store.read(system_caller(""), lambda tx: named_contents(tx, digests))
        unnamed_digests = [digest for digest in digests if digest not in named_digests]

        def remove() -> int:
            return sum(map(self._remove, unnamed_digests))

        return await asyncio.to_thread(remove)

    def _remove(self, digest: str) -> bool:
        try:
            return self._contents.remove(digest, self._kept_s)
        except Unavailable as error:  # the next pass tries again; the other contents are removed now
            log.warning("content not removed", sha256=digest, reason=str(error))
            return False
