"""Redaction: removes from events and recorded answers what they quote of deleted records.

The event stays with its number, its type and its subject; its data says that it was redacted, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    LargeBinary,
    Select,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Integer

from repomesh.store.tables import events, idempotency_records
from repomesh.store.transaction import ERASED_ANSWER, Transaction

_MARK = '{"redacted":true,'
_IS_REDACTED = events.c.data.startswith(_MARK, autoescape=True)


def redact_events(
    tx: Transaction, types: Sequence[str], subjects: Select[Any] | CompoundSelect[Any], **replacement: str
) -> int:
    """Replace the data of the events of some types and subjects by `replacement`; returns how many.

    All of them in this transaction, so that none can be read after it.
    """
    data = _MARK + orjson.dumps(replacement).decode()[1:]
    in_types = events.c.workspace_id == tx.workspace_id, events.c.type.in_(types)
    return tx.change(
        update(events).where(*in_types, events.c.subject.in_(subjects), ~_IS_REDACTED).values(data=data)
    )


def redacted_rows(tx: Transaction, seqs: Sequence[int]) -> Sequence[Any]:
    """The rows of those events among `seqs` that were redacted."""
    in_workspace = events.c.workspace_id == tx.workspace_id, events.c.seq.in_(seqs)
    return tx.execute(select(events).where(*in_workspace, _IS_REDACTED)).all()


def redacted_count(tx: Transaction, first: int, end: int) -> int:
    """How many of the events from `first` on and before `end` are redacted."""
    in_range = events.c.workspace_id == tx.workspace_id, events.c.seq >= first, events.c.seq < end
    return int(tx.execute(select(func.count()).where(*in_range, _IS_REDACTED)).scalar_one())


def erase_answers(tx: Transaction, operations: Sequence[str], quotes: Sequence[str]) -> int:
    """Erase the answers recorded under Idempotency-Keys that hold one of `quotes`; returns how many.

    The keys stay, so that nothing is done twice. Records live for a day, so few have to be searched.
    `operations` are names, or prefixes of names.
    """
    table = idempotency_records.c
    in_operations = or_(*(table.operation.startswith(name, autoescape=True) for name in operations))
    holds_quote = or_(
        *(_BytePosition(table.result, bindparam(None, text.encode(), LargeBinary)) > 0 for text in quotes)
    )
    in_workspace = table.workspace_id == tx.workspace_id
    return tx.change(
        update(idempotency_records)
        .where(in_workspace, in_operations, holds_quote)
        .values(result=ERASED_ANSWER)
    )


class _BytePosition(FunctionElement[int]):
    """SQL function: the position, from 1, of bytes within other bytes; 0 if they are not found."""

    type = Integer()
    name = "holds"
    inherit_cache = True


@compiles(_BytePosition)
def _compile_instr(element: _BytePosition, compiler: SQLCompiler, **options: Any) -> str:
    searched_bytes, sought_bytes = _compile_arguments(element, compiler, **options)
    return f"instr({searched_bytes}, {sought_bytes})"


@compiles(_BytePosition, "postgresql")
def _compile_position(element: _BytePosition, compiler: SQLCompiler, **options: Any) -> str:
    searched_bytes, sought_bytes = _compile_arguments(element, compiler, **options)
    return f"position({sought_bytes} in {searched_bytes})"


def _compile_arguments(element: _BytePosition, compiler: SQLCompiler, **options: Any) -> tuple[str, str]:
    clauses: list[ColumnElement[Any]] = list(element.clauses)
    searched_bytes, sought_bytes = (compiler.process(clause, **options) for clause in clauses)
    return searched_bytes, sought_bytes
