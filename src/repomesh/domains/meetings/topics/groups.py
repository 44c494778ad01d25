"""Groups: which signals are about the same thing, by their words and letters, and by where they stand."""

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
_LOOSEST = 0.06  # likeness below which two units are not even compared
_BESIDE = 4  # units before and after in the same place that are near


@dataclass(frozen=True, slots=True)
class SignalGroup:
    """Signals about one matter in the order of time, and the words that set it apart from the others."""

    signals: tuple[TopicSignal, ...]
    terms: tuple[str, ...]


def grouped(signals: Sequence[TopicSignal]) -> list[SignalGroup]:
    """The groups of signals, the one that began first at the front; the same for the same signals."""
    units = _units(signals)
    if not units:
        return []
    words = read_words([_text(unit) for unit in units], WORDS_SHARE)
    likeness = words.likeness(_LOOSEST) + words.symmetric(len(units), [*_near(units), *_named(units)])
    groups = []
    for members in words.clusters(likeness, LIKE, GROUP_UNITS_MAX):
        held = sorted((one for index in members for one in units[index]), key=_order)
        lone = len(held) == 1 and held[0].source == "message"  # of which most groups are, and no topic
        groups.append(SignalGroup(tuple(held), () if lone else words.terms(members)))
    return sorted(groups, key=lambda group: _order(group.signals[0]))


def _order(signal: TopicSignal) -> tuple[Any, ...]:
    return signal.at, signal.id


def _units(signals: Sequence[TopicSignal]) -> list[list[TopicSignal]]:
    """Signals that certainly belong together, in the order of time."""
    by_key: dict[str, list[TopicSignal]] = {}
    for one in sorted(signals, key=_order):
        by_key.setdefault(one.key, []).append(one)
    return list(by_key.values())


def _text(unit: Sequence[TopicSignal]) -> str:
    subjects = dict.fromkeys(one.subject for one in unit if one.subject)
    return "\n".join([*subjects, *(one.text for one in unit), unit[0].resource])


def _near(units: Sequence[Sequence[TopicSignal]]) -> Iterator[tuple[int, int, float]]:
    """Pairs of which one was said alone, in the same place as the other and soon before or after it."""
    places: dict[str, list[tuple[Any, int]]] = {}
    for index, unit in enumerate(units):
        for one in (unit[0], unit[-1]) if len(unit) > 1 else unit:
            if one.place and not one.machine:
                places.setdefault(one.place, []).append((one.at, index))
    best: dict[tuple[int, int], float] = {}
    for said in places.values():
        said.sort()
        for position, (at, index) in enumerate(said):
            for later, other in said[position + 1 : position + 1 + _BESIDE]:
                alone = units[index][0].alone, units[other][0].alone
                if index == other or not any(alone):
                    continue
                pause = (later - at) / timedelta(seconds=NEAR_S)
                pair = min(index, other), max(index, other)
                worth = NEAR * 3.0**-pause * (1.0 if all(alone) else 0.5)
                best[pair] = max(best.get(pair, 0.0), worth)
    yield from ((first, second, worth) for (first, second), worth in best.items() if worth > _LOOSEST)


def _named(units: Sequence[Sequence[TopicSignal]]) -> Iterator[tuple[int, int, float]]:
    """Pairs of which one holds a resource or task that the other names."""
    holders: dict[str, list[int]] = {}
    for index, unit in enumerate(units):
        for name in {*_names(unit[0].resource), *(one.task_id or "" for one in unit)} - {""}:
            holders.setdefault(name, []).append(index)
    for index, unit in enumerate(units):
        if unit[0].resource:
            continue
        said = {word for one in unit for word in _tokens(one.shown)} | {one.task_id or "" for one in unit}
        found = {
            other for name in said & holders.keys() for other in holders[name][:_BESIDE] if other != index
        }
        yield from ((index, other, NAMED) for other in sorted(found))


def _names(resource: str) -> set[str]:
    """What people call a resource: its whole path, or its last part if that is no word of the language."""
    last = resource.rstrip("/*").replace(":", "/").rpartition("/")[2].lower()
    return {resource.lower(), *([] if last.isalpha() else [last])} - {""}


def _tokens(text: str) -> set[str]:
    return {word.strip(".,;:!?()[]'\"`") for word in text.lower().split()}
