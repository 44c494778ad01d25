"""Lists in one declaration: what narrows a list, its order, its items, and how a page fits a budget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select

from repomesh.kernel.budget import budget, fit
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Model
from repomesh.store import searching
from repomesh.store.damage import convert_readable
from repomesh.store.paging import ItemsRead, PageRequest, read_items
from repomesh.store.transaction import Transaction

Listed = TypeVar("Listed", bound=Model)

Filter = Callable[[Transaction, Any], ColumnElement[bool] | None]
"""The condition that a field of a request asks for, by its value; None for none. May raise, as for a name."""


def equals(column: ColumnElement[Any]) -> Filter:
    """The filter of rows whose column has the requested value."""
    return lambda _tx, value: column == value


def at_least(column: ColumnElement[Any]) -> Filter:
    """The filter of rows whose column is not below the requested value: not before a time."""
    return lambda _tx, value: column >= value


def below(column: ColumnElement[Any]) -> Filter:
    """The filter of rows whose column is below the requested value: before a time."""
    return lambda _tx, value: column < value


def whether(condition: ColumnElement[bool]) -> Filter:
    """The filter of rows that meet a condition, for `true`, or that do not, for `false`."""
    return lambda _tx, value: condition if value else ~condition


def when(condition: ColumnElement[bool]) -> Filter:
    """The filter of rows that meet a condition, where the request asks for them with `true`."""
    return lambda _tx, value: condition if value else None


def conditions_of(
    tx: Transaction, filters: Mapping[str, Filter], request: PageRequest
) -> list[ColumnElement[bool]]:
    """The conditions that filters make of those fields of a request that have a value."""
    conditions = [
        condition_of(tx, value)
        for name, condition_of in filters.items()
        if (value := getattr(request, name)) is not None
    ]
    return [condition for condition in conditions if condition is not None]


@dataclass(frozen=True, slots=True)
class Listing(Generic[Listed]):
    """A list of one kind of record.

    `keys` order it. Together they must be unique, not null, in the statement's columns, and of type text or
    integer. `filters` narrow it, each by the value of the field of the request that has its name.

    `text` names the items' long field, which a budget cuts. Where the whole page does not fit, `shorten` at
    first leaves out of each item what matters least. `load_texts` reads as much of long texts as a budget can
    show; a list that has it always has a budget.

    `document` is the type of the documents that `request.text` searches; the last key is then their id.
    """

    page: type[Page[Listed]]
    as_item: Callable[[Row[Any]], Listed]
    keys: tuple[ColumnElement[Any], ...]
    descending: bool = False
    filters: Mapping[str, Filter] = field(default_factory=dict)
    text: str | None = None
    shorten: Callable[[Listed], Listed] | None = None
    load_texts: Callable[[Transaction, list[Listed], int], list[Listed]] | None = None
    document: str | None = None

    def conditions(self, tx: Transaction, request: PageRequest) -> list[ColumnElement[bool]]:
        """The conditions that the filters make of a request. Raises what they raise."""
        return conditions_of(tx, self.filters, request)

    def read(self, tx: Transaction, statement: Select[Any], request: PageRequest) -> Page[Listed]:
        """The page of `statement` that a request asks for, or of those of its rows that hold `request.text`.

        Raises InvalidRequest for a cursor of another list, and what the filters raise.
        """
        words = None if self.document is None else getattr(request, "text", None)
        if words is not None:
            return self.search(tx, statement, request, words)
        return self.build_page(tx, self.read_items(tx, statement, request), request)

    def read_items(self, tx: Transaction, statement: Select[Any], request: PageRequest) -> ItemsRead[Listed]:
        """The items of a page as `read` returns them, but without regard to the budget."""
        narrowed = statement.where(*self.conditions(tx, request))
        return read_items(tx, narrowed, request, self.keys, self.as_item, descending=self.descending)

    def search(
        self, tx: Transaction, statement: Select[Any], request: PageRequest, text: str
    ) -> Page[Listed]:
        """A page of those of its rows whose documents hold all words of `text`, newest first."""
        id_column = self.keys[-1]
        statement = statement.where(*self.conditions(tx, request))

        def filter_ids(ids: Collection[str]) -> set[str]:
            return set(tx.execute(statement.with_only_columns(id_column).where(id_column.in_(ids))).scalars())

        read = self.search_items(tx, statement, request, text, filter_ids)
        return self.build_page(tx, read, request, searching.notice(tx, text))

    def search_items(
        self,
        tx: Transaction,
        statement: Select[Any],
        request: PageRequest,
        text: str,
        filter_ids: Callable[[Sequence[str]], set[str]],
    ) -> ItemsRead[Listed]:
        """The items of a page of a search; `filter_ids` returns those of some ids that belong to the list."""
        assert self.document is not None
        id_column = self.keys[-1]
        matches, next_cursor = searching.search(tx, self.document, text, request, filter_ids)
        rows = tx.execute(statement.where(id_column.in_([match_id for _, match_id in matches])))
        items = dict(
            convert_readable(
                tx,
                rows,
                lambda row: (row._mapping[id_column], self.as_item(row)),
                lambda row: str(row._mapping[id_column]),
            )
        )
        readable = [(position, match_id) for position, match_id in matches if match_id in items]
        return ItemsRead(
            [items[match_id] for _, match_id in readable],
            [(position,) for position, _ in readable],
            next_cursor,
        )

    def build_page(
        self,
        tx: Transaction,
        read: ItemsRead[Listed],
        request: PageRequest,
        notice: str | None = None,
        **fields: Any,
    ) -> Page[Listed]:
        """The page with these items, cut to the request's budget; `fields` are what a page has besides."""
        max_chars: int | None = getattr(request, "max_chars", None)
        items = read.items
        if self.load_texts is not None:
            max_chars = budget(max_chars)
            items = self.load_texts(tx, items, max_chars)
        page = self.page(items=items, next_cursor=read.next_cursor, notice=notice, **fields)
        if max_chars is None:
            return page
        if self.shorten is not None:
            if len(page.model_dump_json()) <= max_chars:
                return page
            page = page.model_copy(update={"items": [self.shorten(item) for item in items]})
        return fit(page, max_chars, read.cursor_after, self.text)
