"""What the worker needs of the store: what is to be sent now, and what came of it.

A webhook is served by one process at a time: who takes it has a claim, which ends by itself. What was taken
and not settled is sent again, under the same id.
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
    DueDelivery,
    PlannedDelivery,
    SettledWebhook,
    SettleWebhook,
    TakenWebhook,
    TakeWebhook,
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
from repomesh.store.damage import note, readable
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
from repomesh.store.prepared import Prepared
from repomesh.store.redacting import redacted_rows
from repomesh.store.tables import counters
from repomesh.store.transaction import Transaction

_delivery = webhook_deliveries.c
_PLAN = Prepared(insert(webhook_deliveries))
_DUE = Prepared(
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
_DELIVERED = Prepared(_attempted.values(status="delivered", ended_at=bindparam("now"), body=None))
_DEAD = Prepared(_attempted.values(status="dead", ended_at=bindparam("now")))
_TO_RETRY = Prepared(_attempted)
NOTHING_TAKEN = TakenWebhook(url="", secrets=[], deliveries=[])
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
    due: bool


@dataclass(frozen=True, slots=True)
class WebhookEvents:
    """What a piece of the log holds for a webhook. `missed_before` says that the piece before is gone,
    `damaged` which events of the piece can't be read."""

    deliveries: tuple[PlannedDelivery, ...]
    upto: int
    missed_before: int | None
    damaged: tuple[int, ...] = ()


def ready(tx: Transaction, webhook_id: str | None = None) -> list[ReadyWebhook]:
    """The webhooks of every workspace, or the one, that could be served now; least lately served first."""
    table = webhooks.c
    parts = webhook_deliveries.c
    due = exists().where(parts.webhook_id == table.id, parts.status == "waiting", parts.next_at <= tx.now)
    statement = (
        select(webhooks, counters.c.last_seq, due.label("due"))
        .join(counters, counters.c.workspace_id == table.workspace_id)
        .join(workspaces, and_(workspaces.c.id == table.workspace_id, workspaces.c.removed_at.is_(None)))
        .where(table.status == "active", _over(table.claimed_until, tx), _over(table.rests_until, tx))
        .order_by(table.claimed_until.asc().nulls_first(), table.id)
    )
    if webhook_id is not None:
        statement = statement.where(table.id == webhook_id)
    return readable(tx, tx.execute(statement), _as_ready, lambda row: rows.subject(row.id))


def _as_ready(row: Row[Any]) -> ReadyWebhook:
    types = tuple(row.types)
    return ReadyWebhook(
        row.id, row.workspace_id, row.agent_id, types, row.position, row.last_seq, bool(row.due)
    )


def read_events(tx: Transaction, webhook: ReadyWebhook, after: int) -> WebhookEvents:
    """What the log holds for a webhook behind `after`: a bounded piece, each event as it will be sent."""
    wanted = _filter(webhook)
    missed_before = None
    try:
        stretch = _read(tx, wanted, after)
    except NoLongerAvailable:
        missed_before, _last = bounds(tx.connection, webhook.workspace_id)
        stretch = _read(tx, wanted, missed_before - 1)
    planned: list[PlannedDelivery] = []
    chars, upto = 0, stretch.upto
    for event in stretch.events:
        if chars >= limits.WEBHOOK_PLANNED_CHARS_MAX:
            upto = event.seq - 1
            break
        told = fields_of(event)
        if _concerns(webhook.id, event, told["subject"]):
            body = orjson.dumps(cloud_event(told, webhook.workspace_id)).decode()
            planned.append(PlannedDelivery(event_id=event.id, seq=event.seq, type=event.type, body=body))
            chars += len(body)
    damaged = tuple(seq for seq in stretch.damaged if seq <= upto)
    return WebhookEvents(tuple(planned), upto, missed_before, damaged)


