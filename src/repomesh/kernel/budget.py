"""Fits a page of a list into a budget of characters, and says what it left out.

Agents pay for what they read, so each read that answers text takes `max_chars`. Long texts are cut first,
the longest first; when that is not enough, the last items are left out and `next_cursor` leads to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pydantic_core

from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Model

Item = TypeVar("Item", bound=Model)

# A text cut to less than this tells nothing any more: then rather fewer items with more of their text.
TEXT_CHARS_KEPT = 200


@dataclass(frozen=True, slots=True)
class Positions:
    """Where a page may end: `after` an item, or at `start`, before its first one."""

    after: Callable[[int], str]
    start: str


def fit(page: Page[Item], max_chars: int, positions: Positions, text: str | None = None) -> Page[Item]:
    """`page` so that its JSON has at most `max_chars` characters, and no fewer than need be.

    `text` names the items' long field, if they have one; an item that has it also has `truncated`, which
    is set where it was cut. `omitted` says in words what is missing. An answer without any item comes
    with the cursor `positions.start`, so that nothing is skipped.
    """
    if len(page.model_dump_json()) <= max_chars:
        return page
    left = max_chars - _frame(page, positions)
    bare = [len(_with_text(item, text, "").model_dump_json()) + 2 for item in page.items]
    long = [0 if text is None else encoded_length(getattr(item, text)) for item in page.items]
    count = _how_many(bare, long, left)
    share = fair_share(long[:count], left - sum(bare[:count]))
    items = [
        item if length <= share else _with_text(item, text, cut(getattr(item, text or ""), share))
        for item, length in zip(page.items[:count], long, strict=False)
    ]
    return _page(page, items, sum(length > share for length in long[:count]), positions)


def fair_share(lengths: Sequence[int], total: int) -> int:
    """The greatest share so that the lengths, each cut to it, together take at most `total`."""
    left = total
    for index, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - index)
        if length > share:
            return max(share, 0)
        left -= length
    return max(lengths, default=0)


def cut(text: str, length: int) -> str:
    """The longest beginning of `text` that takes at most `length` characters inside a JSON string."""
    text = text[:length]
    if encoded_length(text) <= length:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if encoded_length(text[:middle]) <= length:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def encoded_length(text: str) -> int:
    """The characters that `text` takes inside a JSON string, with its escapes."""
    return len(pydantic_core.to_json(text).decode()) - 2


def _how_many(bare: Sequence[int], long: Sequence[int], left: int) -> int:
    """How many items fit, from the first on, when each keeps something of its text."""
    used = count = 0
    for size, length in zip(bare, long, strict=True):
        used += size + min(length, TEXT_CHARS_KEPT)
        if used > left:
            break
        count += 1
    # One item is better than none, even without its text.
    return 1 if count == 0 and bare and bare[0] <= left else count


def _with_text(item: Item, field: str | None, value: str) -> Item:
    return item if field is None else item.model_copy(update={field: value, "truncated": True})


def _page(page: Page[Item], items: list[Item], texts_cut: int, positions: Positions) -> Page[Item]:
    missing = len(page.items) - len(items)
    following = page.next_cursor
    if missing:
        following = positions.after(len(items) - 1) if items else positions.start
    said = _said(missing, texts_cut)
    return page.model_copy(update={"items": items, "next_cursor": following, "omitted": said})


def _said(items: int, texts: int) -> str:
    left_out = f"items left out: {items}, go on with next_cursor" if items else ""
    shortened = f"texts cut: {texts}, raise max_chars" if texts else ""
    return "; ".join(part for part in (left_out, shortened) if part)


def _frame(page: Page[Item], positions: Positions) -> int:
    """The characters of the page without its items, with the longest cursor and the longest words."""
    count = len(page.items)
    cursors = [page.next_cursor or "", positions.start, *(positions.after(index) for index in range(count))]
    widest = {"items": [], "next_cursor": max(cursors, key=len), "omitted": _said(count, count)}
    return len(page.model_copy(update=widest).model_dump_json())
