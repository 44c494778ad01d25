"""Meetings and decisions within a budget of characters: what was said is cut first, the longest first."""

from __future__ import annotations

from repomesh.domains.meetings.models import MeetingDetail
from repomesh.kernel.budget import cut, encoded_length, fair_share

_SAID_CHARS = 120  # more than `omitted` ever takes


def fit_meeting(meeting: MeetingDetail, max_chars: int | None) -> MeetingDetail:
    """A meeting within `max_chars`: the opinions share what its figures leave; early rounds go if need be."""
    if max_chars is None or len(meeting.model_dump_json()) <= max_chars:
        return meeting
    rounds = list(meeting.rounds)
    dropped = 0
    while rounds:
        bare = [
            one.model_copy(
                update={"opinions": [said.model_copy(update={"content": ""}) for said in one.opinions]}
            )
            for one in rounds
        ]
        frame = len(meeting.model_copy(update={"rounds": bare}).model_dump_json()) + _SAID_CHARS
        if frame <= max_chars or len(rounds) == 1:
            break
        rounds.pop(0)
        dropped += 1
    lengths = [encoded_length(said.content) for one in rounds for said in one.opinions]
    share = fair_share(lengths, max_chars - frame) if rounds else 0
    shown = [
        one.model_copy(
            update={
                "opinions": [
                    said
                    if encoded_length(said.content) <= share
                    else said.model_copy(update={"content": cut(said.content, share), "truncated": True})
                    for said in one.opinions
                ]
            }
        )
        for one in rounds
    ]
    shortened = sum(length > share for length in lengths)
    said = [f"opinions cut: {shortened}"] if shortened else []
    said += [f"early rounds left out: {dropped}"] if dropped else []
    omitted = "; ".join([*said, "raise max_chars"])
    return meeting.model_copy(update={"rounds": shown, "omitted": omitted})
