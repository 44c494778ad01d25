"""Operations on webhooks as such: subscribe, change, test, end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from repomesh.domains.agents.errors import AgentRetired
from repomesh.domains.webhooks import rows, screening
from repomesh.domains.webhooks.errors import (
    TooManyWebhooks,
    WebhookNotActive,
    WebhookNotFound,
    WebhookUrlRefused,
)
from repomesh.domains.webhooks.models import (
    WEBHOOK_CREATED,
    WEBHOOK_DELETED,
    WEBHOOK_SECRET_ROTATED,
    WEBHOOK_TESTED,
    WEBHOOK_UPDATED,
    DeletedWebhook,
    ListWebhooks,
    OneWebhook,
    SubscribeWebhook,
    TestedWebhook,
    UpdateWebhook,
    Webhook,
    WebhookDetail,
    WebhookSecret,
    WebhookTested,
)
from repomesh.domains.webhooks.tables import webhook_deliveries, webhooks
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.limits import WEBHOOK_DEAD_KEPT_S, WEBHOOK_OLD_SECRET_S, WEBHOOKS_MAX
from repomesh.kernel.operation import Delete, Get, Patch, Post, command, query
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.signing import new_key
from repomesh.store.listing import Listing
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

SKIPPED = "skipped when the webhook was resumed"


@command(
    "webhook.subscribe",
    http=Post("/v1/webhooks", status=201),
    scope="webhooks:admin",
    errors=(WebhookUrlRefused, TooManyWebhooks, AgentRetired),
    prepare=on_worker_thread(screening.screen),
    secret_field="secret",
)
def subscribe(tx: Transaction, request: SubscribeWebhook) -> WebhookSecret:
    """Send events to a URL from now on, signed after Standard Webhooks.

    The secret is shown once. A webhook made by the owner receives every event; one made in the name of an
    agent receives those that this agent may see.
    """
    not_deleted = webhooks.c.workspace_id == tx.workspace_id, webhooks.c.status != "deleted"
    rows.require_in_service(tx, tx.caller.agent_id)
    count = tx.execute(select(func.count()).select_from(webhooks).where(*not_deleted)).scalar_one()
    if count >= WEBHOOKS_MAX:
        raise TooManyWebhooks(f"there are {WEBHOOKS_MAX} webhooks, which is the most")
    secret = new_key()
    fields: dict[str, Any] = {
        "id": tx.new_id(),
        "workspace_id": tx.workspace_id,
        "agent_id": tx.caller.agent_id,
        "url": request.url,
        "types": list(dict.fromkeys(request.types)),
        "description": request.description,
        "status": "active",
        "reason": "",
        "secret": secret,
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
        "position": tx.next_seq(),  # behind the event of its own making
    }
    tx.execute(insert(webhooks), fields)
    webhook = rows.as_webhook(fields)
    rows.emit_changed(tx, WEBHOOK_CREATED, webhook)
    return WebhookSecret(webhook=webhook, secret=secret)


@query("webhook.list", http=Get("/v1/webhooks"), scope="webhooks:admin")
def list_webhooks(tx: Transaction, request: ListWebhooks) -> Page[Webhook]:
    """List the webhooks, oldest first, without their secrets."""
    table = webhooks.c
    statement = select(webhooks).where(table.workspace_id == tx.workspace_id, table.status != "deleted")
    listing = Listing(Page[Webhook], lambda row: rows.as_webhook(row._asdict()), keys=(table.id,))
    return listing.read(tx, statement, request)


@query(
    "webhook.show",
    http=Get("/v1/webhooks/{webhook_id}"),
    scope="webhooks:admin",
    errors=(WebhookNotFound,),
)
def show_webhook(tx: Transaction, request: OneWebhook) -> WebhookDetail:
    """Show a webhook, its position in the log, and how many deliveries wait."""
    row = rows.find(tx, request.webhook_id)
    return WebhookDetail(
        **rows.as_webhook(row._asdict()).model_dump(),
        position=row.position,
        delivered_at=row.delivered_at,
        failing_since=row.failing_since,
        waiting=rows.count(tx, row.id, "waiting"),
        dead=rows.count(tx, row.id, "dead"),
    )


@command(
    "webhook.update",
    http=Patch("/v1/webhooks/{webhook_id}"),
    scope="webhooks:admin",
    errors=(WebhookNotFound, WebhookUrlRefused, Stale, AgentRetired),
    prepare=on_worker_thread(screening.screen),
)
def update_webhook(tx: Transaction, request: UpdateWebhook) -> Webhook:
    """Change, pause or resume a webhook. With If-Match only that version is changed."""
    row = rows.find(tx, request.webhook_id)
    tx.check_version(row.version)
    new_values = request.model_dump(include={"url", "types", "description", "status"}, exclude_none=True)
    if request.types is not None:
        new_values["types"] = list(dict.fromkeys(request.types))
    if request.status is not None:
        new_values["reason"] = request.reason if request.status == "paused" else ""
    columns = changed_values(new_values, row)
    if not columns:
        return rows.as_webhook(row._asdict())
    if columns.get("status") == "active":
        rows.require_in_service(tx, row.agent_id)
    if "url" in columns or columns.get("status") == "active":
        rows.write_columns(tx, row.id, failing_since=None, rests_until=None)
    if columns.get("status") == "active" and request.skip_missed:
        _skip_missed(tx, row)
    webhook = rows.change(tx, row, **columns)
    rows.emit_changed(tx, WEBHOOK_UPDATED, webhook)
    return webhook


@command(
    "webhook.rotate_secret",
    http=Post("/v1/webhooks/{webhook_id}/rotate-secret"),
    scope="webhooks:admin",
    errors=(WebhookNotFound,),
    secret_field="secret",
)
def rotate_secret(tx: Transaction, request: OneWebhook) -> WebhookSecret:
    """Create a new secret. The old one also signs for a day, so that the receiver can change over.

    The secret is shown once. A second rotation within the day ends the first secret at once.
    """
    row = rows.find(tx, request.webhook_id)
    secret = new_key()
    old_secret_until = tx.now + timedelta(seconds=WEBHOOK_OLD_SECRET_S)
    rows.write_columns(tx, row.id, secret=secret, old_secret=row.secret, old_secret_until=old_secret_until)
    webhook = rows.as_webhook(row._asdict())
    rows.emit_changed(tx, WEBHOOK_SECRET_ROTATED, webhook)
    return WebhookSecret(webhook=webhook, secret=secret)


@command(
    "webhook.delete",
    http=Delete("/v1/webhooks/{webhook_id}"),
    scope="webhooks:admin",
    errors=(WebhookNotFound,),
)
def delete_webhook(tx: Transaction, request: OneWebhook) -> DeletedWebhook:
    """Delete a webhook. Its pending deliveries are dropped; its secret is deleted."""
    row = rows.find(tx, request.webhook_id)
    webhook = rows.as_webhook(row._asdict())
    rows.write_columns(tx, row.id, status="deleted", url="", secret="", old_secret=None, updated_at=tx.now)
    rows.emit_changed(tx, WEBHOOK_DELETED, webhook)
    return DeletedWebhook(webhook_id=row.id)


@command(
    "webhook.test",
    http=Post("/v1/webhooks/{webhook_id}/test"),
    scope="webhooks:admin",
    errors=(WebhookNotFound, WebhookNotActive),
)
def test_webhook(tx: Transaction, request: OneWebhook) -> TestedWebhook:
    """Send an event to this webhook alone, whatever types it receives.

    The delivery with the event's id shows the result.
    """
    row = rows.find(tx, request.webhook_id)
    if row.status != "active":
        raise WebhookNotActive(f"the webhook is {row.status}")
    data = WebhookTested(webhook_id=row.id)
    event = NewEvent(WEBHOOK_TESTED, rows.subject(row.id), data, rows.audience(row.agent_id))
    return TestedWebhook(webhook_id=row.id, event_id=tx.emit(event))


def show_again(tx: Transaction, result: WebhookSecret) -> WebhookSecret:
    """Return a recorded result with the webhook's present secret, which the record does not contain."""
    secret_query = select(webhooks.c.secret).where(
        webhooks.c.id == result.webhook.id, webhooks.c.workspace_id == tx.workspace_id
    )
    return result.model_copy(update={"secret": tx.execute(secret_query).scalar() or ""})


def _skip_missed(tx: Transaction, row: Row[Any]) -> None:
    """Move the position behind the event of this change, and make dead letters of all that waits."""
    rows.write_columns(tx, row.id, position=tx.next_seq())
    table = webhook_deliveries.c
    columns: dict[str, Any] = {"status": "dead", "last_error": SKIPPED, "next_at": None, "ended_at": tx.now}
    columns |= {"forget_at": tx.now + timedelta(seconds=WEBHOOK_DEAD_KEPT_S)}
    tx.execute(
        update(webhook_deliveries)
        .where(table.webhook_id == row.id, table.status == "waiting")
        .values(**columns)
    )
