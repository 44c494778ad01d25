"""Signals: messages and events as plain values, from which topics are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Literal

Source = Literal["message", "event", "question", "blocker", "failure", "conflict"]


@dataclass(frozen=True, slots=True)
class TopicSignal:
    """A message or an event.

    Signals with the same `key` are about one matter for certain: a thread, a task, a resource. `place` is
    where it was said: signals that follow one another there may belong together. `settled` comes from the
    records: the question is answered, the task is done. `machine` marks an automatic, repeated notice.
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
    def full_text(self) -> str:
        """Subject and text."""
        return f"{self.subject}\n{self.text}" if self.subject else self.text


MACHINE_MESSAGES_MIN = 4  # fewer show no pattern
MACHINE_ALIKE = 0.4  # words that a notice shares with the one before; people's messages share 0.05 to 0.2


def mark_machine_signals(signals: Sequence[TopicSignal]) -> list[TopicSignal]:
    """The signals, with `machine` set on those in which a sender keeps repeating its own messages."""
    by_sender: dict[str, list[TopicSignal]] = {}
    for signal in sorted(signals, key=lambda signal: (signal.at, signal.id)):
        if signal.source in ("message", "event"):
            by_sender.setdefault(signal.by, []).append(signal)
    notices = {signal.id for sent in by_sender.values() for signal in _find_repeats(sent)}
    return [replace(signal, machine=True) if signal.id in notices else signal for signal in signals]


def _find_repeats(sent: Sequence[TopicSignal]) -> list[TopicSignal]:
    """A sender's messages that resemble the one before or after; empty if fewer than MACHINE_MESSAGES_MIN."""
    if len(sent) < MACHINE_MESSAGES_MIN:
        return []
    shapes = [_shape(message.text) for message in sent]
    alike = [
        len(shape & next_shape) >= MACHINE_ALIKE * len(shape | next_shape) > 0
        for shape, next_shape in pairwise(shapes)
    ]
    repeats = [
        message
        for message, like_previous, like_next in zip(sent, [False, *alike], [*alike, False], strict=True)
        if like_previous or like_next
    ]
    return repeats if len(repeats) >= MACHINE_MESSAGES_MIN else []


def _shape(text: str) -> set[str]:
    """The words of a text in lower case, each word with a digit replaced by '#'."""
    return {"#" if any(letter.isdigit() for letter in word) else word for word in text.lower().split()}


@dataclass(frozen=True, slots=True)
class PastMeeting:
    """A meeting that was created: when, its related messages and tasks, the thread of its own messages."""

    at: datetime
    message_ids: Sequence[str]
    task_ids: Sequence[str]
    thread_id: str | None


def signals_without_meeting(
    signals: Sequence[TopicSignal], held_meetings: Sequence[PastMeeting]
) -> list[TopicSignal]:
    """The signals about which no meeting was created: of a linked thread or task only the later ones."""
    keys = {signal.message_id: signal.key for signal in signals if signal.message_id is not None}
    met_at: dict[str, datetime] = {}
    own_threads = {f"thread/{meeting.thread_id}" for meeting in held_meetings}
    for meeting in held_meetings:
        linked = [keys[id_] for id_ in meeting.message_ids if id_ in keys]
        for key in (*linked, *(f"task/{id_}" for id_ in meeting.task_ids)):
            met_at[key] = max(met_at.get(key, meeting.at), meeting.at)
    return [
        signal
        for signal in signals
        if signal.key not in own_threads and (signal.key not in met_at or signal.at > met_at[signal.key])
    ]
