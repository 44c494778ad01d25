"""Signals: what was said or happened, as plain values from which topics are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Literal

Source = Literal["message", "event", "question", "blocker", "failure", "conflict"]


@dataclass(frozen=True, slots=True)
class TopicSignal:
    """Something that was said or happened.

    Signals with the same `key` are about one matter for certain: a thread, a task, a resource. `place` is
    where it was said, so that what was said there in turn may belong together. `settled` is what the records
    say themselves: the question is answered, the task is done.
    """

    id: str
    source: Source
    at: datetime
    by: str
    text: str
    key: str
    subject: str = ""
    place: str = ""
    alone: bool = True  # a message that neither answers nor was answered
    others: tuple[str, ...] = ()  # who is concerned besides: the person asked, the holder of a lock
    resource: str = ""
    task_id: str | None = None
    message_id: str | None = None
    priority: int = 0  # above the usual: 1 is high, 2 urgent
    settled: bool = False
    machine: bool = False

    @property
    def shown(self) -> str:
        """All of its words."""
        return f"{self.subject}\n{self.text}" if self.subject else self.text


MACHINE_MESSAGES_MIN = 4  # fewer show no pattern
MACHINE_ALIKE = 0.4  # words that a notice shares with the one before; people's messages share 0.05 to 0.2


def with_machines(signals: Sequence[TopicSignal]) -> list[TopicSignal]:
    """The same, with those marked that say again what their sender said just before, several times over."""
    by_sender: dict[str, list[TopicSignal]] = {}
    for one in sorted(signals, key=lambda signal: (signal.at, signal.id)):
        if one.source in ("message", "event"):
            by_sender.setdefault(one.by, []).append(one)
    notices = {one.id for sent in by_sender.values() for one in _repeating(sent)}
    return [replace(one, machine=True) if one.id in notices else one for one in signals]


def _repeating(sent: Sequence[TopicSignal]) -> list[TopicSignal]:
    """Those of a sender's messages that are like the one before or after, if there are enough of them."""
    if len(sent) < MACHINE_MESSAGES_MIN:
        return []
    shapes = [_shape(one.text) for one in sent]
    alike = [len(one & other) >= MACHINE_ALIKE * len(one | other) > 0 for one, other in pairwise(shapes)]
    found = [
        one
        for one, before, after in zip(sent, [False, *alike], [*alike, False], strict=True)
        if before or after
    ]
    return found if len(found) >= MACHINE_MESSAGES_MIN else []


def _shape(text: str) -> set[str]:
    """The words of a text, with anything that has a digit as one word."""
    return {"#" if any(letter.isdigit() for letter in word) else word for word in text.lower().split()}


@dataclass(frozen=True, slots=True)
class PastMeeting:
    """A meeting that was called, with what it was linked to, and the thread of its own messages."""

    at: datetime
    message_ids: Sequence[str]
    task_ids: Sequence[str]
    thread_id: str | None


def not_met(signals: Sequence[TopicSignal], held: Sequence[PastMeeting]) -> list[TopicSignal]:
    """The signals about which no meeting was called: of a linked thread or task only what came later."""
    keys = {one.message_id: one.key for one in signals if one.message_id is not None}
    until: dict[str, datetime] = {}
    own = {f"thread/{meeting.thread_id}" for meeting in held}
    for meeting in held:
        linked = [keys[id_] for id_ in meeting.message_ids if id_ in keys]
        for key in (*linked, *(f"task/{id_}" for id_ in meeting.task_ids)):
            until[key] = max(until.get(key, meeting.at), meeting.at)
    return [
        one for one in signals if one.key not in own and (one.key not in until or one.at > until[one.key])
    ]
