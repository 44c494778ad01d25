"""The gateway of every surface to the operations: `Gateway.call` is the one way to run them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from repomesh.domains.agents.authentication import Authenticator
from repomesh.kernel import limits
from repomesh.kernel.computing import CallerTurns
from repomesh.kernel.dispatch import Dispatcher, OperationResult
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.large_bodies import LargeBodies
from repomesh.kernel.operation import Operation, Payload, Registry
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store.base import Store
from repomesh.store.tail import Tails
from repomesh.surfaces.revocations import Revocations


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials of a request: its Authorization, and the agent that it names to act."""

    authorization: str | None
    agent: str | None = None


def _answer_turns() -> CallerTurns:
    return CallerTurns(limits.ANSWERS_PER_CALLER, limits.ANSWERS_WAITING_MAX, "reads")


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running server that its surfaces use."""

    registry: Registry
    dispatch: Dispatcher
    authenticate: Authenticator
    tails: Tails
    revocations: Revocations
    store: Store
    settings: Settings
    metrics: Metrics
    version: str
    bodies: LargeBodies = field(default_factory=LargeBodies)
    answers: CallerTurns = field(default_factory=_answer_turns)

    async def call(
        self,
        operation: Operation | str,
        credentials: Credentials | Caller,
        payload: Payload,
        context: RequestContext,
    ) -> OperationResult:
        """Authenticate, run an operation and return its answer.

        `credentials` is a Caller where the surface has authenticated already. A blocking operation ends
        when its caller's token is revoked, and when the context's `gone` returns. Raises only
        RepomeshError: Unauthenticated or Forbidden for the credentials, TokenRevoked or Unavailable for a
        blocking call that ended so, and the operation's own errors.
        """
        if isinstance(operation, str):
            operation = self.registry[operation]
        if isinstance(credentials, Credentials):
            credentials = await self.authenticate(credentials.authorization, credentials.agent)
        if operation.blocking is None:
            return await self.dispatch(operation, credentials, payload, context)
        run = partial(self.dispatch, operation, credentials, payload, context)
        work = partial(self.revocations.while_valid, credentials, run)
        if context.token_caller is not None and context.token_caller.token_id != credentials.token_id:
            work = partial(self.revocations.while_valid, context.token_caller, work)
        return await _until_gone(work, context.gone)


async def _until_gone(
    work: Callable[[], Coroutine[Any, Any, OperationResult]], gone: Callable[[], Awaitable[object]] | None
) -> OperationResult:
    """Return the answer of `work`; cancels it and raises Unavailable when `gone` returns first."""
    if gone is None:
        return await work()
    work_task = asyncio.ensure_future(work())
    gone_task = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({work_task, gone_task}, return_when=asyncio.FIRST_COMPLETED)
        if work_task.done():
            return work_task.result()
        raise Unavailable("nobody waits for the answer: the client left, or the server is stopping")
    finally:
        for task in (work_task, gone_task):
            task.cancel()
        await asyncio.gather(work_task, gone_task, return_exceptions=True)
