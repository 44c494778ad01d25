"""Redaction: what events and recorded answers quote of something that was deleted is taken out of them.

The event stays with its number, its type and its subject; its data says that it was redacted, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, CompoundSelect, LargeBinary, Select, bindparam, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Integer

from repomesh.store.tables import events, idempotency_records
from repomesh.store.transaction import ERASED_ANSWER, Transaction

_MARK = '{"redacted":true,'


def redact_events(
    tx: Transaction, types: Sequence[str], subjects: Select[Any] | CompoundSelect[Any], **said: str
) -> int:
    """Take the data out of the events of some types and subjects; answers how many.

    All of them in this transaction, so that nobody reads one after it. `said` stands in their data instead.
    """
    data = _MARK + orjson.dumps(said).decode()[1:]
    about = events.c.workspace_id == tx.workspace_id, events.c.type.in_(types)
    whole = ~events.c.data.startswith(_MARK, autoescape=True)
    return tx.change(update(events).where(*about, events.c.subject.in_(subjects), whole).values(data=data))


def redacted_among(tx: Transaction, seqs: Sequence[int]) -> Sequence[Any]:
    """The rows of those of some events that were redacted."""
    here = events.c.workspace_id == tx.workspace_id, events.c.seq.in_(seqs)
    return tx.execute(select(events).where(*here, events.c.data.startswith(_MARK, autoescape=True))).all()


def erase_answers(tx: Transaction, operations: Sequence[str], quotes: Sequence[str]) -> int:
    """Take the answers that hold one of some texts out of what was recorded under Idempotency-Keys.

    The keys stay, so that nothing is done twice. Records live for a day, so that few are looked through.
    `operations` are names, or beginnings of names.
    """
    table = idempotency_records.c
    of = or_(*(table.operation.startswith(name, autoescape=True) for name in operations))
    holding = or_(*(_Holds(table.result, bindparam(None, text.encode(), LargeBinary)) > 0 for text in quotes))
    here = table.workspace_id == tx.workspace_id
    return tx.change(update(idempotency_records).where(here, of, holding).values(result=ERASED_ANSWER))


class _Holds(FunctionElement[int]):
    """The place, from 1, at which bytes stand in others; 0 where they do not."""

    type = Integer()
    name = "holds"
    inherit_cache = True


@compiles(_Holds)
def _instr(element: _Holds, compiler: SQLCompiler, **more: Any) -> str:
    whole, part = _arguments(element, compiler, **more)
    return f"instr({whole}, {part})"


@compiles(_Holds, "postgresql")
def _position(element: _Holds, compiler: SQLCompiler, **more: Any) -> str:
    whole, part = _arguments(element, compiler, **more)
    return f"position({part} in {whole})"


def _arguments(element: _Holds, compiler: SQLCompiler, **more: Any) -> tuple[str, str]:
    clauses: list[ColumnElement[Any]] = list(element.clauses)
    whole, part = (compiler.process(one, **more) for one in clauses)
    return whole, part
