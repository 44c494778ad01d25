"""Reads from the words of messages whether they oppose, settle, ask or wait for something.

The words are English; signals without words (changes of speaker, failures, waits for locks) count in every
language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from repomesh.domains.meetings.topics.signals import TopicSignal


def _word_pattern(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)


_AGAINST = _word_pattern(
    r"disagree\w*", r"object(?:s|ed|ion)?", r"against", r"wrong", r"worse", r"no way", r"don'?t agree",
    r"i'?d rather", r"rather not", r"instead", r"not acceptable", r"unacceptable", r"reject\w*", r"refuse\w*",
    r"revert\w*", r"must not", r"should ?n'?t", r"should not", r"won'?t", r"will not", r"would ?n'?t",
    r"can'?t", r"can ?not", r"couldn'?t", r"don'?t", r"do not", r"doesn'?t", r"isn'?t", r"never", r"nobody",
    r"breaks?", r"broke", r"but", r"however", r"still", r"keep (?:it|the)",
    r"no exception", r"nonsense", r"makes? no sense",
    r"not (?:possible|allowed|an option)", r"-1",
)  # fmt: skip
_NO = re.compile(r"^\s*(?:no|nope|nah|not?\b|-1)(?!\w)", re.IGNORECASE)
_SETTLES = _word_pattern(
    r"agreed", r"settled", r"decided", r"resolved", r"approved", r"outvoted", r"i agree", r"fair enough",
    r"lgtm", r"good point", r"forget it",
)  # fmt: skip
_SETTLES_SHORTLY = _word_pattern(
    r"it is(?: then)?", r"done", r"merged", r"fixed", r"on it", r"thanks?", r"thank you", r"thx", r"ta",
    r"go ahead", r"please do", r"great", r"sure",
)  # fmt: skip
_NOTHING = _word_pattern(r"nothing", r"never", r"not", r"no", r"\w+n'?t")
_SHORT_WORDS = 6  # of a message in which such a word is all that is said
_UNSETTLED = _word_pattern(
    r"not (?:yet )?(?:agreed|settled|decided|done|resolved|merged)", r"don'?t agree", r"undecided",
    r"nothing (?:\w+ ){0,4}(?:was|is) decided", r"no decision", r"(?:who|somebody) decides?",
)  # fmt: skip
_SIGNS = re.compile(r"^\s*(?:👍|✅|\+1|🎉)")
_WAITS = _word_pattern(
    r"wait(?:s|ed|ing)?", r"block(?:s|ed|ing|er)?", r"stuck", r"deadline", r"today", r"tonight", r"tomorrow",
    r"(?:by|until|on|before) (?:mon|tues|wednes|thurs|fri|satur|sun)day", r"expires?", r"urgent", r"asap",
    r"customers?", r"outage", r"release", r"before the \w+", r"launch", r"weeks?", r"days?", r"again",
    r"hold(?:s|ing)? up", r"can'?t (?:go on|proceed|be (?:finished|merged|published|updated))",
    r"any news", r"anybody", r"does anybody", r"who (?:owns|decides|takes)", r"no answer", r"need to know",
)  # fmt: skip
_SUBSTANCE_WORDS = (2, 10)  # of messages that say nothing, and all they can; jokes and thanks are short


def opposes(text: str) -> bool:
    """Whether a text speaks against something."""
    return bool(_NO.search(text) or _AGAINST.search(text))


def settles(text: str) -> bool:
    """Whether a text says that the matter is closed."""
    if "?" in text or _UNSETTLED.search(text):
        return False
    if _SETTLES.search(text) or _SIGNS.search(text):
        return True
    brief = len(text.split()) <= _SHORT_WORDS and not _NOTHING.search(text)
    return bool(brief and _SETTLES_SHORTLY.search(text))


def waits(text: str) -> int:
    """How many words of a text say that something waits or has a date."""
    return len({match.lower() for match in _WAITS.findall(text)})


def substance(text: str) -> float:
    """How much a text says, from 0 to 1, by its length in words."""
    least, full = _SUBSTANCE_WORDS
    return min(max((len(text.split()) - least) / (full - least), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Stance:
    """What the messages of a conversation show about its participants' disagreement."""

    opposed: float  # messages against what somebody else said before, each by its substance
    turns: float  # changes of the speaker between people who speak again, each by its substance
    settled: bool  # it ended with agreement
    unanswered: TopicSignal | None  # the last word is a question that nobody answered
    sides: tuple[str, ...]  # who spoke against somebody, the most often first


def read_talk(messages: Sequence[TopicSignal]) -> Stance:
    """The stance shown by messages in the order of time, none of them machine notices."""
    opposed = turns = 0.0
    against: dict[str, int] = {}
    speakers: dict[str, int] = {}
    for index, message in enumerate(messages):
        previous_speaker = messages[index - 1].by if index else message.by
        weight = substance(message.text)
        if len(speakers) > (message.by in speakers) and opposes(message.text):
            opposed += weight
            against[message.by] = against.get(message.by, 0) + 1
        if previous_speaker != message.by and message.by in speakers:
            turns += weight
        speakers[message.by] = speakers.get(message.by, 0) + 1
    sides = sorted(against, key=lambda name: (-against[name], name))
    return Stance(opposed, turns, _is_settled(messages), _open_question(messages), tuple(sides))


_LAST_MESSAGES = 3  # messages that say how a conversation ended


def _is_settled(messages: Sequence[TopicSignal]) -> bool:
    """Whether one of the last messages settles the matter, and none after it opposes or asks."""
    last = messages[-_LAST_MESSAGES:]
    for index in range(len(last) - 1, -1, -1):
        if settles(last[index].text):
            return True
        if opposes(last[index].text) or "?" in last[index].text:
            return False
    return False


def _open_question(messages: Sequence[TopicSignal]) -> TopicSignal | None:
    """The last message with a question, if only its sender wrote after it; else None."""
    for index in range(len(messages) - 1, -1, -1):
        question = messages[index]
        if "?" in question.text and not question.settled:
            return question if all(later.by == question.by for later in messages[index:]) else None
    return None


def age_s(since: datetime, now: datetime) -> float:
    """Seconds from a time to now."""
    return max((now - since).total_seconds(), 0.0)
