"""How a topic is put to people: a title as a person would give it, and one sentence on why it is here."""

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


def title(group: SignalGroup, people: Sequence[TopicSignal]) -> str:
    """A title of one line: the resource that it is about, what people called it, or its first words."""
    resources = Counter(one.resource for one in people if one.resource)
    subjects = Counter(one.subject for one in people if one.subject)
    if resources:
        named = f"Who works on {resources.most_common(1)[0][0]}, and when"
    elif subjects:
        named = _unmarked(max(subjects, key=lambda subject: (subjects[subject], len(subject))))
    else:
        named = _first_words(people)
    terms = [term for term in group.terms if _NAME.fullmatch(term)]
    named = named or ", ".join(terms) or "What was said without words"
    further = [term for term in terms if term not in named.lower()][:_TITLE_TERMS]
    if further and not resources and len(named.split()) < _TITLE_WORDS // 2:
        named = f"{named} ({', '.join(further)})"
    return _one_line(named)[:LABEL_CHARS_MAX]


def _one_line(text: str) -> str:
    """Others' words without what a screen would take for a command or not show."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _unmarked(text: str) -> str:
    """The text without times and ids, and without the brackets and signs that only they had between them."""
    return re.sub(r"[ \t]*(?:\(\s*\)|\[\s*\])|^[\s:;,.–-]+", "", _MARKS.sub("", text))


def _first_words(people: Sequence[TopicSignal]) -> str:
    """The first question of what was said, else its first sentence."""
    asked = next((one for one in people if "?" in one.text), people[0])
    sentences = _unmarked(asked.text).replace("?", "?\n").replace(". ", ".\n").splitlines()
    chosen = next((sentence for sentence in sentences if "?" in sentence), sentences[0] if sentences else "")
    words = chosen.strip().rstrip(".").split()
    cut = " ".join(words[:_TITLE_WORDS])
    return f"{cut} …" if len(words) > _TITLE_WORDS else cut


def reason(people: Sequence[TopicSignal], talk: Stance, now: datetime) -> str:
    """Why it should be met about, in one sentence with its figures."""
    speakers = {one.by for one in people}
    sources = Counter(one.source for one in people)
    said = sources["message"] + sources["question"] + sources["event"]
    parts = [f"{_count(said, 'message')} by {_count(len(speakers), 'agent')}"] if said else []
    parts += [f"{len(talk.sides)} of them against something ({_names(talk.sides)})"] if talk.sides else []
    parts += [_count(sources["conflict"], "wait") + " for a lock"] if sources["conflict"] else []
    parts += [_count(sources["failure"], "failure") + " of a task"] if sources["failure"] else []
    parts += [_count(sources["blocker"], "blocker")] if sources["blocker"] else []
    open_ = [one for one in people if one.source == "question" and not one.settled]
    waiting = open_[0] if open_ else talk.unanswered
    if waiting is not None:
        parts.append(f"a question of {waiting.by} open for {_long(stance.age_s(waiting.at, now))}")
    parts.append(f"the last {_long(stance.age_s(people[-1].at, now))} ago")
    return f"{', '.join(parts)}."


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _long(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
