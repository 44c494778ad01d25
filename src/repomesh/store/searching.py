"""Pages of what holds certain words, newest first, within further conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.fields import decode_cursor, encode_cursor
from repomesh.store import rebuilding
from repomesh.store.base import search_words
from repomesh.store.paging import PageRequest
from repomesh.store.transaction import Transaction

NO_WORDS = (
    "There is no word in the text to search for: signs and emoji are not indexed. Name a word or a number."
)

BEFORE_ALL = encode_cursor(2**53)
"""The cursor before the first match."""


def search(
    tx: Transaction,
    type_: str,
    words: str,
    request: PageRequest,
    wanted: Callable[[Sequence[str]], set[str]],
) -> tuple[list[tuple[int, str]], str | None]:
    """(position, id) of the documents of a type that hold `words`, and the cursor of the next page.

    `wanted` answers which of some ids meet the further conditions. Matches are looked up in blocks until
    the page is full. When few of very many are wanted, the page may be short; the cursor then goes on
    behind what was looked at.
    """
    asked = search_words(words)
    before = position(request.cursor)
    found: list[tuple[int, str]] = []
    looked_at = 0
    more = True
    while more and len(found) <= request.limit and looked_at < limits.TEXT_MATCHES_PER_PAGE:
        count = limits.TEXT_MATCHES_PER_READ
        block = tx.text_index.find(tx.connection, tx.workspace_id, [type_], asked, before, count)
        more = len(block) == count
        kept = wanted([subject_id for _, _, subject_id in block]) if block else set()
        found += [(position, subject_id) for position, _, subject_id in block if subject_id in kept]
        looked_at += len(block)
        before = block[-1][0] if block else before
    shown = found[: request.limit]
    if len(found) > request.limit:
        return shown, encode_cursor(shown[-1][0])
    return shown, encode_cursor(before) if more else None


def notice(tx: Transaction, text: str) -> str | None:
    """What the answer of a search for `text` should say besides what was found; None for nothing."""
    if not search_words(text):
        return NO_WORDS
    percent = rebuilding.left_percent(tx)
    if percent is None:
        return None
    return (
        f"After an upgrade {percent} % of the older texts are not indexed yet, and not found. The server "
        "indexes them, the newest first: search again later."
    )


def position(cursor: str | None) -> int | None:
    """The position that a cursor of a search holds; raises InvalidRequest for another cursor."""
    if cursor is None:
        return None
    [place] = decode_cursor(cursor, 1)
    if not isinstance(place, int):
        raise InvalidRequest("cursor: this is not a cursor of this list")
    return place
