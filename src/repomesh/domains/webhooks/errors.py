"""What can go wrong with outgoing webhooks."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound


class WebhookNotFound(NotFound):
    """There is no webhook with this id."""

    code = "webhook_not_found"
    hint = "List the webhooks with GET /v1/webhooks."


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
    hint = "Set 'status' to 'active' first, with PATCH /v1/webhooks/{webhook_id}."


class TooManyWebhooks(Conflict):
    """The workspace has as many webhooks as it may have."""

    code = "too_many_webhooks"
    hint = "Delete an unused webhook with DELETE /v1/webhooks/{webhook_id}, or give one more 'types'."


class WebhookDeliveryNotFound(NotFound):
    """The webhook has no delivery with this id, or it was so long ago that it is forgotten."""

    code = "webhook_delivery_not_found"
    hint = "List the deliveries with GET /v1/webhooks/{webhook_id}/deliveries."


class NotADeadLetter(Conflict):
    """Only dead letters can be sent again."""

    code = "not_a_dead_letter"
    hint = "List the deliveries whose 'status' is 'dead'; the others are retried without a request."
