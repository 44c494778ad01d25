"""Chooses where contents lie: in the database when servers share it, else in the data folder."""

from __future__ import annotations

import math

import structlog

from repomesh.adapters.contents.database import DatabaseContents
from repomesh.adapters.contents.folder import FolderContents
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.limits import CONTENTS_SWEPT_MAX
from repomesh.kernel.ports import Contents
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.contents")

_OF_ANY_AGE = -math.inf


def open_contents(store: Store) -> Contents:
    """The contents of a store's rows: in its own database when it is shared, else in its data folder."""
    return DatabaseContents(store) if store.shared else FolderContents(store.settings.data)


def move_into_database(store: Store) -> int:
    """Move the contents in a data folder into its shared database; returns how many were moved.

    Earlier releases kept the contents of every database in the folder of one server, where others can't
    read them. A damaged file stays where it is, and is named in the log. Raises Unavailable when the database
    can't be written; contents moved by then stay moved.
    """
    if not store.shared:
        return 0
    folder, database = FolderContents(store.settings.data), DatabaseContents(store)
    moved, after = 0, ""
    while digests := folder.old(_OF_ANY_AGE, CONTENTS_SWEPT_MAX, after):
        after = digests[-1]
        for digest in digests:
            try:
                content = folder.read_file(digest)
            except DamagedRecord as error:
                log.warning("content not moved into the database", reason=error.message)
                continue
            database.keep(digest, content)
            folder.remove(digest, _OF_ANY_AGE)
            moved += 1
    if moved:
        log.info("contents moved from the data folder into the database", count=moved)
    return moved
