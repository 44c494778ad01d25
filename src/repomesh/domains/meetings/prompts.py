"""What participants are told and what is written down, as text: pure, from what was said and voted."""

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
    """What every request says: of which meeting it is, and how long one may take."""

    meeting_id: str
    topic: str
    round: int
    rounds_max: int
    agenda: Sequence[str]
    prompt: str
    due_at: datetime


def shortened(text: str, length: int) -> str:
    """`text`, or its beginning with an ellipsis."""
    if len(text) <= length:
        return text
    return f"{text[: length - 1]}…" if length > 0 else ""


def subject(what: str, topic: str) -> str:
    """The subject of a message about a meeting: one line."""
    return shortened(f"{what}: {one_line(topic)}", LABEL_CHARS_MAX)


def heard_opinions(opinions: Sequence[Opinion], max_chars: int) -> list[HeardOpinion]:
    """Opinions as others are told them: all of them, the longest cut until they fit."""
    share = fair_share([len(one.content) for one in opinions], max_chars)
    return [
        HeardOpinion(
            sequence=one.sequence,
            round=one.round,
            agent_name=one.agent_name,
            kind=one.kind,
            content=shortened(one.content, share),
            truncated=len(one.content) > share,
        )
        for one in opinions
    ]


def opinion_request(
    asked: PromptHeader, opinions: Sequence[Opinion], before: Sequence[str], max_chars: int
) -> str:
    """The body of the message that asks one participant to speak."""
    head = [
        f"Your turn to speak in meeting {asked.meeting_id}, round {asked.round} of {asked.rounds_max}, on:",
        asked.topic,
        *_agenda(asked),
        *before,
        "Said so far in this round:" if opinions else "Nobody has spoken in this round before you.",
    ]
    tail = f"Give your opinion by {_time(asked.due_at)}; you may put a proposal to the vote with it."
    return _around(head, opinions, tail, max_chars)


def vote_request(asked: PromptHeader, opinions: Sequence[Opinion], proposal: Proposal, max_chars: int) -> str:
    """The body of the message that asks all to vote."""
    by = f" of {proposal.agent_name}" if proposal.agent_name else ""
    head = [
        f"Vote in meeting {asked.meeting_id}, round {asked.round} of {asked.rounds_max}, on:",
        asked.topic,
        *_agenda(asked),
        f"The proposal{by}:",
        proposal.text,
        "What was said in this round:",
    ]
    tail = f"Vote by {_time(asked.due_at)}: agree, disagree or abstain, with your reason."
    return _around(head, opinions, tail, max_chars)


def dissent(proposal: Proposal | None, votes: Sequence[CastVote]) -> list[str]:
    """What the next round is told of the vote before it: the dissent first."""
    if proposal is None:
        return []
    lines = ["The round before voted on:", shortened(proposal.text, MEETING_SUMMARY_CHARS)]
    against = [vote for vote in votes if vote.choice == "disagree"]
    rest = [vote for vote in votes if vote.choice != "disagree"]
    return lines + [f"- {_stand(vote.agent_name, vote)}" for vote in (*against, *rest)]


def draft(opinions: Sequence[Opinion]) -> tuple[str, Opinion | None]:
    """A proposal from what was said, when none stands unopposed; the same for the same opinions.

    It is the least opposed proposal, a later one before an earlier; without any, the opinion that shares
    most of its words with the others.
    """
    said = [one for one in opinions if one.kind != "no_response"]
    by_number = {one.sequence: one for one in said}
    tabled: tuple[TabledProposal, ...] = ()
    for one in said:
        proposes = one.proposal is not None
        tabled = consensus.tabled_with(tabled, one.sequence, one.agent_id, one.kind, proposes=proposes)
    if tabled:
        least = min(tabled, key=lambda one: (one.opposed, -one.sequence))
        best = by_number[least.sequence]
        return best.proposal or best.content, best
    words = {one.sequence: frozenset(one.content.casefold().split()) for one in said}
    best = max(said, key=lambda one: (_shared(words, one.sequence), -one.sequence))
    return shortened(best.content, PROPOSAL_CHARS_MAX), best


