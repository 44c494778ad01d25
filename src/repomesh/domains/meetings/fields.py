"""The field types of meetings, decisions and templates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.tasks.models import CreateTask
from repomesh.kernel import limits
from repomesh.kernel.fields import Label, Reason
from repomesh.kernel.ids import Id

_NO_NUL = r"^[^\x00]*$"
_WORDS = r"^[^\x00]*[^\x00\s][^\x00]*$"  # not blanks alone: they would take up a turn, or a meeting

MeetingType = Literal["user_specified", "auto_generated"]
"""Called by somebody, or made from a suggestion of the server's."""

SpokenKind = Literal["opinion", "proposal", "support", "objection"]
"""An objection opposes the newest proposal that others made before it in the round."""

Topic = Annotated[
    str,
    StringConstraints(pattern=_WORDS, min_length=1, max_length=limits.MEETING_TOPIC_CHARS_MAX),
]
"""What it is about, kept to the letter."""

OpinionText = Annotated[
    str, StringConstraints(pattern=_WORDS, min_length=1, max_length=limits.OPINION_CHARS_MAX)
]

ProposalText = Annotated[
    str, StringConstraints(pattern=_WORDS, min_length=1, max_length=limits.PROPOSAL_CHARS_MAX)
]
"""What is voted on, and stands as the decision when it is carried."""

Rationale = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=limits.RATIONALE_CHARS_MAX)]

Prompt = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=limits.MEETING_PROMPT_CHARS_MAX)]

Said = Annotated[Reason, StringConstraints(pattern=_WORDS, min_length=1)]

Agenda = Annotated[
    tuple[Annotated[Label, StringConstraints(min_length=1)], ...],
    Field(max_length=limits.MEETING_AGENDA_ITEMS_MAX),
]

Participants = Annotated[tuple[AgentRef, ...], Field(max_length=limits.MEETING_PARTICIPANTS_MAX)]

Related = Annotated[tuple[Id, ...], Field(max_length=limits.MEETING_RELATED_MAX)]

Rounds = Annotated[int, Field(ge=1, le=limits.MEETING_ROUNDS_MAX)]

TimeoutSeconds = Annotated[float, Field(ge=limits.MEETING_TIMEOUT_S_MIN, le=limits.MEETING_TIMEOUT_S_MAX)]

Quorum = Annotated[int, Field(ge=1, le=limits.MEETING_PARTICIPANTS_MAX)]

RequestChars = Annotated[
    int,
    Field(
        ge=limits.MEETING_REQUEST_CHARS_MIN,
        le=limits.MEETING_REQUEST_CHARS_MAX,
        description="Budget for each request with the opinions so far.",
    ),
]

PlannedTasks = Annotated[tuple[CreateTask, ...], Field(max_length=limits.DECISION_TASKS_MAX)]
"""Tasks that are made with a decision, in its transaction."""
