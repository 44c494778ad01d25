"""Groups signals about the same matter: by similar texts, by place and time, and by the things they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from repomesh.domains.meetings.topics.signals import TopicSignal
from repomesh.domains.meetings.topics.words import read_words

# Chosen on the tuning half of the labelled traffic.
WORDS_SHARE = 0.5  # of the likeness that whole words give; the rest is letters, for other forms of a word
LIKE = 0.15  # average likeness from which two groups are one matter
NEAR = 0.3  # likeness of what two people said in one place right after each other
NEAR_S = 480.0  # after so long a pause that counts a third
NAMED = 0.5  # likeness of a text and the resource or task that it names
GROUP_UNITS_MAX = 1_000  # compared each with each; a larger heap is first cut where it is loosest
_LIKENESS_MIN = 0.06  # likeness below which two units are not even compared
_NEIGHBOURS = 4  # units before and after in the same place that are near


@dataclass(frozen=True, slots=True)
class SignalGroup:
    """Signals about one matter in the order of time, and its most characteristic words."""

    signals: tuple[TopicSignal, ...]
    terms: tuple[str, ...]


def group_signals(signals: Sequence[TopicSignal]) -> list[SignalGroup]:
    """Group signals by matter, the group that began first at the front. Deterministic.

    Raises TopicsUnavailable.
    """
    units = _build_units(signals)
    if not units:
        return []
    words = read_words([_unit_text(unit) for unit in units], WORDS_SHARE)
    pairs = [*_nearby_pairs(units), *_naming_pairs(units)]
    likeness = words.likeness(_LIKENESS_MIN) + words.pair_matrix(len(units), pairs)
    groups = []
    for members in words.clusters(likeness, LIKE, GROUP_UNITS_MAX):
        ordered = sorted((signal for index in members for signal in units[index]), key=_time_order)
        # Most groups are a lone message, which is no topic.
        is_lone_message = len(ordered) == 1 and ordered[0].source == "message"
        groups.append(SignalGroup(tuple(ordered), () if is_lone_message else words.terms(members)))
    return sorted(groups, key=lambda group: _time_order(group.signals[0]))


def _time_order(signal: TopicSignal) -> tuple[Any, ...]:
    return signal.at, signal.id


def _build_units(signals: Sequence[TopicSignal]) -> list[list[TopicSignal]]:
    """Lists of signals with the same key, which certainly belong together, in the order of time."""
    by_key: dict[str, list[TopicSignal]] = {}
    for signal in sorted(signals, key=_time_order):
        by_key.setdefault(signal.key, []).append(signal)
    return list(by_key.values())


def _unit_text(unit: Sequence[TopicSignal]) -> str:
    subjects = dict.fromkeys(signal.subject for signal in unit if signal.subject)
    return "\n".join([*subjects, *(signal.text for signal in unit), unit[0].resource])


def _nearby_pairs(units: Sequence[Sequence[TopicSignal]]) -> Iterator[tuple[int, int, float]]:
    """Pairs of units from the same place, close in time, at least one of them a message without a reply.

    Yields (index, index, likeness).
    """
    by_place: dict[str, list[tuple[Any, int]]] = {}
    for index, unit in enumerate(units):
        for signal in (unit[0], unit[-1]) if len(unit) > 1 else unit:
            if signal.place and not signal.machine:
                by_place.setdefault(signal.place, []).append((signal.at, index))
    best: dict[tuple[int, int], float] = {}
    for moments in by_place.values():
        moments.sort()
        for position, (at, index) in enumerate(moments):
            for later, other_index in moments[position + 1 : position + 1 + _NEIGHBOURS]:
                alone = units[index][0].alone, units[other_index][0].alone
                if index == other_index or not any(alone):
                    continue
                pause = (later - at) / timedelta(seconds=NEAR_S)
                pair = min(index, other_index), max(index, other_index)
                likeness = NEAR * 3.0**-pause * (1.0 if all(alone) else 0.5)
                best[pair] = max(best.get(pair, 0.0), likeness)
    yield from (
        (first, second, likeness) for (first, second), likeness in best.items() if likeness > _LIKENESS_MIN
    )


def _naming_pairs(units: Sequence[Sequence[TopicSignal]]) -> Iterator[tuple[int, int, float]]:
    """Pairs of units of which one is about a resource or task that the other names, like `_nearby_pairs`."""
    holders: dict[str, list[int]] = {}
    for index, unit in enumerate(units):
        for name in {*_resource_names(unit[0].resource), *(signal.task_id or "" for signal in unit)} - {""}:
            holders.setdefault(name, []).append(index)
    for index, unit in enumerate(units):
        if unit[0].resource:
            continue
        mentioned = {word for signal in unit for word in _tokens(signal.full_text)}
        mentioned |= {signal.task_id or "" for signal in unit}
        matches = {
            other_index
            for name in mentioned & holders.keys()
            for other_index in holders[name][:_NEIGHBOURS]
            if other_index != index
        }
        yield from ((index, other_index, NAMED) for other_index in sorted(matches))


def _resource_names(resource: str) -> set[str]:
    """The names of a resource in lower case: its whole path, and its last part unless that is all letters."""
    last = resource.rstrip("/*").replace(":", "/").rpartition("/")[2].lower()
    return {resource.lower(), *([] if last.isalpha() else [last])} - {""}


def _tokens(text: str) -> set[str]:
    return {word.strip(".,;:!?()[]'\"`") for word in text.lower().split()}
