"""The title of a suggested topic, and the sentence that says why it is suggested."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from repomesh.domains.meetings.topics import stance
from repomesh.domains.meetings.topics.groups import SignalGroup
from repomesh.domains.meetings.topics.signals import TopicSignal
from repomesh.domains.meetings.topics.stance import Stance
from repomesh.kernel.limits import LABEL_CHARS_MAX

_TITLE_WORDS = 12  # of a first sentence that has to stand for a title
_TITLE_TERMS = 3
_NAMED = 3  # people named in a reason
# Times and ids say nothing to a reader of a title; a hexadecimal word counts only with a digit in it.
_MARKS = re.compile(
    r"""\b(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?
    |[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}
    |(?=[a-f]*\d)[0-9a-f]{7,64}
    |\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NAME = re.compile(r"(?![a-f]+\d)[^\W\d_]+\d{0,2}")
"""A word that may stand in a title: letters, and a short number behind them (utf8); no piece of an id."""


def title(group: SignalGroup, signals: Sequence[TopicSignal]) -> str:
    """A title of one line: from the resource in question, else the best subject, else the first words."""
    resources = Counter(signal.resource for signal in signals if signal.resource)
    subjects = Counter(signal.subject for signal in signals if signal.subject)
    if resources:
        heading = f"Who works on {resources.most_common(1)[0][0]}, and when"
    elif subjects:
        heading = _strip_marks(max(subjects, key=lambda subject: (subjects[subject], len(subject))))
    else:
        heading = _first_words(signals)
    terms = [term for term in group.terms if _NAME.fullmatch(term)]
    heading = heading or ", ".join(terms) or "What was said without words"
    extra_terms = [term for term in terms if term not in heading.lower()][:_TITLE_TERMS]
    if extra_terms and not resources and len(heading.split()) < _TITLE_WORDS // 2:
        heading = f"{heading} ({', '.join(extra_terms)})"
    return _one_line(heading)[:LABEL_CHARS_MAX]


def _one_line(text: str) -> str:
    """The text on one line, without control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _strip_marks(text: str) -> str:
    """The text without times and ids, and without brackets and leading signs that this leaves empty."""
    return re.sub(r"[ \t]*(?:\(\s*\)|\[\s*\])|^[\s:;,.–-]+", "", _MARKS.sub("", text))


def _first_words(signals: Sequence[TopicSignal]) -> str:
    """The first question among the signals, else the first sentence, cut to _TITLE_WORDS words."""
    source = next((signal for signal in signals if "?" in signal.text), signals[0])
    sentences = _strip_marks(source.text).replace("?", "?\n").replace(". ", ".\n").splitlines()
    chosen = next((sentence for sentence in sentences if "?" in sentence), sentences[0] if sentences else "")
    words = chosen.strip().rstrip(".").split()
    cut = " ".join(words[:_TITLE_WORDS])
    return f"{cut} …" if len(words) > _TITLE_WORDS else cut


def reason(signals: Sequence[TopicSignal], talk: Stance, now: datetime) -> str:
    """Why a meeting is suggested, in one sentence with figures."""
    speakers = {signal.by for signal in signals}
    sources = Counter(signal.source for signal in signals)
    messages = sources["message"] + sources["question"] + sources["event"]
    sides = talk.sides
    parts = [f"{_count(messages, 'message')} by {_count(len(speakers), 'agent')}"] if messages else []
    parts += [f"{len(sides)} of them against something ({_join_names(sides)})"] if sides else []
    parts += [_count(sources["conflict"], "wait") + " for a lock"] if sources["conflict"] else []
    parts += [_count(sources["failure"], "failure") + " of a task"] if sources["failure"] else []
    parts += [_count(sources["blocker"], "blocker")] if sources["blocker"] else []
    open_questions = [signal for signal in signals if signal.source == "question" and not signal.settled]
    question = open_questions[0] if open_questions else talk.unanswered
    if question is not None:
        parts.append(f"a question of {question.by} open for {_format_age(question.at, now)}")
    parts.append(f"the last {_format_age(signals[-1].at, now)} ago")
    return f"{', '.join(parts)}."


def _join_names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _format_age(since: datetime, now: datetime) -> str:
    seconds = stance.age_s(since, now)
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
