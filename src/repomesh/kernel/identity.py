"""Roles, scopes, and the caller that the server stamps on every request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from repomesh.kernel.errors import AgentRequired, Forbidden


class Role(StrEnum):
    """What a token is for."""

    OWNER = "owner"
    AGENT = "agent"
    OBSERVER = "observer"


# A scope is 'area:right'; a role holds every scope with one of its rights.
_RIGHTS: dict[Role, frozenset[str]] = {
    Role.OWNER: frozenset({"read", "write", "admin"}),
    Role.AGENT: frozenset({"read", "write"}),
    Role.OBSERVER: frozenset({"read"}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request and the agent that it acts as, both stamped by the server."""

    workspace_id: str
    role: Role
    token_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    agent_type: str | None = None
    instance_id: str | None = None
    # The home workspace's owner also administers the server: its workspaces and metrics.
    home: bool = False
    scopes: frozenset[str] | None = None
    """The scopes to which the token was narrowed; None for all that its role holds."""
    expires_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the caller acts with the workspace owner's rights."""
        return self.role is Role.OWNER

    @property
    def actor_id(self) -> str:
        """The agent whose shares of the server a call uses, or the token of a caller without one."""
        return self.agent_id or self.token_id

    @property
    def principal(self) -> str:
        """Who is accountable, as written in every event: the role and the token's id."""
        return f"{self.role}:{self.token_id}"

    def holds(self, scope: str) -> bool:
        """Whether the caller's role, and its token's own scopes where it has any, hold `scope`."""
        if not role_holds(self.role, scope):
            return False
        return self.scopes is None or not self.scopes.isdisjoint((scope, in_every_area(scope)))

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the caller holds `scope`."""
        if not role_holds(self.role, scope):
            raise Forbidden(f"a token of role '{self.role}' does not hold the scope '{scope}'")
        if not self.holds(scope):
            token_scopes = ", ".join(sorted(self.scopes or ()))
            raise Forbidden(
                f"this token does not hold the scope '{scope}'; it holds {token_scopes}",
                hint=f"Use another token, or make one: repomesh token create --scopes {scope},…",
            )
        if scope == "server:admin" and not self.home:
            raise Forbidden(
                "only the owner of the server's home workspace administers the server",
                hint="Use the owner's token of the workspace in which 'repomesh up' was started.",
            )

    def with_all_scopes(self) -> Caller:
        """The caller with every scope of its role, for what the server does by itself on its behalf."""
        return self if self.scopes is None else replace(self, scopes=None)

    def acting_agent(self) -> str:
        """The id of the agent that acts; raises AgentRequired when the request names none."""
        if self.agent_id is None:
            raise AgentRequired("this needs an acting agent, and the request names none")
        return self.agent_id


def role_holds(role: Role, scope: str) -> bool:
    """Whether a role holds a scope: whether it has the right that the scope ends with."""
    return scope.rpartition(":")[2] in _RIGHTS[role]


def in_every_area(scope: str) -> str:
    """The scope that holds the right of `scope` in every area: '*:read' of 'tasks:read'."""
    return f"*:{scope.rpartition(':')[2]}"


SYSTEM_TOKEN_ID = "system"


def system_caller(workspace_id: str) -> Caller:
    """The caller as which workers and start-up act: the server itself."""
    return Caller(workspace_id, Role.OWNER, SYSTEM_TOKEN_ID)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What comes with a request besides its payload, on any surface.

    `gone` returns when the caller has disconnected; without it the caller counts as connected to the end.
    `token_caller` is the caller whose token the request carried, where it speaks as another one through a
    session: a wait ends when either token is revoked. `extra_query` is a function of the transaction, run
    after the operation in the same one; its result is the answer's `extra_result`.
    """

    trace_id: str = ""
    traceparent: str | None = None
    correlation_id: str | None = None
    idempotency_key: str | None = None
    if_match: int | None = None
    gone: Callable[[], Awaitable[object]] | None = None
    token_caller: Caller | None = None
    extra_query: Callable[[Any], Any] | None = None
