"""Where signals come from: messages, questions and events of a time, as far as the caller may see them."""

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
from repomesh.store.damage import readable
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
_OVER = {
    "answered",
    "defaulted",
    "withdrawn",
}  # of a question; one that nobody answered in time is still open
_DONE = {"done", "cancelled"}
_LOCKS_NAMED = 3  # resources of one wait; more say the same
_ALARMS = {"error", "critical"}


def gather(tx: Transaction, since: datetime) -> list[TopicSignal]:
    """What was said and happened since a time: the newest of each source, bounded."""
    happened = _events(tx, since)
    asked = {row.message_id: row for row in _questions(tx, since)}
    return [*_messages(tx, since, asked), *happened]


def meetings_held(tx: Transaction, since: datetime) -> list[PastMeeting]:
    """The newest meetings of a time but for those that were cancelled."""
    table = meetings.c
    *_, by_id = listing.within(since, None, table.id)
    statement = select(
        table.created_at, table.related_message_ids, table.related_task_ids, table.thread_id
    ).where(table.workspace_id == tx.workspace_id, by_id, table.status != "cancelled")
    found = tx.execute(statement.order_by(table.id.desc()).limit(limits.TOPIC_EVENTS_MAX))
    return [
        PastMeeting(row.created_at, row.related_message_ids, row.related_task_ids, row.thread_id)
        for row in found
    ]


def retired(tx: Transaction, names: Iterable[str]) -> frozenset[str]:
    """Those of some names that are in service no more."""
    here = agents.c.workspace_id == tx.workspace_id, agents.c.name.in_(sorted(set(names)))
    return frozenset(tx.execute(select(agents.c.name).where(*here, agents.c.status == "retired")).scalars())


# -- messages --------------------------------------------------------------------------------------


def _messages(tx: Transaction, since: datetime, asked: Mapping[str, Row[Any]]) -> list[TopicSignal]:
    text = func.substr(messages.c.body, 1, limits.TOPIC_TEXT_CHARS).label("text")
    statement = select(*_MESSAGE, text).where(*_newest(tx, since), message_rows.visible(tx.caller))
    found = tx.execute(statement.order_by(messages.c.id.desc()).limit(limits.TOPIC_MESSAGES_MAX)).all()
    sizes = Counter(row.thread_id for row in found)
    return [_message(row, asked.get(row.id), alone=sizes[row.thread_id] == 1) for row in found]


def _newest(tx: Transaction, since: datetime) -> list[ColumnElement[bool]]:
    """The conditions on the newest messages of all: however many there are, only so many are looked at."""
    table = messages.c
    conditions = [table.workspace_id == tx.workspace_id, *listing.within(since, None)]
    before = select(table.id).where(*conditions).order_by(table.id.desc())
    last = tx.execute(before.offset(limits.TOPIC_MESSAGES_LOOKED_AT - 1).limit(1)).scalar_one_or_none()
    people = table.sender_id.is_not(None)  # the server's own notices say nothing new
    return [*conditions, people, *([] if last is None else [table.id >= last])]


def _message(row: Row[Any], question: Row[Any] | None, *, alone: bool) -> TopicSignal:
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
        settled=question is not None and question.status in _OVER,
    )


def _place(row: Row[Any], others: Sequence[str]) -> str:
    """Where people hear each other: a channel, everybody, or those who write to one another."""
    if row.channel_name is not None:
        return f"#{row.channel_name}"
    return "*" if row.broadcast else " ".join(sorted({row.sender_name, *others}))


def _questions(tx: Transaction, since: datetime) -> Sequence[Row[Any]]:
    table = questions.c
    columns = [table.message_id, table.asked_name, table.question, table.status]
    *_, by_id = listing.within(since, None, table.id)
    statement = select(*columns).where(table.workspace_id == tx.workspace_id, by_id)
    return tx.execute(statement.order_by(table.id.desc()).limit(limits.TOPIC_EVENTS_MAX)).all()


# -- events ----------------------------------------------------------------------------------------


def _events(tx: Transaction, since: datetime) -> list[TopicSignal]:
    _oldest, last = bounds(tx.connection, tx.workspace_id)
    after = first_seq_since(tx.connection, tx.workspace_id, since) - 1
    after = max(after, last - limits.TOPIC_EVENTS_LOOKED_AT)
    rows = [
        row
        for type_ in (TASK_BLOCKED, LOCK_WAIT_STARTED)
        for row in _of_type(tx, type_, since, after, limits.TOPIC_EVENTS_MAX)
    ]
    rows += _posted_rows(tx, since, after)
    told = readable(tx, rows, lambda row: (row, event_data(row)), lambda row: event_name(row.seq))
    names = _names(tx, {row.actor for row in rows} - {None})
    statuses = _statuses(tx, {row.task_id for row in rows} - {None})
    signals = [
        one
        for row, data in told
        for one in _signals(row, data, names.get(row.actor, ""), statuses.get(row.task_id, ""))
        if one.by
    ]
    return [*signals, *_failures(tx, since, after)]


