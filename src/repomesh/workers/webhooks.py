"""Webhooks: reads the log for each subscription and sends what it wants, at least once each.

Where a subscription stands and what it has still to deliver are rows, so that nothing is lost with the
process. Each is served by one task of one process at a time, in the order of the log as long as all goes
well; a slow receiver holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from repomesh.bus.bell import Bell
from repomesh.bus.port import Bus
from repomesh.domains.webhooks.sending import Found, Ready, look, ready
from repomesh.domains.webhooks.sending_models import (
    Outcome,
    SettledWebhook,
    SettleWebhook,
    TakenWebhook,
    TakeWebhook,
)
from repomesh.kernel import limits
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store
from repomesh.workers.webhook_sender import Sender

log = structlog.get_logger("repomesh.webhooks")


@dataclass(slots=True)
class _Seen:
    """How far the log was looked at without a match, beyond the position that is written down."""

    position: int
    upto: int
    noted_at: float


class Webhooks:
    """Serves the webhooks of all workspaces: when the log grows, and when a retry is due."""

    def __init__(
        self, registry: Registry, dispatch: Dispatcher, store: Store, bus: Bus, sender: Sender
    ) -> None:
        self.holder = new_id()
        self._take = registry["webhook.take"]
        self._settle = registry["webhook.settle"]
        self._dispatch = dispatch
        self._store = store
        self._sender = sender
        self._bell = Bell()
        self._any = True
        self._seen: dict[str, _Seen] = {}
        self._serving: dict[str, asyncio.Task[bool]] = {}
        self._once_more: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        bus.subscribe(self._hint)

    def start(self) -> None:
        """Begin on the running loop."""
        self._task = asyncio.create_task(self._run(), name="webhooks")

    def wake(self) -> None:
        """Look now."""
        self._bell.ring()

    async def stop(self) -> None:
        """Cut the attempts under way, and write down what came of those before."""
        tasks = [task for task in (self._task, *self._serving.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()

    def _hint(self, _workspace_id: str, _seq: int) -> None:
        if self._any:  # without a webhook a growing log is nothing to wake for
            self._bell.ring()

    async def _run(self) -> None:
        while True:
            try:
                await self._pass()
            except Exception as error:  # the store may fail in ways of its own; the next pass may not
                log.warning("webhooks wait", reason=str(error))
            await self._bell.wait(limits.LOG_POLL_S)
            await asyncio.sleep(limits.WEBHOOK_GATHER_S)

    async def _pass(self) -> None:
        """Have those served that have something to do, as far as there is room."""
        found = await self._store.read(system_caller(""), ready)
        self._any = bool(found or self._serving)
        for webhook in found:
            if len(self._serving) >= limits.WEBHOOK_SENDERS_MAX:
                return
            if not (webhook.due or self._after(webhook) < webhook.last_seq):
                continue
            if webhook.id in self._serving:
                self._once_more.add(webhook.id)
            else:
                task = asyncio.create_task(self._serve(webhook), name=f"webhook {webhook.id}")
                self._serving[webhook.id] = task
                task.add_done_callback(partial(self._served, webhook.id))

    def _served(self, webhook_id: str, task: asyncio.Task[bool]) -> None:
        del self._serving[webhook_id]
        more = not task.cancelled() and task.result()
        if more or webhook_id in self._once_more:
            self._once_more.discard(webhook_id)
            self._bell.ring()

    async def _serve(self, webhook: Ready) -> bool:
        """Send what a webhook is to receive; whether there may be more. It is somebody else's turn first."""
        try:
            return await self._rounds(webhook)
        except RepomeshError as error:
            log.warning("webhook waits", webhook_id=webhook.id, code=error.code, reason=error.message)
            await asyncio.sleep(limits.LOG_POLL_S)
        except Exception:  # whatever it was with this one, the others go on
            log.exception("webhook failed, and will be tried again", webhook_id=webhook.id)
            await asyncio.sleep(limits.LOG_POLL_S)
        return True

    async def _rounds(self, webhook: Ready) -> bool:
        for _ in range(limits.WEBHOOK_ROUNDS):
            if not await self._round(webhook):
                return False
            again = await self._store.read(system_caller(""), partial(ready, webhook_id=webhook.id))
            if not again:
                return False
            webhook = again[0]
        return True

    async def _round(self, webhook: Ready) -> bool:
        """Take what is to be sent and send it; whether there may be more."""
        after = self._after(webhook)
        caller = system_caller(webhook.workspace_id)
        found = Found((), after, None)
        if after < webhook.last_seq:
            found = await self._store.read(caller, lambda tx: look(tx, webhook, after))
        if not (webhook.due or found.deliveries or found.missed_before or self._is_late(webhook, found.upto)):
            return found.upto < webhook.last_seq
        request = TakeWebhook(
            webhook_id=webhook.id,
            holder=self.holder,
            position=webhook.position,
            upto=found.upto,
            missed_before=found.missed_before,
            deliveries=found.deliveries,
        )
        taken = (await self._dispatch(self._take, caller, request, RequestContext())).result
        assert isinstance(taken, TakenWebhook)
        self._seen.pop(webhook.id, None)
        if taken.full:  # what is due will make room
            await asyncio.sleep(limits.LOG_POLL_S)
        if taken.deliveries:
            await self._send(webhook, taken)
        if len(taken.deliveries) < limits.WEBHOOK_BATCH:
            await asyncio.sleep(limits.WEBHOOK_GATHER_S)
        return bool(taken.deliveries) or (found.upto < webhook.last_seq and not taken.full)

    async def _send(self, webhook: Ready, taken: TakenWebhook) -> None:
        """Attempt what was taken, one after the other, and write down what came of it.

        A receiver that does not answer gets a rest, and with it what else is due.
        """
        loop = asyncio.get_running_loop()
        outcomes: list[Outcome] = []
        settled_at = loop.time()
        try:
            for delivery in taken.deliveries:
                outcomes.append(await self._sender.send(taken.url, taken.secrets, delivery))
                if not outcomes[-1].answered:
                    break
                if loop.time() - settled_at >= limits.WEBHOOK_SETTLE_EVERY_S:
                    goes_on = await self._settled(webhook, outcomes, release=False)
                    outcomes, settled_at = [], loop.time()
                    if not goes_on:
                        break
        finally:  # when it is cut, too: what is not written down is sent twice
            await self._settled(webhook, outcomes, release=True)

    async def _settled(self, webhook: Ready, outcomes: list[Outcome], *, release: bool) -> bool:
        """Write outcomes down; whether to go on with what was taken."""
        request = SettleWebhook(
            webhook_id=webhook.id, holder=self.holder, outcomes=tuple(outcomes), release=release
        )
        caller = system_caller(webhook.workspace_id)
        settled = (await self._dispatch(self._settle, caller, request, RequestContext())).result
        assert isinstance(settled, SettledWebhook)
        for outcome in outcomes:
            if outcome.error is not None:
                log.info("webhook not delivered", webhook_id=webhook.id, reason=outcome.error)
        if settled.dead:
            log.warning("dead letters", webhook_id=webhook.id, count=settled.dead)
        return settled.goes_on

    def _after(self, webhook: Ready) -> int:
        """Behind which event to look for more."""
        seen = self._seen.get(webhook.id)
        return seen.upto if seen is not None and seen.position == webhook.position else webhook.position

    def _is_late(self, webhook: Ready, upto: int) -> bool:
        """Whether to write down a position behind which nothing matched; till then it is kept here."""
        now = asyncio.get_running_loop().time()
        seen = self._seen.get(webhook.id)
        if seen is None or seen.position != webhook.position:
            self._seen[webhook.id] = _Seen(webhook.position, upto, now)
            return False
        seen.upto = upto
        return upto > webhook.position and now - seen.noted_at >= limits.WEBHOOK_POSITION_EVERY_S
