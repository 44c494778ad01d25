"""The words of a session's summary."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from repomesh.domains.sessions.models import Counts, ListedSession, OneSession
from repomesh.domains.tasks.models import TaskStatus
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import MaxChars
from repomesh.kernel.operation import Model


class SummarizeSession(OneSession):
    """Which session to sum up."""

    max_chars: MaxChars | None = None


class SummaryMemory(Model):
    """A memory in a line."""

    key: str
    text: str
    author: str | None
    at: Timestamp


class SummaryArtifact(Model):
    """An artifact in a line."""

    artifact_id: str
    title: str
    type: str
    version: int
    at: Timestamp


class SummaryTask(Model):
    """A task in a line."""

    key: str
    title: str
    status: TaskStatus
    percent: int | None
    agent: str | None = Field(description="Who holds or held it, else whom it is meant for.")
    at: Timestamp


class SummaryMoment(Model):
    """Something that happened."""

    at: Timestamp
    what: Literal["session", "chunk", "memory", "artifact", "task"]
    text: str


class SessionSummary(Model):
    """What became of a session."""

    session: ListedSession
    counts: Counts
    speakers: list[str] = Field(description="Who speaks in the newest chunks.")
    decisions: list[SummaryMemory]
    open_questions: list[SummaryMemory]
    action_items: list[SummaryMemory]
    artifacts: list[SummaryArtifact]
    tasks: list[SummaryTask]
    timeline: list[SummaryMoment] = Field(description="The newest moments, in their order.")
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")
