"""Models of waking: starting a turn of an idle CLI session, so that its model reads its messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from repomesh.domains.agents.cli_sessions.models import Cli, CliSessionKey
from repomesh.domains.messaging.delivery.models import Boundary
from repomesh.kernel import limits
from repomesh.kernel.fields import Label
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model


class ListDueWakes(Model):
    """The CLIs that the caller can wake."""

    cli: Annotated[tuple[Cli, ...], Field(min_length=1, max_length=limits.LIST_ITEMS_MAX)]


class DueWake(Model):
    """An idle CLI session with a message that is worth a turn of its model."""

    cli: str
    session_id: str
    agent_id: Id
    agent_name: str
    cwd: str
    processes: list[str] = Field(description="The session's own processes, each '@' its machine.")


class DueWakes(Model):
    """The sessions to wake now, and when to look again although nothing happens."""

    items: list[DueWake]
    again_s: float | None = Field(
        description="Seconds until the next check; null when only an event can change something."
    )


class TakeWake(CliSessionKey):
    """The CLI session to wake."""


class Wake(Model):
    """The text for a woken session and the messages in it; empty when there is no reason to wake it."""

    boundary: str | None = Field(description="The name of this delivery.")
    text: str
    message_ids: list[Id]


class WakeDone(Model):
    """The outcome of one attempt to wake a session."""

    boundary: Boundary
    agent_id: Id
    failure: Label = Field("", description="Why the session was not woken; empty when it was.")
