"""When a meeting agrees, on which proposal it votes, and who speaks first: pure decisions."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from repomesh.domains.meetings.flow import Choice, Consensus, Flow, OpinionKind, Source, Tabled, Terms


def agreed(rule: Consensus, quorum: int | None, votes: Mapping[str, Choice]) -> bool:
    """Whether these votes carry a proposal. None does unless somebody agrees.

    An abstention is a vote cast, but neither for nor against; who cast no vote counts nowhere. So nobody
    can block a meeting by staying away, and 'quorum' asks for a number of votes cast.
    """
    cast = list(votes.values())
    for_it, against = cast.count("agree"), cast.count("disagree")
    if for_it == 0:
        return False
    if rule == "unanimous":
        return against == 0
    if rule == "two_thirds":
        return 3 * for_it >= 2 * (for_it + against)
    if rule == "quorum" and len(cast) < (quorum or 0):
        return False
    return for_it > against


def tabled_with(
    tabled: Sequence[Tabled], sequence: int, by: str, kind: OpinionKind, *, proposes: bool
) -> tuple[Tabled, ...]:
    """The proposals of a round after one more opinion.

    An objection opposes the newest proposal that others made before it.
    """
    found = list(tabled)
    if kind == "objection":
        others = [index for index, one in enumerate(found) if one.by != by]
        if others:
            one = found[others[-1]]
            found[others[-1]] = Tabled(one.sequence, one.by, one.opposed + 1)
    if proposes:
        found.append(Tabled(sequence, by))
    return tuple(found)


def chosen(tabled: Sequence[Tabled], chair: str | None) -> tuple[Source, int] | None:
    """Which proposal a vote is taken on: the chair's last one, else the last that nobody opposed."""
    for one in reversed(tabled):
        if one.by == chair:
            return "chair", one.sequence
    for one in reversed(tabled):
        if not one.opposed:
            return "unopposed", one.sequence
    return None


def speaking_order(
    terms: Terms, names: Mapping[str, str], present: Sequence[str], round_: int, dissent: Collection[str]
) -> tuple[str, ...]:
    """Who speaks when in a round: who dissented in the round before comes first."""
    order = list(present)
    if terms.order == "fixed":
        order.sort(key=lambda one: (names[one], one))
    elif terms.order == "random":
        order.sort()
        random.Random(f"{terms.seed}/{round_}").shuffle(order)  # noqa: S311 (an order, not a secret)
    return tuple(sorted(order, key=lambda one: one not in dissent))


def dissenters(flow: Flow) -> frozenset[str]:
    """Who voted against the proposal of the present round."""
    return frozenset(one for one, choice in flow.votes.items() if choice == "disagree")
