"""Operations on the workspaces of a server."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, exists, func, insert, or_, select, update

from repomesh.domains.workspaces import tokens
from repomesh.domains.workspaces.errors import HomeWorkspace, WorkspaceNameTaken
from repomesh.domains.workspaces.models import (
    WORKSPACE_ADDED,
    WORKSPACE_REMOVED,
    AddedWorkspace,
    AddWorkspace,
    ClosedWorkspace,
    CloseWorkspace,
    ExpiredTokens,
    ExpireTokens,
    ListWorkspaces,
    RemoveWorkspace,
    ShowWorkspace,
    Workspace,
    WorkspaceChanged,
    WorkspaceList,
)
from repomesh.domains.workspaces.tables import tokens as token_rows
from repomesh.domains.workspaces.tables import workspaces
from repomesh.kernel import limits
from repomesh.kernel.errors import DamagedRecord, NotFound
from repomesh.kernel.identity import Role
from repomesh.kernel.operation import Delete, Due, Get, Post, command, query
from repomesh.store.damage import DAMAGE_ERRORS, note_damage
from repomesh.store.due import due_at, due_now
from repomesh.store.log import ADMINS, NewEvent
from repomesh.store.transaction import Transaction, open_counters
from repomesh.store.types import shown_text

_REPAIR_HINT = (
    "Correct its row of the table 'workspaces' while the server is stopped, or put back a backup: "
    "'repomesh restore FILE'."
)


@query("workspace.list", http=Get("/v1/workspaces"), scope="server:admin")
def list_workspaces(tx: Transaction, request: ListWorkspaces) -> WorkspaceList:
    """List the workspaces of this server."""
    rows = tx.execute(select(workspaces).where(workspaces.c.removed_at.is_(None)).order_by(workspaces.c.id))
    items = []
    for row in rows:
        try:
            items.append(_as_workspace(row))
        except DamagedRecord as error:
            note_damage(tx, f"workspace/{shown_text(row.id)}", error)
    return WorkspaceList(items=items)


@query("workspace.show", http=Get("/v1/workspace"), scope="workspace:read")
def show_workspace(tx: Transaction, request: ShowWorkspace) -> Workspace:
    """Show the workspace that the token belongs to."""
    return _find(tx, tx.workspace_id)


@command(
    "workspace.add",
    http=Post("/v1/workspaces", status=201),
    scope="server:admin",
    errors=(WorkspaceNameTaken,),
    secret_field="token",
)
def add_workspace(tx: Transaction, request: AddWorkspace) -> AddedWorkspace:
    """Add a workspace to this server and create its owner's token.

    The token is shown once. It is valid for the new workspace only.
    """
    return create(tx, tx.new_id(), request.name, request.path, home=False)


@command(
    "workspace.remove",
    http=Delete("/v1/workspaces/{workspace_id}"),
    scope="server:admin",
    errors=(HomeWorkspace,),
    changes_access=True,
)
def remove_workspace(tx: Transaction, request: RemoveWorkspace) -> Workspace:
    """Remove a workspace and free its name. Its tokens become invalid; its data stays in the store."""
    workspace = _find(tx, request.workspace_id)
    if workspace.home:
        raise HomeWorkspace("this is the workspace in which the server runs")
    tx.execute(update(workspaces).where(workspaces.c.id == workspace.id).values(removed_at=tx.now))
    changed = WorkspaceChanged(workspace=workspace)
    tx.emit(NewEvent(WORKSPACE_REMOVED, f"workspace/{workspace.id}", changed, ADMINS))
    return workspace


_UNCLOSED = due_now(
    workspaces.c.id.label("workspace_id"),
    workspaces.c.removed_at.is_not(None),
    exists().where(token_rows.c.workspace_id == workspaces.c.id, token_rows.c.revoked_at.is_(None)),
)


@command(
    "workspace.close",
    scope="workspace:admin",
    due=(Due(lambda _: _UNCLOSED, every_s=limits.SWEEP_CHANGES_S, on_change=True),),
)
def close_workspace(tx: Transaction, request: CloseWorkspace) -> ClosedWorkspace:
    """Revoke the remaining tokens of a removed workspace, in that workspace's own log.

    Subscribers in that workspace are notified, and what was held is released.
    """
    removed = select(workspaces.c.id).where(
        workspaces.c.id == tx.workspace_id, workspaces.c.removed_at.is_not(None)
    )
    if tx.execute(removed).first() is None:
        return ClosedWorkspace(tokens=0, complete=True)
    statement = select(token_rows.c.id, token_rows.c.agent_id).where(
        token_rows.c.workspace_id == tx.workspace_id, token_rows.c.revoked_at.is_(None)
    )
    live_tokens = tx.execute(statement.limit(limits.TOKENS_CLOSED_MAX)).all()
    for token in live_tokens:
        tokens.revoke(tx, token.id, token.agent_id, "workspace removed")
    return ClosedWorkspace(tokens=len(live_tokens), complete=len(live_tokens) < limits.TOKENS_CLOSED_MAX)


EXPIRED = "expired"
_EXPIRED = (token_rows.c.revoked_at.is_(None), token_rows.c.expires_at.is_not(None))


@command(
    "token.expire",
    scope="workspace:admin",
    due=(Due(lambda _: due_at(token_rows.c.workspace_id, token_rows.c.expires_at, *_EXPIRED)),),
    changes_access=True,
)
def expire_tokens(tx: Transaction, request: ExpireTokens) -> ExpiredTokens:
    """Revoke the tokens that have expired: their sockets close, and their leases are released."""
    is_over = token_rows.c.workspace_id == tx.workspace_id, token_rows.c.expires_at <= tx.now
    expired = tx.execute(
        select(token_rows.c.id, token_rows.c.agent_id)
        .where(*is_over, *_EXPIRED)
        .limit(limits.TOKENS_CLOSED_MAX)
    ).all()
    for token in expired:
        tokens.revoke(tx, token.id, token.agent_id, EXPIRED)
    return ExpiredTokens(count=len(expired), complete=len(expired) < limits.TOKENS_CLOSED_MAX)


def create(tx: Transaction, workspace_id: str, name: str, path: str | None, *, home: bool) -> AddedWorkspace:
    """Make a workspace with its counters and its owner's token.

    Raises WorkspaceNameTaken for the name of another, in whatever case it is written.
    """
    same_name = func.lower(workspaces.c.name) == name.lower()  # names are of ASCII letters
    same_named = select(workspaces.c.name).where(same_name, workspaces.c.removed_at.is_(None))
    if (other := tx.execute(same_named).scalars().first()) is not None:
        raise WorkspaceNameTaken(f"there is a workspace '{other}' already")
    workspace = Workspace(id=workspace_id, name=name, path=path, home=home, created_at=tx.now)
    tx.execute(insert(workspaces), workspace.model_dump())
    open_counters(tx, workspace_id)
    token_id, secret = tokens.issue(tx, workspace_id, Role.OWNER, tokens.FIRST_OWNER)
    changed = WorkspaceChanged(workspace=workspace)
    tx.emit(NewEvent(WORKSPACE_ADDED, f"workspace/{workspace_id}", changed, ADMINS))
    return AddedWorkspace(workspace=workspace, token_id=token_id, token=secret)


def home_workspace(tx: Transaction) -> Workspace | None:
    """The workspace of this server's own repository; None before it was made."""
    row = tx.execute(select(workspaces).where(workspaces.c.home.is_(True))).one_or_none()
    return None if row is None else _as_workspace(row)


