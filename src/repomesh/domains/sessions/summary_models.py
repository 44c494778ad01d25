"""The words of a session's summary."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from repomesh.domains.sessions.models import ListedSession, OneSession, SessionCounts
from repomesh.domains.tasks.models import TaskStatus
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import RecordChars
from repomesh.kernel.operation import Model


class SummarizeSession(OneSession):
    """Which session to sum up."""

    written: bool = Field(
        False, description="Whether to have a language model write it, too, if one is configured."
    )
    max_chars: RecordChars | None = None


class WrittenSummary(Model):
    """What a language model made of a session: its words, not those of anybody who took part."""

    text: str
    generated: Literal[True] = Field(description="A model wrote the text: verify it before you rely on it.")
    model: str
    made_at: Timestamp


class SummaryMaterial(SummarizeSession):
    """The request with what a model answered to it."""

    sha256: str = Field(description="Of what the model was given.")
    text: str
    model: str
    refusal: str


class KeepWritten(OneSession):
    """What a model wrote, to be answered again while the session is as it was."""

    sha256: str
    text: str
    model: str


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
    counts: SessionCounts
    speakers: list[str] = Field(description="Who speaks in the newest chunks.")
    decisions: list[SummaryMemory]
    open_questions: list[SummaryMemory]
    action_items: list[SummaryMemory]
    artifacts: list[SummaryArtifact]
    tasks: list[SummaryTask]
    timeline: list[SummaryMoment] = Field(description="The newest moments, in their order.")
    written: WrittenSummary | None = Field(None, description="The model's text, if requested and available.")
    not_written: str | None = Field(None, description="Why the requested text is missing.")
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")
