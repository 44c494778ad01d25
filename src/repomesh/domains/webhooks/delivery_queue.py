"""The queue that the worker reads: the deliveries that are due, and the outcomes of their attempts.

A webhook is served by one process at a time: the process that takes it has a claim, which expires by itself.
A delivery that was taken and not settled is sent again, under the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, and_, bindparam, exists, insert, or_, select, update

from repomesh.domains.webhooks import rows, rules
from repomesh.domains.webhooks.delivery_queue_models import (
    AttemptOutcome,
    ClaimDeliveries,
    ClaimedDeliveries,
    DueDelivery,
    PlannedDelivery,
    SettledWebhook,
    SettleWebhook,
)
from repomesh.domains.webhooks.models import (
    WEBHOOK_DEAD_LETTERED,
    WEBHOOK_MISSED,
    WEBHOOK_TESTED,
    WebhookDeadLettered,
    WebhookMissed,
)
from repomesh.domains.webhooks.tables import webhook_deliveries, webhooks
from repomesh.domains.workspaces.tables import workspaces
from repomesh.kernel import limits
from repomesh.kernel.errors import DamagedRecord, NoLongerAvailable
from repomesh.kernel.identity import SYSTEM_TOKEN_ID, Caller, Role
from repomesh.kernel.operation import command
from repomesh.store.damage import convert_readable, note_damage
from repomesh.store.filters import EventFilter, LogSlice, filter_for, read_matching
from repomesh.store.log import (
    NewEvent,
    StoredEvent,
    bounds,
    cloud_event,
    event_data,
    event_fields,
    event_name,
    fields_of,
)
from repomesh.store.prepared import PreparedStatement
from repomesh.store.redacting import redacted_rows
from repomesh.store.tables import counters
from repomesh.store.transaction import Transaction

_delivery = webhook_deliveries.c
_PLAN = PreparedStatement(insert(webhook_deliveries))
_DUE = PreparedStatement(
    select(_delivery.id, _delivery.event_id, _delivery.seq, _delivery.attempts, _delivery.body)
    .where(
        _delivery.webhook_id == bindparam("webhook"),
        _delivery.status == "waiting",
        _delivery.next_at <= bindparam("now"),
    )
    .order_by(_delivery.next_at, _delivery.seq)
    .limit(bindparam("count"))
)
_attempted = (
    update(webhook_deliveries)
    .where(
        _delivery.id == bindparam("delivery"),
        _delivery.status == "waiting",
        _delivery.attempts == bindparam("attempts_before"),
    )
    .values(
        attempts=_delivery.attempts + 1,
        last_at=bindparam("now"),
        last_status=bindparam("status_answered"),
        last_error=bindparam("error"),
        response=bindparam("excerpt"),
        next_at=bindparam("again_at"),
        forget_at=bindparam("forgotten_at"),
    )
)
_DELIVERED = PreparedStatement(_attempted.values(status="delivered", ended_at=bindparam("now"), body=None))
_DEAD = PreparedStatement(_attempted.values(status="dead", ended_at=bindparam("now")))
_TO_RETRY = PreparedStatement(_attempted)
NOTHING_TAKEN = ClaimedDeliveries(url="", secrets=[], deliveries=[])
_GONE = 410
_DAMAGED = "its row can't be read"


@dataclass(frozen=True, slots=True)
class ReadyWebhook:
    """An active webhook that nobody serves now."""

    id: str
    workspace_id: str
    agent_id: str | None
    types: tuple[str, ...]
    position: int
    last_seq: int
    has_due_deliveries: bool


@dataclass(frozen=True, slots=True)
class WebhookEvents:
    """The events of a slice of the log for a webhook.

    `missed_before` is the log's oldest `seq` if events before it are gone, `damaged` the `seq` of each event
    that can't be read.
    """

    deliveries: tuple[PlannedDelivery, ...]
    upto: int
    missed_before: int | None
    damaged: tuple[int, ...] = ()


def ready(tx: Transaction, webhook_id: str | None = None) -> list[ReadyWebhook]:
    """The webhooks of all workspaces, or one of them, that can be served now; least recently served first."""
    table = webhooks.c
    is_due = _delivery.status == "waiting", _delivery.next_at <= tx.now
    due = exists().where(_delivery.webhook_id == table.id, *is_due)
    statement = (
        select(webhooks, counters.c.last_seq, due.label("due"))
        .join(counters, counters.c.workspace_id == table.workspace_id)
        .join(workspaces, and_(workspaces.c.id == table.workspace_id, workspaces.c.removed_at.is_(None)))
        .where(table.status == "active", _is_over(table.claimed_until, tx), _is_over(table.rests_until, tx))
        .order_by(table.claimed_until.asc().nulls_first(), table.id)
    )
    if webhook_id is not None:
        statement = statement.where(table.id == webhook_id)
    return convert_readable(tx, tx.execute(statement), _as_ready, lambda row: rows.subject(row.id))


def _as_ready(row: Row[Any]) -> ReadyWebhook:
    types = tuple(row.types)
    return ReadyWebhook(
        row.id, row.workspace_id, row.agent_id, types, row.position, row.last_seq, bool(row.due)
    )


def read_events(tx: Transaction, webhook: ReadyWebhook, after: int) -> WebhookEvents:
    """Read a bounded slice of the log behind `after`, with each event for the webhook as it will be sent."""
    event_filter = _event_filter(webhook)
    missed_before = None
    try:
        log_slice = _read_log(tx, event_filter, after)
    except NoLongerAvailable:
        missed_before, _last = bounds(tx.connection, webhook.workspace_id)
        log_slice = _read_log(tx, event_filter, missed_before - 1)
    planned: list[PlannedDelivery] = []
    chars, upto = 0, log_slice.upto
    for event in log_slice.events:
        if chars >= limits.WEBHOOK_PLANNED_CHARS_MAX:
            upto = event.seq - 1
            break
        fields = fields_of(event)
        if _is_sent_to(webhook.id, event, fields["subject"]):
            body = orjson.dumps(cloud_event(fields, webhook.workspace_id)).decode()
            planned.append(PlannedDelivery(event_id=event.id, seq=event.seq, type=event.type, body=body))
            chars += len(body)
    damaged = tuple(seq for seq in log_slice.damaged if seq <= upto)
    return WebhookEvents(tuple(planned), upto, missed_before, damaged)


@command("webhook.claim", scope="webhooks:admin")
def enqueue_and_claim(tx: Transaction, request: ClaimDeliveries) -> ClaimedDeliveries:
    """Create deliveries of the events that were found, and claim those that are due, oldest first.

    Nothing is taken when another process was faster, or when the webhook is no longer to be served.
    """
    row = tx.execute(select(webhooks).where(webhooks.c.id == request.webhook_id)).one_or_none()
    if row is None or row.status != "active" or row.position != request.position:
        return NOTHING_TAKEN
    if any(until is not None and until > tx.now for until in (row.claimed_until, row.rests_until)):
        return NOTHING_TAKEN
    full = bool(request.deliveries) and rows.count(tx, row.id, "waiting") >= limits.WEBHOOK_WAITING_MAX
    columns: dict[str, Any] = {}
    if request.upto > row.position and not full:
        _enqueue_deliveries(tx, row, request)
        columns["position"] = request.upto
    deliveries = _read_due_deliveries(tx, row.id)
    if deliveries:
        claimed_until = tx.now + timedelta(seconds=limits.WEBHOOK_CLAIM_S)
        columns |= {"claimed_by": request.claim_id, "claimed_until": claimed_until}
    if columns:
        rows.write_columns(tx, row.id, **columns)
    return ClaimedDeliveries(url=row.url, secrets=_signing_secrets(tx, row), deliveries=deliveries, full=full)


@command("webhook.settle", scope="webhooks:admin")
def settle_attempts(tx: Transaction, request: SettleWebhook) -> SettledWebhook:
    """Record the outcomes of attempts: delivered, to be tried again, or dead. Renews or ends the claim.

    An outcome that was recorded before counts once. Answers of 410, and failing for days, disable the
    webhook.
    """
    row = tx.execute(select(webhooks).where(webhooks.c.id == request.webhook_id)).one_or_none()
    if row is None:
        return SettledWebhook()
    columns: dict[str, Any] = {}
    claimed = row.claimed_by == request.claim_id
    if claimed:
        renewed_until = tx.now + timedelta(seconds=limits.WEBHOOK_CLAIM_S)
        columns["claimed_by"] = None if request.release else request.claim_id
        columns["claimed_until"] = tx.now if request.release else renewed_until
    settling = _Settling(tx, row)
    for outcome in request.outcomes:
        settling.add(outcome)
    columns |= settling.columns
    if columns:
        rows.write_columns(tx, row.id, **columns)
    settling.emit()
    return SettledWebhook(
        delivered=settling.delivered,
        failed=settling.failed,
        dead=len(settling.dead_ids),
        claim_holds=claimed and row.status == "active",
    )


class _Settling:
    """Writes the outcomes of one webhook and counts them. `columns` are the changes of the webhook itself."""

    def __init__(self, tx: Transaction, row: Row[Any]) -> None:
        self._tx = tx
        self._row = row
        self._failing_since = row.failing_since
        self._reason = ""
        self.columns: dict[str, Any] = {}
        self.delivered = 0
        self.failed = 0
        self.dead_ids: list[str] = []

    def add(self, outcome: AttemptOutcome) -> None:
        """Write the outcome of one attempt."""
        if outcome.error is None:
            self._mark_delivered(outcome)
        else:
            self._mark_failed(outcome)

    def emit(self) -> None:
        """Emit the event of new dead letters, and disable the webhook if it failed for good."""
        tx, row = self._tx, self._row
        if self.dead_ids:
            ids = self.dead_ids
            data = WebhookDeadLettered(
                webhook_id=row.id, count=len(ids), delivery_ids=ids[: limits.WEBHOOK_DELIVERY_IDS_MAX]
            )
            audience = rows.audience(row.agent_id)
            tx.emit(NewEvent(WEBHOOK_DEAD_LETTERED, rows.subject(row.id), data, audience, "warning"))
        if self._reason and row.status == "active":
            rows.disable(tx, row, self._reason)

    def _mark_delivered(self, outcome: AttemptOutcome) -> None:
        now = self._tx.now
        if self._write(_DELIVERED, outcome, forgotten_at=now + timedelta(seconds=limits.WEBHOOK_KEPT_S)):
            self.delivered += 1
            self._failing_since = None
            self.columns |= {"delivered_at": now, "failing_since": None}

    def _mark_failed(self, outcome: AttemptOutcome) -> None:
        now = self._tx.now
        is_gone = outcome.status == _GONE
        wait_s = rules.next_wait_s(outcome.attempts + 1, outcome.spread, outcome.retry_after_s)
        if is_gone or wait_s is None:
            if not self._write(
                _DEAD, outcome, forgotten_at=now + timedelta(seconds=limits.WEBHOOK_DEAD_KEPT_S)
            ):
                return
            self.dead_ids.append(outcome.delivery_id)
        else:
            if not self._write(_TO_RETRY, outcome, again_at=now + timedelta(seconds=wait_s)):
                return
            self.failed += 1
        self._failing_since = self._failing_since or now
        self.columns["failing_since"] = self._failing_since
        if not outcome.receiver_available:
            backoff_s = rules.backoff_s(self._failing_since, now, outcome.retry_after_s)
            self.columns["rests_until"] = now + timedelta(seconds=backoff_s)
        if is_gone:
            self._reason = "the receiver answered 410 Gone"
        elif rules.has_failed_too_long(self._failing_since, now):
            self._reason = f"nothing was delivered for {limits.WEBHOOK_FAILING_S_MAX / 86_400:.0f} days"

    def _write(
        self,
        statement: PreparedStatement,
        outcome: AttemptOutcome,
        again_at: datetime | None = None,
        forgotten_at: datetime | None = None,
    ) -> bool:
        """Write an outcome; returns False if it was written before."""
        params = {
            "delivery": outcome.delivery_id,
            "attempts_before": outcome.attempts,
            "now": self._tx.now,
            "status_answered": outcome.status,
            "error": outcome.error,
            "excerpt": outcome.response,
            "again_at": again_at,
            "forgotten_at": forgotten_at,
        }
        return bool(self._tx.change(statement, params))


def _is_over(until: ColumnElement[Any], tx: Transaction) -> ColumnElement[bool]:
    return or_(until.is_(None), until <= tx.now)


def _event_filter(webhook: ReadyWebhook) -> EventFilter:
    """The filter for events that the webhook asks for and may see, as its agent or as the owner."""
    role = Role.OWNER if webhook.agent_id is None else Role.AGENT
    caller = Caller(webhook.workspace_id, role, SYSTEM_TOKEN_ID, agent_id=webhook.agent_id)
    event_filter = filter_for(caller, types=webhook.types)
    return replace(event_filter, types=(*webhook.types, WEBHOOK_TESTED)) if webhook.types else event_filter


def _is_sent_to(webhook_id: str, event: StoredEvent, subject: str) -> bool:
    """Whether a matching event is sent: a test only to its own webhook, and news of dead letters to none."""
    if event.type == WEBHOOK_TESTED:
        return subject == rows.subject(webhook_id)
    return event.type != WEBHOOK_DEAD_LETTERED


def _read_log(tx: Transaction, event_filter: EventFilter, after: int) -> LogSlice:
    return read_matching(tx.connection, event_filter, after, limits.WEBHOOK_PLANNED_MAX)


def _enqueue_deliveries(tx: Transaction, row: Row[Any], request: ClaimDeliveries) -> None:
    """Make deliveries of the events that were found."""
    if request.missed_before is not None:
        _emit_missed(tx, row, after=row.position, oldest_seq=request.missed_before)
    for seq in request.damaged:
        _emit_missed(tx, row, after=seq - 1, oldest_seq=seq + 1)
    if request.deliveries:
        columns = {"workspace_id": tx.workspace_id, "webhook_id": row.id, "status": "waiting", "attempts": 0}
        columns |= {"created_at": tx.now, "next_at": tx.now, "ended_at": None, "forget_at": None}
        columns |= {"last_at": None, "last_status": None, "last_error": None, "response": None}
        planned = [columns | {"id": tx.new_id()} | event.model_dump() for event in request.deliveries]
        tx.execute(_PLAN, planned)


def _emit_missed(tx: Transaction, row: Row[Any], *, after: int, oldest_seq: int) -> None:
    missed = WebhookMissed(webhook_id=row.id, after=after, oldest_seq=oldest_seq)
    tx.emit(NewEvent(WEBHOOK_MISSED, rows.subject(row.id), missed, rows.audience(row.agent_id), "error"))


def _read_due_deliveries(tx: Transaction, webhook_id: str) -> list[DueDelivery]:
    key = {"webhook": webhook_id, "now": tx.now, "count": limits.WEBHOOK_BATCH}
    due_rows = tx.execute(_DUE, key).all()
    deliveries = convert_readable(tx, due_rows, lambda row: DueDelivery(**row._asdict()))
    for row in due_rows if len(deliveries) < len(due_rows) else ():
        # A damaged one would stay first in the queue for ever.
        if all(row.id != delivery.id for delivery in deliveries):
            until = tx.now + timedelta(seconds=limits.WEBHOOK_DEAD_KEPT_S)
            columns = {"status": "dead", "ended_at": tx.now, "forget_at": until, "last_error": _DAMAGED}
            tx.change(update(webhook_deliveries).where(_delivery.id == row.id).values(**columns))
    return with_redactions(tx, deliveries)


def with_redactions(tx: Transaction, deliveries: Sequence[DueDelivery]) -> list[DueDelivery]:
    """Return deliveries with their events as they are now: redacted data is never sent."""
    bodies: dict[int, str] = {}
    for row in redacted_rows(tx, [delivery.seq for delivery in deliveries]):
        try:
            event_data(row)
            fields = cloud_event(event_fields(row), tx.workspace_id)
        except DamagedRecord as error:  # it was redacted, so its old body must not be sent either
            [redacted_delivery] = [delivery for delivery in deliveries if delivery.seq == row.seq][:1]
            fields = orjson.loads(redacted_delivery.body) | {"data": {"redacted": True}}
            note_damage(tx, event_name(row.seq), error)
        bodies[row.seq] = orjson.dumps(fields).decode()
    return [
        delivery.model_copy(update={"body": bodies.get(delivery.seq, delivery.body)})
        for delivery in deliveries
    ]


def _signing_secrets(tx: Transaction, row: Row[Any]) -> list[str]:
    """The secrets that sign: the present one, and the old one until `old_secret_until`."""
    old_counts = row.old_secret is not None and row.old_secret_until > tx.now
    return [row.secret, row.old_secret] if old_counts else [row.secret]
