"""What a team should meet about: groups of signals, weighed by five figures and put in order, and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from repomesh.domains.meetings.topics import phrases, stance
from repomesh.domains.meetings.topics.groups import SignalGroup, grouped
from repomesh.domains.meetings.topics.signals import TopicSignal, with_machines
from repomesh.domains.meetings.topics.stance import Stance
from repomesh.kernel.settings import TopicWeights

# Chosen on the tuning half of the labelled traffic: how much of a thing counts as much (two thirds of all).
_MANY_SIGNALS = 5.0
_MANY_OPPOSED = 1.5
_MANY_TURNS = 2.0
_MANY_CONFLICTS = 2.0
_MANY_FAILURES = 1.5
_MANY_PEOPLE = 1.5
_LONG_WAIT = 4.0
_OPEN_S = 2 * 3600.0  # a question that nobody answered for so long
_SETTLED_LEFT = 0.25  # of the priority of what ended with agreement
_NEED_MIN = 0.3  # of conflict or cost of delay: with less there is nothing to meet about


@dataclass(frozen=True, slots=True)
class TopicScores:
    """What speaks for a meeting, each from 0 to 1."""

    frequency: float
    conflict: float
    recency: float
    people: float
    delay: float

    @property
    def need(self) -> float:
        """How much there is to decide at all."""
        return max(self.conflict, self.delay)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A topic, how urgent it is, and what it was made of."""

    topic: str
    priority: float
    reason: str
    group: SignalGroup
    people: tuple[str, ...]
    figures: TopicScores


def suggest(
    signals: Sequence[TopicSignal], weights: TopicWeights, now: datetime, window: timedelta, limit: int
) -> list[Suggestion]:
    """The topics to meet about, the most urgent first; the same for the same signals."""
    people = [one for one in with_machines(signals) if not one.machine]
    found = [_weighed(group, weights, now, window) for group in grouped(people)]
    worth = [one for one in found if one is not None]
    worth.sort(key=lambda one: (-one.priority, one.group.signals[0].at, one.group.signals[0].id))
    return worth[:limit]


def _weighed(
    group: SignalGroup, weights: TopicWeights, now: datetime, window: timedelta
) -> Suggestion | None:
    people = [one for one in group.signals if not one.machine]
    if len(people) < 2 and not any(one.source != "message" for one in people):
        return None
    talk = stance.read_talk([one for one in people if one.source in ("message", "question")])
    figures = _figures(people, talk, now, window)
    if figures.need < _NEED_MIN:
        return None
    priority = _mean(figures, weights) * (_SETTLED_LEFT if _is_settled(people) else 1.0)
    return Suggestion(
        topic=phrases.title(group, people),
        priority=round(priority, 4),
        reason=phrases.reason(people, talk, now),
        group=group,
        people=_concerned(people),
        figures=figures,
    )


def _is_settled(people: Sequence[TopicSignal]) -> bool:
    """Whether some part of it was closed and none is open: threads by how they ended, records as they are."""
    parts: dict[str, list[TopicSignal]] = {}
    for one in people:
        record = one.source not in ("message", "event")
        parts.setdefault(one.key if record or not one.alone else "", []).append(one)
    closed = False
    for part in parts.values():
        talk = stance.read_talk(part)
        records = [one for one in part if one.source not in ("message", "event")]
        if any(not one.settled for one in records):
            return False
        if records or talk.settled:
            closed = True
        elif talk.opposed or talk.unanswered:
            return False
    return closed


def _figures(people: Sequence[TopicSignal], talk: Stance, now: datetime, window: timedelta) -> TopicScores:
    open_ = [one for one in people if not one.settled]
    conflicts = sum(one.source == "conflict" for one in open_)
    failures = sum(one.source == "failure" for one in open_)
    asked = [one for one in open_ if one.source == "question"] or (
        [talk.unanswered] if talk.unanswered else []
    )
    open_s = max((stance.age_s(one.at, now) for one in asked), default=0.0)
    contested = _any(
        _much(talk.opposed, _MANY_OPPOSED),
        _much(talk.turns, _MANY_TURNS),
        _much(max(conflicts - 1, 0), _MANY_CONFLICTS),  # one alone is what locks are for
        _much(max(failures - 1, 0), _MANY_FAILURES),
    )
    waiting = sum(stance.waits(one.text) for one in people) + sum(one.priority for one in open_)
    held = sum(one.source in ("blocker", "failure", "question") for one in open_)
    speakers = {name for one in people for name in (one.by, *one.others)}
    idle = stance.age_s(people[-1].at, now) / window.total_seconds()
    return TopicScores(
        frequency=_much(len(people), _MANY_SIGNALS),
        conflict=contested,
        recency=math.exp(-idle),
        people=_much(len(speakers) - 1, _MANY_PEOPLE),
        delay=_much(waiting + 2 * held + 2 * _much(open_s, _OPEN_S), _LONG_WAIT),
    )


def _much(amount: float, many: float) -> float:
    """An amount as a figure from 0 to 1, two thirds of the way at `many`."""
    return 1.0 - math.exp(-amount / many)


def _any(*figures: float) -> float:
    """Several signs of one thing: each makes it likelier."""
    return 1.0 - math.prod(1.0 - figure for figure in figures)


def _mean(figures: TopicScores, weights: TopicWeights) -> float:
    parts: dict[str, float] = weights.model_dump()
    total = sum(weight * float(getattr(figures, name)) for name, weight in parts.items())
    return total / sum(parts.values())


def _concerned(people: Sequence[TopicSignal]) -> tuple[str, ...]:
    """Who takes part in the matter, who said most first, then who was asked or stood in the way."""
    spoke = Counter(one.by for one in people)
    for one in people:
        for name in one.others:
            spoke.setdefault(name, 0)
    return tuple(sorted(spoke, key=lambda name: (-spoke[name], name)))
