"""The words of meetings: who takes part, what was said, proposed and voted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.meetings.decisions.models import Decision
from repomesh.domains.meetings.fields import (
    Agenda,
    MeetingType,
    OpinionText,
    Participants,
    PlannedTasks,
    ProposalText,
    Quorum,
    Related,
    RequestChars,
    Rounds,
    SpokenKind,
    TimeoutSeconds,
    Topic,
)
from repomesh.domains.meetings.flow import (
    Choice,
    Consensus,
    MeetingStatus,
    OpinionKind,
    Order,
    Outcome,
    Phase,
    Source,
    TurnStatus,
)
from repomesh.domains.tasks.models import CreateTask
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Cursor, DetailChars, MaxChars, Name, PageLimit, Reason
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Empty, Model

NO_RESPONSE = "[No response - timeout]"
"""What stands in the place of an opinion that did not come in time."""


class Participant(Model):
    """One participant, and its state in the current round."""

    agent_id: Id
    agent_name: str
    status: Literal["invited", "joined", "left"] = Field(
        description="Invited until it joins, speaks or votes; one who is invited is asked all the same."
    )
    turn: TurnStatus | None = Field(description="Its turn in this round; null before it has one.")
    vote: Choice | None = Field(description="Its vote in this round.")


class Meeting(Model):
    """The state of a meeting."""

    id: Id
    topic: str
    meeting_type: MeetingType
    status: MeetingStatus
    outcome: Outcome | None
    phase: Phase | None = Field(description="Phase of a meeting in progress.")
    round: int = Field(description="The current round, from 1; 0 before the first.")
    max_discussion_rounds: int
    speaking_order: Order
    consensus: Consensus
    quorum: int | None = Field(description="Votes that must be cast, for the rule 'quorum'.")
    opinion_timeout_s: float
    vote_timeout_s: float
    chair_id: Id | None
    chair_name: str | None
    agenda: list[str]
    template: str | None
    opinion_prompt: str = Field(description="Text that participants get with each request to speak.")
    vote_prompt: str = Field(description="Text that participants get with each request to vote.")
    participants: list[Participant]
    speaker_id: Id | None = Field(description="The participant whose turn it is.")
    speaker_name: str | None
    due_at: Timestamp | None = Field(description="When it goes on without those that it waits for.")
    proposal: str | None = Field(description="What is being voted on.")
    related_message_ids: list[Id]
    related_task_ids: list[Id]
    supersedes_id: Id | None = Field(description="The decision that the meeting's decision will replace.")
    decision_id: Id | None
    summary: str | None = Field(description="The position of each participant, when there was no consensus.")
    reason: str = Field(description="Why it was cancelled.")
    created_by: str | None = Field(description="The agent that called it; null for the owner.")
    created_by_id: Id | None
    created_at: Timestamp
    started_at: Timestamp | None
    ended_at: Timestamp | None
    version: int = Field(description="Grows with each change.")


class Opinion(Model):
    """What one participant said in its turn."""

    sequence: int = Field(description="Its number in the meeting, from 1.")
    round: int
    agent_id: Id
    agent_name: str
    kind: OpinionKind
    content: str = Field(description=f"Markdown; '{NO_RESPONSE}' when it did not come in time.")
    proposal: str | None = Field(description="What it puts to the vote.")
    tasks: list[CreateTask] = Field(description="Made with the decision, if its proposal is carried.")
    at: Timestamp
    truncated: bool = Field(False, description="Whether `max_chars` cut `content`.")


class Proposal(Model):
    """The proposal that a round votes on."""

    round: int
    source: Source
    sequence: int | None = Field(description="The opinion that made it; null for one that was written.")
    agent_name: str | None = Field(description="The agent that made it.")
    text: str
    tasks: list[CreateTask]
    at: Timestamp


class CastVote(Model):
    """One vote."""

    round: int
    agent_id: Id
    agent_name: str
    choice: Choice
    reason: str
    amendment: str | None = Field(description="The change that the voter wants.")
    at: Timestamp


class Round(Model):
    """The opinions and votes of one round."""

    number: int
    opinions: list[Opinion]
    proposal: Proposal | None
    votes: list[CastVote]


class MeetingDetail(Meeting):
    """A meeting with all that was said."""

    rounds: list[Round]
    decision: Decision | None
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")


class CreateMeeting(Model):
    """A new meeting. Absent fields come from the template, if one is named."""

    topic: Topic
    participant_ids: Participants = Field((), description="By name or id, in the order of speaking.")
    meeting_type: MeetingType = "user_specified"
    template: Name | None = Field(None, description="Its agenda, rule, times and prompts.")
    agenda: Agenda | None = None
    max_discussion_rounds: Rounds | None = Field(
        None, description=f"{limits.MEETING_ROUNDS_DEFAULT} unless said otherwise."
    )
    speaking_order: Order | None = Field(
        None, description="'given' (as named), 'fixed' (by name) or 'random' (shuffled each round)."
    )
    opinion_timeout_s: TimeoutSeconds | None = Field(
        None,
        description=f"Time for an opinion; {limits.MEETING_TIMEOUT_S_DEFAULT:.0f} unless said otherwise.",
    )
    vote_timeout_s: TimeoutSeconds | None = Field(
        None, description=f"Time for the votes; {limits.MEETING_TIMEOUT_S_DEFAULT:.0f} unless said otherwise."
    )
    consensus: Consensus | None = Field(None, description="'majority' unless said otherwise.")
    quorum: Quorum | None = Field(None, description="Votes that must be cast, for the rule 'quorum'.")
    chair: AgentRef | None = Field(None, description="Takes part, too; its proposal is voted on first.")
    related_message_ids: Related = ()
    related_task_ids: Related = ()
    supersedes: Id | None = Field(None, description="An active decision that the new one replaces.")
    start: bool = Field(False, description="Begin at once.")


class ListMeetings(Model):
    """Which meetings to list."""

    status: MeetingStatus | None = None
    outcome: Outcome | None = None
    meeting_type: MeetingType | None = None
    participant: AgentRef | None = None
    since: Timestamp | None = Field(None, description="Called at this time or later.")
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class OneMeeting(Model):
    """One meeting."""

    meeting_id: Id


class ShowMeeting(OneMeeting):
    """One meeting, with what was said."""

    max_chars: DetailChars | None = None


class JoinMeeting(OneMeeting):
    """Take part, or come back after one was passed over."""

    max_chars: RequestChars | None = None


class CancelMeeting(OneMeeting):
    """A meeting is not wanted any more."""

    reason: Reason = ""


class Speak(OneMeeting):
    """An opinion, when one is asked for it."""

    content: OpinionText = Field(description="Markdown.")
    kind: SpokenKind | None = Field(
        None, description="'proposal' if it makes one, else 'opinion', unless you say."
    )
    proposal: ProposalText | None = Field(
        None, description="What you put to the vote; `content` itself for kind 'proposal'."
    )
    tasks: PlannedTasks = Field((), description="To be made with the decision, if the proposal is carried.")
    round: Rounds | None = Field(None, description="The round that is meant; refused if it is over.")

    @property
    def proposed(self) -> str | None:
        """What it puts to the vote."""
        return self.proposal or (self.content if self.kind == "proposal" else None)

    @model_validator(mode="after")
    def _can_be_voted_on(self) -> Speak:
        if len(self.proposed or "") > limits.PROPOSAL_CHARS_MAX:
            raise ValueError(
                f"'content' has more than {limits.PROPOSAL_CHARS_MAX} characters: send 'proposal', too"
            )
        if self.tasks and self.proposed is None:
            raise ValueError("'tasks' come with a proposal: send 'proposal', or kind 'proposal'")
        return self


class CastVoteRequest(OneMeeting):
    """A vote on the proposal of the round."""

    choice: Choice
    reason: Reason = ""
    amendment: Reason | None = Field(None, description="What you would change; the others are told.")
    round: Rounds | None = Field(None, description="The round that is meant; refused if it is over.")


class ShowRequest(OneMeeting):
    """What a meeting asks of the acting agent now."""

    max_chars: RequestChars | None = None


class HeardOpinion(Model):
    """An opinion as participants receive it."""

    sequence: int
    round: int
    agent_name: str
    kind: OpinionKind
    content: str
    truncated: bool = False


class MeetingRequest(Model):
    """What a meeting asks of a participant: to speak, to vote, or nothing now."""

    type: Literal["opinion_request", "consensus_request"] | None = Field(
        description="Null when nothing is asked of the acting agent."
    )
    meeting_id: Id
    topic: str
    round: int
    agenda: list[str]
    prompt: str
    before: list[str] = Field(description="The previous round's proposal and result, the dissent first.")
    opinions: list[HeardOpinion] = Field(description="Of this round, within the budget; longer ones are cut.")
    proposal: str | None
    due_at: Timestamp | None
    message_id: Id | None = Field(description="The message that asks; speaking or voting acknowledges it.")


class FindDueMeetings(Empty):
    """Look for meetings whose deadline is over, or who wait for somebody who is gone."""


class DueMeetings(Model):
    """The meetings that are due."""

    meeting_ids: list[Id]


class SettleMeetings(Model):
    """Advance the meetings that are due."""

    meeting_id: Id | None = Field(None, description="This one alone, if it is due; otherwise all of them.")


class SettledMeetings(Model):
    """The meetings that were checked."""

    meeting_ids: list[Id]


class WriteProposal(Empty):
    """Have a proposal written for the meeting that waits for one the longest."""


class WrittenProposal(WriteProposal):
    """What came of it: a text, or in `refusal` why there is none."""

    meeting_id: Id
    round: int
    text: str
    refusal: str


class ProposalWritten(Model):
    """The meeting that was given a proposal; null when none waits for one."""

    meeting_id: Id | None