@command("webhook.take", scope="webhooks:admin")
def take_due(tx: Transaction, request: TakeWebhook) -> TakenWebhook:
    """Make deliveries of the events that were found, and claim those that are due, the oldest first.

    Nothing is taken when another process was faster, or the webhook is no longer to be served.
    """
    row = tx.execute(select(webhooks).where(webhooks.c.id == request.webhook_id)).one_or_none()
    if row is None or row.status != "active" or row.position != request.position:
        return NOTHING_TAKEN
    if any(until is not None and until > tx.now for until in (row.claimed_until, row.rests_until)):
        return NOTHING_TAKEN
    full = bool(request.deliveries) and rows.count(tx, row.id, "waiting") >= limits.WEBHOOK_WAITING_MAX
    columns: dict[str, Any] = {}
    if request.upto > row.position and not full:
        _plan(tx, row, request)
        columns["position"] = request.upto
    deliveries = _due(tx, row.id)
    if deliveries:
        until = tx.now + timedelta(seconds=limits.WEBHOOK_CLAIM_S)
        columns |= {"claimed_by": request.claim_id, "claimed_until": until}
    if columns:
        rows.note(tx, row.id, **columns)
    return TakenWebhook(url=row.url, secrets=_secrets(tx, row), deliveries=deliveries, full=full)


@command("webhook.settle", scope="webhooks:admin")
def settle_attempts(tx: Transaction, request: SettleWebhook) -> SettledWebhook:
    """Write down what came of attempts: delivered, to be tried again, or dead; renew or end the claim.

    An outcome that was written down before counts once. Answers of 410, and failing for days, disable.
    """
    row = tx.execute(select(webhooks).where(webhooks.c.id == request.webhook_id)).one_or_none()
    if row is None:
        return SettledWebhook()
    columns: dict[str, Any] = {}
    claimed = row.claimed_by == request.claim_id
    if claimed:
        renewed = tx.now + timedelta(seconds=limits.WEBHOOK_CLAIM_S)
        columns["claimed_by"] = None if request.release else request.claim_id
        columns["claimed_until"] = tx.now if request.release else renewed
    settling = _Settling(tx, row)
    for outcome in request.outcomes:
        settling.add(outcome)
    columns |= settling.columns
    if columns:
        rows.note(tx, row.id, **columns)
    settling.emit()
    return SettledWebhook(
        delivered=settling.delivered,
        failed=settling.failed,
        dead=len(settling.dead_ids),
        claim_holds=claimed and row.status == "active",
    )


class _Settling:
    """What the outcomes of one webhook come to. `columns` is what changes of the webhook itself."""

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
        """Write one outcome down."""
        if outcome.error is None:
            self._mark_delivered(outcome)
        else:
            self._mark_failed(outcome)

    def emit(self) -> None:
        """Append the events of it."""
        tx, row = self._tx, self._row
        if self.dead_ids:
            ids = self.dead_ids
            told = WebhookDeadLettered(
                webhook_id=row.id, count=len(ids), delivery_ids=ids[: limits.WEBHOOK_NAMED_MAX]
            )
            audience = rows.audience(row.agent_id)
            tx.emit(NewEvent(WEBHOOK_DEAD_LETTERED, rows.subject(row.id), told, audience, "warning"))
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
        gone = outcome.status == _GONE
        wait_s = rules.next_wait_s(outcome.attempts + 1, outcome.spread, outcome.retry_after_s)
        if gone or wait_s is None:
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
            rest_s = rules.rest_s(self._failing_since, now, outcome.retry_after_s)
            self.columns["rests_until"] = now + timedelta(seconds=rest_s)
        if gone:
            self._reason = "the receiver answered 410 Gone"
        elif rules.given_up(self._failing_since, now):
            self._reason = f"nothing was delivered for {limits.WEBHOOK_FAILING_S_MAX / 86_400:.0f} days"

    def _write(
        self,
        statement: Prepared,
        outcome: AttemptOutcome,
        again_at: datetime | None = None,
        forgotten_at: datetime | None = None,
    ) -> bool:
        """Whether it was not written down before."""
        said = {
            "delivery": outcome.delivery_id,
            "attempts_before": outcome.attempts,
            "now": self._tx.now,
            "status_answered": outcome.status,
            "error": outcome.error,
            "excerpt": outcome.response,
            "again_at": again_at,
            "forgotten_at": forgotten_at,
        }
        return bool(self._tx.change(statement, said))


def _over(until: ColumnElement[Any], tx: Transaction) -> ColumnElement[bool]:
    return or_(until.is_(None), until <= tx.now)


