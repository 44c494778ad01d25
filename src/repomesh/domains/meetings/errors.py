"""What can go wrong with meetings."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class MeetingNotFound(NotFound):
    """No meeting of this workspace has that id."""

    code = "meeting_not_found"
    hint = "List the meetings with GET /v1/meetings."


class MeetingStatusConflict(Conflict):
    """The meeting has not begun, or is over; `meeting_status` and `outcome` say which."""

    code = "meeting_status"
    hint = (
        "Read the meeting with GET /v1/meetings/{meeting_id}; POST /v1/meetings/{meeting_id}/start "
        "begins a pending one."
    )


class NotYourMeeting(Forbidden):
    """Only its creator, its chair, people and the workspace's owner can lead a meeting."""

    code = "not_your_meeting"
    hint = "Ask the agent in 'created_by' or the chair, or use the owner's token."


class NotAParticipant(Forbidden):
    """Only participants can speak and vote, and one who left does not take part."""

    code = "not_a_participant"
    hint = "Join the meeting first: POST /v1/meetings/{meeting_id}/join."


class NotYourTurn(Conflict):
    """Another participant speaks now; `speaker` names it."""

    code = "not_your_turn"
    hint = "Wait for the message that asks you: wait_for_messages."


class TurnOver(Conflict):
    """The opinion came too late; `happened` says what happened instead."""

    code = "turn_over"
    hint = (
        "Read the meeting with GET /v1/meetings/{meeting_id}. If you were skipped, join again to get a turn."
    )


class NotVoting(Conflict):
    """There is no vote now, or it began before this participant joined."""

    code = "not_voting"
    hint = (
        "Read the meeting with GET /v1/meetings/{meeting_id}; the vote begins when everybody in "
        "the round has spoken."
    )


class AlreadyVoted(Conflict):
    """A participant can vote only once in a round."""

    code = "already_voted"
    hint = "Your first vote counts. Another round asks you again; 'round' is the current one."


class DuplicateParticipant(Conflict):
    """An agent is named more than once, perhaps by its name and by its id."""

    code = "duplicate_participant"
    hint = "Name each of 'participant_ids' once. No meeting was created."


class TooFewParticipants(Conflict):
    """A meeting needs two participants to begin, and as many as its quorum."""

    code = "too_few_participants"
    hint = "Add 'participant_ids', or record a decision without a meeting with POST /v1/decisions."


class TooManyParticipants(Conflict):
    """A meeting has a bounded number of participants, those who left included."""

    code = "too_many_participants"
    hint = "Send fewer 'participant_ids': some may speak for others, or call a second meeting."


class QuorumMissing(InvalidRequest):
    """The rule 'quorum' needs a `quorum`, and no other rule takes one."""

    code = "quorum_missing"
    hint = "Send 'quorum' with the number of votes that must be cast, together with consensus 'quorum'."
