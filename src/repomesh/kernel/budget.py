"""Fits a page of a list into a budget of characters, and says what it left out.

Agents pay for what they read, so each read that answers text takes `max_chars`. Long texts are cut first,
the longest first; when that is not enough, the last items are left out and `next_cursor` leads to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pydantic_core
from pydantic import BaseModel

from repomesh.kernel import limits
from repomesh.kernel.fields import Page
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.kernel.operation import Model

Item = TypeVar("Item", bound=Model)
AnyPage = TypeVar("AnyPage", bound=Page[Any])
Shown = TypeVar("Shown", bound=BaseModel)

_CUT_ALL_OVER = "texts and lists cut; raise max_chars"
_KEPT = frozenset({"items", "next_cursor", "omitted", "damaged"})
"""Fields of an answer that are never cut: cursors must lead to all that is not there."""

IDENTITIES = ("seq", "id", "message_id", "agent_id", "key", "version")
"""The fields that name an item of a list, the first one that it has."""

# A text cut to less than this is of no use: rather show fewer items with more of their text.
TEXT_CHARS_KEPT = 200


def no_cursor(_index: int) -> str:
    """The `cursor_after` of items that are part of an answer without pages."""
    return ""


def budget(max_chars: int | None) -> int:
    """The budget of an answer; without one, the greatest that can be asked for."""
    return limits.MAX_CHARS_MAX if max_chars is None else max_chars


def fit(
    page: AnyPage, max_chars: int, cursor_after: Callable[[int], str], text: str | None = None
) -> AnyPage:
    """`page` cut so that its JSON has at most `max_chars` characters, and no further than that needs.

    `cursor_after` returns the cursor of a page that begins behind the item of an index. `text` names the long
    field of the items, if they have one; an item that has it also has `truncated`, which is set where it was
    cut, or was read in part only. `omitted` says in words what is missing.

    A page always makes progress. Where not even the first item fits, its other texts and its lists are cut,
    too; an item that can't be cut so short is left out, and `next_cursor` leads behind it.
    """
    cut_count = sum(_is_cut(item, text) for item in page.items)
    whole = page.model_copy(update={"omitted": _cut_notice(0, cut_count)}) if cut_count else page
    if len(whole.model_dump_json()) <= max_chars:
        return whole
    remaining = max_chars - _frame_chars(page, cursor_after)
    base_sizes = [len(_with_text(item, text, "").model_dump_json()) + 2 for item in page.items]
    text_lengths = [0 if text is None else encoded_length(getattr(item, text)) for item in page.items]
    count = _count_fitting(base_sizes, text_lengths, remaining)
    if count == 0 and page.items:
        return _fit_first_item(page, remaining, cursor_after)
    share = fair_share(text_lengths[:count], remaining - sum(base_sizes[:count]))
    items = [
        item if length <= share else _with_text(item, text, cut(getattr(item, text or ""), share))
        for item, length in zip(page.items[:count], text_lengths, strict=False)
    ]
    return _build_page(page, items, sum(_is_cut(item, text) for item in items), cursor_after)


def shorten(item: Item, length: int) -> Item:
    """The item with its long texts, lists and objects cut, so that its JSON has `length` characters.

    Names, ids and figures stay, so the JSON may still be longer: check the result. The longest fields are cut
    first; `truncated` is set where there is such a field.
    """
    if len(item.model_dump_json()) <= length:
        return item
    shown = item.model_copy(update={"truncated": True}) if "truncated" in type(item).model_fields else item
    sizes = {name: _json_chars(value) for name, value in item if name not in _KEPT and _is_long(value)}
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        excess = len(shown.model_dump_json()) - length
        if excess <= 0:
            break
        shown = shown.model_copy(update={name: _truncate(getattr(item, name), sizes[name] - excess)})
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
    notice = "; ".join(part for part in (getattr(answer, "omitted"), _CUT_ALL_OVER) if part)  # noqa: B009
    return shorten(answer.model_copy(update={"omitted": notice}), max_chars)


def _is_long(value: object) -> bool:
    """Whether a field may be cut: a text longer than names and ids, or what holds several values."""
    if isinstance(value, str):
        return len(value) > NAME_CHARS_MAX
    return isinstance(value, (list, tuple, dict, Model)) and bool(value)


def _truncate(value: Any, length: int) -> Any:
    """The beginning of a text, list or object that takes no more than so many characters of JSON."""
    if isinstance(value, str):
        return cut(value, max(length - 2, 0))
    if isinstance(value, Model):
        return shorten(value, length)
    entries = value.items() if isinstance(value, dict) else value
    kept_entries, remaining = [], length - 2
    for entry in entries:
        remaining -= _json_chars(entry) + 1
        if remaining < 0:
            break
        kept_entries.append(entry)
    return type(value)(kept_entries)


def _json_chars(value: object) -> int:
    return len(pydantic_core.to_json(value).decode())


def text_share(items: Sequence[Item], lengths: Sequence[int], max_chars: int, text: str) -> tuple[int, int]:
    """How many of the items a budget can show, and how many characters of each one's text at most.

    `lengths` are those of the whole texts, of which the items may hold any part. So no more of a long text
    needs to be read than `fit` can use.
    """
    base_sizes = [len(_with_text(item, text, "").model_dump_json()) + 2 for item in items]
    count = _count_fitting(base_sizes, lengths, max_chars)
    return count, fair_share(lengths[:count], max_chars - sum(base_sizes[:count]))


def fair_share(lengths: Sequence[int], total: int) -> int:
    """The greatest share so that the lengths, each cut to it, together take at most `total`."""
    remaining = total
    for index, length in enumerate(sorted(lengths)):
        share = remaining // (len(lengths) - index)
        if length > share:
            return max(share, 0)
        remaining -= length
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


def _count_fitting(base_sizes: Sequence[int], text_lengths: Sequence[int], available: int) -> int:
    """How many items fit, from the first on, when each keeps something of its text."""
    used = count = 0
    for size, length in zip(base_sizes, text_lengths, strict=True):
        used += size + min(length, TEXT_CHARS_KEPT)
        if used > available:
            break
        count += 1
    # One item is better than none, even without its text.
    return 1 if count == 0 and base_sizes and base_sizes[0] <= available else count


def _fit_first_item(page: AnyPage, available: int, cursor_after: Callable[[int], str]) -> AnyPage:
    """The page with no more than its first item, which is cut, or left out where that does not do."""
    first = shorten(page.items[0], available)
    fits = len(first.model_dump_json()) <= available
    next_cursor = page.next_cursor if len(page.items) == 1 else cursor_after(0)
    notice = _cut_notice(len(page.items) - 1, 1) if fits else _too_long_notice(page.items[0])
    items = [first] if fits else []
    return page.model_copy(update={"items": items, "next_cursor": next_cursor, "omitted": notice})


def _too_long_notice(item: Model) -> str:
    """The notice about an item that is too long for the budget, with the id by which it can be read."""
    identity = next(
        (str(getattr(item, name)) for name in IDENTITIES if name in type(item).model_fields), "item"
    )
    return f"longer than max_chars: {identity}; raise max_chars, or go on with next_cursor"


def _is_cut(item: Model, text: str | None) -> bool:
    return text is not None and bool(getattr(item, "truncated"))  # noqa: B009


def _with_text(item: Item, field: str | None, value: str) -> Item:
    return item if field is None else item.model_copy(update={field: value, "truncated": True})


def _build_page(
    page: AnyPage, items: list[Any], texts_cut: int, cursor_after: Callable[[int], str]
) -> AnyPage:
    missing = len(page.items) - len(items)
    next_cursor = page.next_cursor
    if missing:
        next_cursor = cursor_after(len(items) - 1)
    notice = _cut_notice(missing, texts_cut)
    return page.model_copy(update={"items": items, "next_cursor": next_cursor, "omitted": notice})


def _cut_notice(items: int, texts: int) -> str:
    left_out = f"items left out: {items}, go on with next_cursor" if items else ""
    shortened = f"texts cut: {texts}, raise max_chars" if texts else ""
    return "; ".join(part for part in (left_out, shortened) if part)


def _frame_chars(page: Page[Any], cursor_after: Callable[[int], str]) -> int:
    """The characters of the page without its items, with the longest cursor and the longest words."""
    count = len(page.items)
    cursors = [page.next_cursor or "", *map(cursor_after, range(count))]
    longest_notice = max([_cut_notice(count, count), *map(_too_long_notice, page.items[:1])], key=len)
    widest = {"items": [], "next_cursor": max(cursors, key=len), "omitted": longest_notice}
    return len(page.model_copy(update=widest).model_dump_json())
