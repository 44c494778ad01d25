"""Fits a page of a list into a budget of characters, and says what it left out.

Agents pay for what they read, so each read that answers text takes `max_chars`. Long texts are cut first,
the longest first; when that is not enough, the last items are left out and `next_cursor` leads to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pydantic_core
from pydantic import BaseModel

from repomesh.kernel.fields import Page
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.kernel.operation import Model

Item = TypeVar("Item", bound=Model)
Shown = TypeVar("Shown", bound=BaseModel)

_CUT_ALL_OVER = "texts and lists cut; raise max_chars"
_KEPT = frozenset({"items", "next_cursor", "omitted", "damaged"})
"""Fields of an answer that are never cut: cursors must lead to all that is not there."""

IDENTITIES = ("seq", "id", "message_id", "agent_id", "key", "version")
"""The fields that name an item of a list, the first one that it has."""

# A text cut to less than this tells nothing any more: then rather fewer items with more of their text.
TEXT_CHARS_KEPT = 200


@dataclass(frozen=True, slots=True)
class PageEnds:
    """Where a page may end: `after` an item, or at `start`, before its first one."""

    after: Callable[[int], str]
    start: str


def fit(page: Page[Item], max_chars: int, positions: PageEnds, text: str | None = None) -> Page[Item]:
    """`page` so that its JSON has at most `max_chars` characters, and no fewer than need be.

    `text` names the items' long field, if they have one; an item that has it also has `truncated`, which
    is set where it was cut, or was read in part only. `omitted` says in words what is missing.

    A page always makes progress. Where not even the first item fits, its other texts and its lists are cut,
    too; an item that can't be cut so short is left out, and `next_cursor` leads behind it.
    """
    in_part = sum(_is_cut(item, text) for item in page.items)
    whole = page.model_copy(update={"omitted": _cut_notice(0, in_part)}) if in_part else page
    if len(whole.model_dump_json()) <= max_chars:
        return whole
    left = max_chars - _frame(page, positions)
    bare = [len(_with_text(item, text, "").model_dump_json()) + 2 for item in page.items]
    long = [0 if text is None else encoded_length(getattr(item, text)) for item in page.items]
    count = _how_many(bare, long, left)
    if count == 0 and page.items:
        return _with_first(page, left, positions)
    share = fair_share(long[:count], left - sum(bare[:count]))
    items = [
        item if length <= share else _with_text(item, text, cut(getattr(item, text or ""), share))
        for item, length in zip(page.items[:count], long, strict=False)
    ]
    return _page(page, items, sum(_is_cut(item, text) for item in items), positions)


def shorten(item: Item, length: int) -> Item:
    """The item with less in its long texts, lists and objects, so that its JSON has `length` characters.

    Names, ids and figures stay, so the JSON may still be longer: see for yourself. The longest fields give
    way first; `truncated` is set where there is such a field.
    """
    if len(item.model_dump_json()) <= length:
        return item
    shown = item.model_copy(update={"truncated": True}) if "truncated" in type(item).model_fields else item
    sizes = {name: _size(value) for name, value in item if name not in _KEPT and _is_long(value)}
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        excess = len(shown.model_dump_json()) - length
        if excess <= 0:
            break
        shown = shown.model_copy(update={name: _less(getattr(item, name), sizes[name] - excess)})
    return shown


def keep_within(answer: Shown, max_chars: int) -> Shown:
    """An answer whose own texts and lists are cut, since it is longer than its budget.

    The operations fit what they answer, each by what matters most in it; this is the net under them. Names,
    ids, figures and the items of pages stay. An answer that cannot say that it was cut stays whole, as does
    a part of a content, since its `next_offset` leads behind what a further cut would lose.
    """
    fields = type(answer).model_fields
    if (
        not isinstance(answer, Model)
        or "next_offset" in fields
        or not fields.keys() & {"omitted", "truncated"}
    ):
        return answer
    if "omitted" not in fields:
        return shorten(answer, max_chars)
    said = "; ".join(part for part in (getattr(answer, "omitted"), _CUT_ALL_OVER) if part)  # noqa: B009
    return shorten(answer.model_copy(update={"omitted": said}), max_chars)


def _is_long(value: object) -> bool:
    """Whether a field may be cut: a text longer than names and ids, or what holds several values."""
    if isinstance(value, str):
        return len(value) > NAME_CHARS_MAX
    return isinstance(value, (list, tuple, dict, Model)) and bool(value)


def _less(value: Any, length: int) -> Any:
    """The beginning of a text, list or object that takes no more than so many characters of JSON."""
    if isinstance(value, str):
        return cut(value, max(length - 2, 0))
    if isinstance(value, Model):
        return shorten(value, length)
    entries = value.items() if isinstance(value, dict) else value
    kept, left = [], length - 2
    for entry in entries:
        left -= _size(entry) + 1
        if left < 0:
            break
        kept.append(entry)
    return type(value)(kept)


def _size(value: object) -> int:
    return len(pydantic_core.to_json(value).decode())


def text_share(items: Sequence[Item], lengths: Sequence[int], max_chars: int, text: str) -> tuple[int, int]:
    """How many of the items a budget can show, and how many characters of each one's text at most.

    `lengths` are those of the whole texts; what the items have of them does not matter. So no more of a long
    text needs to be read than `fit` can use.
    """
    bare = [len(_with_text(item, text, "").model_dump_json()) + 2 for item in items]
    count = _how_many(bare, lengths, max_chars)
    return count, fair_share(lengths[:count], max_chars - sum(bare[:count]))


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


def _with_first(page: Page[Item], left: int, positions: PageEnds) -> Page[Item]:
    """The page with no more than its first item, which is cut, or left out where that does not do."""
    first = shorten(page.items[0], left)
    fits = len(first.model_dump_json()) <= left
    following = page.next_cursor if len(page.items) == 1 else positions.after(0)
    said = _cut_notice(len(page.items) - 1, 1) if fits else _too_long(page.items[0])
    items = [first] if fits else []
    return page.model_copy(update={"items": items, "next_cursor": following, "omitted": said})


def _too_long(item: Model) -> str:
    """What is said of an item that no budget so small can show: by which id it is read on its own."""
    found = next((str(getattr(item, name)) for name in IDENTITIES if name in type(item).model_fields), "item")
    return f"longer than max_chars: {found}; raise max_chars, or go on with next_cursor"


def _is_cut(item: Model, text: str | None) -> bool:
    return text is not None and bool(getattr(item, "truncated"))  # noqa: B009


def _with_text(item: Item, field: str | None, value: str) -> Item:
    return item if field is None else item.model_copy(update={field: value, "truncated": True})


def _page(page: Page[Item], items: list[Item], texts_cut: int, positions: PageEnds) -> Page[Item]:
    missing = len(page.items) - len(items)
    following = page.next_cursor
    if missing:
        following = positions.after(len(items) - 1)
    said = _cut_notice(missing, texts_cut)
    return page.model_copy(update={"items": items, "next_cursor": following, "omitted": said})


def _cut_notice(items: int, texts: int) -> str:
    left_out = f"items left out: {items}, go on with next_cursor" if items else ""
    shortened = f"texts cut: {texts}, raise max_chars" if texts else ""
    return "; ".join(part for part in (left_out, shortened) if part)


def _frame(page: Page[Item], positions: PageEnds) -> int:
    """The characters of the page without its items, with the longest cursor and the longest words."""
    count = len(page.items)
    cursors = [page.next_cursor or "", positions.start, *(positions.after(index) for index in range(count))]
    said = max([_cut_notice(count, count), *map(_too_long, page.items[:1])], key=len)
    widest = {"items": [], "next_cursor": max(cursors, key=len), "omitted": said}
    return len(page.model_copy(update=widest).model_dump_json())
