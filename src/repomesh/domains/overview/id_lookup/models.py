"""The words of looking up ids."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from repomesh.kernel import limits
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model

Identified = Literal[
    "agent", "task", "message", "question", "review", "change", "request", "meeting", "decision", "memory"
]

IDENTIFIED: tuple[Identified, ...] = get_args(Identified)
"""In the order in which matches are answered."""


class FindIds(Model):
    """What to look among, and what is known of the id."""

    part: Annotated[
        str,
        StringConstraints(
            pattern=r"^[0-9a-f-]*$", min_length=limits.ID_PART_CHARS_MIN, max_length=limits.ID_CHARS
        ),
    ] = Field(description="The beginning or the end of an id.")
    what: Annotated[list[Identified], Field(max_length=len(IDENTIFIED))] = Field(
        [], description="Only among these; among all when empty."
    )


class FoundId(Model):
    """One thing whose id matches."""

    what: Identified
    id: Id
    title: str = Field(
        description="Its name, goal, question, title, topic or key; of a message its sender and the beginning"
        " of its subject, else of its text. Cut."
    )


class FoundIds(Model):
    """What matches, at most a few; the newest of each sort first."""

    items: list[FoundId]
    complete: bool = Field(description="Whether everything was looked at, and all that matches is here.")