def workspace_ids(tx: Transaction, among: Collection[str] | None = None) -> list[str]:
    """The ids of the workspaces with work: those that are open, and removed ones with live tokens."""
    unrevoked = exists().where(
        token_rows.c.workspace_id == workspaces.c.id, token_rows.c.revoked_at.is_(None)
    )
    has_work = or_(workspaces.c.removed_at.is_(None), unrevoked)
    statement = select(workspaces.c.id).where(has_work)
    if among is not None:
        statement = statement.where(workspaces.c.id.in_(among))
    return list(tx.execute(statement.order_by(workspaces.c.id)).scalars())


def _find(tx: Transaction, workspace_id: str) -> Workspace:
    is_open = workspaces.c.id == workspace_id, workspaces.c.removed_at.is_(None)
    row = tx.execute(select(workspaces).where(*is_open)).one_or_none()
    if row is None:
        raise NotFound(f"there is no workspace {workspace_id}")
    return _as_workspace(row)


def _as_workspace(row: Row[Any]) -> Workspace:
    """The workspace in a row; its name and path are for display. Raises DamagedRecord."""
    name, path = shown_text(row.name), None if row.path is None else shown_text(row.path)
    try:
        return Workspace(id=row.id, name=name, path=path, home=row.home, created_at=row.created_at)
    except DAMAGE_ERRORS as error:
        message = f"the workspace {shown_text(row.id)} can't be read: {error}"
        raise DamagedRecord(message, hint=_REPAIR_HINT) from error
