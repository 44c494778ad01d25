"""Reads signals from messages, questions and events since a time, as far as the caller may see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from repomesh.domains.agents.tables import agents
from repomesh.domains.leases.models import LOCK_WAIT_STARTED
from repomesh.domains.meetings.tables import meetings
from repomesh.domains.meetings.topics.signals import PastMeeting, TopicSignal
from repomesh.domains.messaging.messages import listing
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages import rules as message_rules
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.questions.tables import questions
from repomesh.domains.tasks.models import TASK_BLOCKED, TASK_FAILED, TASK_RECLAIMED, TASK_RELEASED
from repomesh.domains.tasks.tables import task_attempts, tasks
from repomesh.kernel import limits
from repomesh.kernel.event_types import EVENT_TYPES
from repomesh.store.damage import convert_readable
from repomesh.store.filters import filter_for
from repomesh.store.log import bounds, event_data, event_name
from repomesh.store.paging import take
from repomesh.store.reading import first_seq_since, read_page, types_of
from repomesh.store.transaction import Transaction

_MESSAGE = [
    messages.c[name]
    for name in (
        "id",
        "sender_name",
        "addressed_to",
        "broadcast",
        "channel_name",
        "subject",
        "topic",
        "priority",
        "task_id",
        "thread_id",
        "created_at",
    )
]
# Statuses. A question that nobody answered in time is still open.
_CLOSED_QUESTION = {"answered", "defaulted", "withdrawn"}
_ENDED_TASK = {"done", "cancelled"}
_LOCKS_NAMED = 3  # resources of one wait; more say the same
_ALARM_SEVERITIES = {"error", "critical"}


def gather(tx: Transaction, since: datetime) -> list[TopicSignal]:
    """The signals since a time: the newest of each source, bounded."""
    event_signals = _event_signals(tx, since)
    questions_by_message = {row.message_id: row for row in _question_rows(tx, since)}
    return [*_message_signals(tx, since, questions_by_message), *event_signals]


def meetings_held(tx: Transaction, since: datetime) -> list[PastMeeting]:
    """The newest meetings created since a time, without cancelled ones, at most TOPIC_EVENTS_MAX."""
    table = meetings.c
    *_, by_id = listing.within(since, None, table.id)
    statement = select(
        table.created_at, table.related_message_ids, table.related_task_ids, table.thread_id
    ).where(table.workspace_id == tx.workspace_id, by_id, table.status != "cancelled")
    result = tx.execute(statement.order_by(table.id.desc()).limit(limits.TOPIC_EVENTS_MAX))
    return [
        PastMeeting(row.created_at, row.related_message_ids, row.related_task_ids, row.thread_id)
        for row in result
    ]


def retired_names(tx: Transaction, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that belong to retired agents."""
    conditions = agents.c.workspace_id == tx.workspace_id, agents.c.name.in_(sorted(set(names)))
    return frozenset(
        tx.execute(select(agents.c.name).where(*conditions, agents.c.status == "retired")).scalars()
    )


# -- messages --------------------------------------------------------------------------------------


def _message_signals(
    tx: Transaction, since: datetime, questions_by_message: Mapping[str, Row[Any]]
) -> list[TopicSignal]:
    text = func.substr(messages.c.body, 1, limits.TOPIC_TEXT_CHARS).label("text")
    statement = select(*_MESSAGE, text).where(*_newest_conditions(tx, since), message_rows.visible(tx.caller))
    rows = tx.execute(statement.order_by(messages.c.id.desc()).limit(limits.TOPIC_MESSAGES_MAX)).all()
    thread_sizes = Counter(row.thread_id for row in rows)
    return [
        _message_signal(row, questions_by_message.get(row.id), alone=thread_sizes[row.thread_id] == 1)
        for row in rows
    ]


def _newest_conditions(tx: Transaction, since: datetime) -> list[ColumnElement[bool]]:
    """Conditions that select agents' messages among the newest TOPIC_MESSAGES_LOOKED_AT since a time."""
    table = messages.c
    conditions = [table.workspace_id == tx.workspace_id, *listing.within(since, None)]
    newest_first = select(table.id).where(*conditions).order_by(table.id.desc())
    oldest_id = tx.execute(
        newest_first.offset(limits.TOPIC_MESSAGES_LOOKED_AT - 1).limit(1)
    ).scalar_one_or_none()
    from_agents = table.sender_id.is_not(None)  # the server's own notices say nothing new
    return [*conditions, from_agents, *([] if oldest_id is None else [table.id >= oldest_id])]


