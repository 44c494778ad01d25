"""The words of decisions: what holds, why, who agreed, and what became of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.meetings.fields import PlannedTasks, ProposalText, Rationale, Related, Said, Topic
from repomesh.domains.meetings.flow import Choice, Consensus
from repomesh.domains.messaging.messages.models import Message
from repomesh.domains.tasks.models import Task
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, DetailChars, Label, MaxChars, PageLimit
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model
from repomesh.kernel.prepared_words import PreparesWords

DecisionStatus = Literal["active", "superseded", "overruled"]


class Position(Model):
    """The position of one participant when a decision was made."""

    agent_id: Id
    agent_name: str
    choice: Choice | None = Field(description="Null for one who cast no vote in time.")
    reason: str = ""
    amendment: str | None = Field(None, description="The change that the participant wanted.")


class Decision(Model):
    """A decision. It is in force while it is `active`."""

    id: Id
    topic: str
    decision: str = Field(description="Markdown: the proposal that was carried.")
    rationale: str = Field(description="Why, from those who proposed it and agreed.")
    status: DecisionStatus
    reason: str = Field(description="Why it was superseded or overruled.")
    meeting_id: Id | None = Field(description="Null for one that a person recorded without a meeting.")
    round: int | None = Field(description="The round in which it was carried.")
    consensus: Consensus | None = Field(description="The rule by which it was carried.")
    agreement: list[Position]
    dissent: list[Position]
    abstentions: list[Position]
    absent: list[Position] = Field(description="Participants that cast no vote in time.")
    related_message_ids: list[Id]
    related_task_ids: list[Id]
    task_ids: list[Id] = Field(description="Tasks that were made with it.")
    supersedes_id: Id | None = Field(description="The earlier decision that it replaces.")
    superseded_by_id: Id | None = Field(description="The later decision that replaces it.")
    overruled_by: str | None = Field(description="The person who overruled it.")
    recorded_by: str | None = Field(
        description="The person who recorded it; null for a meeting, or the owner."
    )
    recorded_by_id: Id | None
    created_at: Timestamp
    updated_at: Timestamp
    version: int = Field(description="Grows with each change; the ETag.")


class ListedDecision(Decision):
    """A decision of a list."""

    truncated: bool = Field(False, description="Whether `max_chars` cut `decision`.")


class DecisionDetail(Decision):
    """A decision with what it concerns in full, as far as the caller may see it."""

    related_messages: list[Message]
    related_tasks: list[Task]
    tasks: list[Task] = Field(description="Those that were made with it.")
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")


class RecordDecision(PreparesWords):
    """A decision that people made without a meeting."""

    topic: Topic
    decision: ProposalText = Field(description="Markdown: what holds from now on.")
    rationale: Rationale = ""
    related_message_ids: Related = ()
    related_task_ids: Related = ()
    supersedes: Id | None = Field(None, description="An active decision that it replaces.")
    tasks: PlannedTasks = Field((), description="Tasks to make with it, in the same transaction.")


class ListDecisions(Model):
    """Which decisions to list."""

    status: DecisionStatus | None = None
    meeting_id: Id | None = None
    topic: Label | None = Field(None, description="Part of the topic.")
    participant: AgentRef | None = Field(
        None, description="A participant of its meeting, or who recorded it."
    )
    text: Label | None = Field(None, description="Words of topic, decision or rationale.")
    since: Timestamp | None = Field(None, description="Taken at this time or later.")
    until: Timestamp | None = Field(None, description="Taken before this time.")
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ShowDecision(Model):
    """One decision."""

    decision_id: Id
    max_chars: DetailChars | None = None


class SupersedeDecision(Model):
    """The decision that replaces this one."""

    decision_id: Id
    by: Id = Field(description="A later decision that is active.")
    reason: Said


class OverruleDecision(Model):
    """A person's reason to overrule a decision."""

    decision_id: Id
    reason: Said


class DecisionChanged(Model):
    """The new state of a decision."""

    decision: Decision


DECISION_RECORDED = event_type(
    "decision.recorded", DecisionChanged, "A decision was recorded, by a meeting or by a person."
)
DECISION_SUPERSEDED = event_type(
    "decision.superseded", DecisionChanged, "A later decision replaced this one."
)
DECISION_OVERRULED = event_type(
    "decision.overruled", DecisionChanged, "A person overruled a decision; its data says why."
)
