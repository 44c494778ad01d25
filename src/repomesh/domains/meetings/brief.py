"""Meetings within a budget of characters: what was said shares it, the longest cut first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from repomesh.domains.meetings.models import MeetingDetail, Round
from repomesh.kernel.budget import cut, encoded_length, fair_share
from repomesh.kernel.operation import Model

_SAID_CHARS = 120  # more than `omitted` ever takes
Item = TypeVar("Item", bound=Model)


def fit_meeting(meeting: MeetingDetail, max_chars: int | None) -> MeetingDetail:
    """A meeting within `max_chars`: its texts share what its figures leave, then early rounds are left out.

    Its ids, topic, participants and figures are always there, whatever the budget.
    """
    if max_chars is None or len(meeting.model_dump_json()) <= max_chars:
        return meeting
    rounds = list(meeting.rounds)
    while rounds and _bare_length(meeting, rounds) > max_chars:
        rounds.pop(0)
    shown = meeting.model_copy(update={"rounds": rounds})
    lengths = _lengths(shown)
    share = fair_share(lengths, max_chars - _bare_length(meeting, rounds))
    short = _mapped(shown, lambda text: cut(text, share) if encoded_length(text) > share else text)
    cut_count = sum(length > share for length in lengths)
    said = [f"texts cut: {cut_count}"] if cut_count else []
    left_out = len(meeting.rounds) - len(rounds)
    said += [f"early rounds left out: {left_out}"] if left_out else []
    return short.model_copy(update={"omitted": "; ".join([*said, "raise max_chars"])})


def _bare_length(meeting: MeetingDetail, rounds: list[Round]) -> int:
    """The characters of a meeting with these rounds, without its texts."""
    bare = _mapped(meeting.model_copy(update={"rounds": rounds}), lambda _text: "")
    return len(bare.model_dump_json()) + _SAID_CHARS


def _lengths(meeting: MeetingDetail) -> list[int]:
    found: list[int] = []

    def note(text: str) -> str:
        found.append(encoded_length(text))
        return text

    _mapped(meeting, note)
    return found


def _mapped(meeting: MeetingDetail, change: Callable[[str], str]) -> MeetingDetail:
    """The meeting with each of its texts changed, in their order; an opinion says so when its own was."""
    rounds = [_mapped_round(one, change) for one in meeting.rounds]
    decision = meeting.decision and _changed(meeting.decision, ("decision", "rationale"), change)
    whole = {"rounds": rounds, "decision": decision}
    return _changed(meeting.model_copy(update=whole), ("summary", "proposal"), change)


def _mapped_round(one: Round, change: Callable[[str], str]) -> Round:
    opinions = []
    for said in one.opinions:
        shown = _changed(said, ("content", "proposal"), change)
        truncated = len(shown.content) < len(said.content)
        opinions.append(shown.model_copy(update={"truncated": truncated}))
    votes = [_changed(vote, ("reason", "amendment"), change) for vote in one.votes]
    proposal = one.proposal and _changed(one.proposal, ("text",), change)
    return one.model_copy(update={"opinions": opinions, "votes": votes, "proposal": proposal})


def _changed(item: Item, names: tuple[str, ...], change: Callable[[str], str]) -> Item:
    update = {name: change(text) for name in names if (text := getattr(item, name))}
    return item.model_copy(update=update)