def _message_signal(row: Row[Any], question: Row[Any] | None, *, alone: bool) -> TopicSignal:
    direct = not row.broadcast and row.channel_name is None
    others = tuple(name for name in row.addressed_to if name[0] not in "#*") if direct else ()
    return TopicSignal(
        id=row.id,
        source="message" if question is None else "question",
        at=row.created_at,
        by=row.sender_name,
        text=row.text if question is None else question.question[: limits.TOPIC_TEXT_CHARS],
        key=f"thread/{row.thread_id}",
        subject=row.subject or row.topic,
        place=_place(row, others),
        alone=alone,
        others=others[: limits.TOPIC_PEOPLE_MAX] if question is None else (question.asked_name,),
        task_id=row.task_id,
        message_id=row.id,
        priority=max(row.priority - message_rules.IMPORTANT + 1, 0),
        settled=question is not None and question.status in _CLOSED_QUESTION,
    )


def _place(row: Row[Any], others: Sequence[str]) -> str:
    """Where a message was said: its channel, '*' for a broadcast, or the names of those who correspond."""
    if row.channel_name is not None:
        return f"#{row.channel_name}"
    return "*" if row.broadcast else " ".join(sorted({row.sender_name, *others}))


def _question_rows(tx: Transaction, since: datetime) -> Sequence[Row[Any]]:
    table = questions.c
    columns = [table.message_id, table.asked_name, table.question, table.status]
    *_, by_id = listing.within(since, None, table.id)
    statement = select(*columns).where(table.workspace_id == tx.workspace_id, by_id)
    return tx.execute(statement.order_by(table.id.desc()).limit(limits.TOPIC_EVENTS_MAX)).all()


# -- events ----------------------------------------------------------------------------------------


def _event_signals(tx: Transaction, since: datetime) -> list[TopicSignal]:
    _oldest, last_seq = bounds(tx.connection, tx.workspace_id)
    after_seq = first_seq_since(tx.connection, tx.workspace_id, since) - 1
    after_seq = max(after_seq, last_seq - limits.TOPIC_EVENTS_LOOKED_AT)
    rows = [
        row
        for type_ in (TASK_BLOCKED, LOCK_WAIT_STARTED)
        for row in _newest_of_type(tx, type_, since, after_seq, limits.TOPIC_EVENTS_MAX)
    ]
    rows += _posted_rows(tx, since, after_seq)
    rows_with_data = convert_readable(
        tx, rows, lambda row: (row, event_data(row)), lambda row: event_name(row.seq)
    )
    names = _agent_names(tx, {row.actor for row in rows} - {None})
    statuses = _task_statuses(tx, {row.task_id for row in rows} - {None})
    signals = [
        signal
        for row, data in rows_with_data
        for signal in _signals_of_event(row, data, names.get(row.actor, ""), statuses.get(row.task_id, ""))
        if signal.by
    ]
    return [*signals, *_failure_signals(tx, since, after_seq)]


def _posted_rows(tx: Transaction, since: datetime, after_seq: int) -> list[Row[Any]]:
    """Events that agents posted: a bounded number of each type, blockers first."""
    all_types = types_of(tx.connection, tx.workspace_id, limits.TOPIC_EVENT_TYPES_MAX + len(EVENT_TYPES))
    posted = sorted(
        (type_ for type_ in all_types if type_ not in EVENT_TYPES), key=lambda type_: not _is_blocker(type_)
    )
    rows: list[Row[Any]] = []
    for type_ in posted:
        room = limits.TOPIC_POSTED_MAX - len(rows)
        rows += _newest_of_type(tx, type_, since, after_seq, min(limits.TOPIC_POSTED_PER_TYPE, room))
        if len(rows) >= limits.TOPIC_POSTED_MAX:
            break
    return rows


def _newest_of_type(
    tx: Transaction, type_: str, since: datetime, after_seq: int, count: int
) -> list[Row[Any]]:
    """The newest events of exactly this type, without its subtypes, at most `count`."""
    event_filter = filter_for(tx.caller, types=(type_,), since=since)
    rows = read_page(tx.connection, event_filter, after=after_seq, before=None, count=count, newest=True)
    return [row for row in take(rows, count)[0] if row.type == type_]


def _is_blocker(type_: str) -> bool:
    return type_.partition(".")[0] == "blocker"


