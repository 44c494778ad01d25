"""Pure decisions about questions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from repomesh.domains.messaging.questions.errors import DeadlineMissing
from repomesh.kernel.limits import LABEL_CHARS_MAX

Ending = Literal["escalate", "default", "expire"]


def require_deadline(deadline_s: float | None, default: str | None, escalate_to: str | None) -> None:
    """Raise DeadlineMissing when something is to happen at a deadline that there is not."""
    if deadline_s is None and (default is not None or escalate_to is not None):
        what = "default" if default is not None else "escalate_to"
        raise DeadlineMissing(f"'{what}' says what happens at the deadline, and there is none")


def at_deadline(default: str | None, escalate_to: str | None, *, escalated: bool) -> Ending:
    """What happens to a question whose time is up: first whom else to ask, then the default."""
    if escalate_to is not None and not escalated:
        return "escalate"
    return "default" if default is not None else "expire"


def chosen(options: Sequence[str], answer: str) -> tuple[str, str | None]:
    """The answer as its asker reads it, and the option that it chooses, if any."""
    said = answer.strip()
    if said.isascii() and said.isdigit() and len(said) < 4 and 1 <= int(said) <= len(options):
        option = options[int(said) - 1]
        return option, option
    matching = (option for option in options if option.casefold() == said.casefold())
    return answer, next(matching, None)


def subject(question: str) -> str:
    """The first line of a question, as the subject of its message."""
    first = question.strip().partition("\n")[0]
    line = "".join(character if character.isprintable() else " " for character in first)
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
        parts.append(_last(f"{deadline_at:%Y-%m-%d %H:%M:%S} UTC", default, escalate_to))
    return "\n\n".join(parts)


def _last(deadline: str, default: str | None, escalate_to: str | None) -> str:
    if escalate_to is not None:
        return f"Without an answer by {deadline} it goes to {escalate_to}."
    if default is not None:
        return f"Without an answer by {deadline} this applies: {default}"
    return f"An answer is of use until {deadline}."


def unanswered(question: str, default: str | None) -> tuple[str, str]:
    """Subject and body of the notice that tells its asker that a question's time is up."""
    about = f"No answer in time: {subject(question)}"[:LABEL_CHARS_MAX]
    if default is not None:
        return about, f"Nobody answered, so your default applies: {default}"
    return about, "Nobody answered. Decide yourself if you may, do without it, or ask again."
