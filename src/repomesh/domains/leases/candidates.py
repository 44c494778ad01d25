"""Rows of leases and waiting requests that may overlap with wanted resources, read by indexes.

For a path these are the rows on its ancestors, and the rows below it or below a pattern's literal prefix.
Below a prefix the kind, name and depth of a file's row (see `prefilter`) keep out what a pattern can't hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    exists,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from repomesh.domains.leases import paths
from repomesh.domains.leases.models import Mode
from repomesh.domains.leases.prefilter import KIND_FOLDER, KIND_PATTERN, READ_PLANS, filter_of
from repomesh.domains.leases.resources import LOCK_TYPES, PATH, Resource
from repomesh.domains.leases.tables import leases, lock_waiters
from repomesh.kernel.limits import PATTERN_CHARS_MAX
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

PAGE_ROWS = 100  # of a range; as many as the obstacles in one answer, so that a refusal needs no second page

_KEYS_FEW, _KEYS_MANY = 8, 64  # prefixes that one statement takes; its shape must not change
_FIRST, _BEHIND_ALL = " ", "\U0010ffff" * (PATTERN_CHARS_MAX + 1)  # a range of all that can be written
_BEHIND_EVERY_POSITION = 2**62  # behind every place in the queue

Candidates = Iterator[tuple[Row[Any], Sequence[Resource]]]
"""Rows, each with the wanted resources that it may overlap with."""


@dataclass(slots=True)
class CandidateSearch:
    """A search for rows that may overlap with resources of one type, for an agent that wants one mode.

    `agent_id` is None for an agent that holds nothing and doesn't wait.
    """

    tx: Transaction
    type: str
    wanted: Sequence[Resource]
    agent_id: str | None
    mode: Mode = "exclusive"
    _may_have_waiters: bool = True  # whether anybody waits for anything of the type; True until it was read
    _waited_below: bool = False  # whether anybody waits for something below a wanted path without wildcards

    def find_leases(self) -> Candidates:
        """Yield leases that are not ended; the agent's own, and those its mode allows, only on ancestors."""
        keys = self._keys()
        for row in _read_on_keys(self.tx, _LEASES, self._params(), keys):
            yield row, self.wanted
        if self.type != PATH:
            return
        inhabited = self._load_occupancy(
            [resource.prefix for resource in self.wanted if not resource.is_pattern]
        )
        yield from self._below(_LEASES, self._params(), keys, below_plain_paths=inhabited)

    def find_waiters(self, position: int | None) -> Candidates:
        """Yield requests of others, ahead of `position`, that exclude the mode. Call `find_leases` first."""
        if self.type not in LOCK_TYPES or not self._may_have_waiters:
            return
        keys = self._keys()
        params = self._params() | {"now": self.tx.now, "position": _BEHIND_EVERY_POSITION}
        if position is not None:
            params["position"] = position
        for row in _read_on_keys(self.tx, _WAITERS, params, keys):
            yield row, self.wanted
        if self.type == PATH:
            yield from self._below(_WAITERS, params, keys, below_plain_paths=self._waited_below)

    def _keys(self) -> set[str]:
        """The prefixes of rows that hold a wanted resource or something around it."""
        if self.type != PATH:
            return {resource.prefix for resource in self.wanted}
        return {key for resource in self.wanted for key in paths.ancestors(resource.prefix)}

    def _params(self) -> dict[str, Any]:
        common = {"ws": self.tx.workspace_id, "type": self.type}
        return common | {"agent": self.agent_id or "", "mode": self.mode}

    def _load_occupancy(self, folders: Sequence[str]) -> bool:
        """Whether a lease stands below one of `folders`; also notes whether anybody waits."""
        params, inhabited = self._params(), False
        for start in range(0, len(folders), _KEYS_FEW):
            batch = list(folders[start : start + _KEYS_FEW])
            size, statement = (1, _LOOK_ONE) if len(batch) == 1 else (_KEYS_FEW, _LOOK_FEW)
            batch += batch[-1:] * (size - len(batch))
            params |= {f"low{index}": f"{folder}/" for index, folder in enumerate(batch)}
            params |= {f"high{index}": f"{folder}0" for index, folder in enumerate(batch)}
            occupancy = self.tx.execute(statement, params).one()
            inhabited = inhabited or bool(occupancy.inhabited)
            self._waited_below = self._waited_below or bool(occupancy.waited_below)
            # Nothing is read here for patterns: what is below them is always searched.
            self._may_have_waiters = bool(occupancy.queued)
        return inhabited

    def _below(
        self, statements: _Statements, params: dict[str, Any], keys: set[str], *, below_plain_paths: bool
    ) -> Candidates:
        for resource in self.wanted:
            if resource.is_pattern or below_plain_paths:
                for row in _read_below(self.tx, statements, params, resource):
                    if row.prefix not in keys:
                        yield row, (resource,)


