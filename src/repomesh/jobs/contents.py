"""Sweeps the contents that no artifact names any more."""

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
    """One pass over all contents now and then.

    A content is kept before the row that names it commits, and one that was kept lately is left alone; so it
    does not matter that rows are read and contents removed at different moments.
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
        """One pass; answers how many contents it removed."""
        await asyncio.to_thread(self._contents.drop_unfinished, self._kept_s)
        gone, after = 0, ""
        while digests := await asyncio.to_thread(self._contents.old, self._kept_s, CONTENTS_SWEPT_MAX, after):
            after = digests[-1]
            gone += await self._remove_unnamed(digests)
        return gone

    async def _remove_unnamed(self, digests: list[str]) -> int:
        named = await self._store.read(system_caller(""), lambda tx: named_contents(tx, digests))
        garbage = [digest for digest in digests if digest not in named]

        def remove() -> int:
            return sum(map(self._remove, garbage))

        return await asyncio.to_thread(remove)

    def _remove(self, digest: str) -> bool:
        try:
            return self._contents.remove(digest, self._kept_s)
        except Unavailable as error:  # the next pass tries again; the other contents are removed now
            log.warning("content not removed", sha256=digest, reason=str(error))
            return False
