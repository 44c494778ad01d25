"""The summary of a session: counts and quotations, and on request a text by a language model."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from repomesh.domains.sessions import memory_rows, model_summaries, rows
from repomesh.domains.sessions.errors import SessionNotFound
from repomesh.domains.sessions.summary_models import (
    SessionSummary,
    SummarizeSession,
    SummaryArtifact,
    SummaryMemory,
    SummaryMoment,
    SummaryTask,
)
from repomesh.domains.sessions.tables import artifacts, chunks, memories, session_tasks
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.kernel.operation import Get, query
from repomesh.store.transaction import Transaction


@query(
    "session.summary",
    http=Get("/v1/sessions/{session_id}/summary"),
    scope="sessions:read",
    errors=(SessionNotFound,),
    prepare=model_summaries.prepare,
    follow_up=model_summaries.build_keep_command,
)
def summarize_session(tx: Transaction, request: SummarizeSession) -> SessionSummary:
    """Summarize a session: figures, people, decisions, open questions, action items, artifacts, tasks.

    Each list holds the items that changed last. With `max_chars` the timeline is left out first, then the
    last items of each list. With `written` a language model also writes a text, which is marked as generated
    and kept until the session changes. Without a model, or when it fails, the rest is returned all the same.
    """
    row = rows.find_readable(tx, request.session_id)
    task_items = _tasks(tx, row.uid)
    artifact_items = _artifacts(tx, row.uid)
    by_type = {kind: _memories(tx, row.uid, kind) for kind in ("decision", "question", "action_item")}
    moments = _conversation_ends(tx, row.uid) + [
        SummaryMoment(at=item.at, what=what, text=text)
        for what, items in (
            ("memory", [memory for memories_of_type in by_type.values() for memory in memories_of_type]),
            ("artifact", artifact_items),
            ("task", task_items),
        )
        for item in items
        for text in [f"{item.key}: {item.text}" if isinstance(item, SummaryMemory) else item.title]
    ]
    moments.append(SummaryMoment(at=row.created_at, what="session", text="created"))
    if row.status != "active":
        moments.append(
            SummaryMoment(at=row.updated_at, what="session", text=f"{row.status} {row.reason}".strip())
        )
    moments.sort(key=lambda moment: moment.at)
    summary = SessionSummary(
        session=rows.as_listed(row),
        counts=rows.counts(tx, row.uid),
        speakers=_speakers(tx, row.uid),
        decisions=by_type["decision"],
        open_questions=by_type["question"],
        action_items=by_type["action_item"],
        artifacts=artifact_items,
        tasks=task_items,
        timeline=moments[-limits.SUMMARY_ITEMS_MAX :],
    )
    if request.written:
        text, reason = model_summaries.find_written(tx, row, request)
        summary = summary.model_copy(update={"written": text, "not_written": reason})
    return _fit(summary, request.max_chars)


def _shorten_line(text: str) -> str:
    line = " ".join(text[: limits.SUMMARY_LINE_CHARS * 2].split())
    return line if len(line) <= limits.SUMMARY_LINE_CHARS else f"{line[: limits.SUMMARY_LINE_CHARS - 1]}…"


def _memories(tx: Transaction, uid: str, kind: str) -> list[SummaryMemory]:
    table = memories.c
    conditions = table.workspace_id == tx.workspace_id, table.session_uid == uid, table.status == "current"
    newest = select(memories).where(*conditions, table.type == kind)
    newest = newest.order_by(table.updated_at.desc(), table.id.desc())
    newest_memories = [
        memory_rows.as_memory(row) for row in tx.execute(newest.limit(limits.SUMMARY_ITEMS_MAX))
    ]
    return [
        SummaryMemory(
            key=memory.key,
            text=_shorten_line(memory_rows.text_of(memory)),
            author=memory.author,
            at=memory.updated_at,
        )
        for memory in newest_memories
    ]


def _artifacts(tx: Transaction, uid: str) -> list[SummaryArtifact]:
    table = artifacts.c
    newest = select(artifacts).where(table.session_uid == uid)
    newest = newest.order_by(table.updated_at.desc(), table.id.desc())
    return [
        SummaryArtifact(
            artifact_id=row.artifact_id,
            title=row.title,
            type=row.type,
            version=row.version,
            at=row.updated_at,
        )
        for row in tx.execute(newest.limit(limits.SUMMARY_ITEMS_MAX))
    ]


def _tasks(tx: Transaction, uid: str) -> list[SummaryTask]:
    link, table = session_tasks.c, tasks.c
    joined = select(tasks, link.key).join(session_tasks, link.task_id == table.id)
    newest = joined.where(link.session_uid == uid).order_by(table.updated_at.desc(), table.id.desc())
    return [
        SummaryTask(
            key=row.key,
            title=row.goal,
            status=row.status,
            percent=row.percent,
            agent=row.agent_name or row.assignee_name,
            at=row.updated_at,
        )
        for row in tx.execute(newest.limit(limits.SUMMARY_ITEMS_MAX))
    ]


def _conversation_ends(tx: Transaction, uid: str) -> list[SummaryMoment]:
    """The first and the last piece of conversation."""
    table = chunks.c
    columns = (
        table.sequence,
        table.speaker,
        table.created_at,
        func.substr(table.content, 1, 1_000).label("text"),
    )
    statement = select(*columns).where(table.session_uid == uid)
    ends: dict[int, Any] = {}
    for order in (table.sequence.asc(), table.sequence.desc()):
        ends |= {row.sequence: row for row in tx.execute(statement.order_by(order).limit(1))}
    return [
        SummaryMoment(
            at=row.created_at,
            what="chunk",
            text=_shorten_line(f"{row.speaker}: {row.text}".removeprefix(": ")),
        )
        for row in ends.values()
    ]


def _speakers(tx: Transaction, uid: str) -> list[str]:
    """The names of the speakers in the newest chunks, the last one first."""
    table = chunks.c
    newest = select(table.speaker).where(table.session_uid == uid).order_by(table.sequence.desc())
    names = tx.execute(newest.limit(limits.SUMMARY_CHUNKS_MAX)).scalars()
    return list(dict.fromkeys(name for name in names if name))[: limits.SUMMARY_ITEMS_MAX]


_SORTS = ("timeline", "artifacts", "tasks", "action_items", "open_questions", "decisions")


def _fit(summary: SessionSummary, max_chars: int | None) -> SessionSummary:
    """A summary within `max_chars`: items are left out one by one, the sorts in the order of _SORTS."""
    if max_chars is None or len(summary.model_dump_json()) <= max_chars:
        return summary
    left_out = 0
    for sort in _SORTS:
        items = list(getattr(summary, sort))
        while items:
            items.pop(0 if sort == "timeline" else -1)
            left_out += 1
            omitted = f"items left out: {left_out}; raise max_chars"
            summary = summary.model_copy(update={sort: items, "omitted": omitted})
            if len(summary.model_dump_json()) <= max_chars:
                return summary
    return _shorten_written(summary, max_chars)


def _shorten_written(summary: SessionSummary, max_chars: int) -> SessionSummary:
    """The summary with the model's text cut to fit `max_chars`, or without it."""
    text = summary.written
    too_long = len(summary.model_dump_json()) - max_chars
    if text is None or too_long <= 0:
        return summary
    shortened = text.text[: max(len(text.text) - too_long - 1, 0)].rstrip()
    shorter = text.model_copy(update={"text": f"{shortened}…"}) if shortened else None
    return summary.model_copy(
        update={"written": shorter, "not_written": None if shortened else "raise max_chars"}
    )