def leases_on(tx: Transaction, prefixes: Iterable[str]) -> Iterator[Row[Any]]:
    """Leases on paths, not ended, with one of these prefixes."""
    return _read_on_keys(tx, _LEASES, {"ws": tx.workspace_id, "type": PATH}, prefixes)


def leases_below(tx: Transaction, folder: str, agent_id: str | None) -> Iterator[Row[Any]]:
    """Leases of others, not ended, on a path or pattern below a folder."""
    params = {"ws": tx.workspace_id, "type": PATH, "agent": agent_id or "", "mode": "exclusive"}
    return _read_below(tx, _LEASES, params, Resource(PATH, folder, folder))


def leases_below_each(
    tx: Transaction, files: Sequence[str], agent_id: str | None
) -> Iterator[tuple[Row[Any], str]]:
    """Leases of others, not ended, on a path or pattern below one of some files, with the file.

    Below most files nothing stands, so one statement asks about several at once.
    """
    search = CandidateSearch(tx, PATH, (), agent_id)
    for start in range(0, len(files), _KEYS_FEW):
        batch = files[start : start + _KEYS_FEW]
        if search._load_occupancy(batch):
            for file in batch:
                for row in leases_below(tx, file, agent_id):
                    yield row, file


def waiter_rows(tx: Transaction, wait_ids: Sequence[str]) -> Iterator[Row[Any]]:
    """All rows of at most PAGE_ROWS waiting requests."""
    ids = list(wait_ids) + [wait_ids[-1]] * (PAGE_ROWS - len(wait_ids))
    yield from tx.execute(_REQUESTS, {f"id{index}": id_ for index, id_ in enumerate(ids)})


# -- reading ---------------------------------------------------------------------------------------


def _read_on_keys(
    tx: Transaction, statements: _Statements, params: dict[str, Any], keys: Iterable[str]
) -> Iterator[Row[Any]]:
    """Yield the rows with one of these prefixes."""
    sorted_keys = sorted(keys)
    for start in range(0, len(sorted_keys), _KEYS_MANY):
        batch = sorted_keys[start : start + _KEYS_MANY]
        is_few = len(batch) <= _KEYS_FEW
        size, statement = (_KEYS_FEW, statements.on_few) if is_few else (_KEYS_MANY, statements.on_many)
        batch += batch[-1:] * (size - len(batch))
        batch_params = params | {f"key{index}": key for index, key in enumerate(batch)}
        yield from _read_pages(tx, statements, statement, batch_params | statements.start_params)


def _read_below(
    tx: Transaction, statements: _Statements, params: dict[str, Any], wanted: Resource
) -> Iterator[Row[Any]]:
    """Yield the rows below the prefix of a wanted path or pattern that may overlap with it."""
    prefix = wanted.prefix
    # '0' follows '/' in ASCII, so the range holds exactly what lies below the prefix.
    low, high = (prefix + "/", prefix + "0") if prefix else (_FIRST, _BEHIND_ALL)
    params = params | statements.start_params | {"low": low, "high": high}
    parts: tuple[str, ...] = _ALL
    if wanted.is_pattern and wanted.text not in ("**", prefix + "/**"):
        sieve = filter_of(wanted.text, prefix)
        parts = _PARTS[sieve.read_plan]
        params |= {"kind": sieve.kind, "like": sieve.like, "deeper": sieve.deeper}
        params |= {"depth": sieve.depth, "stem": sieve.stem, "behind_stem": sieve.behind_stem}
        params["after_order_column"] = sieve.stem if sieve.read_plan == "by_name_start" else ""
    first_rows = tx.execute(statements.first_pages[parts], params).all()
    yield from first_rows
    for part in parts:
        part_rows = [row for row in first_rows if row.part == part]
        if len(part_rows) == PAGE_ROWS:
            further_params = params | statements.params_behind(part_rows[-1])
            yield from _read_pages(tx, statements, statements.by_part[part], further_params)


