"""Tokens: made, looked up by their hash, revoked."""

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
from repomesh.kernel.identity import SYSTEM_TOKEN_ID, Caller, Role
from repomesh.kernel.ids import new_secret
from repomesh.store.log import ADMINS, NewEvent
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

FIRST_OWNER = "owner"
"""The label of the owner's token that a new workspace gets."""
NEW_OWNER = "owner, made anew at start"
"""The label of one that was made because the token file was gone, or was another database's."""

_BY_HASH = Prepared(
    select(tokens, workspaces.c.home)
    .join(workspaces, workspaces.c.id == tokens.c.workspace_id)
    .where(
        tokens.c.hash == bindparam("hash"), tokens.c.revoked_at.is_(None), workspaces.c.removed_at.is_(None)
    )
)
_LIVE = Prepared(
    select(tokens.c.id, tokens.c.expires_at)
    .join(workspaces, workspaces.c.id == tokens.c.workspace_id)
    .where(tokens.c.id == bindparam("id"), tokens.c.revoked_at.is_(None), workspaces.c.removed_at.is_(None))
)
_INSERT = Prepared(insert(tokens))

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
    """Make a token; answers its id and its secret, which is nowhere else. With `hashed` none opens it.

    A token that is made with one that was narrowed is narrowed alike: at most the scopes and the time of the
    caller's own. The caller's scopes must hold `scopes`, which is for the operation to check.
    """
    kept, expires_at = narrowed(tx.caller, scopes, expires_at)
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
            "scopes": kept,
            "expires_at": expires_at,
        },
    )
    if workspace_id == tx.workspace_id:  # a new workspace's own log begins with its first command
        created = TokenCreated(
            token_id=token_id,
            role=role,
            label=label,
            agent_id=agent_id,
            scopes=kept,
            expires_at=expires_at,
        )
        tx.emit(NewEvent(TOKEN_CREATED, f"token/{token_id}", created, ADMINS))
    return token_id, secret


def narrowed(
    caller: Caller, scopes: Collection[str] | None, expires_at: datetime | None
) -> tuple[list[str] | None, datetime | None]:
    """The scopes and the end of a token that a caller makes; None and None for one without limits."""
    scopes = caller.scopes if scopes is None else scopes
    ends = [at for at in (expires_at, caller.expires_at) if at is not None]
    return None if scopes is None else sorted(scopes), min(ends, default=None)


def find(tx: Transaction, secret: str) -> Row[Any]:
    """The live token with this secret; raises Unauthenticated, TokenExpired for one whose time is over."""
    wanted = digest(secret)
    row = tx.execute(_BY_HASH, {"hash": wanted}).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, wanted):
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
    """The id of the key that signed webhooks of this workspace come with; None for one that is new.

    Raises TokenRevoked for one that was revoked, or that a newer one took the place of.
    """
    hashed = _key_digest(secret)
    here = tokens.c.workspace_id == tx.workspace_id, tokens.c.hash == hashed
    row = tx.execute(select(tokens.c.id, tokens.c.revoked_at).where(*here)).one_or_none()
    if row is None:
        return None
    if row.revoked_at is not None:
        hint = "Set a new REPOMESH_WEBHOOK_SECRET here and where webhooks are signed, and start again."
        raise errors.TokenRevoked("the key of signed webhooks was revoked or replaced", hint=hint)
    return str(row.id)


def enrol_webhook_key(tx: Transaction, secret: str) -> str:
    """Give the key of signed webhooks its place among the tokens, and revoke those before it; answers its id.

    It is a principal of its own: what it writes is verified like what a token writes, and it can be revoked.
    """
    known = webhook_key(tx, secret)
    if known is not None:
        return known
    keys = tokens.c.workspace_id == tx.workspace_id, tokens.c.label == WEBHOOK_KEY
    for older in tx.execute(select(tokens.c.id).where(*keys, tokens.c.revoked_at.is_(None))).scalars().all():
        revoke(tx, older, None, "another REPOMESH_WEBHOOK_SECRET took its place")
    token_id, _ = issue(tx, tx.workspace_id, Role.AGENT, WEBHOOK_KEY, hashed=_key_digest(secret))
    return token_id


def _key_digest(secret: str) -> str:
    """What is kept of a key. It differs from `digest`, so that the key opens nothing as a bearer token."""
    return hmac.new(secret.encode(), WEBHOOK_KEY.encode(), hashlib.sha256).hexdigest()


def verify(tx: Transaction) -> None:
    """Raise TokenRevoked or TokenExpired when the caller's token ended since the request came in."""
    token_id = tx.caller.token_id
    if token_id == SYSTEM_TOKEN_ID:
        return
    live = tx.read_cached(_LIVE, {"id": token_id})
    if not live:
        raise errors.TokenRevoked("the token was revoked")
    require_time(live[0].expires_at, tx.now)


def revoke(tx: Transaction, token_id: str, agent_id: str | None, reason: str) -> bool:
    """Revoke a token; answers whether it was live."""
    live = tokens.c.id == token_id, tokens.c.revoked_at.is_(None)
    if tx.change(update(tokens).where(*live).values(revoked_at=tx.now)) == 0:
        return False
    revoked = TokenRevokedData(token_id=token_id, agent_id=agent_id, reason=reason)
    tx.emit(NewEvent(TOKEN_REVOKED, f"token/{token_id}", revoked, ADMINS))
    return True


def replace_owner(tx: Transaction, previous: str | None, *, only_file: bool) -> tuple[str, str]:
    """Make the owner's token for a new token file; answers its id and its secret.

    The token that was in the file before is revoked: `previous`, and where no other data folder shares the
    database (`only_file`) every one that was made for a token file.
    """
    mine = tokens.c.id == previous if previous is not None else false()
    if only_file:
        mine = or_(mine, tokens.c.label.in_((FIRST_OWNER, NEW_OWNER)))
    wanted = select(tokens.c.id).where(
        tokens.c.workspace_id == tx.workspace_id,
        tokens.c.role == Role.OWNER.value,
        tokens.c.revoked_at.is_(None),
        mine,
    )
    for token_id in tx.execute(wanted).scalars().all():
        revoke(tx, token_id, None, "the token file was made anew")
    return issue(tx, tx.workspace_id, Role.OWNER, NEW_OWNER)


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
