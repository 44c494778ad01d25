"""Webhooks: reads the log for each subscription and sends what it wants, at least once each.

Where a subscription stands and what it has still to deliver are rows, so that nothing is lost with the
process. Each is served by one task of one process at a time, in the order of the log as long as all goes
well; a slow receiver holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

import structlog

from repomesh.adapters.bus.port import Bus
from repomesh.domains.webhooks import rules
from repomesh.domains.webhooks.delivery_queue import (
    NOTHING_TAKEN,
    ReadyWebhook,
    WebhookEvents,
    read_events,
    ready,
    with_redactions,
)
from repomesh.domains.webhooks.delivery_queue_models import (
    AttemptOutcome,
    SettledWebhook,
    SettleWebhook,
    TakenWebhook,
    TakeWebhook,
)
from repomesh.jobs.job import Job
from repomesh.jobs.webhook_sender import WebhookSender
from repomesh.kernel import limits
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.webhooks")


@dataclass(slots=True)
class _Seen:
    """How far the log was looked at without a match, beyond the position that is written down."""

    position: int
    upto: int
    noted_at: float


@dataclass(slots=True)
class _Batch:
    """What was claimed for one webhook, and what came of it so far; without a claim nothing is to be sent."""

    webhook: ReadyWebhook
    claim_id: str
    claimed: TakenWebhook
    more: bool
    outcomes: list[AttemptOutcome] = field(default_factory=list)


class Webhooks(Job[ReadyWebhook, _Batch, None]):
    """Serves the webhooks of all workspaces: when the log grows, and when a retry is due."""

    name = "webhooks"

    def __init__(
        self, registry: Registry, dispatch: Dispatcher, store: Store, bus: Bus, sender: WebhookSender
    ) -> None:
        super().__init__(rules.POLICY, limits.LOG_POLL_S)
        self._take = registry["webhook.take"]
        self._settle = registry["webhook.settle"]
        self._dispatch = dispatch
        self._store = store
        self._sender = sender
        self._has_webhooks = True
        self._seen: dict[str, _Seen] = {}
        bus.subscribe(self._on_log_growth)

    async def stop(self) -> None:
        """Cut the attempts under way, and write down what came of those before."""
        await super().stop()
        await self._sender.close()

    def _on_log_growth(self, _workspace_id: str, _seq: int) -> None:
        if self._has_webhooks:  # without a webhook a growing log is nothing to wake for
            self.wake()

    async def _rest(self) -> None:
        await super()._rest()
        await asyncio.sleep(limits.WEBHOOK_GATHER_S)

    async def due(self) -> list[ReadyWebhook]:
        """The webhooks that nobody serves and that have something to do."""
        found = await self._store.read(system_caller(""), ready)
        self._has_webhooks = bool(found or self._working)
        return [webhook for webhook in found if webhook.due or self._after(webhook) < webhook.last_seq]

    def key(self, due: ReadyWebhook) -> str:
        """A webhook is served in the order of the log."""
        return due.id

    async def take(self, due: ReadyWebhook) -> _Batch | None:
        """Look at a piece of the log for a webhook, and claim what is to be sent now."""
        again = await self._store.read(system_caller(""), partial(ready, webhook_id=due.id))
        if not again:
            return None
        (webhook,) = again
        after = self._after(webhook)
        caller = system_caller(webhook.workspace_id)
        found = WebhookEvents((), after, None)
        if after < webhook.last_seq:
            found = await self._store.read(caller, lambda tx: read_events(tx, webhook, after))
        more = found.upto < webhook.last_seq
        changes = webhook.due or found.deliveries or found.missed_before or found.damaged
        if not (changes or self._must_write_position(webhook, found.upto)):
            return _Batch(webhook, "", NOTHING_TAKEN, more) if more else None
        request = TakeWebhook(
            webhook_id=webhook.id,
            claim_id=new_id(),
            position=webhook.position,
            upto=found.upto,
            missed_before=found.missed_before,
            damaged=found.damaged,
            deliveries=found.deliveries,
        )
        taken = (await self._dispatch(self._take, caller, request, RequestContext())).result
        assert isinstance(taken, TakenWebhook)
        self._seen.pop(webhook.id, None)
        return _Batch(webhook, request.claim_id, taken, more and not taken.full)

    async def effect(self, batch: _Batch) -> None:
        """Attempt what was taken, one after the other.

        What came of it is written down now and then. A receiver that does not answer gets a rest, and with it
        what else is due.
        """
        loop = asyncio.get_running_loop()
        caller = system_caller(batch.webhook.workspace_id)
        settled_at = loop.time()
        for delivery in batch.claimed.deliveries:
            [current] = await self._store.read(caller, partial(with_redactions, deliveries=[delivery]))
            outcome = await self._sender.send(batch.claimed.url, batch.claimed.secrets, current)
            batch.outcomes.append(outcome)
            if not outcome.receiver_available:
                return
            if loop.time() - settled_at >= limits.WEBHOOK_SETTLE_EVERY_S:
                settled_at = loop.time()
                if not await self._record(batch, release=False):
                    return

    async def settle(self, batch: _Batch, outcome: BaseException | None) -> bool:
        """Write down what came of the attempts, also when they were cut: else they are made twice."""
        claimed_count = len(batch.claimed.deliveries)
        if claimed_count:
            await self._record(batch, release=True)
        if outcome is not None:
            return False
        if batch.claimed.full:  # what is due will make room
            await asyncio.sleep(limits.LOG_POLL_S)
        if batch.claim_id and claimed_count < limits.WEBHOOK_BATCH:
            await asyncio.sleep(limits.WEBHOOK_GATHER_S)
        return bool(claimed_count) or batch.more

    async def _record(self, batch: _Batch, *, release: bool) -> bool:
        """Write outcomes down; answers whether to go on with what was taken."""
        outcomes, batch.outcomes = batch.outcomes, []
        webhook = batch.webhook
        request = SettleWebhook(
            webhook_id=webhook.id, claim_id=batch.claim_id, outcomes=tuple(outcomes), release=release
        )
        caller = system_caller(webhook.workspace_id)
        settled = (await self._dispatch(self._settle, caller, request, RequestContext())).result
        assert isinstance(settled, SettledWebhook)
        for outcome in outcomes:
            if outcome.error is not None:
                log.info("webhook not delivered", webhook_id=webhook.id, reason=outcome.error)
        if settled.dead:
            log.warning("dead letters", webhook_id=webhook.id, count=settled.dead)
        return settled.claim_holds

    def _after(self, webhook: ReadyWebhook) -> int:
        """Behind which event to look for more."""
        seen = self._seen.get(webhook.id)
        return seen.upto if seen is not None and seen.position == webhook.position else webhook.position

    def _must_write_position(self, webhook: ReadyWebhook, upto: int) -> bool:
        """Note in memory up to where nothing matched; whether it is time to write that down."""
        now = asyncio.get_running_loop().time()
        seen = self._seen.get(webhook.id)
        if seen is None or seen.position != webhook.position:
            self._seen[webhook.id] = _Seen(webhook.position, upto, now)
            return False
        seen.upto = upto
        return upto > webhook.position and now - seen.noted_at >= limits.WEBHOOK_POSITION_EVERY_S
