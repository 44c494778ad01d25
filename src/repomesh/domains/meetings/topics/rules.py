"""Suggests what a team should meet about: groups of signals, scored by five figures and ranked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from repomesh.domains.meetings.topics import phrases, stance
from repomesh.domains.meetings.topics.groups import SignalGroup, group_signals
from repomesh.domains.meetings.topics.signals import TopicSignal, mark_machine_signals
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
    """The figures of a topic, each from 0 to 1; the higher, the more it calls for a meeting."""

    frequency: float
    conflict: float
    recency: float
    people: float
    delay: float

    @property
    def need(self) -> float:
        """How much there is to decide: the larger of conflict and delay."""
        return max(self.conflict, self.delay)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A topic, its priority from 0 to 1, and the signals, people and figures it was made from."""

    topic: str
    priority: float
    reason: str
    group: SignalGroup
    people: tuple[str, ...]
    figures: TopicScores


def suggest(
    signals: Sequence[TopicSignal], weights: TopicWeights, now: datetime, window: timedelta, limit: int
) -> list[Suggestion]:
    """The topics to meet about, the most urgent first, at most `limit`. Deterministic.

    `window` is the time from which the signals come. Raises TopicsUnavailable.
    """
    without_notices = [signal for signal in mark_machine_signals(signals) if not signal.machine]
    suggestions = [_weigh(group, weights, now, window) for group in group_signals(without_notices)]
    ranked = [suggestion for suggestion in suggestions if suggestion is not None]
    ranked.sort(key=lambda topic: (-topic.priority, topic.group.signals[0].at, topic.group.signals[0].id))
    return ranked[:limit]


def _weigh(group: SignalGroup, weights: TopicWeights, now: datetime, window: timedelta) -> Suggestion | None:
    signals = [signal for signal in group.signals if not signal.machine]
    if len(signals) < 2 and not any(signal.source != "message" for signal in signals):
        return None
    talk = stance.read_talk([signal for signal in signals if signal.source in ("message", "question")])
    scores = _score(signals, talk, now, window)
    if scores.need < _NEED_MIN:
        return None
    priority = _weighted_mean(scores, weights) * (_SETTLED_LEFT if _is_settled(signals) else 1.0)
    return Suggestion(
        topic=phrases.title(group, signals),
        priority=round(priority, 4),
        reason=phrases.reason(signals, talk, now),
        group=group,
        people=_people_by_activity(signals),
        figures=scores,
    )


def _is_settled(signals: Sequence[TopicSignal]) -> bool:
    """Whether some thread or record of the matter is settled and none is open.

    Threads are judged by how they ended, records by their status.
    """
    parts: dict[str, list[TopicSignal]] = {}
    for signal in signals:
        is_record = signal.source not in ("message", "event")
        parts.setdefault(signal.key if is_record or not signal.alone else "", []).append(signal)
    closed = False
    for part in parts.values():
        talk = stance.read_talk(part)
        records = [signal for signal in part if signal.source not in ("message", "event")]
        if any(not signal.settled for signal in records):
            return False
        if records or talk.settled:
            closed = True
        elif talk.opposed or talk.unanswered:
            return False
    return closed


def _score(signals: Sequence[TopicSignal], talk: Stance, now: datetime, window: timedelta) -> TopicScores:
    open_signals = [signal for signal in signals if not signal.settled]
    conflicts = sum(signal.source == "conflict" for signal in open_signals)
    failures = sum(signal.source == "failure" for signal in open_signals)
    open_questions = [signal for signal in open_signals if signal.source == "question"] or (
        [talk.unanswered] if talk.unanswered else []
    )
    open_s = max((stance.age_s(signal.at, now) for signal in open_questions), default=0.0)
    contested = _combine(
        _saturate(talk.opposed, _MANY_OPPOSED),
        _saturate(talk.turns, _MANY_TURNS),
        _saturate(max(conflicts - 1, 0), _MANY_CONFLICTS),  # one alone is what locks are for
        _saturate(max(failures - 1, 0), _MANY_FAILURES),
    )
    urgency = sum(stance.waits(signal.text) for signal in signals)
    urgency += sum(signal.priority for signal in open_signals)
    stalled = sum(signal.source in ("blocker", "failure", "question") for signal in open_signals)
    speakers = {name for signal in signals for name in (signal.by, *signal.others)}
    idle = stance.age_s(signals[-1].at, now) / window.total_seconds()
    return TopicScores(
        frequency=_saturate(len(signals), _MANY_SIGNALS),
        conflict=contested,
        recency=math.exp(-idle),
        people=_saturate(len(speakers) - 1, _MANY_PEOPLE),
        delay=_saturate(urgency + 2 * stalled + 2 * _saturate(open_s, _OPEN_S), _LONG_WAIT),
    )


def _saturate(amount: float, many: float) -> float:
    """An amount as a figure from 0 to 1, two thirds of the way at `many`."""
    return 1.0 - math.exp(-amount / many)


def _combine(*figures: float) -> float:
    """Figures from 0 to 1 combined like the probabilities of independent events: any of them raises it."""
    return 1.0 - math.prod(1.0 - figure for figure in figures)


def _weighted_mean(scores: TopicScores, weights: TopicWeights) -> float:
    parts: dict[str, float] = weights.model_dump()
    total = sum(weight * float(getattr(scores, name)) for name, weight in parts.items())
    return total / sum(parts.values())


def _people_by_activity(signals: Sequence[TopicSignal]) -> tuple[str, ...]:
    """The names of those involved: senders by their number of signals, then others who are concerned."""
    message_counts = Counter(signal.by for signal in signals)
    for signal in signals:
        for name in signal.others:
            message_counts.setdefault(name, 0)
    return tuple(sorted(message_counts, key=lambda name: (-message_counts[name], name)))
