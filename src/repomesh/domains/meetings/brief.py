"""Meetings within a budget of characters: their texts share it, the longest are cut first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from repomesh.domains.meetings.models import MeetingDetail, Round
from repomesh.kernel.budget import cut, encoded_length, fair_share
from repomesh.kernel.operation import Model

_OMITTED_CHARS_MAX = 120  # more than `omitted` ever takes
Item = TypeVar("Item", bound=Model)


def fit_meeting(meeting: MeetingDetail, max_chars: int | None) -> MeetingDetail:
    """A meeting within `max_chars`: its texts are cut, and early rounds left out where that is not enough.

    Its ids, topic, participants and figures always stay, so it may exceed a very small budget.
    """
    if max_chars is None or len(meeting.model_dump_json()) <= max_chars:
        return meeting
    rounds = list(meeting.rounds)
    while rounds and _bare_length(meeting, rounds) > max_chars:
        rounds.pop(0)
    shown = meeting.model_copy(update={"rounds": rounds})
    lengths = _lengths(shown)
    share = fair_share(lengths, max_chars - _bare_length(meeting, rounds))
    shortened = _map_texts(shown, lambda text: cut(text, share) if encoded_length(text) > share else text)
    cut_count = sum(length > share for length in lengths)
    omissions = [f"texts cut: {cut_count}"] if cut_count else []
    left_out = len(meeting.rounds) - len(rounds)
    omissions += [f"early rounds left out: {left_out}"] if left_out else []
    return shortened.model_copy(update={"omitted": "; ".join([*omissions, "raise max_chars"])})


def _bare_length(meeting: MeetingDetail, rounds: list[Round]) -> int:
    """The characters of a meeting with these rounds, without its texts."""
    bare = _map_texts(meeting.model_copy(update={"rounds": rounds}), lambda _text: "")
    return len(bare.model_dump_json()) + _OMITTED_CHARS_MAX


def _lengths(meeting: MeetingDetail) -> list[int]:
    lengths: list[int] = []

    def record(text: str) -> str:
        lengths.append(encoded_length(text))
        return text

    _map_texts(meeting, record)
    return lengths


def _map_texts(meeting: MeetingDetail, change: Callable[[str], str]) -> MeetingDetail:
    """The meeting with `change` applied to each text, in order; opinions note whether theirs got shorter."""
    rounds = [_map_round(round_, change) for round_ in meeting.rounds]
    decision = meeting.decision and _change_fields(meeting.decision, ("decision", "rationale"), change)
    changes = {"rounds": rounds, "decision": decision}
    return _change_fields(meeting.model_copy(update=changes), ("summary", "proposal"), change)


def _map_round(round_: Round, change: Callable[[str], str]) -> Round:
    opinions = []
    for opinion in round_.opinions:
        changed = _change_fields(opinion, ("content", "proposal"), change)
        truncated = len(changed.content) < len(opinion.content)
        opinions.append(changed.model_copy(update={"truncated": truncated}))
    votes = [_change_fields(vote, ("reason", "amendment"), change) for vote in round_.votes]
    proposal = round_.proposal and _change_fields(round_.proposal, ("text",), change)
    return round_.model_copy(update={"opinions": opinions, "votes": votes, "proposal": proposal})


def _change_fields(item: Item, names: tuple[str, ...], change: Callable[[str], str]) -> Item:
    update = {name: change(text) for name in names if (text := getattr(item, name))}
    return item.model_copy(update=update)
