"""The words of suggested topics: what a team should meet about, and why."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from repomesh.kernel import limits
from repomesh.kernel.fields import MaxChars
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model

Share = Annotated[float, Field(ge=0, le=1)]


class SuggestTopics(Model):
    """How far to look back."""

    hours_back: float = Field(
        24.0, gt=0, le=limits.TOPIC_HOURS_MAX, description="What was said and happened in so many hours."
    )
    limit: int = Field(limits.TOPICS_DEFAULT, ge=1, le=limits.TOPICS_MAX, description="Topics at most.")
    max_chars: MaxChars | None = None


class TopicFigures(Model):
    """The figures behind a topic; the setting `REPOMESH_TOPIC_WEIGHTS` weights them."""

    frequency: Share = Field(description="How much was said about it.")
    conflict: Share = Field(description="Contradiction, repeated waits for one lock, repeated failures.")
    recency: Share = Field(description="How recently it was discussed.")
    people: Share = Field(description="How many agents and people are involved.")
    delay: Share = Field(description="What waits for it, and how long.")


class SuggestedTopic(Model):
    """A topic for a meeting; `POST /v1/meetings` takes its fields under similar names."""

    topic: str
    priority: Share = Field(description="The weighted figures; far lower when those involved agreed already.")
    reason: str = Field(description="Why, in one sentence with its figures.")
    figures: TopicFigures
    related_messages: list[Id] = Field(description="Newest first; for `related_message_ids`.")
    related_tasks: list[Id] = Field(description="For `related_task_ids`.")
    suggested_participants: list[str] = Field(
        description="Who takes part in the matter, by name, who said most first; for `participant_ids`."
    )


class SuggestedTopics(Model):
    """Topics for meetings, most urgent first."""

    suggested_topics: list[SuggestedTopic]
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")
