"""What the worker that sends webhooks and the store tell each other."""

from __future__ import annotations

from pydantic import Field

from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model, PartialResult


class PlannedDelivery(Model):
    """An event that a webhook is to receive."""

    event_id: Id
    seq: int
    type: str
    body: str = Field(description="The event as it is sent.", repr=False)


class ClaimDeliveries(Model):
    """Take what a webhook is to send now, and with it the events that were found behind its position."""

    webhook_id: Id
    claim_id: Id = Field(description="Names this claim; a new one for each time that work is taken.")
    position: int = Field(
        description="The `seq` behind which the events were looked for; another position takes nothing."
    )
    upto: int = Field(description="The `seq` up to which the log was looked at.")
    missed_before: int | None = Field(description="The log's oldest `seq`, when it begins behind `position`.")
    damaged: tuple[int, ...] = Field((), description="The found events that can't be read.")
    deliveries: tuple[PlannedDelivery, ...]


class DueDelivery(Model):
    """A delivery to attempt now."""

    id: Id
    event_id: Id
    seq: int
    attempts: int
    body: str = Field(repr=False)


class ClaimedDeliveries(Model):
    """The deliveries, the receiver and the secrets. Without deliveries nothing was taken."""

    url: str
    secrets: list[str] = Field(repr=False)
    deliveries: list[DueDelivery]
    full: bool = Field(
        False, description="Whether so many deliveries wait that the events must wait in the log."
    )


class AttemptOutcome(Model):
    """The outcome of one attempt."""

    delivery_id: Id
    attempts: int = Field(
        description="Attempts before this one; an outcome that is reported twice counts once."
    )
    status: int | None = None
    error: str | None = Field(None, description="Why it failed; absent for what was delivered.")
    response: str | None = None
    receiver_available: bool = Field(
        True, description="False where no answer came, or one that asks to come back later (429, 502-504)."
    )
    retry_after_s: float | None = None
    spread: float = Field(0.0, ge=0, lt=1, description="A random part of the wait before the next attempt.")


class SettleWebhook(Model):
    """The outcomes of the attempts."""

    webhook_id: Id
    claim_id: Id
    outcomes: tuple[AttemptOutcome, ...]
    release: bool = Field(description="Whether the process ends its claim for now.")


class SettledWebhook(Model):
    """How many of the outcomes were of each kind."""

    delivered: int = 0
    failed: int = Field(0, description="To be tried again.")
    dead: int = Field(0, description="Given up.")
    claim_holds: bool = Field(False, description="Whether the webhook is active and the claim still holds.")


class ForgetWebhooks(Model):
    """Forget old deliveries, and what is left of webhooks that were deleted."""


class ForgottenWebhooks(PartialResult):
    """How many rows were deleted."""

    deliveries: int
    webhooks: int