def _posted_rows(tx: Transaction, since: datetime, after: int) -> list[Row[Any]]:
    """The events that agents posted: some of each type, so that none takes all the room, blockers first."""
    there = types_of(tx.connection, tx.workspace_id, limits.TOPIC_EVENT_TYPES_MAX + len(EVENT_TYPES))
    posted = sorted(
        (type_ for type_ in there if type_ not in EVENT_TYPES), key=lambda type_: not _blocks(type_)
    )
    rows: list[Row[Any]] = []
    for type_ in posted:
        left = limits.TOPIC_POSTED_MAX - len(rows)
        rows += _of_type(tx, type_, since, after, min(limits.TOPIC_POSTED_PER_TYPE, left))
        if len(rows) >= limits.TOPIC_POSTED_MAX:
            break
    return rows


def _of_type(tx: Transaction, type_: str, since: datetime, after: int, count: int) -> list[Row[Any]]:
    """The newest events of one type; those of types below it have their own turn."""
    wanted = filter_for(tx.caller, types=(type_,), since=since)
    rows = read_page(tx.connection, wanted, after=after, before=None, count=count, newest=True)
    return [row for row in take(rows, count)[0] if row.type == type_]


def _blocks(type_: str) -> bool:
    return type_.partition(".")[0] == "blocker"


def _signals(row: Row[Any], data: Any, by: str, status: str) -> Iterator[TopicSignal]:
    """What an event says."""
    if row.type == LOCK_WAIT_STARTED:
        yield from _waits(row, data)
    elif row.type == TASK_BLOCKED:
        yield _blocked(row, data, by, status)
    else:
        yield _posted(row, data, by)


def _waits(row: Row[Any], data: Any) -> Iterator[TopicSignal]:
    """A wait for locks, once for each resource that somebody else had."""
    wait, obstacles = data["wait"], data["obstacles"]
    for number, one in enumerate(obstacles[:_LOCKS_NAMED]):
        yield TopicSignal(
            id=f"{row.id}/{number}",
            source="conflict",
            at=row.at,
            by=wait["agent_name"],
            text=wait["note"],
            key=f"lock/{one['wanted']}",
            others=(one["holder_name"],),
            resource=one["wanted"],
        )


def _blocked(row: Row[Any], data: Any, by: str, status: str) -> TopicSignal:
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


def _failures(tx: Transaction, since: datetime, after: int) -> list[TopicSignal]:
    """Holds of tasks that came to nothing, of the tasks that lost or gave up their holder lately."""
    ids = {
        row.task_id
        for type_ in (TASK_FAILED, TASK_RELEASED, TASK_RECLAIMED)
        for row in _of_type(tx, type_, since, after, limits.TOPIC_EVENTS_MAX)
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
    return [_failure(row) for row in tx.execute(statement)]


def _failure(row: Row[Any]) -> TopicSignal:
    return TopicSignal(
        id=f"{row.task_id}/{row.fencing_token}",
        source="failure",
        at=row.ended_at,
        by=row.agent_name,
        text=row.reason[: limits.TOPIC_TEXT_CHARS],
        key=f"task/{row.task_id}",
        subject=row.goal,
        task_id=row.task_id,
        settled=row.status in _DONE,
    )


def _posted(row: Row[Any], data: Any, by: str) -> TopicSignal:
    """An event of an agent's own; its texts are those in its data."""
    alarm = _blocks(row.type) or row.severity in _ALARMS
    tied = None if row.correlation_id == row.id else row.correlation_id
    return TopicSignal(
        id=row.id,
        source="blocker" if alarm else "event",
        at=row.at,
        by=by,
        text=" ".join(_texts(data))[: limits.TOPIC_TEXT_CHARS],
        key=f"task/{row.task_id}" if row.task_id else f"event/{tied or row.id}",
        alone=tied is None and row.task_id is None,
        place=row.channel_id or ("*" if row.audience == "workspace" else ""),
        task_id=row.task_id,
    )


def _texts(data: Any) -> Iterator[str]:
    """The texts in some JSON, in their order."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _texts(inner)


def _names(tx: Transaction, ids: Iterable[str]) -> dict[str | None, str]:
    here = agents.c.workspace_id == tx.workspace_id, agents.c.id.in_(sorted(ids))
    return {row.id: row.name for row in tx.execute(select(agents.c.id, agents.c.name).where(*here))}


def _statuses(tx: Transaction, ids: Iterable[str]) -> dict[str | None, str]:
    here = tasks.c.workspace_id == tx.workspace_id, tasks.c.id.in_(sorted(ids))
    return {row.id: row.status for row in tx.execute(select(tasks.c.id, tasks.c.status).where(*here))}
