"""Authentication: turn a bearer token, and the agent that an owner's request names, into a Caller."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, and_, bindparam, select

from repomesh.domains.agents.errors import AgentNotFound, AgentRetired, InstanceEnded, InstanceReplaced
from repomesh.domains.agents.operations import SESSION_OVER, TAKEN_OVER, find_agent
from repomesh.domains.agents.rows import find_by_name
from repomesh.domains.agents.tables import agents, instances
from repomesh.domains.workspaces import tokens
from repomesh.domains.workspaces.tables import tokens as token_rows
from repomesh.domains.workspaces.tables import workspaces
from repomesh.kernel.errors import Forbidden, TokenRevoked, Unauthenticated
from repomesh.kernel.identity import SYSTEM_TOKEN_ID, Caller, Role, system_caller
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.store.base import Store
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

# How long a caller is cached, by whether other servers share the database. One of them may revoke a token: it
# is then refused here after this time at the latest, and in a write at once, because each write checks its
# token again. A server alone on its database calls `forget` on every change of access.
_CACHED_S = {True: 0.5, False: 60.0}
_CACHED_CALLERS_MAX = 10_000


_AGENT_REF = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS_MAX - 1}}}")


class Authenticator:
    """Turns a bearer token and an optional agent name into a Caller."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache: OrderedDict[tuple[str, str | None], tuple[float, Caller]] = OrderedDict()
        self._generation = 0

    async def __call__(self, authorization: str | None, agent: str | None = None) -> Caller:
        """The caller behind an Authorization header, acting as `agent` (name or id) if given.

        Raises AgentNotFound and what `identify` raises.
        """
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthenticated("the request carries no bearer token")
        key = (tokens.digest(secret.strip()), agent or None)
        cached = self._cache.get(key)
        if cached is not None and cached[0] > time.monotonic() and not self._is_over(cached[1]):
            return cached[1]
        if agent and _AGENT_REF.fullmatch(agent) is None:
            raise AgentNotFound("there is no agent of the name in X-Repomesh-Agent: it is no agent's name")
        generation = self._generation
        caller = await self._store.read(
            system_caller(""), lambda tx: identify(tx, secret.strip(), agent or None)
        )
        if generation != self._generation:  # access changed during the read: do not cache
            return caller
        self._cache[key] = (time.monotonic() + _CACHED_S[self._store.shared], caller)
        if len(self._cache) > _CACHED_CALLERS_MAX:
            self._cache.popitem(last=False)
        return caller

    def _is_over(self, caller: Caller) -> bool:
        return tokens.is_over(caller.expires_at, self._store.clock())

    def forget(self) -> None:
        """Clear the cache, because somebody's access changed."""
        self._generation += 1
        self._cache.clear()


_LIVE = PreparedStatement(
    select(
        token_rows.c.expires_at,
        select(agents.c.name).where(agents.c.id == bindparam("agent")).scalar_subquery().label("agent_name"),
    )
    .join(workspaces, workspaces.c.id == token_rows.c.workspace_id)
    .where(token_rows.c.id == bindparam("id"))
    .where(token_rows.c.revoked_at.is_(None), workspaces.c.removed_at.is_(None))
)


def verify(tx: Transaction) -> None:
    """Check the caller's token again, and give the caller the present name of its agent.

    It may have been renamed since the caller was identified. Raises TokenRevoked and TokenExpired.
    """
    caller = tx.caller
    if caller.token_id == SYSTEM_TOKEN_ID:
        return
    rows = tx.read_cached(_LIVE, {"id": caller.token_id, "agent": caller.agent_id})
    if not rows:
        raise TokenRevoked("the token was revoked")
    tokens.require_time(rows[0].expires_at, tx.now)
    if caller.agent_name != rows[0].agent_name:
        tx.caller = replace(caller, agent_name=rows[0].agent_name)


def identify(tx: Transaction, secret: str, agent: str | None) -> Caller:
    """The caller behind a secret, acting as `agent` (name or id) if given.

    Raises Unauthenticated for an unknown secret; TokenRevoked, TokenExpired, InstanceReplaced or
    InstanceEnded for one that is no longer valid; Forbidden when the token may not speak for `agent`;
    AgentNotFound and AgentRetired.
    """
    try:
        token = tokens.find(tx, secret)
    except Unauthenticated:
        _raise_why_ended(tx, secret)
        raise
    caller = Caller(
        workspace_id=token.workspace_id,
        role=Role(token.role),
        token_id=token.id,
        instance_id=token.instance_id,
        home=token.home,
        scopes=None if token.scopes is None else frozenset(token.scopes),
        expires_at=token.expires_at,
    )
    tx.workspace_id = token.workspace_id
    if token.agent_id is not None:
        row = tx.execute(select(agents).where(agents.c.id == token.agent_id)).one()
        if agent not in (None, row.name, row.id) and not _names_agent(tx, row, agent):
            raise Forbidden(
                f"this token speaks for '{row.name}' only, not for '{agent}'",
                hint="Leave X-Repomesh-Agent out, or use the owner's token.",
            )
        return replace(caller, agent_id=row.id, agent_name=row.name, agent_type=row.type)
    if agent is None:
        return caller
    if caller.role is not Role.OWNER:
        raise Forbidden(f"a token of role '{caller.role}' can't act as an agent")
    acting = find_agent(tx, agent)
    if acting.status == "retired":
        raise AgentRetired(f"the agent '{acting.name}' is retired")
    return replace(caller, agent_id=acting.id, agent_name=acting.name, agent_type=acting.type)


def _names_agent(tx: Transaction, row: Row[Any], name: str) -> bool:
    """Whether a name reaches the agent in a row, in whatever case it is written."""
    agent = find_by_name(tx, name)
    return agent is not None and agent.id == row.id


def _raise_why_ended(tx: Transaction, secret: str) -> None:
    """Raise the reason when the secret was valid once: TokenRevoked, a subclass of it, or TokenExpired."""
    its_instance = and_(
        instances.c.workspace_id == token_rows.c.workspace_id,
        instances.c.agent_id == token_rows.c.agent_id,
        instances.c.token_id == token_rows.c.id,
    )
    columns = instances.c.closed_reason, token_rows.c.expires_at
    statement = select(*columns).select_from(token_rows.outerjoin(instances, its_instance))
    row = tx.execute(statement.where(token_rows.c.hash == tokens.digest(secret))).one_or_none()
    if row is None:
        return
    if row.closed_reason == TAKEN_OVER:
        raise InstanceReplaced("another instance took over this agent")
    if row.closed_reason == SESSION_OVER:
        raise InstanceEnded("the CLI said that its session is over")
    tokens.require_time(row.expires_at, tx.now)
    raise TokenRevoked(f"the token was revoked: {row.closed_reason or 'by an administrator'}")
