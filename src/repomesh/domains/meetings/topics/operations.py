"""The operation that suggests topics for meetings from recent messages and events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from repomesh.domains.meetings.topics import rules, sources
from repomesh.domains.meetings.topics.errors import TopicsUnavailable
from repomesh.domains.meetings.topics.models import (
    SuggestedTopic,
    SuggestedTopics,
    SuggestTopics,
    TopicFigures,
)
from repomesh.domains.meetings.topics.rules import Suggestion
from repomesh.domains.meetings.topics.signals import TopicSignal, signals_without_meeting
from repomesh.kernel import limits
from repomesh.kernel.errors import InternalError
from repomesh.kernel.operation import Get, query
from repomesh.kernel.preparation import Preparation
from repomesh.kernel.settings import Settings
from repomesh.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class TopicMaterial:
    """What topics are computed from: signals, the names of retired agents, the present time."""

    signals: Sequence[TopicSignal]
    retired: frozenset[str]
    now: datetime


class _Computed(SuggestTopics):
    """The request with the topics that were computed for it."""

    topics: SuggestedTopics


async def _prepare(request: SuggestTopics, preparation: Preparation) -> _Computed:
    """Compute the topics outside of any transaction: thousands of messages take seconds."""
    material: TopicMaterial = await preparation.read(lambda tx: _gather(tx, request))
    settings = preparation.store.settings
    topics = await preparation.computing.run(_compute_topics, material, request, settings)
    return _Computed(**request.model_dump(), topics=topics)


def _gather(tx: Transaction, request: SuggestTopics) -> TopicMaterial:
    since = tx.now - timedelta(hours=request.hours_back)
    signals = signals_without_meeting(sources.gather(tx, since), sources.meetings_held(tx, since))
    names = {name for signal in signals for name in (signal.by, *signal.others)}
    return TopicMaterial(signals, sources.retired_names(tx, names), tx.now)


def _compute_topics(material: TopicMaterial, request: SuggestTopics, settings: Settings) -> SuggestedTopics:
    """Group and rank the signals, and fit the topics into the request's `max_chars`."""
    suggestions = rules.suggest(
        material.signals,
        settings.topic_weights,
        material.now,
        timedelta(hours=request.hours_back),
        request.limit,
    )
    return _fit([_as_topic(suggestion, material.retired) for suggestion in suggestions], request.max_chars)


@query(
    "meeting.suggest_topics",
    http=Get("/v1/meetings/suggest-topics"),
    scope="meetings:read",
    errors=(TopicsUnavailable,),
    prepare=_prepare,
    expensive_read=True,
)
def suggest_topics(tx: Transaction, request: SuggestTopics) -> SuggestedTopics:
    """Suggest topics for meetings, most urgent first: disputes, delays and failures, and those involved.

    Derived from what the caller may see: messages, questions, posted events, blocked and failed tasks, waits
    for locks. `POST /v1/meetings` with `meeting_type` auto_generated and a topic's related messages and tasks
    creates a meeting that is linked to them, after which they are not suggested again. Not for polling: with
    thousands of messages it takes seconds.
    """
    if not isinstance(request, _Computed):
        raise InternalError("topics are computed before the transaction, not inside it")
    return request.topics


def _as_topic(suggestion: Suggestion, retired: frozenset[str]) -> SuggestedTopic:
    newest = list(reversed(suggestion.group.signals))
    related = [signal.message_id for signal in newest if signal.message_id is not None]
    tasks = dict.fromkeys(signal.task_id for signal in newest if signal.task_id is not None)
    participants = [name for name in suggestion.people if name not in retired]
    return SuggestedTopic(
        topic=suggestion.topic,
        priority=suggestion.priority,
        reason=suggestion.reason,
        figures=TopicFigures(
            **{name: round(getattr(suggestion.figures, name), 3) for name in TopicFigures.model_fields}
        ),
        related_messages=related[: limits.MEETING_RELATED_MAX],
        related_tasks=list(tasks)[: limits.MEETING_RELATED_MAX],
        suggested_participants=participants[: limits.TOPIC_PEOPLE_MAX],
    )


def _fit(topics: list[SuggestedTopic], max_chars: int | None) -> SuggestedTopics:
    """As many topics as fit, from the first on; if not even one fits, the first without its links."""
    whole = SuggestedTopics(suggested_topics=topics)
    if max_chars is None or len(whole.model_dump_json()) <= max_chars:
        return whole
    for count in range(len(topics) - 1, 0, -1):
        fewer = SuggestedTopics(
            suggested_topics=topics[:count], omitted=_describe_omitted(len(topics) - count)
        )
        if len(fewer.model_dump_json()) <= max_chars:
            return fewer
    bare = topics[0].model_copy(update={"related_messages": [], "related_tasks": []})
    omitted = f"{_describe_omitted(len(topics) - 1)}, and what the first one is linked to".lstrip(", ")
    first = SuggestedTopics(suggested_topics=[bare], omitted=omitted)
    if len(first.model_dump_json()) <= max_chars:
        return first
    return SuggestedTopics(suggested_topics=[], omitted=_describe_omitted(len(topics)))


def _describe_omitted(count: int) -> str:
    return f"topics left out: {count}, raise max_chars" if count else ""
