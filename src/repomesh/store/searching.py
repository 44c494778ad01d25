"""Pages of documents that hold certain words, newest first, within further conditions."""

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


def search(
    tx: Transaction,
    type_: str,
    words: str,
    request: PageRequest,
    filter_ids: Callable[[Sequence[str]], set[str]],
) -> tuple[list[tuple[int, str]], str | None]:
    """(position, id) of the documents of a type that hold `words`, and the cursor of the next page.

    `filter_ids` returns those of some ids that meet the further conditions. Matches are looked up in blocks
    until the page is full. When few of very many meet the conditions, the page may be short; the cursor then
    leads behind the last match that was read.
    """
    query_words = search_words(words)
    before = position(request.cursor)
    matches: list[tuple[int, str]] = []
    looked_at = 0
    has_more = True
    while has_more and len(matches) <= request.limit and looked_at < limits.TEXT_MATCHES_PER_PAGE:
        count = limits.TEXT_MATCHES_PER_READ
        block = tx.text_index.find(tx.connection, tx.workspace_id, [type_], query_words, before, count)
        has_more = len(block) == count
        wanted_ids = filter_ids([subject_id for _, _, subject_id in block]) if block else set()
        matches += [(position, subject_id) for position, _, subject_id in block if subject_id in wanted_ids]
        looked_at += len(block)
        before = block[-1][0] if block else before
    page_matches = matches[: request.limit]
    if len(matches) > request.limit:
        return page_matches, encode_cursor(page_matches[-1][0])
    return page_matches, encode_cursor(before) if has_more else None


def notice(tx: Transaction, text: str) -> str | None:
    """The notice for the answer of a search for `text`, as that the index is incomplete; None for none."""
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
    [value] = decode_cursor(cursor, 1)
    if not isinstance(value, int):
        raise InvalidRequest("cursor: this is not a cursor of this list")
    return value
