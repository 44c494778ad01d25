"""Whether a proposal is carried, which proposal is voted on, and who speaks first: pure decisions."""

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

    The meeting's own if it has one, else more than half of the `electors` (a count), and never fewer than a
    meeting needs to begin.
    """
    return quorum or max(electors // 2 + 1, MEETING_PARTICIPANTS_MIN)


def is_carried(rule: Consensus, quorum: int | None, votes: Mapping[str, Choice], electors: int) -> bool:
    """Whether these votes, by agent id, carry a proposal that `electors` participants were asked to vote on.

    An abstention is a vote cast, but neither for nor against; participants who left or stayed away count
    among the electors. The votes cast must make a quorum, and more than half of the quorum must agree: a few
    who stay away can't block a meeting, and a few who remain can't decide it.
    """
    cast = list(votes.values())
    agreeing, against = cast.count("agree"), cast.count("disagree")
    needed = votes_needed(quorum, electors)
    if len(cast) < needed or 2 * agreeing <= needed:
        return False
    if rule == "unanimous":
        return against == 0
    if rule == "two_thirds":
        return 3 * agreeing >= 2 * (agreeing + against)
    return agreeing > against


def update_tabled(
    tabled: Sequence[TabledProposal], sequence: int, agent_id: str, kind: OpinionKind, *, proposes: bool
) -> tuple[TabledProposal, ...]:
    """The proposals of a round after one more opinion, by `agent_id`.

    An objection opposes the newest proposal that another participant made before it.
    """
    updated = list(tabled)
    if kind == "objection":
        candidates = [index for index, proposal in enumerate(updated) if proposal.by != agent_id]
        if candidates:
            opposed = updated[candidates[-1]]
            updated[candidates[-1]] = TabledProposal(opposed.sequence, opposed.by, opposed.opposed + 1)
    if proposes:
        updated.append(TabledProposal(sequence, agent_id))
    return tuple(updated)


def choose_proposal(tabled: Sequence[TabledProposal], chair: str | None) -> tuple[Source, int] | None:
    """The proposal to vote on: the chair's last one, else the last unopposed one. None if there is neither.

    Returns its source and the number of its opinion.
    """
    for proposal in reversed(tabled):
        if proposal.by == chair:
            return "chair", proposal.sequence
    for proposal in reversed(tabled):
        if not proposal.opposed:
            return "unopposed", proposal.sequence
    return None


def speaking_order(
    terms: MeetingTerms,
    names: Mapping[str, str],
    present: Sequence[str],
    round_: int,
    dissent: Collection[str],
) -> tuple[str, ...]:
    """The ids of those present in the order of speaking; dissenters of the round before come first."""
    order = list(present)
    if terms.order == "fixed":
        order.sort(key=lambda agent_id: (names[agent_id], agent_id))
    elif terms.order == "random":
        order.sort()
        random.Random(f"{terms.seed}/{round_}").shuffle(order)  # noqa: S311 (an order, not a secret)
    return tuple(sorted(order, key=lambda agent_id: agent_id not in dissent))


def dissenters(state: MeetingState) -> frozenset[str]:
    """The ids of those who voted against the proposal of the present round."""
    return frozenset(agent_id for agent_id, choice in state.votes.items() if choice == "disagree")
