"""Sweeps the files of contents that no artifact names any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from repomesh.domains.sessions.artifacts import named_contents
from repomesh.kernel.identity import system_caller
from repomesh.kernel.limits import (
    CONTENT_FILE_KEPT_S,
    CONTENT_FILES_SWEPT_EVERY_S,
    CONTENT_FILES_SWEPT_MAX,
)
from repomesh.store import contents
from repomesh.store.base import Store
from repomesh.workers.periodic import Periodic


class ContentSweeper(Periodic):
    """One pass over the files of the data folder now and then.

    A command touches its file before it commits the row that names it, and a file that was touched lately
    is left alone; so it does not matter that rows are read and files removed at different moments.
    """

    name = "contents"

    def __init__(
        self,
        store: Store,
        data: Path,
        kept_s: float = CONTENT_FILE_KEPT_S,
        every_s: float = CONTENT_FILES_SWEPT_EVERY_S,
    ) -> None:
        super().__init__(every_s)
        self._store = store
        self._data = data
        self._kept_s = kept_s

    async def run_once(self) -> int:
        """One pass; answers how many files it removed."""
        await asyncio.to_thread(contents.drop_drafts, self._data, self._kept_s)
        gone, after = 0, ""
        while digests := await asyncio.to_thread(
            contents.old, self._data, self._kept_s, CONTENT_FILES_SWEPT_MAX, after
        ):
            after = digests[-1]
            gone += await self._remove_unnamed(digests)
        return gone

    async def _remove_unnamed(self, digests: list[str]) -> int:
        named = await self._store.read(system_caller(""), lambda tx: named_contents(tx, digests))
        garbage = [digest for digest in digests if digest not in named]

        def remove() -> int:
            return sum(contents.remove(self._data, digest, self._kept_s) for digest in garbage)

        return await asyncio.to_thread(remove)
