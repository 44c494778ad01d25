"""The labelled traffic of `tests/domains/meetings/topics`, and how well topics are found in it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from repomesh.domains.meetings.topics.rules import suggest
from repomesh.domains.meetings.topics.signals import TopicSignal
from repomesh.kernel.settings import TopicWeights

TRAFFIC = Path(__file__).parent / "domains/meetings/topics"
NOW = datetime(2026, 3, 4, 17, tzinfo=UTC)
WINDOW = timedelta(hours=24)
ANSWERED = 10  # topics that are asked for, of which all count for the recall

Found = Sequence[frozenset[str]]
"""The topics that a method answers, best first, each as the ids of its signals."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One team's day, and what its signals are about."""

    name: str
    signals: tuple[TopicSignal, ...]
    about: dict[str, str]

    @property
    def held_out(self) -> bool:
        """Whether nothing may be chosen by its figures."""
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 1


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a method finds the labelled topics of some scenarios."""

    precision_at_5: float
    recall: float


def scenarios(*, held_out: bool) -> list[Scenario]:
    """One half of the labelled traffic."""
    read = [_scenario(path) for path in sorted(TRAFFIC.glob("*.json"))]
    return [one for one in read if one.held_out is held_out]


def unseen() -> list[Scenario]:
    """The traffic that was written and labelled by somebody who had not seen the method."""
    return [_scenario(path) for path in sorted((TRAFFIC / "unseen").glob("*.json"))]


def ours(scenario: Scenario, weights: TopicWeights | None = None) -> Found:
    """The topics that are suggested."""
    found = suggest(scenario.signals, weights or TopicWeights(), NOW, WINDOW, ANSWERED)
    return [frozenset(signal.id for signal in one.group.signals) for one in found]


def frequent_threads(scenario: Scenario) -> Found:
    """Plain frequency: the threads, tasks and resources of which the most is heard."""
    held: dict[str, set[str]] = {}
    for one in scenario.signals:
        held.setdefault(one.key, set()).add(one.id)
    return _most(held)


def frequent_terms(scenario: Scenario) -> Found:
    """Plain frequency: the words, but for those of everyday language, that the most signals hold."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    held: dict[str, set[str]] = {}
    for one in scenario.signals:
        for word in {part.strip(".,;:!?()'\"") for part in one.full_text.lower().split()}:
            if len(word) > 2 and word not in ENGLISH_STOP_WORDS:
                held.setdefault(word, set()).add(one.id)
    return _most(held)


def quality(method: Callable[[Scenario], Found], some: Sequence[Scenario]) -> Quality:
    """Precision among the first five, and recall among all that are answered, averaged over scenarios."""
    precisions, recalls = [], []
    for scenario in some:
        hits = _hits(method(scenario), scenario)
        precisions.append(sum(hits[:5]) / 5)
        recalls.append(sum(hits) / len({*scenario.about.values()}))
    return Quality(sum(precisions) / len(some), sum(recalls) / len(some))


def _hits(found: Found, scenario: Scenario) -> list[bool]:
    """Which answers are a labelled topic that was not named before.

    An answer is a topic when most of it is about that and it holds at least a third of that.
    """
    sizes = Counter(scenario.about.values())
    seen: set[str] = set()
    hits = []
    for ids in found:
        labels = Counter(scenario.about[id_] for id_ in ids if id_ in scenario.about)
        label, count = labels.most_common(1)[0] if labels else ("", 0)
        hit = count * 2 > len(ids) and count * 3 >= sizes[label] and label not in seen
        seen |= {label} if hit else set()
        hits.append(hit)
    return hits


def _most(held: dict[str, set[str]]) -> Found:
    order = sorted(held, key=lambda name: (-len(held[name]), name))
    return [frozenset(held[name]) for name in order[:ANSWERED]]


def _scenario(path: Path) -> Scenario:
    items = json.loads(path.read_text())
    answered = Counter(item["thread"] for item in items if "thread" in item)
    subjects = {item["thread"]: item["subject"] for item in items if "subject" in item}
    signals, about = [], {}
    for number, item in enumerate(items):
        one = _signal(f"{number:03}", item, subjects, answered)
        signals.append(one)
        if "about" in item:
            about[one.id] = item["about"]
    return Scenario(path.stem, tuple(signals), about)


def _signal(id_: str, item: dict[str, Any], subjects: dict[str, str], answered: Counter[str]) -> TopicSignal:
    """A signal as the server would gather it."""
    common: dict[str, Any] = {
        "id": id_,
        "source": item["what"],
        "at": NOW - timedelta(minutes=item["ago"]),
        "by": item["by"],
        "text": item["text"],
    }
    match item["what"]:
        case "message":
            thread = item.get("thread")
            direct = item["to"][0] not in "#*"
            return TopicSignal(
                **common,
                key=f"thread/{thread or id_}",
                subject=subjects.get(thread, "") if thread else "",
                place=" ".join(sorted([item["by"], item["to"]])) if direct else item["to"],
                alone=thread is None or answered[thread] == 1,
                message_id=id_,
                others=(item["to"],) if direct else (),
            )
        case "question":
            return TopicSignal(**common, key=f"thread/{id_}", others=(item["to"],), settled=item["answered"])
        case "conflict":
            resource = item["resource"]
            return TopicSignal(**common, key=f"lock/{resource}", resource=resource, others=(item["holder"],))
        case _ if "task" in item:
            return TopicSignal(
                **common, key=f"task/{item['task']}", subject=item["goal"], task_id=item["task"]
            )
        case _:
            return TopicSignal(**common, key=f"event/{id_}")
