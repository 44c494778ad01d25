"""Tokens: made, looked up by their hash, revoked."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, bindparam, insert, select, update

from repomesh.domains.workspaces.models import TOKEN_CREATED, TOKEN_REVOKED, TokenCreated, TokenRevoked
from repomesh.domains.workspaces.tables import tokens, workspaces
from repomesh.kernel import errors
from repomesh.kernel.errors import Unauthenticated
from repomesh.kernel.identity import SYSTEM_TOKEN_ID, Role
from repomesh.kernel.ids import new_id, new_secret
from repomesh.store.log import ADMINS, NewEvent
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_BY_HASH = Prepared(
    select(tokens, workspaces.c.home)
    .join(workspaces, workspaces.c.id == tokens.c.workspace_id)
    .where(
        tokens.c.hash == bindparam("hash"), tokens.c.revoked_at.is_(None), workspaces.c.removed_at.is_(None)
    )
)
_LIVE = Prepared(
    select(tokens.c.id)
    .join(workspaces, workspaces.c.id == tokens.c.workspace_id)
    .where(tokens.c.id == bindparam("id"), tokens.c.revoked_at.is_(None), workspaces.c.removed_at.is_(None))
)
_INSERT = Prepared(insert(tokens))


def digest(secret: str) -> str:
    """The hash under which a secret is kept. A secret has 256 random bits, so it needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue(
    tx: Transaction,
    workspace_id: str,
    role: Role,
    label: str,
    *,
    agent_id: str | None = None,
    instance_id: str | None = None,
) -> tuple[str, str]:
    """Make a token; answers its id and its secret, which is nowhere else."""
    token_id, secret = new_id(), new_secret()
    tx.execute(
        _INSERT,
        {
            "id": token_id,
            "workspace_id": workspace_id,
            "hash": digest(secret),
            "role": role.value,
            "label": label,
            "agent_id": agent_id,
            "instance_id": instance_id,
            "created_at": tx.now,
        },
    )
    if workspace_id == tx.workspace_id:  # a new workspace's own log begins with its first command
        created = TokenCreated(token_id=token_id, role=role, label=label, agent_id=agent_id)
        tx.emit(NewEvent(TOKEN_CREATED, f"token/{token_id}", created, ADMINS))
    return token_id, secret


def find(tx: Transaction, secret: str) -> Row[Any]:
    """The live token with this secret; raises Unauthenticated."""
    wanted = digest(secret)
    row = tx.execute(_BY_HASH, {"hash": wanted}).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, wanted):
        raise Unauthenticated("the token is not known, or it was revoked")
    return row


def verify(tx: Transaction) -> None:
    """Raise errors.TokenRevoked when the caller's token was revoked since the request came in."""
    token_id = tx.caller.token_id
    if token_id != SYSTEM_TOKEN_ID and not tx.known(_LIVE, {"id": token_id}):
        raise errors.TokenRevoked("the token was revoked")


def revoke(tx: Transaction, token_id: str, agent_id: str | None, reason: str) -> bool:
    """Revoke a token; answers whether it was live."""
    live = tokens.c.id == token_id, tokens.c.revoked_at.is_(None)
    if tx.change(update(tokens).where(*live).values(revoked_at=tx.now)) == 0:
        return False
    revoked = TokenRevoked(token_id=token_id, agent_id=agent_id, reason=reason)
    tx.emit(NewEvent(TOKEN_REVOKED, f"token/{token_id}", revoked, ADMINS))
    return True


def renew_secret(tx: Transaction, result: BaseModel) -> BaseModel:
    """A recorded result with a new secret for its token, in place of the one that was not kept.

    The token that the caller speaks with stays as it is.
    """
    secret = new_secret()
    token_id = result.token_id  # type: ignore[attr-defined]
    if token_id == tx.caller.token_id:
        return result
    tx.execute(update(tokens).where(tokens.c.id == token_id).values(hash=digest(secret)))
    return result.model_copy(update={"token": secret})
