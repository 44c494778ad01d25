"""Operations on past meetings: minutes and replay."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select

from repomesh.domains.meetings import brief, rows
from repomesh.domains.meetings.errors import MeetingNotFound
from repomesh.domains.meetings.minutes import text
from repomesh.domains.meetings.minutes.models import (
    Minutes,
    ReplayedEvent,
    ReplayMeeting,
    StreamReplay,
    WriteMinutes,
)
from repomesh.domains.meetings.models import MeetingDetail
from repomesh.domains.meetings.operations import detail
from repomesh.kernel.budget import encoded_length, keep_within
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.json_values import stored_json
from repomesh.kernel.operation import Get, query, subscription
from repomesh.store.listing import Listing
from repomesh.store.tables import events
from repomesh.store.transaction import Transaction


@query(
    "meeting.minutes",
    http=Get("/v1/meetings/{meeting_id}/minutes"),
    scope="meetings:read",
    errors=(MeetingNotFound,),
)
def write_minutes(tx: Transaction, request: WriteMinutes) -> Minutes:
    """Write the minutes of a meeting as Markdown, or as JSON with every figure."""
    budget = None if request.max_chars is None else request.max_chars - _FRAME_CHARS
    meeting = brief.fit_meeting(detail(tx, request.meeting_id), budget)
    if budget is not None and len(meeting.model_dump_json()) > budget:
        meeting = keep_within(meeting, budget)
    as_text = request.format == "markdown"
    return Minutes(
        meeting_id=meeting.id,
        format=request.format,
        markdown=_markdown(meeting, budget) if as_text else None,
        meeting=None if as_text else meeting,
    )


_FRAME_CHARS = 120  # of an answer around the minutes


def _markdown(meeting: MeetingDetail, max_chars: int | None) -> str:
    """The minutes as Markdown, which as a JSON string takes at most `max_chars`."""
    minutes = text.markdown(meeting, max_chars)
    escapes = encoded_length(minutes) - len(minutes)
    return minutes if max_chars is None or not escapes else text.markdown(meeting, max_chars - escapes)


@query(
    "meeting.replay",
    http=Get("/v1/meetings/{meeting_id}/replay"),
    scope="meetings:read",
    errors=(MeetingNotFound,),
)
def replay_meeting(tx: Transaction, request: ReplayMeeting) -> Page[ReplayedEvent]:
    """Replay a meeting: its events in order, each with its offset from the beginning.

    Events that were pruned from the log are missing; the meeting itself still shows everything that was said.
    """
    row = rows.find(tx, request.meeting_id)
    table = events.c
    statement = select(events).where(
        table.workspace_id == tx.workspace_id,
        table.correlation_id == row.id,
        or_(table.type.startswith("meeting."), table.type.startswith("decision.")),
    )

    def item(event: Any) -> ReplayedEvent:
        return ReplayedEvent(
            seq=event.seq,
            offset_s=(event.at - row.created_at).total_seconds() / request.speed,
            type=event.type,
            actor=event.actor,
            at=event.at,
            data=stored_json(event.data),
        )

    return Listing(Page[ReplayedEvent], item, keys=(table.seq,)).read(tx, statement, request)


@subscription(
    "meeting.replay_stream",
    http=Get("/v1/meetings/{meeting_id}/replay/stream"),
    scope="meetings:read",
    errors=(MeetingNotFound,),
)
def stream_replay(tx: Transaction, request: StreamReplay) -> Page[ReplayedEvent]:
    """Replay a meeting as server-sent events, with the original delays divided by the speed."""
    cursor = None if request.after is None else encode_cursor(request.after)
    fields = {"meeting_id": request.meeting_id, "speed": request.speed, "cursor": cursor}
    return replay_meeting(tx, ReplayMeeting(**fields))
