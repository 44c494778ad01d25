"""The words of search and recall."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.sessions.fields import SessionId, Word
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Cursor, Label, MaxChars, PageLimit, Tags
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model

What = Literal["chunk", "memory", "artifact", "message", "task", "decision"]

EVERYTHING: tuple[What, ...] = ("chunk", "memory", "artifact", "message", "task", "decision")

Whats = Annotated[tuple[What, ...], Field(min_length=1, max_length=len(EVERYTHING))]

Question = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", min_length=1, max_length=2_000)]


class SearchResult(Model):
    """A search result, with the words around the match."""

    what: What
    id: Id
    key: str | None = Field(description="Its name in the session, or that of a memory.")
    session_id: str | None
    type: str = Field(
        description="A chunk's format, a message's priority, a decision's status, else the type."
    )
    title: str
    tags: list[str]
    author: str | None
    at: Timestamp = Field(description="When it was written or last changed.")
    snippet: str = Field(description="The part that holds most of the words, with **marks** around them.")
    elsewhere: str | None = Field(
        None,
        exclude_if=lambda said: said is None,
        description="Where the match is when the snippet does not show it.",
    )
    truncated: bool = Field(False, description="Whether `max_chars` cut the snippet.")


class Search(Model):
    """The words to look for, and the filters."""

    text: Label = Field(description="Every one of these words must occur.")
    what: Whats = Field(
        EVERYTHING, description="chunk, memory, artifact, message, task, decision; all unless you say."
    )
    session_id: SessionId | None = Field(None, description="Only what belongs to this session.")
    type: Word | None = Field(None, description="Only those of this `type`, as results tell it.")
    tags: Tags = Field((), description="All of these.")
    author: AgentRef | None = Field(None, description="An agent's name.")
    since: Timestamp | None = Field(None, description="At this time or later.")
    until: Timestamp | None = Field(None, description="Before this time.")
    order: Literal["newest", "rank"] = Field(
        "newest", description="'rank': the best of the newest 500 matches, in one page."
    )
    cursor: Cursor | None = None
    limit: PageLimit = limits.SEARCH_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class RecallResult(SearchResult):
    """A result that may answer a question, and the reasons for it."""

    score: float = Field(description="From 0; of use only to compare with the others of this answer.")
    why: list[str] = Field(description="The reasons for the result, weightiest first.")


class Recall(Model):
    """A question, and the filters."""

    text: Question = Field(description="A question or some words; not all need to occur.")
    what: Whats = Field(
        ("memory",), description="memory unless you say; also chunk, artifact, message, task, decision."
    )
    session_id: SessionId | None = Field(None, description="Only what belongs to this session.")
    type: Word | None = Field(None, description="What is of this type counts more.")
    tags: Tags = Field((), description="What has them counts more.")
    limit: Annotated[int, Field(ge=1, le=50)] = limits.RECALL_ITEMS_DEFAULT
    max_chars: MaxChars = limits.RECALL_CHARS_DEFAULT


class RecallPage(Model):
    """The results, best first."""

    items: list[RecallResult]
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")
    notice: str | None = Field(
        None,
        exclude_if=lambda said: said is None,
        description="What could not be looked for, or not looked through yet.",
    )
    without_meaning: str | None = Field(
        None, description="Why only words were compared, where embeddings are configured."
    )
