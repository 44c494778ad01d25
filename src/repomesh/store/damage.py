"""Damaged rows: a row that can't be read is left out and named, and the rows beside it are read.

Column types return `Unreadable` for values that they can't read. Making a model of such a row raises one of
the errors below; functions that read many rows leave it out with `convert_readable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from pydantic import ValidationError

from repomesh.kernel import limits
from repomesh.kernel.errors import DamagedRecord
from repomesh.store.types import Unreadable, unreadable_reason

if TYPE_CHECKING:  # which reads the log, and so this module
    from repomesh.store.transaction import Transaction

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Any)
log = structlog.get_logger("repomesh.store")

DAMAGE_ERRORS = (DamagedRecord, ValidationError, LookupError)
"""What reading a damaged record raises: a column's type, its model, or a table of the values it may have."""
MAYBE_DAMAGE_ERRORS = (*DAMAGE_ERRORS, TypeError, ValueError, AttributeError)
"""The same, and what plain code raises for bytes in place of a text: a fault in it unless `is_damage`."""


def is_damage(error: Exception, row: Iterable[Any]) -> bool:
    """Whether one of MAYBE_DAMAGE_ERRORS came of what the row holds, rather than of a fault in the code."""
    return isinstance(error, DAMAGE_ERRORS) or any(isinstance(value, bytes | Unreadable) for value in row)


def explain(error: Exception) -> DamagedRecord | None:
    """The error for one of MAYBE_DAMAGE_ERRORS that came after an unreadable value was read; else None."""
    if isinstance(error, DamagedRecord | ValidationError) or not isinstance(error, MAYBE_DAMAGE_ERRORS):
        return None
    reason = unreadable_reason()
    return None if reason is None else DamagedRecord(reason)


def readable_rows(
    tx: Transaction, rows: Iterable[Row], name: Callable[[Row], str] = lambda row: str(row.id)
) -> list[Row]:
    """The rows without those that can't be read, which are noted as in `convert_readable`."""
    return convert_readable(tx, rows, lambda row: row, name)


def convert_readable(
    tx: Transaction,
    rows: Iterable[Any],
    as_item: Callable[[Any], Item],
    name: Callable[[Any], str] = lambda row: str(row.id),
) -> list[Item]:
    """`as_item` of each row, without the rows that can't be read; `name` notes them in `tx.damaged`."""
    items: list[Item] = []
    for row in rows:
        try:
            _require_types(row)
            items.append(as_item(row))
        except MAYBE_DAMAGE_ERRORS as error:
            if not is_damage(error, row):
                raise
            note_damage(tx, _name_of(row, name), error)
    return items


def _name_of(row: Row, name: Callable[[Row], str]) -> str:
    """The name of a damaged row; if that is damaged, too, the beginning of all that is stored in the row."""
    try:
        return name(row)
    except MAYBE_DAMAGE_ERRORS:
        stored = [value.raw if value.__class__ is Unreadable else value for value in row]
        return f"a record of {stored!r:.{limits.DAMAGED_NAME_CHARS}}"


def _require_types(row: Iterable[Any]) -> None:
    for value in row:
        if value.__class__ is Unreadable:
            raise DamagedRecord(value.reason)


def require_readable(values: Iterable[Any]) -> None:
    """Raise DamagedRecord for values of a row that no model will look at, when one can't be read."""
    for value in values:
        if value.__class__ in _UNREADABLE_TYPES:
            raise DamagedRecord("a stored value can't be read: it is not of its column's type")


_UNREADABLE_TYPES = frozenset({bytes, Unreadable})


def apply_to_each(
    tx: Transaction,
    rows: Iterable[Row],
    work: Callable[[Row], object],
    name: Callable[[Row], str] = lambda row: str(row.id),
) -> list[Row]:
    """Do `work` on each row in a savepoint; returns the rows that can't be read, whose work is undone."""
    damaged: list[Row] = []
    for row in rows:
        try:
            with tx.savepoint():
                work(row)
        except MAYBE_DAMAGE_ERRORS as error:
            if not is_damage(error, row):
                raise
            note_damage(tx, _name_of(row, name), error)
            damaged.append(row)
    return damaged


def note_damage(tx: Transaction, name: str, error: Exception) -> None:
    """Note that a record is left out of an answer, and name it in the log once."""
    if name not in tx.damaged:
        tx.damaged.append(name)
    log_once(tx.workspace_id, name, str(error))


@lru_cache(maxsize=limits.DAMAGED_NAMED_MAX)
def log_once(workspace_id: str, name: str, reason: str) -> None:
    """Log a damaged record, unless it is among the last DAMAGED_NAMED_MAX that were logged."""
    log.error("damaged record left out", workspace_id=workspace_id, record=name, reason=reason)
