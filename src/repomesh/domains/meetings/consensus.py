"""When a meeting agrees, on which proposal it votes, and who speaks first: pure decisions."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from repomesh.domains.meetings.flow import (
    Choice,
    Consensus,
    MeetingState,
    MeetingTerms,
    OpinionKind,
    Source,
    TabledProposal,
)
from repomesh.kernel.limits import MEETING_PARTICIPANTS_MIN


def votes_needed(quorum: int | None, electors: int) -> int:
    """The quorum: how many votes must be cast for a proposal to be carried.

    The one that the meeting names, else more than half of those who were in when the vote began, and never
    fewer than a meeting needs to begin.
    """
    return quorum or max(electors // 2 + 1, MEETING_PARTICIPANTS_MIN)


def agreed(rule: Consensus, quorum: int | None, votes: Mapping[str, Choice], electors: int) -> bool:
    """Whether these votes carry a proposal that `electors` participants were asked to vote on.

    An abstention is a vote cast, but neither for nor against; who left or stayed away counts among the
    electors all the same. So the votes cast must make a quorum, and more than half of it must agree: a few
    who stay away can't block a meeting, and a few who are left can't decide it.
    """
    cast = list(votes.values())
    for_it, against = cast.count("agree"), cast.count("disagree")
    needed = votes_needed(quorum, electors)
    if len(cast) < needed or 2 * for_it <= needed:
        return False
    if rule == "unanimous":
        return against == 0
    if rule == "two_thirds":
        return 3 * for_it >= 2 * (for_it + against)
    return for_it > against


def tabled_with(
    tabled: Sequence[TabledProposal], sequence: int, by: str, kind: OpinionKind, *, proposes: bool
) -> tuple[TabledProposal, ...]:
    """The proposals of a round after one more opinion.

    An objection opposes the newest proposal that others made before it.
    """
    found = list(tabled)
    if kind == "objection":
        others = [index for index, one in enumerate(found) if one.by != by]
        if others:
            one = found[others[-1]]
            found[others[-1]] = TabledProposal(one.sequence, one.by, one.opposed + 1)
    if proposes:
        found.append(TabledProposal(sequence, by))
    return tuple(found)


def chosen(tabled: Sequence[TabledProposal], chair: str | None) -> tuple[Source, int] | None:
    """Which proposal a vote is taken on: the chair's last one, else the last that nobody opposed."""
    for one in reversed(tabled):
        if one.by == chair:
            return "chair", one.sequence
    for one in reversed(tabled):
        if not one.opposed:
            return "unopposed", one.sequence
    return None


def speaking_order(
    terms: MeetingTerms,
    names: Mapping[str, str],
    present: Sequence[str],
    round_: int,
    dissent: Collection[str],
) -> tuple[str, ...]:
    """Who speaks when in a round: who dissented in the round before comes first."""
    order = list(present)
    if terms.order == "fixed":
        order.sort(key=lambda one: (names[one], one))
    elif terms.order == "random":
        order.sort()
        random.Random(f"{terms.seed}/{round_}").shuffle(order)  # noqa: S311 (an order, not a secret)
    return tuple(sorted(order, key=lambda one: one not in dissent))


def dissenters(flow: MeetingState) -> frozenset[str]:
    """Who voted against the proposal of the present round."""
    return frozenset(one for one, choice in flow.votes.items() if choice == "disagree")
