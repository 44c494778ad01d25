"""Ends the connections and waits of a token as soon as it is revoked."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import orjson
import structlog

from repomesh.domains.workspaces.models import TOKEN_REVOKED
from repomesh.domains.workspaces.operations import home_workspace
from repomesh.kernel.errors import NoLongerAvailable, RepomeshError, TokenRevoked
from repomesh.kernel.identity import Caller, system_caller
from repomesh.store.base import Store
from repomesh.store.filters import filter_for
from repomesh.store.log import StoredEvent
from repomesh.store.tail import Tails

log = structlog.get_logger("repomesh.revocations")

T = TypeVar("T")

Cut = Callable[[], None]
"""Ends a socket, a stream or a wait; called on the event loop, at most once."""

_POLL_S = 60.0  # bounds one wait for events
_AGAIN_AFTER_S = 1.0  # before a store that does not answer is tried again
_REMEMBERED_MAX = 1_000  # recent revocations, for requests that were authenticated just before


class Revocations:
    """Follows each workspace's log for revoked tokens, from the first watch of that workspace on.

    Removing a workspace revokes its tokens in the log of the server's home workspace, which is followed, too.
    """

    def __init__(self, tails: Tails, store: Store) -> None:
        self._tails = tails
        self._store = store
        self._home_id: str | None = None
        self._cuts: defaultdict[str, set[Cut]] = defaultdict(set)
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._followers: dict[str, tuple[asyncio.Event, asyncio.Task[None]]] = {}

    @asynccontextmanager
    async def watch(self, caller: Caller, cut: Cut) -> AsyncIterator[None]:
        """Call `cut` inside the block as soon as the caller's token is revoked."""
        await self._ensure_follower(caller.workspace_id)
        await self._ensure_follower(await self._home())
        if caller.token_id in self._recent:
            cut()
        self._cuts[caller.token_id].add(cut)
        try:
            yield
        finally:
            remaining = self._cuts[caller.token_id]
            remaining.discard(cut)
            if not remaining:
                del self._cuts[caller.token_id]

    async def while_valid(self, caller: Caller, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of `work`; raises TokenRevoked as soon as the caller's token is revoked."""
        revoked = False

        def cut() -> None:
            nonlocal revoked
            revoked = True
            task.cancel()

        task = asyncio.ensure_future(work())
        try:
            async with self.watch(caller, cut):
                return await task
        except asyncio.CancelledError:
            if revoked:
                raise TokenRevoked("the token was revoked") from None
            raise
        finally:
            task.cancel()

    async def stop(self) -> None:
        """Stop following the logs."""
        for _ready, task in self._followers.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._followers.clear()

    async def _home(self) -> str:
        if self._home_id is None:
            home = await self._store.read(system_caller(""), home_workspace)
            assert home is not None, "a server is opened with its home workspace"
            self._home_id = home.id
        return self._home_id

    async def _ensure_follower(self, workspace_id: str) -> None:
        follower = self._followers.get(workspace_id)
        if follower is None:
            ready = asyncio.Event()
            task = asyncio.create_task(self._follow(workspace_id, ready), name=f"revocations {workspace_id}")
            follower = self._followers[workspace_id] = ready, task
        if not follower[0].is_set():
            await follower[0].wait()

    async def _follow(self, workspace_id: str, ready: asyncio.Event) -> None:
        event_filter = filter_for(system_caller(workspace_id), types=(TOKEN_REVOKED,))
        after: int | None = None
        while True:
            try:
                async with self._tails.subscribe(event_filter, after) as subscription:
                    ready.set()
                    after = subscription.position
                    while True:
                        self._cut_revoked(await subscription.next(_POLL_S))
                        after = subscription.position
            except RepomeshError as error:
                log.warning("revocations wait", workspace_id=workspace_id, reason=error.message)
                after = None if isinstance(error, NoLongerAvailable) else after
                await asyncio.sleep(_AGAIN_AFTER_S)
            except Exception:  # revoked tokens would stay in use if this task ended
                log.exception("revocations failed, and go on", workspace_id=workspace_id)
                await asyncio.sleep(_AGAIN_AFTER_S)

    def _cut_revoked(self, events: list[StoredEvent]) -> None:
        for event in events:
            try:
                token_id = orjson.loads(event.json)["data"]["token_id"]
            except (ValueError, KeyError, TypeError):  # a retry would not help
                log.exception("revocation skipped", event_id=event.id, seq=event.seq)
                continue
            self._recent[token_id] = None
            if len(self._recent) > _REMEMBERED_MAX:
                self._recent.popitem(last=False)
            for cut in tuple(self._cuts.get(token_id, ())):
                _run_cut(cut, token_id)


def _run_cut(cut: Cut, token_id: str) -> None:
    try:
        cut()
    except Exception:  # the token's other connections must be cut in any case
        log.exception("a connection was not cut", token_id=token_id)
