"""Models of workspaces. A workspace is a repository or project, and the unit of isolation and of order."""

from __future__ import annotations

from pydantic import Field

from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Label, Name
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model, PartialResult


class Workspace(Model):
    """A repository or project whose agents meet here."""

    id: Id
    name: str
    path: str | None = Field(description="The repository's folder on the server's machine, if known.")
    home: bool = Field(description="Whether the server was started in it.")
    created_at: Timestamp


class AddWorkspace(Model):
    """A new workspace on this server."""

    name: Name
    path: Label | None = Field(None, description="The repository's folder on the server's machine.")


class AddedWorkspace(Model):
    """The new workspace with its owner's token, which is shown once."""

    workspace: Workspace
    token_id: Id
    token: str


class ListWorkspaces(Model):
    """Every workspace of this server."""


class WorkspaceList(Model):
    """The workspaces, oldest first; a server holds few, so they come in one page."""

    items: list[Workspace]
    next_cursor: None = None


class ShowWorkspace(Model):
    """The workspace that the token belongs to."""


class RemoveWorkspace(Model):
    """Close a workspace: its tokens open nothing any more, its data stays in the store."""

    workspace_id: Id


class CloseWorkspace(Model):
    """Finish the removal of this workspace."""


class ClosedWorkspace(PartialResult):
    """How many tokens were revoked."""

    tokens: int


class ForgetKeys(Model):
    """Drop results kept for Idempotency-Keys longer than anybody repeats a request."""


class ForgottenKeys(PartialResult):
    """How many were dropped."""

    count: int


class WorkspaceChanged(Model):
    """A workspace was added to or removed from the server."""

    workspace: Workspace


class TokenRevokedData(Model):
    """A token is no longer valid: its sockets close and its leases are given back."""

    token_id: Id
    agent_id: Id | None
    reason: str


class TokenCreated(Model):
    """A token was made; the secret itself is shown only to who asked for it."""

    token_id: Id
    role: str
    label: str
    agent_id: Id | None
    scopes: list[str] | None = None
    expires_at: Timestamp | None = None


class ExpireTokens(Model):
    """Revoke the tokens whose time is over."""


class ExpiredTokens(Model):
    """How many were revoked, and whether those were all."""

    count: int
    complete: bool


WORKSPACE_ADDED = event_type("workspace.added", WorkspaceChanged, "A workspace was added to the server.")
WORKSPACE_REMOVED = event_type(
    "workspace.removed", WorkspaceChanged, "A workspace was removed from the server."
)
TOKEN_CREATED = event_type(
    "token.created", TokenCreated, "A token was created; only its creator was shown the secret."
)
TOKEN_REVOKED = event_type(
    "token.revoked", TokenRevokedData, "A token was revoked: its sockets close, and its leases are released."
)
