"""Webhooks: reads the log for each subscription and sends its events, each at least once.

A subscription's position and its pending deliveries are rows, so that nothing is lost with the process. Each
is served by one task of one process at a time, in the order of the log unless attempts fail; a slow receiver
delays no other.
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
    ClaimDeliveries,
    ClaimedDeliveries,
    SettledWebhook,
    SettleWebhook,
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
class _ScannedRange:
    """How far the log was read without a match, beyond the recorded `position`."""

    position: int
    upto: int
    began_at: float


@dataclass(slots=True)
class _ClaimedBatch:
    """The deliveries claimed for one webhook, and their outcomes so far; none without `claim_id`."""

    webhook: ReadyWebhook
    claim_id: str
    claimed: ClaimedDeliveries
    more: bool
    outcomes: list[AttemptOutcome] = field(default_factory=list)


class WebhookDeliveryJob(Job[ReadyWebhook, _ClaimedBatch, None]):
    """Serves the webhooks of all workspaces: when the log grows, and when a retry is due."""

    name = "webhooks"

    def __init__(
        self, registry: Registry, dispatch: Dispatcher, store: Store, bus: Bus, sender: WebhookSender
    ) -> None:
        super().__init__(rules.POLICY, limits.LOG_POLL_S)
        self._claim_operation = registry["webhook.claim"]
        self._settle_operation = registry["webhook.settle"]
        self._dispatch = dispatch
        self._store = store
        self._sender = sender
        self._has_ready_webhooks = True
        self._scanned: dict[str, _ScannedRange] = {}
        bus.subscribe(self._on_log_growth)

    async def stop(self) -> None:
        """Cancel the attempts under way, and record the outcomes of those before."""
        await super().stop()
        await self._sender.close()

    def _on_log_growth(self, _workspace_id: str, _seq: int) -> None:
        if self._has_ready_webhooks:  # without a webhook a growing log is nothing to wake for
            self.wake()

    async def _wait_for_next_pass(self) -> None:
        await super()._wait_for_next_pass()
        await asyncio.sleep(limits.WEBHOOK_GATHER_S)

    async def due(self) -> list[ReadyWebhook]:
        """The webhooks that no process serves and that have deliveries due or events to read."""
        webhooks = await self._store.read(system_caller(""), ready)
        self._has_ready_webhooks = bool(webhooks or self._working)
        return [
            webhook
            for webhook in webhooks
            if webhook.has_due_deliveries or self._scanned_upto(webhook) < webhook.last_seq
        ]

    def key(self, due: ReadyWebhook) -> str:
        """The webhook's id: a webhook is served by one task, in the order of the log."""
        return due.id

    async def take(self, due: ReadyWebhook) -> _ClaimedBatch | None:
        """Read a part of the log for a webhook, and claim the deliveries that are to be sent now."""
        current = await self._store.read(system_caller(""), partial(ready, webhook_id=due.id))
        if not current:
            return None
        (webhook,) = current
        after = self._scanned_upto(webhook)
        caller = system_caller(webhook.workspace_id)
        log_part = WebhookEvents((), after, None)
        if after < webhook.last_seq:
            log_part = await self._store.read(caller, lambda tx: read_events(tx, webhook, after))
        has_more = log_part.upto < webhook.last_seq
        changes = (
            webhook.has_due_deliveries or log_part.deliveries or log_part.missed_before or log_part.damaged
        )
        if not (changes or self._note_scanned(webhook, log_part.upto)):
            return _ClaimedBatch(webhook, "", NOTHING_TAKEN, has_more) if has_more else None
        request = ClaimDeliveries(
            webhook_id=webhook.id,
            claim_id=new_id(),
            position=webhook.position,
            upto=log_part.upto,
            missed_before=log_part.missed_before,
            damaged=log_part.damaged,
            deliveries=log_part.deliveries,
        )
        claimed = (await self._dispatch(self._claim_operation, caller, request, RequestContext())).result
        assert isinstance(claimed, ClaimedDeliveries)
        self._scanned.pop(webhook.id, None)
        return _ClaimedBatch(webhook, request.claim_id, claimed, has_more and not claimed.full)

    async def effect(self, batch: _ClaimedBatch) -> None:
        """Attempt the claimed deliveries, one after the other.

        Outcomes are recorded at intervals. After an attempt that the receiver does not answer, the remaining
        deliveries wait, too.
        """
        loop = asyncio.get_running_loop()
        caller = system_caller(batch.webhook.workspace_id)
        settled_at = loop.time()
        for delivery in batch.claimed.deliveries:
            [current_delivery] = await self._store.read(
                caller, partial(with_redactions, deliveries=[delivery])
            )
            outcome = await self._sender.send(batch.claimed.url, batch.claimed.secrets, current_delivery)
            batch.outcomes.append(outcome)
            if not outcome.receiver_available:
                return
            if loop.time() - settled_at >= limits.WEBHOOK_SETTLE_EVERY_S:
                settled_at = loop.time()
                if not await self._record(batch, release=False):
                    return

    async def settle(self, batch: _ClaimedBatch, outcome: BaseException | None) -> bool:
        """Record the outcomes of the attempts, also after a cancellation: else they are made twice."""
        claimed_count = len(batch.claimed.deliveries)
        if claimed_count:
            await self._record(batch, release=True)
        if outcome is not None:
            return False
        if batch.claimed.full:  # the queue gets room by the deliveries that are due
            await asyncio.sleep(limits.LOG_POLL_S)
        if batch.claim_id and claimed_count < limits.WEBHOOK_BATCH:
            await asyncio.sleep(limits.WEBHOOK_GATHER_S)
        return bool(claimed_count) or batch.more

    async def _record(self, batch: _ClaimedBatch, *, release: bool) -> bool:
        """Record outcomes; returns whether the claim still holds."""
        outcomes, batch.outcomes = batch.outcomes, []
        webhook = batch.webhook
        request = SettleWebhook(
            webhook_id=webhook.id, claim_id=batch.claim_id, outcomes=tuple(outcomes), release=release
        )
        caller = system_caller(webhook.workspace_id)
        settled = (await self._dispatch(self._settle_operation, caller, request, RequestContext())).result
        assert isinstance(settled, SettledWebhook)
        for outcome in outcomes:
            if outcome.error is not None:
                log.info("webhook not delivered", webhook_id=webhook.id, reason=outcome.error)
        if settled.dead:
            log.warning("dead letters", webhook_id=webhook.id, count=settled.dead)
        return settled.claim_holds

    def _scanned_upto(self, webhook: ReadyWebhook) -> int:
        """The number of the last event that was read for a webhook."""
        scanned = self._scanned.get(webhook.id)
        return (
            scanned.upto if scanned is not None and scanned.position == webhook.position else webhook.position
        )

    def _note_scanned(self, webhook: ReadyWebhook, upto: int) -> bool:
        """Note in memory that nothing matched up to `upto`; returns whether to record that now."""
        now = asyncio.get_running_loop().time()
        scanned = self._scanned.get(webhook.id)
        if scanned is None or scanned.position != webhook.position:
            self._scanned[webhook.id] = _ScannedRange(webhook.position, upto, now)
            return False
        scanned.upto = upto
        return upto > webhook.position and now - scanned.began_at >= limits.WEBHOOK_POSITION_EVERY_S