def _read_pages(
    tx: Transaction, statements: _Statements, statement: PreparedStatement, params: dict[str, Any]
) -> Iterator[Row[Any]]:
    while True:
        page_rows = tx.execute(statement, params).all()
        yield from page_rows
        if len(page_rows) < PAGE_ROWS or statement in statements.unpaged:
            return
        params = params | statements.params_behind(page_rows[-1])


# -- statements ------------------------------------------------------------------------------------

_ALL = ("all",)
_PARTS = {read_plan: ("patterns", "folders", read_plan) for read_plan in READ_PLANS}
"""Parts of what stands below a prefix: of each one page is read by one statement, then further ones."""
_FIRST_COLUMN = {"by_name_start": "name", "by_depth": "kind"}
"""By what the rows of some parts are ordered first, as in the index that they are read by."""


class _Statements:
    """The statements that read candidates from one table."""

    def __init__(self, table: Table, order: Sequence[str], criteria: Sequence[ColumnElement[bool]]) -> None:
        self._table, self._order, self._criteria = table, [table.c[name] for name in order], criteria
        on_prefixes = [self._on_prefixes(count) for count in (_KEYS_FEW, _KEYS_MANY)]
        paged = table is lock_waiters
        self.on_few, self.on_many = (
            PreparedStatement(self._page(query) if paged else query) for query in on_prefixes
        )
        self.unpaged = () if paged else (self.on_few, self.on_many)
        part_groups = (_ALL, *_PARTS.values())
        below = {
            part: self._page(self._below(part), part)
            for part in {name for parts in part_groups for name in parts}
        }
        self.by_part = {part: PreparedStatement(statement) for part, statement in below.items()}
        self.first_pages: dict[tuple[str, ...], PreparedStatement] = {
            parts: PreparedStatement(union_all(*(select(below[part].subquery()) for part in parts)))
            for parts in part_groups
        }
        self.start_params: dict[str, Any] = {"low": "", "after_id": "", "after_ordinal": -1} | {
            "after_order_column": "",
            "after_prefix": "",
        }

    @staticmethod
    def params_behind(row: Row[Any]) -> dict[str, Any]:
        """The bounds of the rows that follow `row`."""
        params = {"after_id": row.id}
        if "ordinal" in row._fields:
            params["after_ordinal"] = row.ordinal
        first_column = _FIRST_COLUMN.get(row.part) if "part" in row._fields else None
        if first_column is None:
            return params | {"low": row.prefix}
        return params | {"after_order_column": getattr(row, first_column), "after_prefix": row.prefix}

    def _on_prefixes(self, count: int) -> Select[Any]:
        keys: list[Any] = [bindparam(f"key{index}") for index in range(count)]
        criteria = [*_of_type(self._table), self._table.c.prefix.in_(keys)]
        return select(self._table).where(*criteria, *([] if self._table is leases else self._criteria))

    def _below(self, part: str) -> Select[Any]:
        columns = self._table.c
        is_below_filter = (columns.prefix.like(_like_pattern("like"), escape="\\"),)
        shallow = columns.prefix.notlike(_like_pattern("deeper"), escape="\\")
        of_kind, at_depth = columns.kind == bindparam("kind"), columns.depth == bindparam("depth")
        part_criteria: dict[str, tuple[ColumnElement[bool], ...]] = {
            "all": (),
            "patterns": (columns.kind == KIND_PATTERN,),
            "folders": (columns.kind == KIND_FOLDER, shallow),
            "by_name": (columns.name == bindparam("stem"), *is_below_filter, shallow),
            "by_name_start": (columns.name < bindparam("behind_stem"), *is_below_filter, shallow),
            "by_depth": (at_depth, *is_below_filter),
            "by_depth_and_kind": (at_depth, of_kind, *is_below_filter),
            "files": (of_kind, *is_below_filter, shallow),
            # Not as a range, for which the index by kind would be read and not that by prefix.
            "any": (columns.kind != KIND_PATTERN, columns.kind != KIND_FOLDER, *is_below_filter, shallow),
        }
        # Only files have names and depths, so their type need not be asked: its index would not help.
        base_criteria = (
            _in_workspace
            if part in ("by_name", "by_name_start", "by_depth", "by_depth_and_kind")
            else _of_type
        )
        return select(self._table, literal_column(f"'{part}'", String).label("part")).where(
            *base_criteria(self._table), *_range(columns.prefix), *part_criteria[part], *self._criteria
        )

    def _page(self, statement: Select[Any], part: str = "") -> Select[Any]:
        """One page of a select in its order, that begins behind a row."""
        if part in _FIRST_COLUMN:
            order = [self._table.c[_FIRST_COLUMN[part]], *self._order]
            names = ("after_order_column", "after_prefix", "after_id", "after_ordinal")
            after_parameters = [
                bindparam(name, type_=column.type) for name, column in zip(names, order, strict=False)
            ]
            statement = statement.where(tuple_(*order) > tuple_(*after_parameters))
            return statement.order_by(*order).limit(PAGE_ROWS)
        prefix, id_, *ordinal = self._order
        is_behind = id_ > bindparam("after_id")
        for column in ordinal:
            is_behind |= (id_ == bindparam("after_id")) & (column > bindparam("after_ordinal"))
        low: ColumnElement[Any] = bindparam("low")
        statement = statement.where(prefix >= low, or_(prefix > low, is_behind))
        return statement.order_by(*self._order).limit(PAGE_ROWS)


