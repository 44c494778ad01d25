"""Operations on tokens: the owner makes and revokes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, select

from repomesh.domains.agents.errors import AgentNameMissing, AgentNameReserved, UnknownScope
from repomesh.domains.agents.models import CreatedToken, CreateToken, ListTokens, RevokeToken, Token
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.agents.tables import agents
from repomesh.domains.workspaces import tokens
from repomesh.domains.workspaces.tables import tokens as token_rows
from repomesh.kernel.errors import Forbidden, NotFound
from repomesh.kernel.fields import Page
from repomesh.kernel.identity import Role, in_every_area, role_holds
from repomesh.kernel.operation import Delete, Get, Post, command, query, registry
from repomesh.store.listing import Listing
from repomesh.store.transaction import Transaction


@command(
    "token.create",
    http=Post("/v1/tokens", status=201),
    scope="tokens:admin",
    errors=(AgentNameMissing, AgentNameReserved, UnknownScope),
    secret_field="token",
)
def create_token(tx: Transaction, request: CreateToken) -> CreatedToken:
    """Create a token of a role. The secret is shown once; only its hash is stored."""
    _require_grantable(tx, request)
    agent_id = None
    if request.role == "agent":
        if request.agent is None:
            raise AgentNameMissing("a token of role 'agent' is for one agent, and none is named")
        agent_id = ensure_agent(tx, request.agent).id
    role = Role(request.role)
    lifetime_s = request.expires_in_s
    expires_at = None if lifetime_s is None else tx.now + timedelta(seconds=lifetime_s)
    scopes, expires_at = tokens.narrow_limits(tx.caller, request.scopes, expires_at)
    token_id, secret = tokens.issue(
        tx,
        tx.workspace_id,
        role,
        request.label,
        agent_id=agent_id,
        scopes=scopes,
        expires_at=expires_at,
    )
    return CreatedToken(
        token_id=token_id,
        token=secret,
        role=role,
        agent_id=agent_id,
        scopes=scopes,
        expires_at=expires_at,
    )


@query("token.list", http=Get("/v1/tokens"), scope="tokens:admin")
def list_tokens(tx: Transaction, request: ListTokens) -> Page[Token]:
    """List the live tokens, oldest first, without their secrets."""
    table = token_rows.c
    statement = _tokens().where(table.workspace_id == tx.workspace_id, table.revoked_at.is_(None))
    return Listing(Page[Token], _as_token, keys=(table.id,)).read(tx, statement, request)


@command("token.revoke", http=Delete("/v1/tokens/{token_id}"), scope="tokens:admin", changes_access=True)
def revoke_token(tx: Transaction, request: RevokeToken) -> Token:
    """Revoke a token at once: its sockets close, its leases are released, its next call is refused."""
    table = token_rows.c
    is_live = table.id == request.token_id, table.workspace_id == tx.workspace_id, table.revoked_at.is_(None)
    row = tx.execute(_tokens().where(*is_live)).one_or_none()
    if row is None:
        raise NotFound(f"there is no live token {request.token_id}")
    tokens.revoke(tx, row.id, row.agent_id, "revoked")
    return _as_token(row)


def _require_grantable(tx: Transaction, request: CreateToken) -> None:
    """Raise UnknownScope, or Forbidden for a scope that the role or the caller does not hold."""
    offered_scopes = {operation.scope for operation in registry if operation.is_offered}
    offered_scopes |= {in_every_area(scope) for scope in offered_scopes}
    for scope in request.scopes or ():
        if scope not in offered_scopes:
            raise UnknownScope(f"no operation asks for the scope '{scope}'", scopes=sorted(offered_scopes))
        if not role_holds(Role(request.role), scope):
            raise Forbidden(f"a token of role '{request.role}' can't hold the scope '{scope}'")
        if not tx.caller.holds(scope):
            raise Forbidden(f"this token does not hold the scope '{scope}' and can't give it away")


def _tokens() -> Select[Any]:
    """A select of tokens, each with the name of its agent."""
    joined = token_rows.outerjoin(agents, agents.c.id == token_rows.c.agent_id)
    return select(token_rows, agents.c.name.label("agent_name")).select_from(joined)


def _as_token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        role=Role(row.role),
        label=row.label,
        agent_id=row.agent_id,
        agent_name=row.agent_name,
        instance_id=row.instance_id,
        created_at=row.created_at,
        scopes=row.scopes,
        expires_at=row.expires_at,
    )
