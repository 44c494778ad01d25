"""Pure decisions about questions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from repomesh.domains.messaging.questions.errors import DeadlineMissing
from repomesh.kernel.limits import LABEL_CHARS_MAX

Ending = Literal["escalate", "default", "expire"]


def require_deadline(deadline_s: float | None, default: str | None, escalate_to: str | None) -> None:
    """Raise DeadlineMissing when a default or an escalation is given without a deadline."""
    if deadline_s is None and (default is not None or escalate_to is not None):
        field = "default" if default is not None else "escalate_to"
        raise DeadlineMissing(f"'{field}' says what happens at the deadline, and there is none")


def decide_ending(default: str | None, escalate_to: str | None, *, escalated: bool) -> Ending:
    """What happens to a question at its deadline: escalate once, then apply the default, else expire."""
    if escalate_to is not None and not escalated:
        return "escalate"
    return "default" if default is not None else "expire"


def match_option(options: Sequence[str], answer: str) -> tuple[str, str | None]:
    """The answer as its asker reads it, and the option that it names by text or number; None for none."""
    text = answer.strip()
    if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= len(options):
        option = options[int(text) - 1]
        return option, option
    matching = (option for option in options if option.casefold() == text.casefold())
    return answer, next(matching, None)


def subject(question: str) -> str:
    """The first line of a question, as the subject of its message."""
    first_line = question.strip().partition("\n")[0]
    line = "".join(character if character.isprintable() else " " for character in first_line)
    return line if len(line) <= LABEL_CHARS_MAX else f"{line[: LABEL_CHARS_MAX - 1]}…"


def body(
    question: str,
    options: Sequence[str],
    deadline_at: datetime | None,
    default: str | None,
    escalate_to: str | None,
) -> str:
    """A question as the person reads it."""
    parts = [question]
    if options:
        parts.append("\n".join(f"{number}. {option}" for number, option in enumerate(options, 1)))
    if deadline_at is not None:
        parts.append(_deadline_line(f"{deadline_at:%Y-%m-%d %H:%M:%S} UTC", default, escalate_to))
    return "\n\n".join(parts)


def _deadline_line(deadline: str, default: str | None, escalate_to: str | None) -> str:
    if escalate_to is not None:
        return f"Without an answer by {deadline} it goes to {escalate_to}."
    if default is not None:
        return f"Without an answer by {deadline} this applies: {default}"
    return f"An answer is of use until {deadline}."


def unanswered_notice(question: str, default: str | None) -> tuple[str, str]:
    """The subject and body of the notice to the asker of a question that nobody answered in time."""
    notice_subject = f"No answer in time: {subject(question)}"[:LABEL_CHARS_MAX]
    if default is not None:
        return notice_subject, f"Nobody answered, so your default applies: {default}"
    return notice_subject, "Nobody answered. Decide yourself if you may, do without it, or ask again."