def rationale(opinion: Opinion | None, positions: Sequence[Position]) -> str:
    """Why a proposal was carried: what its author said, and the reasons of those who agreed."""
    lines = [] if opinion is None else [f"{opinion.agent_name}: {opinion.content}"]
    lines += [f"{one.agent_name}: {one.reason}" for one in positions if one.choice == "agree" and one.reason]
    return shortened("\n\n".join(lines), RATIONALE_CHARS_MAX)


def summary(topic: str, names: Sequence[str], opinions: Sequence[Opinion], votes: Sequence[CastVote]) -> str:
    """Where each stood when a meeting ends without a decision."""
    last_said = {one.agent_name: one for one in opinions if one.kind != "no_response"}
    last_vote = {vote.agent_name: vote for vote in votes}
    lines = [f"No consensus on: {one_line(topic)}", ""]
    for name in names:
        vote, said = last_vote.get(name), last_said.get(name)
        lines.append(f"- {_stand(name, vote)}")
        if said is not None:
            lines.append(f"  Last said: {_plain(said.content)}")
    return "\n".join(lines)


def decided(decision: str, positions: Sequence[Position], max_chars: int) -> str:
    """The body of the notice that tells participants what was decided, and then where each stood.

    Where both are long half of it is the decision's.
    """
    stood = "\n".join(f"- {_stand(one.agent_name, one)}" for one in positions)
    tail = shortened(stood, max(max_chars - len(decision) - 2, max_chars // 2))
    return f"{shortened(decision, max_chars - len(tail) - 2)}\n\n{tail}"


def _stand(name: str, vote: CastVote | Position | None) -> str:
    if vote is None:
        return f"{name} {_VERDICTS[None]}"
    said = f": {_plain(vote.reason)}" if vote.reason else ""
    amendment = f" (would change: {_plain(vote.amendment)})" if vote.amendment else ""
    return f"{name} {_VERDICTS[vote.choice]}{said}{amendment}"


def _plain(text: str) -> str:
    return shortened(one_line(text[:REASON_CHARS_MAX]), MEETING_SUMMARY_CHARS)


def _agenda(asked: PromptHeader) -> list[str]:
    lines = [f"Agenda: {'; '.join(asked.agenda)}"] if asked.agenda else []
    return [*lines, asked.prompt] if asked.prompt else lines


def _around(head: Sequence[str], opinions: Sequence[Opinion], tail: str, max_chars: int) -> str:
    """Head, opinions and tail within `max_chars`; the opinions share what the others leave.

    Where there are so many that even a word of each would not fit the newest are told.
    """
    marks = [f"#{one.sequence} {one.agent_name} ({one.kind}): " for one in opinions]
    told = _newest_fitting(marks, max_chars // 3)
    left_out = len(opinions) - told
    notes = [f"({left_out} earlier ones are left out here.)"] if left_out else []
    marks, some = marks[left_out:], opinions[left_out:]
    taken = sum(len(line) + 1 for line in (*marks, *notes, "", tail))
    opening = shortened("\n".join(head), max_chars - taken)
    said = heard_opinions(some, max_chars - taken - len(opening))
    lines = [f"{mark}{one.content}" for mark, one in zip(marks, said, strict=True)]
    return "\n".join([opening, *notes, *lines, "", tail])


def _newest_fitting(lines: Sequence[str], room: int) -> int:
    """How many of the last lines take at most `room` characters together."""
    for count, line in enumerate(reversed(lines)):
        room -= len(line) + 1
        if room < 0:
            return count
    return len(lines)


def _shared(words: dict[int, frozenset[str]], sequence: int) -> float:
    mine = words[sequence]
    others = [theirs for number, theirs in words.items() if number != sequence]
    return sum(len(mine & theirs) / max(len(mine | theirs), 1) for theirs in others)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
