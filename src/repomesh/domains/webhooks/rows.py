"""Rows of webhooks: find and change them, and emit the events of their changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, update

from repomesh.domains.agents.errors import AgentRetired
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.webhooks.errors import WebhookNotFound
from repomesh.domains.webhooks.models import WEBHOOK_DISABLED, Webhook, WebhookChanged
from repomesh.domains.webhooks.tables import webhook_deliveries, webhooks
from repomesh.kernel.event_types import Severity
from repomesh.store.log import ADMINS, Audience, NewEvent
from repomesh.store.transaction import Transaction


def find(tx: Transaction, webhook_id: str) -> Row[Any]:
    """The row of a webhook of this workspace; raises WebhookNotFound."""
    table = webhooks.c
    criteria = table.id == webhook_id, table.workspace_id == tx.workspace_id, table.status != "deleted"
    row = tx.execute(select(webhooks).where(*criteria)).one_or_none()
    if row is None:
        raise WebhookNotFound(f"there is no webhook {webhook_id}")
    return row


def active_of(tx: Transaction, agent_id: str) -> Sequence[Row[Any]]:
    """The active webhooks that were made in the name of an agent, oldest first."""
    table = webhooks.c
    criteria = table.workspace_id == tx.workspace_id, table.agent_id == agent_id, table.status == "active"
    return tx.execute(select(webhooks).where(*criteria).order_by(table.id)).all()


def require_in_service(tx: Transaction, agent_id: str | None) -> None:
    """Raise AgentRetired when the agent as which a webhook is made, or was, is retired."""
    if agent_id is not None and find_agent(tx, agent_id).status == "retired":
        raise AgentRetired("the agent as which the webhook is made is retired")


def as_webhook(fields: Mapping[str, Any]) -> Webhook:
    """The webhook in the columns of a row."""
    return Webhook(**{name: fields[name] for name in Webhook.model_fields})


def change(tx: Transaction, row: Row[Any], **columns: Any) -> Webhook:
    """Write visible columns of a webhook and its new version; returns the webhook as it is now."""
    columns |= {"updated_at": tx.now, "version": row.version + 1}
    write_columns(tx, row.id, **columns)
    return as_webhook(row._asdict() | columns)


def write_columns(tx: Transaction, webhook_id: str, **columns: Any) -> None:
    """Write columns of a webhook without a new version, for what only the server reads."""
    tx.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(**columns))


def emit_changed(tx: Transaction, type_: str, webhook: Webhook, severity: Severity = "info") -> None:
    """Emit an event with the webhook as it is now, for the workspace's owners or the agent that made it."""
    data = WebhookChanged(webhook=webhook)
    tx.emit(NewEvent(type_, subject(webhook.id), data, audience(webhook.agent_id), severity))


def disable(tx: Transaction, row: Row[Any], reason: str) -> None:
    """Disable a webhook and emit webhook.disabled with the reason."""
    emit_changed(tx, WEBHOOK_DISABLED, change(tx, row, status="disabled", reason=reason), "error")


def subject(webhook_id: str) -> str:
    """The subject of the events of a webhook."""
    return f"webhook/{webhook_id}"


def audience(agent_id: str | None) -> Audience:
    """The audience of the events of a webhook, which name a URL that not everybody should know."""
    return ADMINS if agent_id is None else Audience("agents", (agent_id,))


def count(tx: Transaction, webhook_id: str, status: str) -> int:
    """How many deliveries of a webhook have a status."""
    table = webhook_deliveries.c
    query = select(func.count()).select_from(webhook_deliveries)
    return int(tx.execute(query.where(table.webhook_id == webhook_id, table.status == status)).scalar_one())
