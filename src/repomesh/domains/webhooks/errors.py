"""What can go wrong with outgoing webhooks."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound


class WebhookNotFound(NotFound):
    """There is no webhook with this id."""

    code = "webhook_not_found"
    hint = "List the webhooks to see which there are."


class WebhookUrlRefused(InvalidRequest):
    """Nothing is sent to this URL: it is no plain address of a receiver, or leads into a private network."""

    code = "webhook_url_refused"
    hint = (
        "Take a public http or https address, or admit its host by the server's setting "
        "REPOMESH_WEBHOOK_HOSTS."
    )


class WebhookNotActive(Conflict):
    """The webhook is paused or disabled, so nothing is sent."""

    code = "webhook_not_active"
    hint = "Set its status to 'active' first."


class TooManyWebhooks(Conflict):
    """The workspace has as many webhooks as it may have."""

    code = "too_many_webhooks"
    hint = "Delete one that is not used, or have one receive more types."


class WebhookDeliveryNotFound(NotFound):
    """The webhook has no delivery with this id, or it was so long ago that it is forgotten."""

    code = "webhook_delivery_not_found"
    hint = "List the webhook's deliveries to see which there are."


class NotADeadLetter(Conflict):
    """Only what could not be delivered is sent again."""

    code = "not_a_dead_letter"
    hint = "List the webhook's deliveries of status 'dead'; those that wait are tried again by themselves."