def _filter(webhook: ReadyWebhook) -> EventFilter:
    """What the webhook may see and wants: as its agent, or as the owner."""
    role = Role.OWNER if webhook.agent_id is None else Role.AGENT
    caller = Caller(webhook.workspace_id, role, SYSTEM_TOKEN_ID, agent_id=webhook.agent_id)
    wanted = filter_for(caller, types=webhook.types)
    return replace(wanted, types=(*webhook.types, WEBHOOK_TESTED)) if webhook.types else wanted


def _concerns(webhook_id: str, event: StoredEvent, subject: str) -> bool:
    """Whether an event that matches is sent: tests to their webhook alone, and no dead letter on and on."""
    if event.type == WEBHOOK_TESTED:
        return subject == rows.subject(webhook_id)
    return event.type != WEBHOOK_DEAD_LETTERED


def _read(tx: Transaction, wanted: EventFilter, after: int) -> LogSlice:
    return read_matching(tx.connection, wanted, after, limits.WEBHOOK_PLANNED_MAX)


def _plan(tx: Transaction, row: Row[Any], request: TakeWebhook) -> None:
    """Make deliveries of the events that were found."""
    if request.missed_before is not None:
        _emit_missed(tx, row, after=row.position, oldest_seq=request.missed_before)
    for seq in request.damaged:
        _emit_missed(tx, row, after=seq - 1, oldest_seq=seq + 1)
    if request.deliveries:
        shared = {"workspace_id": tx.workspace_id, "webhook_id": row.id, "status": "waiting", "attempts": 0}
        shared |= {"created_at": tx.now, "next_at": tx.now, "ended_at": None, "forget_at": None}
        shared |= {"last_at": None, "last_status": None, "last_error": None, "response": None}
        tx.execute(_PLAN, [shared | {"id": tx.new_id()} | one.model_dump() for one in request.deliveries])


def _emit_missed(tx: Transaction, row: Row[Any], *, after: int, oldest_seq: int) -> None:
    missed = WebhookMissed(webhook_id=row.id, after=after, oldest_seq=oldest_seq)
    tx.emit(NewEvent(WEBHOOK_MISSED, rows.subject(row.id), missed, rows.audience(row.agent_id), "error"))


def _due(tx: Transaction, webhook_id: str) -> list[DueDelivery]:
    key = {"webhook": webhook_id, "now": tx.now, "count": limits.WEBHOOK_BATCH}
    found = tx.execute(_DUE, key).all()
    deliveries = readable(tx, found, lambda row: DueDelivery(**row._asdict()))
    for row in found if len(deliveries) < len(found) else ():
        if all(row.id != one.id for one in deliveries):  # else it stands before the others for ever
            until = tx.now + timedelta(seconds=limits.WEBHOOK_DEAD_KEPT_S)
            ended = {"status": "dead", "ended_at": tx.now, "forget_at": until, "last_error": _DAMAGED}
            tx.change(update(webhook_deliveries).where(_delivery.id == row.id).values(**ended))
    return with_redactions(tx, deliveries)


def with_redactions(tx: Transaction, deliveries: Sequence[DueDelivery]) -> list[DueDelivery]:
    """Deliveries with their events as they are now: what was redacted since is sent to nobody."""
    bodies: dict[int, str] = {}
    for row in redacted_rows(tx, [one.seq for one in deliveries]):
        try:
            event_data(row)
            fields = cloud_event(event_fields(row), tx.workspace_id)
        except DamagedRecord as error:  # it was redacted, so its old body is sent to nobody either
            [planned] = [one for one in deliveries if one.seq == row.seq][:1]
            fields = orjson.loads(planned.body) | {"data": {"redacted": True}}
            note(tx, event_name(row.seq), error)
        bodies[row.seq] = orjson.dumps(fields).decode()
    return [one.model_copy(update={"body": bodies.get(one.seq, one.body)}) for one in deliveries]


def _secrets(tx: Transaction, row: Row[Any]) -> list[str]:
    """What signs: the present secret, and the one before while it counts."""
    old_counts = row.old_secret is not None and row.old_secret_until > tx.now
    return [row.secret, row.old_secret] if old_counts else [row.secret]
