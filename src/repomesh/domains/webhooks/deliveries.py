"""Operations on deliveries of webhooks: list them, send dead letters again, delete old ones."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, exists, select, update

from repomesh.domains.webhooks import rows
from repomesh.domains.webhooks.delivery_queue_models import ForgetWebhooks, ForgottenWebhooks
from repomesh.domains.webhooks.errors import NotADeadLetter, WebhookDeliveryNotFound, WebhookNotFound
from repomesh.domains.webhooks.models import (
    WEBHOOK_REPLAYED,
    ListWebhookDeliveries,
    ReplayedWebhook,
    ReplayWebhook,
    WebhookDelivery,
    WebhookReplayed,
)
from repomesh.domains.webhooks.tables import webhook_deliveries, webhooks
from repomesh.kernel.fields import Page
from repomesh.kernel.limits import (
    HOUSEKEEPING_S,
    WEBHOOK_DELIVERY_IDS_MAX,
    WEBHOOK_FORGOTTEN_MAX,
    WEBHOOK_REPLAYED_MAX,
)
from repomesh.kernel.operation import Due, Get, Post, command, query
from repomesh.store.due import NOW, due_in_each, due_now
from repomesh.store.listing import Listing, at_least, equals
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction


@query(
    "webhook.deliveries",
    http=Get("/v1/webhooks/{webhook_id}/deliveries"),
    scope="webhooks:admin",
    errors=(WebhookNotFound,),
)
def list_deliveries(tx: Transaction, request: ListWebhookDeliveries) -> Page[WebhookDelivery]:
    """List a webhook's deliveries, newest first: attempts, the last answer, when the next one is due."""
    rows.find(tx, request.webhook_id)
    table = webhook_deliveries.c
    listing = Listing(
        Page[WebhookDelivery],
        _as_delivery,
        keys=(table.id,),
        descending=True,
        filters={
            "status": equals(table.status),
            "event_id": equals(table.event_id),
            "since": at_least(table.created_at),
        },
    )
    statement = select(webhook_deliveries).where(table.webhook_id == request.webhook_id)
    return listing.read(tx, statement, request)


@command(
    "webhook.replay",
    http=Post("/v1/webhooks/{webhook_id}/replay"),
    scope="webhooks:admin",
    errors=(WebhookNotFound, WebhookDeliveryNotFound, NotADeadLetter),
)
def replay(tx: Transaction, request: ReplayWebhook) -> ReplayedWebhook:
    """Send dead letters again: one, those since a time, or all, each under its old `webhook-id`.

    They are sent at once if the webhook is active, else when it is resumed.
    """
    row = rows.find(tx, request.webhook_id)
    table = webhook_deliveries.c
    dead_letters = select(table.id).where(table.webhook_id == row.id, table.status == "dead")
    if request.delivery_id is not None:
        _require_dead(tx, row.id, request.delivery_id)
        dead_letters = dead_letters.where(table.id == request.delivery_id)
    if request.since is not None:
        dead_letters = dead_letters.where(table.created_at >= request.since)
    dead_ids = list(tx.execute(dead_letters.order_by(table.id).limit(WEBHOOK_REPLAYED_MAX + 1)).scalars())
    ids, complete = dead_ids[:WEBHOOK_REPLAYED_MAX], len(dead_ids) <= WEBHOOK_REPLAYED_MAX
    if ids:
        reset_columns: dict[str, Any] = {"status": "waiting", "attempts": 0, "next_at": tx.now}
        reset_columns |= {"ended_at": None, "forget_at": None}
        tx.execute(update(webhook_deliveries).where(table.id.in_(ids)).values(**reset_columns))
        data = WebhookReplayed(webhook_id=row.id, count=len(ids), delivery_ids=ids[:WEBHOOK_DELIVERY_IDS_MAX])
        tx.emit(NewEvent(WEBHOOK_REPLAYED, rows.subject(row.id), data, rows.audience(row.agent_id)))
    return ReplayedWebhook(webhook_id=row.id, count=len(ids), complete=complete)


_OLD = due_in_each(
    webhook_deliveries.c.workspace_id,
    webhook_deliveries.c.forget_at <= NOW,
)
_DELETED = due_now(webhooks.c.workspace_id, webhooks.c.status == "deleted")


@command(
    "webhook.forget",
    scope="workspace:admin",
    due=(
        Due(lambda _: _OLD, every_s=HOUSEKEEPING_S),
        Due(lambda _: _DELETED, every_s=HOUSEKEEPING_S, on_change=True),
    ),
)
def forget(tx: Transaction, request: ForgetWebhooks) -> ForgottenWebhooks:
    """Delete old deliveries, and deleted webhooks with their deliveries, in bounded pieces."""
    table = webhook_deliveries.c
    in_workspace = table.workspace_id == tx.workspace_id
    old_deliveries = (
        select(table.id).where(in_workspace, table.forget_at <= tx.now).limit(WEBHOOK_FORGOTTEN_MAX)
    )
    count = forgotten = _delete(tx, old_deliveries)
    is_deleted = webhooks.c.workspace_id == tx.workspace_id, webhooks.c.status == "deleted"
    webhook_ids = list(tx.execute(select(webhooks.c.id).where(*is_deleted)).scalars())
    if not webhook_ids:
        return ForgottenWebhooks(deliveries=count, webhooks=0, complete=forgotten < WEBHOOK_FORGOTTEN_MAX)
    orphaned_deliveries = (
        select(table.id).where(table.webhook_id.in_(webhook_ids)).limit(WEBHOOK_FORGOTTEN_MAX)
    )
    count += _delete(tx, orphaned_deliveries)
    has_no_deliveries = ~exists().where(table.webhook_id == webhooks.c.id)
    deleted_count = tx.change(delete(webhooks).where(*is_deleted, has_no_deliveries))
    complete = forgotten < WEBHOOK_FORGOTTEN_MAX and deleted_count == len(webhook_ids)
    return ForgottenWebhooks(deliveries=count, webhooks=deleted_count, complete=complete)


def _delete(tx: Transaction, id_query: Any) -> int:
    ids = list(tx.execute(id_query).scalars())
    return tx.change(delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(ids))) if ids else 0


def _require_dead(tx: Transaction, webhook_id: str, delivery_id: str) -> None:
    table = webhook_deliveries.c
    criteria = table.webhook_id == webhook_id, table.id == delivery_id
    status = tx.execute(select(table.status).where(*criteria)).scalar_one_or_none()
    if status is None:
        raise WebhookDeliveryNotFound(f"the webhook has no delivery {delivery_id}")
    if status != "dead":
        raise NotADeadLetter(f"the delivery is {status}")


def _as_delivery(row: Row[Any]) -> WebhookDelivery:
    return WebhookDelivery(**{name: getattr(row, name) for name in WebhookDelivery.model_fields})