def _signals_of_event(row: Row[Any], data: Any, by: str, status: str) -> Iterator[TopicSignal]:
    """The signals of an event; `by` is its actor's name, `status` its task's."""
    if row.type == LOCK_WAIT_STARTED:
        yield from _wait_signals(row, data)
    elif row.type == TASK_BLOCKED:
        yield _blocked_signal(row, data, by, status)
    else:
        yield _posted_signal(row, data, by)


def _wait_signals(row: Row[Any], data: Any) -> Iterator[TopicSignal]:
    """A wait for locks: one signal for each resource that another agent held, at most _LOCKS_NAMED."""
    wait, obstacles = data["wait"], data["obstacles"]
    for number, obstacle in enumerate(obstacles[:_LOCKS_NAMED]):
        yield TopicSignal(
            id=f"{row.id}/{number}",
            source="conflict",
            at=row.at,
            by=wait["agent_name"],
            text=wait["note"],
            key=f"lock/{obstacle['wanted']}",
            others=(obstacle["holder_name"],),
            resource=obstacle["wanted"],
        )


def _blocked_signal(row: Row[Any], data: Any, by: str, status: str) -> TopicSignal:
    return TopicSignal(
        id=row.id,
        source="blocker",
        at=row.at,
        by=by,
        text=data["reason"][: limits.TOPIC_TEXT_CHARS],
        key=f"task/{row.task_id}",
        subject=data["task"]["goal"],
        task_id=row.task_id,
        settled=status != "blocked",
    )


def _failure_signals(tx: Transaction, since: datetime, after_seq: int) -> list[TopicSignal]:
    """Holds of tasks that came to nothing, of the tasks that lost or gave up their holder lately."""
    ids = {
        row.task_id
        for type_ in (TASK_FAILED, TASK_RELEASED, TASK_RECLAIMED)
        for row in _newest_of_type(tx, type_, since, after_seq, limits.TOPIC_EVENTS_MAX)
    }
    table = task_attempts.c
    statement = (
        select(task_attempts, tasks.c.goal, tasks.c.status)
        .join(tasks, tasks.c.id == table.task_id)
        .where(table.workspace_id == tx.workspace_id, table.task_id.in_(sorted(ids)))
        .where(table.outcome.in_(("failed", "lost")), table.ended_at >= since)
        .order_by(table.ended_at.desc(), table.task_id)
        .limit(limits.TOPIC_EVENTS_MAX)
    )
    return [_failure_signal(row) for row in tx.execute(statement)]


def _failure_signal(row: Row[Any]) -> TopicSignal:
    return TopicSignal(
        id=f"{row.task_id}/{row.fencing_token}",
        source="failure",
        at=row.ended_at,
        by=row.agent_name,
        text=row.reason[: limits.TOPIC_TEXT_CHARS],
        key=f"task/{row.task_id}",
        subject=row.goal,
        task_id=row.task_id,
        settled=row.status in _ENDED_TASK,
    )


def _posted_signal(row: Row[Any], data: Any, by: str) -> TopicSignal:
    """The signal of an event that an agent posted; its text is all strings in its data."""
    is_alarm = _is_blocker(row.type) or row.severity in _ALARM_SEVERITIES
    cause_id = None if row.correlation_id == row.id else row.correlation_id
    return TopicSignal(
        id=row.id,
        source="blocker" if is_alarm else "event",
        at=row.at,
        by=by,
        text=" ".join(_texts(data))[: limits.TOPIC_TEXT_CHARS],
        key=f"task/{row.task_id}" if row.task_id else f"event/{cause_id or row.id}",
        alone=cause_id is None and row.task_id is None,
        place=row.channel_id or ("*" if row.audience == "workspace" else ""),
        task_id=row.task_id,
    )


def _texts(data: Any) -> Iterator[str]:
    """All string values in a JSON value, in order."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _texts(inner)


def _agent_names(tx: Transaction, ids: Iterable[str]) -> dict[str | None, str]:
    conditions = agents.c.workspace_id == tx.workspace_id, agents.c.id.in_(sorted(ids))
    return {row.id: row.name for row in tx.execute(select(agents.c.id, agents.c.name).where(*conditions))}


def _task_statuses(tx: Transaction, ids: Iterable[str]) -> dict[str | None, str]:
    conditions = tasks.c.workspace_id == tx.workspace_id, tasks.c.id.in_(sorted(ids))
    return {row.id: row.status for row in tx.execute(select(tasks.c.id, tasks.c.status).where(*conditions))}