def _of_type(table: Table) -> list[ColumnElement[bool]]:
    """Not ended; whether it is past its time is for the reader, since nearly none is."""
    return [*_in_workspace(table), table.c.resource_type == bindparam("type")]


def _in_workspace(table: Table) -> list[ColumnElement[bool]]:
    criteria = [table.c.workspace_id == bindparam("ws")]
    return [*criteria, table.c.ended_at.is_(None)] if table is leases else criteria


def _of_others(table: Table) -> list[ColumnElement[bool]]:
    """Rows of others, in a mode that excludes the wanted one."""
    excludes = or_(table.c.mode == "exclusive", bindparam("mode", type_=String) == "exclusive")
    return [table.c.agent_id != bindparam("agent"), excludes]


def _like_pattern(parameter: str) -> ColumnElement[str]:
    """A pattern of LIKE; as a mere parameter it would have SQLite plan the statement anew at each change."""
    return cast(bindparam(parameter), Text)


def _range(column: ColumnElement[Any], number: int | str = "") -> list[ColumnElement[bool]]:
    return [column >= bindparam(f"low{number}"), column < bindparam(f"high{number}")]


def _occupancy_query(count: int) -> PreparedStatement:
    """Ask what stands below `count` paths. Each range has its own EXISTS: one with OR would read all rows."""

    def below(table: Table) -> ColumnElement[bool]:
        ranges = [_range(table.c.prefix, index) for index in range(count)]
        return or_(*(exists().where(*_of_type(table), *range_criteria) for range_criteria in ranges))

    # In the order of an index; without it a planner may choose to read deleted rows.
    first_request = select(lock_waiters.c.id).where(*_of_type(lock_waiters)).order_by(lock_waiters.c.prefix)
    columns: list[ColumnElement[Any]] = [
        below(leases).label("inhabited"),
        below(lock_waiters).label("waited_below"),
        first_request.limit(1).scalar_subquery().label("queued"),
    ]
    return PreparedStatement(select(*columns))


_LEASES = _Statements(leases, ("prefix", "id"), _of_others(leases))
_WAITERS = _Statements(
    lock_waiters,
    ("prefix", "id", "ordinal"),
    [
        *_of_others(lock_waiters),
        lock_waiters.c.expires_at > bindparam("now"),
        lock_waiters.c.position < bindparam("position"),
    ],
)
_LOOK_ONE, _LOOK_FEW = _occupancy_query(1), _occupancy_query(_KEYS_FEW)
_REQUESTS = PreparedStatement(
    select(lock_waiters).where(lock_waiters.c.id.in_([bindparam(f"id{index}") for index in range(PAGE_ROWS)]))
)
