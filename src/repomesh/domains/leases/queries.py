"""Questions on locks: who holds what, and whether something could be locked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, or_, select

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.leases import leasing, overlaps, resources
from repomesh.domains.leases.errors import InvalidResource
from repomesh.domains.leases.models import CheckLocks, Lease, ListLocks, LockCheck
from repomesh.domains.leases.resources import LOCK_TYPES, PATH
from repomesh.domains.leases.tables import leases
from repomesh.kernel.fields import Page, decode_cursor, encode_cursor
from repomesh.kernel.operation import Get, Post, query
from repomesh.store.paging import page
from repomesh.store.transaction import Transaction

_LIVE = select(leases).where(
    leases.c.workspace_id == bindparam("ws"),
    leases.c.ended_at.is_(None),
    leases.c.expires_at > bindparam("now"),
    leases.c.resource_type.in_(LOCK_TYPES),
)
_ORDER = (leases.c.resource_type, leases.c.prefix, leases.c.id)


@query("lock.list", http=Get("/v1/locks"), scope="locks:read", errors=(AgentNotFound, InvalidResource))
def list_locks(tx: Transaction, request: ListLocks) -> Page[Lease]:
    """List the live locks by path: all, an agent's, those below a folder, or those that may hold a path."""
    agent_id = find_agent(tx, request.agent).id if request.agent is not None else None
    folder = resources.path(request.prefix).prefix if request.prefix is not None else None
    if request.path is not None:
        return _holding(tx, request, request.path, agent_id, folder)
    statement = _LIVE.params(ws=tx.workspace_id, now=tx.now)
    if agent_id is not None:
        statement = statement.where(leases.c.agent_id == agent_id)
    if folder is not None:
        statement = statement.where(_within(folder))
    items, next_cursor = page(tx, statement, request, _ORDER, leasing.as_lease)
    return Page[Lease](items=items, next_cursor=next_cursor)


@query("lock.check", http=Post("/v1/locks/check"), scope="locks:read", errors=(InvalidResource,))
def check_locks(tx: Transaction, request: CheckLocks) -> LockCheck:
    """Ask whether the caller could lock resources now, without locking them."""
    wanted = resources.parse_all(request.resources)
    conflicts = leasing.obstacles(tx, wanted, request.mode, tx.caller.agent_id)
    return LockCheck(free=not conflicts, conflicts=conflicts)


def _within(folder: str) -> ColumnElement[bool]:
    # '0' follows '/' in ASCII, so the range holds exactly what lies below the folder.
    below = and_(leases.c.prefix >= folder + "/", leases.c.prefix < folder + "0")
    held = or_(leases.c.prefix == folder, below) if folder else leases.c.prefix >= ""
    return and_(leases.c.resource_type == PATH, held)


def _holding(
    tx: Transaction, request: ListLocks, path: str, agent_id: str | None, folder: str | None
) -> Page[Lease]:
    """A page of the locks that overlap with a path: these are few, so that they are sorted here."""
    found = [
        row
        for row in overlaps.holders_of(tx, resources.parse(path))
        if agent_id in (None, row.agent_id) and (folder is None or _lies_within(row, folder))
    ]
    found.sort(key=_position)
    if request.cursor is not None:
        after = tuple(map(str, decode_cursor(request.cursor, len(_ORDER))))
        found = [row for row in found if _position(row) > after]
    shown = found[: request.limit]
    more = len(found) > len(shown)
    return Page[Lease](
        items=[leasing.as_lease(row) for row in shown],
        next_cursor=encode_cursor(*_position(shown[-1])) if more else None,
    )


def _lies_within(row: Row[Any], folder: str) -> bool:
    inside = not folder or row.prefix == folder or row.prefix.startswith(folder + "/")
    return row.resource_type == PATH and inside


def _position(row: Row[Any]) -> tuple[str, str, str]:
    return row.resource_type, row.prefix, row.id
