"""The texts of a meeting: requests to participants, drafts, rationales and summaries. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from repomesh.domains.meetings import consensus
from repomesh.domains.meetings.decisions.models import Position
from repomesh.domains.meetings.flow import TabledProposal
from repomesh.domains.meetings.models import CastVote, HeardOpinion, Opinion, Proposal
from repomesh.domains.messaging.messages.envelope import one_line
from repomesh.kernel.budget import fair_share
from repomesh.kernel.limits import (
    LABEL_CHARS_MAX,
    MEETING_SUMMARY_CHARS,
    PROPOSAL_CHARS_MAX,
    RATIONALE_CHARS_MAX,
    REASON_CHARS_MAX,
)

_VERDICTS = {"agree": "agreed", "disagree": "disagreed", "abstain": "abstained", None: "did not vote"}


@dataclass(frozen=True, slots=True)
class PromptHeader:
    """What every request to a participant contains: the meeting, the round, the agenda, the deadline."""

    meeting_id: str
    topic: str
    round: int
    rounds_max: int
    agenda: Sequence[str]
    prompt: str
    due_at: datetime


def shorten(text: str, length: int) -> str:
    """Cut `text` to at most `length` characters, the last of them an ellipsis if anything was cut."""
    if len(text) <= length:
        return text
    return f"{text[: length - 1]}…" if length > 0 else ""


def subject(kind: str, topic: str) -> str:
    """The subject of a message about a meeting: one line."""
    return shorten(f"{kind}: {one_line(topic)}", LABEL_CHARS_MAX)


def heard_opinions(opinions: Sequence[Opinion], max_chars: int) -> list[HeardOpinion]:
    """All of the opinions, the longest contents cut until they fit into `max_chars` together."""
    share = fair_share([len(opinion.content) for opinion in opinions], max_chars)
    return [
        HeardOpinion(
            sequence=opinion.sequence,
            round=opinion.round,
            agent_name=opinion.agent_name,
            kind=opinion.kind,
            content=shorten(opinion.content, share),
            truncated=len(opinion.content) > share,
        )
        for opinion in opinions
    ]


def opinion_request(
    header: PromptHeader, opinions: Sequence[Opinion], previous_round: Sequence[str], max_chars: int
) -> str:
    """The body of the message that asks one participant to speak."""
    head = [
        f"Your turn to speak in meeting {header.meeting_id}, "
        f"round {header.round} of {header.rounds_max}, on:",
        header.topic,
        *_agenda_lines(header),
        *previous_round,
        "Said so far in this round:" if opinions else "Nobody has spoken in this round before you.",
    ]
    tail = f"Give your opinion by {_format_time(header.due_at)}; you may put a proposal to the vote with it."
    return _assemble(head, opinions, tail, max_chars)


def vote_request(
    header: PromptHeader, opinions: Sequence[Opinion], proposal: Proposal, max_chars: int
) -> str:
    """The body of the message that asks all to vote."""
    of_author = f" of {proposal.agent_name}" if proposal.agent_name else ""
    head = [
        f"Vote in meeting {header.meeting_id}, round {header.round} of {header.rounds_max}, on:",
        header.topic,
        *_agenda_lines(header),
        f"The proposal{of_author}:",
        proposal.text,
        "What was said in this round:",
    ]
    tail = f"Vote by {_format_time(header.due_at)}: agree, disagree or abstain, with your reason."
    return _assemble(head, opinions, tail, max_chars)


def dissent(proposal: Proposal | None, votes: Sequence[CastVote]) -> list[str]:
    """The proposal and the votes of a round as lines, dissenting votes first; empty without a proposal."""
    if proposal is None:
        return []
    lines = ["The round before voted on:", shorten(proposal.text, MEETING_SUMMARY_CHARS)]
    against = [vote for vote in votes if vote.choice == "disagree"]
    others = [vote for vote in votes if vote.choice != "disagree"]
    return lines + [f"- {_describe_vote(vote.agent_name, vote)}" for vote in (*against, *others)]


def draft(opinions: Sequence[Opinion]) -> tuple[str, Opinion | None]:
    """The text to vote on when no proposal is unopposed, and the opinion it comes from. Deterministic.

    The least opposed proposal, the later one of equals; without any, the opinion that shares most of its
    words with the others.
    """
    spoken = [opinion for opinion in opinions if opinion.kind != "no_response"]
    opinions_by_sequence = {opinion.sequence: opinion for opinion in spoken}
    tabled: tuple[TabledProposal, ...] = ()
    for opinion in spoken:
        proposes = opinion.proposal is not None
        tabled = consensus.update_tabled(
            tabled, opinion.sequence, opinion.agent_id, opinion.kind, proposes=proposes
        )
    if tabled:
        least = min(tabled, key=lambda proposal: (proposal.opposed, -proposal.sequence))
        best = opinions_by_sequence[least.sequence]
        return best.proposal or best.content, best
    words = {opinion.sequence: frozenset(opinion.content.casefold().split()) for opinion in spoken}
    best = max(spoken, key=lambda opinion: (_word_overlap(words, opinion.sequence), -opinion.sequence))
    return shorten(best.content, PROPOSAL_CHARS_MAX), best


def rationale(opinion: Opinion | None, positions: Sequence[Position]) -> str:
    """Why a proposal was carried: what its author said, and the reasons of those who agreed."""
    lines = [] if opinion is None else [f"{opinion.agent_name}: {opinion.content}"]
    lines += [
        f"{position.agent_name}: {position.reason}"
        for position in positions
        if position.choice == "agree" and position.reason
    ]
    return shorten("\n\n".join(lines), RATIONALE_CHARS_MAX)


def summary(topic: str, names: Sequence[str], opinions: Sequence[Opinion], votes: Sequence[CastVote]) -> str:
    """The last vote and the last opinion of each participant, for a meeting that ends without a decision."""
    last_said = {opinion.agent_name: opinion for opinion in opinions if opinion.kind != "no_response"}
    last_vote = {vote.agent_name: vote for vote in votes}
    lines = [f"No consensus on: {one_line(topic)}", ""]
    for name in names:
        vote, opinion = last_vote.get(name), last_said.get(name)
        lines.append(f"- {_describe_vote(name, vote)}")
        if opinion is not None:
            lines.append(f"  Last said: {_short_line(opinion.content)}")
    return "\n".join(lines)


def decision_notice(decision: str, positions: Sequence[Position], max_chars: int) -> str:
    """The body of the notice of a decision: the decision, then how each participant voted.

    Where both are long the decision takes half of `max_chars`.
    """
    stances = "\n".join(f"- {_describe_vote(position.agent_name, position)}" for position in positions)
    tail = shorten(stances, max(max_chars - len(decision) - 2, max_chars // 2))
    return f"{shorten(decision, max_chars - len(tail) - 2)}\n\n{tail}"


def _describe_vote(name: str, vote: CastVote | Position | None) -> str:
    if vote is None:
        return f"{name} {_VERDICTS[None]}"
    reason = f": {_short_line(vote.reason)}" if vote.reason else ""
    amendment = f" (would change: {_short_line(vote.amendment)})" if vote.amendment else ""
    return f"{name} {_VERDICTS[vote.choice]}{reason}{amendment}"


def _short_line(text: str) -> str:
    return shorten(one_line(text[:REASON_CHARS_MAX]), MEETING_SUMMARY_CHARS)


def _agenda_lines(header: PromptHeader) -> list[str]:
    lines = [f"Agenda: {'; '.join(header.agenda)}"] if header.agenda else []
    return [*lines, header.prompt] if header.prompt else lines


def _assemble(head: Sequence[str], opinions: Sequence[Opinion], tail: str, max_chars: int) -> str:
    """Head, opinions and tail within `max_chars`; the opinions share what head and tail leave.

    Only the newest opinions are shown where the names of all would take more than a third.
    """
    marks = [f"#{opinion.sequence} {opinion.agent_name} ({opinion.kind}): " for opinion in opinions]
    shown_count = _count_newest_fitting(marks, max_chars // 3)
    left_out = len(opinions) - shown_count
    notes = [f"({left_out} earlier ones are left out here.)"] if left_out else []
    marks, shown_opinions = marks[left_out:], opinions[left_out:]
    fixed_chars = sum(len(line) + 1 for line in (*marks, *notes, "", tail))
    opening = shorten("\n".join(head), max_chars - fixed_chars)
    heard = heard_opinions(shown_opinions, max_chars - fixed_chars - len(opening))
    lines = [f"{mark}{opinion.content}" for mark, opinion in zip(marks, heard, strict=True)]
    return "\n".join([opening, *notes, *lines, "", tail])


def _count_newest_fitting(lines: Sequence[str], room: int) -> int:
    """How many of the last lines take at most `room` characters together."""
    for count, line in enumerate(reversed(lines)):
        room -= len(line) + 1
        if room < 0:
            return count
    return len(lines)


def _word_overlap(words: dict[int, frozenset[str]], sequence: int) -> float:
    own_words = words[sequence]
    all_others = [other_words for other_sequence, other_words in words.items() if other_sequence != sequence]
    return sum(
        len(own_words & other_words) / max(len(own_words | other_words), 1) for other_words in all_others
    )


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
