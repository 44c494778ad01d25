"""Models of a person's inbox: what needs the person, the most urgent first."""

from __future__ import annotations

from pydantic import Field

from repomesh.domains.agents.models import PermissionRequested
from repomesh.domains.messaging.messages.models import ReceivedMessage
from repomesh.domains.messaging.questions.models import Question
from repomesh.kernel.fields import MaxChars, PageLimit
from repomesh.kernel.limits import INBOX_ITEMS_DEFAULT
from repomesh.kernel.operation import Model


class ShowInbox(Model):
    """Limits of the inbox to show."""

    limit: PageLimit = Field(INBOX_ITEMS_DEFAULT, description="Most of each sort.")
    max_chars: MaxChars | None = None


class Inbox(Model):
    """The open requests to an agent that others wait for, and then its unread messages."""

    questions: list[Question] = Field(description="Open ones, the next deadline first.")
    permissions: list[PermissionRequested] = Field(
        description="CLIs that stand still until their person says yes or no, newest first."
    )
    notices: list[ReceivedMessage] = Field(description="Unread notices of what was not delivered.")
    messages: list[ReceivedMessage] = Field(description="Other unread ones, the most urgent first.")
    unread: int = Field(description="How many messages are unread in all.")
    omitted: str | None = Field(None, description="What `limit` and `max_chars` left out, in words.")
