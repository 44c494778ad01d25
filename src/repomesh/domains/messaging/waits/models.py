"""Models of waits for messages that outlive the call which began them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from repomesh.domains.messaging.messages.models import ReceivedMessage, WaitForMessages
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Page
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model, PartialResult

WaitStatus = Literal["waiting", "over", "cancelled"]


class BeginWait(Model):
    """Begin a wait for messages whose result is read later, by its id."""

    wanted: WaitForMessages = Field(
        description="The messages to wait for; the time limit in it does not count."
    )
    wait_s: Annotated[float, Field(gt=0, le=limits.WAIT_KEPT_S)] = Field(
        description="Seconds after which the wait ends without a message."
    )


class WaitChosen(Model):
    """One wait of the acting agent."""

    wait_id: Id


class Wait(Model):
    """The state of a wait. Only the agent that began it can see it."""

    id: Id
    status: WaitStatus
    result: Page[ReceivedMessage] | None = Field(description="The result; null until the wait is over.")
    created_at: Timestamp
    updated_at: Timestamp
    expires_at: Timestamp = Field(description="When the wait is deleted.")


class ForgetWaits(Model):
    """Forget the waits whose time is over."""


class ForgottenWaits(PartialResult):
    """How many were forgotten."""

    count: int
