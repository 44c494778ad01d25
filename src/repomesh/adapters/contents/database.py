"""Contents as rows of the database, for servers that share it: all of them can read each content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from repomesh.adapters.contents.damage import damaged_content
from repomesh.adapters.contents.tables import content_pieces, contents
from repomesh.kernel.identity import system_caller
from repomesh.kernel.limits import CONTENT_PIECE_BYTES
from repomesh.store.base import Store
from repomesh.store.transaction import Transaction

_HERE = contents.c.sha256 == bindparam("digest")
_PIECE = select(content_pieces.c.piece).where(
    content_pieces.c.sha256 == bindparam("digest"), content_pieces.c.position == bindparam("number")
)


class DatabaseContents:
    """Keeps contents in pieces, so that no statement or answer is larger than one of them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, sha256: str, content: bytes) -> None:
        """Commit the content under its digest; one that is there whole is only marked as used now.

        Raises Unavailable when the database can't do it.
        """

        def work(tx: Transaction) -> None:
            if tx.change(update(contents).where(_HERE).values(kept_at=tx.now), {"digest": sha256}):
                if _is_whole(tx, sha256):
                    return
                tx.change(delete(contents).where(_HERE), {"digest": sha256})
            tx.execute(insert(contents), {"sha256": sha256, "kept_at": tx.now})
            for position, start in enumerate(range(0, len(content), CONTENT_PIECE_BYTES)):
                piece = content[start : start + CONTENT_PIECE_BYTES]
                tx.execute(insert(content_pieces), {"sha256": sha256, "position": position, "piece": piece})

        try:
            self._store.write_without_workspace(work)
        except IntegrityError:  # another server kept it at the same moment
            self._store.write_without_workspace(work)

    def read(self, tx: Transaction, sha256: str) -> bytes:
        """Read a content on the state of `tx`. Raises DamagedRecord when it is gone or has changed."""
        content = b"".join(_pieces(tx, sha256))
        if hashlib.sha256(content).hexdigest() != sha256:
            raise damaged_content(
                sha256, "its bytes have changed" if content else "it is not in the database"
            )
        return content

    def old(self, age_s: float, count_max: int, after: str = "") -> list[str]:
        """List up to `count_max` digests behind `after`, in order, that nothing kept within `age_s`."""
        statement = select(contents.c.sha256).where(contents.c.sha256 > after)
        statement = statement.order_by(contents.c.sha256).limit(count_max)

        def work(tx: Transaction) -> list[str]:
            before = tx.now - timedelta(seconds=age_s)
            return list(tx.execute(statement.where(contents.c.kept_at < before)).scalars())

        return self._store.read_now(system_caller(""), work)

    def remove(self, sha256: str, age_s: float) -> bool:
        """Remove a content unless it was kept within `age_s` seconds; answers whether it was removed.

        Raises Unavailable when the database can't do it.
        """

        def work(tx: Transaction) -> bool:
            before = tx.now - timedelta(seconds=age_s)
            statement = delete(contents).where(_HERE, contents.c.kept_at < before)
            return tx.change(statement, {"digest": sha256}) > 0

        return self._store.write_without_workspace(work)

    def drop_unfinished(self, age_s: float) -> None:
        """Do nothing: a transaction that did not commit left no rows."""


def _pieces(tx: Transaction, sha256: str) -> Iterator[bytes]:
    for position in count():
        piece = tx.execute(_PIECE, {"digest": sha256, "number": position}).scalar_one_or_none()
        if piece is None:
            return
        yield bytes(piece)


def _is_whole(tx: Transaction, sha256: str) -> bool:
    """Whether the pieces together have the digest."""
    digest = hashlib.sha256()
    for piece in _pieces(tx, sha256):
        digest.update(piece)
    return digest.hexdigest() == sha256
