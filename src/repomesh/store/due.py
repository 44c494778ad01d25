"""Due queries: selects that find what is due in every workspace (see `kernel.operation.Due`).

Each answers rows of (workspace_id, due_at) and takes two times as parameters: `now`, and `until`, up to which
the caller wants to know what will be due. Such a select reads an index that begins with the time, or a
partial index that holds no more rows than there is unfinished work.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, exists, func, literal, select

from repomesh.store.tables import counters
from repomesh.store.types import Timestamp, later_by

NOW: ColumnElement[Any] = bindparam("now", type_=Timestamp())
UNTIL: ColumnElement[Any] = bindparam("until", type_=Timestamp())
_MICROSECOND = timedelta(microseconds=1)


def due_at(
    workspace_id: ColumnElement[Any],
    moment: ColumnElement[Any],
    *conditions: ColumnElement[bool],
    after_s: float = 0.0,
) -> Select[Any]:
    """Rows that are due at the time in a column, or `after_s` seconds later; the earliest per workspace."""
    after = span(after_s)
    earliest = later_by(func.min(moment), after).label("due_at")
    return select(workspace_id, earliest).where(moment <= before(after_s), *conditions).group_by(workspace_id)


def due_now(workspace_id: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
    """Rows that are due as long as they meet the conditions; each workspace once."""
    return select(workspace_id, NOW.label("due_at")).where(*conditions).distinct()


def due_in_each(workspace_id: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
    """Workspaces that have rows which meet the conditions.

    It reads one entry per workspace of an index that begins with the workspace: for rare queries.
    """
    workspace = counters.c.workspace_id
    return select(workspace, NOW.label("due_at")).where(
        exists().where(workspace_id == workspace, *conditions)
    )


def before(after_s: float) -> ColumnElement[Any]:
    """`until`, less some seconds: what happened by then is due `after_s` seconds after it happened."""
    return UNTIL.op("-")(span(after_s)) if after_s else UNTIL


def span(seconds: float) -> ColumnElement[int]:
    """Seconds as an SQL value in microseconds, the unit of stored times."""
    return literal(timedelta(seconds=seconds) // _MICROSECOND, BigInteger)
