"""The words of templates: what meetings of a sort have in common."""

from __future__ import annotations

from pydantic import Field

from repomesh.domains.meetings.fields import Agenda, Prompt, Quorum, Rounds, TimeoutSeconds
from repomesh.domains.meetings.flow import Consensus, Order
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, Name, PageLimit
from repomesh.kernel.operation import Model


class CreateTemplate(Model):
    """A template of this workspace's own."""

    name: Name
    description: Label = ""
    agenda: Agenda = ()
    consensus: Consensus = "majority"
    quorum: Quorum | None = Field(None, description="Votes that must be cast, for the rule 'quorum'.")
    max_discussion_rounds: Rounds = limits.MEETING_ROUNDS_DEFAULT
    speaking_order: Order = "given"
    opinion_timeout_s: TimeoutSeconds = limits.MEETING_TIMEOUT_S_DEFAULT
    vote_timeout_s: TimeoutSeconds = limits.MEETING_TIMEOUT_S_DEFAULT
    opinion_prompt: Prompt = Field("", description="Told to each participant with the request to speak.")
    vote_prompt: Prompt = Field("", description="Told to all with the request to vote.")


class Template(CreateTemplate):
    """A template: a meeting has its values unless the meeting sets others."""

    built_in: bool = Field(description="Whether it comes with the server.")
    created_by: str | None = Field(None, description="The agent that made it; null for the owner.")
    created_at: Timestamp | None = None


class ListTemplates(Model):
    """Those that come with the server, then those made here, by name."""

    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT


class OneTemplate(Model):
    """One template."""

    name: Name


class TemplateChanged(Model):
    """A template that was made or deleted."""

    template: Template


MEETING_TEMPLATE_CREATED = event_type(
    "meeting_template.created", TemplateChanged, "A meeting template was created."
)
MEETING_TEMPLATE_DELETED = event_type(
    "meeting_template.deleted", TemplateChanged, "A meeting template was deleted."
)
