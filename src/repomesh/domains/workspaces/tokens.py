"""Tokens: issue them, find them by their hash, verify and revoke them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, bindparam, false, insert, or_, select, update

from repomesh.domains.workspaces.models import TOKEN_CREATED, TOKEN_REVOKED, TokenCreated, TokenRevokedData
from repomesh.domains.workspaces.tables import tokens, workspaces
from repomesh.kernel import errors
from repomesh.kernel.errors import Unauthenticated
from repomesh.kernel.identity import Caller, Role
from repomesh.kernel.ids import new_secret
from repomesh.store.log import ADMINS, NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

FIRST_OWNER = "owner"
"""The label of the owner's token that a new workspace gets."""
NEW_OWNER = "owner, made anew at start"
"""The label of one that was made because the token file was gone, or was another database's."""

_BY_HASH = PreparedStatement(
    select(tokens, workspaces.c.home)
    .join(workspaces, workspaces.c.id == tokens.c.workspace_id)
    .where(
        tokens.c.hash == bindparam("hash"), tokens.c.revoked_at.is_(None), workspaces.c.removed_at.is_(None)
    )
)
_INSERT = PreparedStatement(insert(tokens))

WEBHOOK_KEY = "key of signed webhooks"
"""The label of a signing key among the tokens."""


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
    hashed: str | None = None,
    scopes: Collection[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, str]:
    """Make a token; returns its id and its secret, which is not stored. With `hashed`, no secret opens it.

    The new token has at most the scopes and the lifetime of the caller's token. Operations must check that
    the caller holds `scopes`.
    """
    own_scopes, expires_at = narrow_limits(tx.caller, scopes, expires_at)
    token_id, secret = tx.new_id(), new_secret()
    tx.execute(
        _INSERT,
        {
            "id": token_id,
            "workspace_id": workspace_id,
            "hash": hashed or digest(secret),
            "role": role.value,
            "label": label,
            "agent_id": agent_id,
            "instance_id": instance_id,
            "created_at": tx.now,
            "scopes": own_scopes,
            "expires_at": expires_at,
        },
    )
    if workspace_id == tx.workspace_id:  # a new workspace's own log begins with its first command
        created = TokenCreated(
            token_id=token_id,
            role=role,
            label=label,
            agent_id=agent_id,
            scopes=own_scopes,
            expires_at=expires_at,
        )
        tx.emit(NewEvent(TOKEN_CREATED, f"token/{token_id}", created, ADMINS))
    return token_id, secret


def narrow_limits(
    caller: Caller, scopes: Collection[str] | None, expires_at: datetime | None
) -> tuple[list[str] | None, datetime | None]:
    """The sorted scopes and the expiry of a token that a caller makes, each None for no limit."""
    scopes = caller.scopes if scopes is None else scopes
    expiries = [expiry for expiry in (expires_at, caller.expires_at) if expiry is not None]
    return None if scopes is None else sorted(scopes), min(expiries, default=None)


def find(tx: Transaction, secret: str) -> Row[Any]:
    """The live token with this secret; raises Unauthenticated, TokenExpired for one whose time is over."""
    hashed = digest(secret)
    row = tx.execute(_BY_HASH, {"hash": hashed}).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, hashed):
        raise Unauthenticated("the token is not known, or it was revoked")
    require_time(row.expires_at, tx.now)
    return row


def is_over(expires_at: datetime | None, now: datetime) -> bool:
    """Whether the time of a token is over; for one without an end it never is."""
    return expires_at is not None and expires_at <= now


def require_time(expires_at: datetime | None, now: datetime) -> None:
    """Raise TokenExpired when the time of a token is over."""
    if is_over(expires_at, now):
        raise errors.TokenExpired(f"the token expired at {expires_at:%Y-%m-%d %H:%M:%S} UTC")


def webhook_key(tx: Transaction, secret: str) -> str | None:
    """The token id of the key of signed webhooks in this workspace; None for a new key.

    Raises TokenRevoked for a key that was revoked or replaced by a newer one.
    """
    hashed = _key_digest(secret)
    of_key = tokens.c.workspace_id == tx.workspace_id, tokens.c.hash == hashed
    row = tx.execute(select(tokens.c.id, tokens.c.revoked_at).where(*of_key)).one_or_none()
    if row is None:
        return None
    if row.revoked_at is not None:
        hint = "Set a new REPOMESH_WEBHOOK_SECRET here and where webhooks are signed, and start again."
        raise errors.TokenRevoked("the key of signed webhooks was revoked or replaced", hint=hint)
    return str(row.id)


def enrol_webhook_key(tx: Transaction, secret: str) -> str:
    """Store the key of signed webhooks as a token, and revoke earlier keys; returns the token id.

    The key is a principal of its own: its writes are verified like those of a token, and it can be revoked.
    Raises TokenRevoked for a key that was revoked or replaced.
    """
    existing_id = webhook_key(tx, secret)
    if existing_id is not None:
        return existing_id
    older = select(tokens.c.id).where(
        tokens.c.workspace_id == tx.workspace_id, tokens.c.label == WEBHOOK_KEY, tokens.c.revoked_at.is_(None)
    )
    for older_id in tx.execute(older).scalars().all():
        revoke(tx, older_id, None, "another REPOMESH_WEBHOOK_SECRET took its place")
    token_id, _ = issue(tx, tx.workspace_id, Role.AGENT, WEBHOOK_KEY, hashed=_key_digest(secret))
    return token_id


def _key_digest(secret: str) -> str:
    """The stored hash of a webhook key. It differs from `digest`, so that the key is no bearer token."""
    return hmac.new(secret.encode(), WEBHOOK_KEY.encode(), hashlib.sha256).hexdigest()


def revoke(tx: Transaction, token_id: str, agent_id: str | None, reason: str) -> bool:
    """Revoke a token and emit the event; returns whether the token was live."""
    is_live = tokens.c.id == token_id, tokens.c.revoked_at.is_(None)
    if tx.change(update(tokens).where(*is_live).values(revoked_at=tx.now)) == 0:
        return False
    revoked = TokenRevokedData(token_id=token_id, agent_id=agent_id, reason=reason)
    tx.emit(NewEvent(TOKEN_REVOKED, f"token/{token_id}", revoked, ADMINS))
    return True


def replace_owner(tx: Transaction, previous: str | None, *, only_file: bool) -> tuple[str, str]:
    """Make the owner's token for a new token file; returns its id and its secret.

    Revokes the token of the old file, `previous`; and, where no other data folder shares the database
    (`only_file`), every token that was made for a token file.
    """
    of_token_file = tokens.c.id == previous if previous is not None else false()
    if only_file:
        of_token_file = or_(of_token_file, tokens.c.label.in_((FIRST_OWNER, NEW_OWNER)))
    replaced = select(tokens.c.id).where(
        tokens.c.workspace_id == tx.workspace_id,
        tokens.c.role == Role.OWNER.value,
        tokens.c.revoked_at.is_(None),
        of_token_file,
    )
    for token_id in tx.execute(replaced).scalars().all():
        revoke(tx, token_id, None, "the token file was made anew")
    return issue(tx, tx.workspace_id, Role.OWNER, NEW_OWNER)


def renew_secret(tx: Transaction, result: BaseModel) -> BaseModel:
    """A recorded result with a new secret for its token, since the first secret was not stored.

    The caller's own token keeps its secret.
    """
    secret = new_secret()
    token_id = result.token_id  # type: ignore[attr-defined]
    if token_id == tx.caller.token_id:
        return result
    tx.execute(update(tokens).where(tokens.c.id == token_id).values(hash=digest(secret)))
    return result.model_copy(update={"token": secret})
