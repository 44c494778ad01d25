"""The minutes of a meeting as Markdown. Participants' texts are quoted, so their markup has no effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from repomesh.domains.meetings.decisions.models import Decision, Position
from repomesh.domains.meetings.flow import Source
from repomesh.domains.meetings.models import Meeting, MeetingDetail, Round
from repomesh.domains.meetings.prompts import shorten
from repomesh.domains.messaging.messages.envelope import one_line

_RULES = {
    "unanimous": "nobody disagrees",
    "majority": "more agree than disagree",
    "two_thirds": "two thirds of those who agree or disagree",
    "quorum": "more agree than disagree, with enough votes cast",
}

_SOURCES: Final[dict[Source, str]] = {
    "chair": "the chair's proposal",
    "unopposed": "{name}'s proposal, the last one without an objection",
    "written": "a proposal that the language model wrote",
    "draft": "a draft of the opinions, since no proposal was free of objections",
}
"""How the minutes name a proposal, by its source."""


def markdown(meeting: MeetingDetail, max_chars: int | None = None) -> str:
    """The minutes as Markdown, cut at the end when they are longer than `max_chars`."""
    parts = [*_head(meeting), *(line for round_ in meeting.rounds for line in _round(round_)), *_end(meeting)]
    text = "\n".join(parts) + "\n"
    return text if max_chars is None else shorten(text, max_chars)


def _head(meeting: Meeting) -> list[str]:
    lines = [
        f"# {one_line(meeting.topic)}",
        "",
        f"- Meeting: {meeting.id}, called by {meeting.created_by or 'the owner'}"
        f" at {meeting.created_at:%Y-%m-%d %H:%M:%S} UTC",
        f"- Status: {meeting.status}" + (f", {meeting.outcome}" if meeting.outcome else ""),
        f"- Rule: {meeting.consensus} ({_RULES[meeting.consensus]})"
        + (f", quorum {meeting.quorum}" if meeting.quorum else "")
        + f", up to {meeting.max_discussion_rounds} rounds",
        "- Participants: " + ", ".join(participant.agent_name for participant in meeting.participants),
    ]
    if meeting.chair_name:
        lines.append(f"- Chair: {meeting.chair_name}")
    if "\n" in meeting.topic:
        lines += ["", *_quote(meeting.topic)]
    if meeting.agenda:
        lines += [
            "",
            "## Agenda",
            "",
            *(f"{number}. {item}" for number, item in enumerate(meeting.agenda, 1)),
        ]
    return [*lines, ""]


def _round(round_: Round) -> list[str]:
    lines = [f"## Round {round_.number}", ""]
    for opinion in round_.opinions:
        lines += [
            f"**{opinion.agent_name}** ({opinion.kind}, #{opinion.sequence}):",
            "",
            *_quote(opinion.content),
        ]
        if opinion.proposal and opinion.proposal != opinion.content:
            lines += ["", "It proposes:", "", *_quote(opinion.proposal)]
        lines.append("")
    if round_.proposal is not None:
        source = _SOURCES[round_.proposal.source].format(name=round_.proposal.agent_name)
        lines += [f"### Voted on {source}", "", *_quote(round_.proposal.text), ""]
        for vote in round_.votes:
            lines.append(_vote_line(vote.agent_name, vote.choice, vote.reason, vote.amendment))
        lines.append("")
    return lines


def _end(meeting: MeetingDetail) -> list[str]:
    if meeting.decision is not None:
        return _decision(meeting.decision)
    if meeting.summary:
        return ["## No consensus", "", *_quote(meeting.summary)]
    if meeting.status == "cancelled":
        return ["## Cancelled", "", *_quote(meeting.reason or "No reason was given.")]
    return [f"The meeting is {meeting.status}."]


def _decision(decision: Decision) -> list[str]:
    lines = ["## Decision", "", *_quote(decision.decision), ""]
    if decision.status != "active":
        lines += [f"It is {decision.status}: {one_line(decision.reason)}", ""]
    groups: Sequence[tuple[str, list[Position]]] = (
        ("Agreed", decision.agreement),
        ("Dissented", decision.dissent),
        ("Abstained", decision.abstentions),
        ("Did not vote", decision.absent),
    )
    for word, positions in groups:
        if positions:
            lines.append(f"- {word}: {', '.join(position.agent_name for position in positions)}")
    for word, ids in (("Tasks made", decision.task_ids), ("Related tasks", decision.related_task_ids)):
        if ids:
            lines.append(f"- {word}: {', '.join(ids)}")
    if decision.related_message_ids:
        lines.append(f"- Related messages: {', '.join(decision.related_message_ids)}")
    return lines


def _vote_line(name: str, choice: str, reason: str, amendment: str | None) -> str:
    reason_text = f": {one_line(reason)}" if reason else ""
    amendment_text = f" Would change: {one_line(amendment)}" if amendment else ""
    return f"- {name} votes {choice}{reason_text}{amendment_text}"


def _quote(text: str) -> list[str]:
    return [f"> {line}".rstrip() for line in text.splitlines()] or [">"]
