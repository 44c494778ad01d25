"""The words of outgoing webhooks: subscriptions to events, and what became of each delivery."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.messaging.events.models import EventTypes
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, MaxChars, PageLimit, Reason
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import LIST_ITEMS_MAX, PAGE_ITEMS_DEFAULT, WEBHOOK_URL_CHARS_MAX
from repomesh.kernel.operation import Model

WebhookStatus = Literal["active", "paused", "disabled"]
WebhookDeliveryStatus = Literal["waiting", "delivered", "dead"]

WebhookUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[\x21-\x7e]+$", max_length=WEBHOOK_URL_CHARS_MAX)
]
_Types = Annotated[tuple[EventTypes, ...], Field(max_length=LIST_ITEMS_MAX)]
_TYPES = "These types and those below them: 'task' and 'task.*' find 'task.created'. None means all."


class Webhook(Model):
    """A subscription: events of these types are sent to this URL."""

    id: Id
    url: str
    types: list[str] = Field(description=_TYPES)
    description: str
    status: WebhookStatus = Field(description="'disabled' when the server gave it up; `reason` says why.")
    reason: str
    agent_id: Id | None = Field(
        description="The agent as which it was made: it gets what this agent may see. Else all."
    )
    created_at: Timestamp
    updated_at: Timestamp
    version: int = Field(description="Grows with each change; the ETag.")


class WebhookDetail(Webhook):
    """A subscription, and how far it has come."""

    position: int = Field(description="The `seq` up to which the log was looked at.")
    delivered_at: Timestamp | None = Field(description="Time of the last delivery.")
    failing_since: Timestamp | None = Field(description="Time of the first failure since the last delivery.")
    waiting: int = Field(description="Number of deliveries that wait for an attempt.")
    dead: int = Field(description="Dead letters: what could not be delivered.")


class SubscribeWebhook(Model):
    """Where to send which events."""

    url: WebhookUrl = Field(description="The receiver's URL: http or https, without user and password.")
    types: _Types = Field((), description=_TYPES)
    description: Label = ""


class WebhookSecret(Model):
    """A subscription with its new secret, which is shown once."""

    webhook: Webhook
    secret: str = Field(description="Verifies the signatures, as Standard Webhooks has it.")


class ListWebhooks(Model):
    """The subscriptions of this workspace."""

    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class OneWebhook(Model):
    """One subscription."""

    webhook_id: Id


class UpdateWebhook(OneWebhook):
    """What to change; an absent field stays as it is."""

    url: WebhookUrl | None = None
    types: _Types | None = Field(None, description=_TYPES)
    description: Label | None = None
    status: Literal["active", "paused"] | None = Field(
        None, description="'paused': events wait in the log. 'active' goes on, also when it was disabled."
    )
    reason: Reason = Field("", description="Why it is paused.")
    skip_missed: bool = Field(
        False,
        description=(
            "When it becomes active: continue from now, and make dead letters of the waiting deliveries."
        ),
    )


class DeletedWebhook(Model):
    """A webhook that was deleted."""

    webhook_id: Id


class TestedWebhook(Model):
    """The event that was made for the test. Its delivery tells how it went."""

    webhook_id: Id
    event_id: Id


class WebhookDelivery(Model):
    """One event on its way to one receiver."""

    id: Id
    webhook_id: Id
    event_id: Id = Field(description="The header `webhook-id`, the same in each attempt.")
    seq: int
    type: str
    status: WebhookDeliveryStatus
    attempts: int
    created_at: Timestamp
    next_at: Timestamp | None = Field(description="Time of the next attempt.")
    last_at: Timestamp | None = Field(description="Time of the last attempt.")
    last_status: int | None = Field(description="HTTP status of the last answer.")
    last_error: str | None = Field(description="Why the last attempt failed.")
    response: str | None = Field(description="The beginning of the last answer: the receiver's words.")
    ended_at: Timestamp | None


class ListWebhookDeliveries(OneWebhook):
    """Which deliveries of one webhook to list."""

    status: WebhookDeliveryStatus | None = Field(None, description="'dead' lists the dead letters.")
    event_id: Id | None = None
    since: Timestamp | None = Field(None, description="Of events that were taken up at this time or later.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ReplayWebhook(OneWebhook):
    """Which dead letters to send again: one, those since a time, or all."""

    delivery_id: Id | None = None
    since: Timestamp | None = Field(None, description="Of events that were taken up at this time or later.")


class ReplayedWebhook(Model):
    """How many wait again. One request takes a bounded number, the oldest first; ask until `complete`."""

    webhook_id: Id
    count: int
    complete: bool


class WebhookChanged(Model):
    """A webhook was made, changed, disabled or deleted; `webhook` is what it is now, without its secret."""

    webhook: Webhook


class WebhookTested(Model):
    """A test event. Only the tested webhook receives it."""

    webhook_id: Id


class WebhookDeadLettered(Model):
    """Events could not be delivered in any attempt. No webhook receives this event."""

    webhook_id: Id
    count: int
    delivery_ids: list[Id] = Field(description="The first of them.")


class WebhookReplayed(Model):
    """Dead letters wait to be sent again."""

    webhook_id: Id
    count: int
    delivery_ids: list[Id] = Field(description="The first of them.")


class WebhookMissed(Model):
    """Events were archived before a webhook had them, or one can't be read: nothing of them is sent.

    It was paused for long, or its server was down; or the event between the two numbers is damaged.
    """

    webhook_id: Id
    after: int = Field(description="The last `seq` that the webhook had reached.")
    oldest_seq: int = Field(description="The `seq` at which it continues.")


WEBHOOK_CREATED = event_type("webhook.created", WebhookChanged, "A webhook was created.")
WEBHOOK_UPDATED = event_type("webhook.updated", WebhookChanged, "A webhook was changed.")
WEBHOOK_SECRET_ROTATED = event_type(
    "webhook.secret_rotated", WebhookChanged, "The secret of a webhook was replaced."
)
WEBHOOK_DISABLED = event_type(
    "webhook.disabled", WebhookChanged, "A webhook was disabled, by its owner or after too many failures."
)
WEBHOOK_DELETED = event_type("webhook.deleted", WebhookChanged, "A webhook was deleted.")
WEBHOOK_TESTED = event_type("webhook.tested", WebhookTested, "A test event, sent to one webhook only.")
WEBHOOK_DEAD_LETTERED = event_type(
    "webhook.dead_lettered",
    WebhookDeadLettered,
    "Events could not be delivered in any attempt. No webhook receives this event.",
)
WEBHOOK_REPLAYED = event_type("webhook.replayed", WebhookReplayed, "Dead letters are to be sent again.")
WEBHOOK_MISSED = event_type(
    "webhook.missed",
    WebhookMissed,
    "Events were archived before a webhook received them, since it was paused or its server was away for "
    "long; or a damaged event was left out.",
)
