"""How well topics for meetings are found in labelled traffic, and how long a busy day takes.

The figures are of the held-out half and of teams written without sight of the method, beside plain
frequency. The day is that of all teams at once, again and again with other words, until there are as many
messages as one request reads.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

from tests import topic_traffic
from tests.topic_traffic import NOW, WINDOW

from bench.report import Report
from repomesh.domains.meetings.topics.rules import suggest
from repomesh.domains.meetings.topics.signals import TopicSignal
from repomesh.kernel.limits import TOPIC_MESSAGES_MAX
from repomesh.kernel.settings import TopicWeights

_SECONDS_MAX = 20.0  # of a request with all that it reads, on a busy machine


def measure(report: Report) -> None:
    """Precision and recall, then seconds."""
    parts = {"held out": topic_traffic.scenarios(held_out=True), "unseen": topic_traffic.unseen()}
    for part, scenarios in parts.items():
        ours = topic_traffic.quality(topic_traffic.ours, scenarios)
        for name, method in (
            ("frequent threads", topic_traffic.frequent_threads),
            ("frequent words", topic_traffic.frequent_terms),
        ):
            plain = topic_traffic.quality(method, scenarios)
            report.add(
                f"topics, {part}: precision@5",
                ours.precision_at_5,
                "",
                name,
                plain.precision_at_5,
                at_least=1,
            )
            report.add(f"topics, {part}: recall among 10", ours.recall, "", name, plain.recall, at_least=1)
    day = list(islice(_busy_day(), TOPIC_MESSAGES_MAX))
    begun = time.perf_counter()
    suggest(day, TopicWeights(), NOW, WINDOW, 10)
    report.bound("topics of the most messages of a request", time.perf_counter() - begun, "s", _SECONDS_MAX)


def _busy_day() -> Iterator[TopicSignal]:
    """Signals without end: each team once more in another place, with most of its words changed."""
    words = random.Random(5)
    teams = [one for half in (True, False) for one in topic_traffic.scenarios(held_out=half)]
    for turn in count():
        for team in teams:
            for one in team.signals:
                text = " ".join(
                    word if words.random() < 0.2 else f"{word}{turn}" for word in one.text.split()
                )
                yield replace(
                    one,
                    id=f"{team.name}/{turn}/{one.id}",
                    key=f"{team.name}/{turn}/{one.key}",
                    place=f"{one.place} {team.name} {turn}",
                    by=f"{one.by} {team.name} {turn}",
                    text=text,
                    subject=one.subject and f"{one.subject} {turn}",
                    resource=one.resource and f"{one.resource}{turn}",
                )
