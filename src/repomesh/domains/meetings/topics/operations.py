"""Suggested topics: what agents have been arguing about, or wait for, and should meet about."""

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
from repomesh.domains.meetings.topics.signals import TopicSignal, not_met
from repomesh.kernel import limits
from repomesh.kernel.errors import InternalError
from repomesh.kernel.operation import Get, query
from repomesh.kernel.preparation import Preparation
from repomesh.kernel.settings import Settings
from repomesh.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class TopicMaterial:
    """What topics are made of."""

    signals: Sequence[TopicSignal]
    retired: frozenset[str]
    now: datetime


class _Computed(SuggestTopics):
    """The request with the topics that were computed for it."""

    topics: SuggestedTopics


async def _prepare(request: SuggestTopics, preparation: Preparation) -> _Computed:
    """Compute the topics: seconds for thousands of messages, so outside of any transaction."""
    gathered: TopicMaterial = await preparation.read(lambda tx: _gather(tx, request))
    settings = preparation.store.settings
    topics = await preparation.computing.run(_topics, gathered, request, settings)
    return _Computed(**request.model_dump(), topics=topics)


def _gather(tx: Transaction, request: SuggestTopics) -> TopicMaterial:
    since = tx.now - timedelta(hours=request.hours_back)
    signals = not_met(sources.gather(tx, since), sources.meetings_held(tx, since))
    people = {name for one in signals for name in (one.by, *one.others)}
    return TopicMaterial(signals, sources.retired(tx, people), tx.now)


def _topics(gathered: TopicMaterial, request: SuggestTopics, settings: Settings) -> SuggestedTopics:
    """Group and weigh what was gathered."""
    found = rules.suggest(
        gathered.signals,
        settings.topic_weights,
        gathered.now,
        timedelta(hours=request.hours_back),
        request.limit,
    )
    return _fitted([_shown(one, gathered.retired) for one in found], request.max_chars)


@query(
    "meeting.suggest_topics",
    http=Get("/v1/meetings/suggest-topics"),
    scope="meetings:read",
    errors=(TopicsUnavailable,),
    prepare=_prepare,
)
def suggest_topics(tx: Transaction, request: SuggestTopics) -> SuggestedTopics:
    """Suggest what to meet about, the most urgent first: what is disputed, waits or fails, and for whom.

    Made of what the caller may see: messages, questions, posted events, blocked and failed tasks, waits for
    locks. `POST /v1/meetings` with `meeting_type` auto_generated and a topic's related messages and tasks
    calls a meeting that is linked to them, after which they are not suggested again. Not for polling: with
    thousands of messages it takes seconds.
    """
    if not isinstance(request, _Computed):
        raise InternalError("topics are computed before the transaction, not inside it")
    return request.topics


def _shown(one: Suggestion, retired: frozenset[str]) -> SuggestedTopic:
    newest = list(reversed(one.group.signals))
    related = [signal.message_id for signal in newest if signal.message_id is not None]
    tasks = dict.fromkeys(signal.task_id for signal in newest if signal.task_id is not None)
    people = [name for name in one.people if name not in retired]
    return SuggestedTopic(
        topic=one.topic,
        priority=one.priority,
        reason=one.reason,
        figures=TopicFigures(
            **{name: round(getattr(one.figures, name), 3) for name in TopicFigures.model_fields}
        ),
        related_messages=related[: limits.MEETING_RELATED_MAX],
        related_tasks=list(tasks)[: limits.MEETING_RELATED_MAX],
        suggested_participants=people[: limits.TOPIC_PEOPLE_MAX],
    )


def _fitted(topics: list[SuggestedTopic], max_chars: int | None) -> SuggestedTopics:
    """As many of the topics as fit, from the first on; of the first, if need be, without what it links."""
    whole = SuggestedTopics(suggested_topics=topics)
    if max_chars is None or len(whole.model_dump_json()) <= max_chars:
        return whole
    for count in range(len(topics) - 1, 0, -1):
        fewer = SuggestedTopics(suggested_topics=topics[:count], omitted=_left_out(len(topics) - count))
        if len(fewer.model_dump_json()) <= max_chars:
            return fewer
    bare = topics[0].model_copy(update={"related_messages": [], "related_tasks": []})
    said = f"{_left_out(len(topics) - 1)}, and what the first one is linked to".lstrip(", ")
    first = SuggestedTopics(suggested_topics=[bare], omitted=said)
    if len(first.model_dump_json()) <= max_chars:
        return first
    return SuggestedTopics(suggested_topics=[], omitted=_left_out(len(topics)))


def _left_out(count: int) -> str:
    return f"topics left out: {count}, raise max_chars" if count else ""
