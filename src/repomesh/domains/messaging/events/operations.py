"""Operations on the event log: post, list, show, push, prune."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict
from sqlalchemy import Row, select

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.messaging.channels.errors import ChannelArchived, ChannelNotFound, NotAMember
from repomesh.domains.messaging.channels.rows import find_channel, require_open
from repomesh.domains.messaging.channels.tables import channel_members
from repomesh.domains.messaging.events.errors import EventNotFound, ReservedEventType, TwoAudiences
from repomesh.domains.messaging.events.models import (
    LOG_PRUNED,
    Event,
    EventCriteria,
    EventPage,
    ListEvents,
    PostedData,
    PostedEvent,
    PostEvent,
    PrunedLog,
    PruneLog,
    ShowEvent,
    StreamEvents,
)
from repomesh.kernel.budget import fit
from repomesh.kernel.errors import InternalError, InvalidRequest, NoLongerAvailable
from repomesh.kernel.event_types import is_reserved
from repomesh.kernel.fields import decode_cursor, encode_cursor
from repomesh.kernel.operation import Get, Post, command, query, subscription
from repomesh.kernel.preparation import Preparation
from repomesh.store.damage import DAMAGE_ERRORS, convert_readable
from repomesh.store.filters import EventFilter, filter_for
from repomesh.store.log import (
    ADMINS,
    WORKSPACE,
    Audience,
    NewEvent,
    bounds,
    damaged_event,
    event_data,
    event_fields,
    event_name,
    require_kept,
)
from repomesh.store.paging import take
from repomesh.store.prune import ARCHIVE, DAMAGED_TYPE, ArchivedEvents, archive_events, remove_archived
from repomesh.store.reading import read_page
from repomesh.store.tables import events
from repomesh.store.transaction import Transaction

# Names of the frames of event streams and browsers; an event of such a type could pass for a frame.
STREAM_FRAMES = frozenset({"position", "closed", "open", "error"})
_RESERVED = STREAM_FRAMES | {DAMAGED_TYPE}


@command(
    "event.post",
    http=Post("/v1/events", status=201),
    scope="events:write",
    errors=(ReservedEventType, TwoAudiences, AgentNotFound, ChannelNotFound, ChannelArchived, NotAMember),
    rate="messages",
    needs_agent=True,
)
def post_event(tx: Transaction, request: PostEvent) -> PostedEvent:
    """Post an event of your own to the workspace, a channel or one agent.

    Types that the server itself writes are refused, so that nobody can forge them.
    """
    if is_reserved(request.type) or request.type in _RESERVED:
        raise ReservedEventType(f"type: '{request.type}' is written by the server alone")
    audience, recipient_id, channel_id = _audience(tx, request)
    event = NewEvent(
        request.type,
        _subject(tx, request.task_id, channel_id, recipient_id),
        PostedData(request.data),
        audience,
        request.severity,
        channel_id=channel_id,
        task_id=request.task_id,
        recipient_id=recipient_id,
        correlation_id=request.correlation_id,
    )
    seq = tx.next_seq()
    return PostedEvent(id=tx.emit(event), seq=seq, type=event.type, at=tx.now)


@query("event.list", http=Get("/v1/events"), scope="events:read", errors=(NoLongerAvailable, ChannelNotFound))
def list_events(tx: Transaction, request: ListEvents) -> EventPage:
    """List events that the caller may see, in their order, or newest first.

    A request for events behind a number that was archived is refused; the error names the first one
    available.
    """
    oldest, last = bounds(tx.connection, tx.workspace_id)
    after, before = _seq_range(request)
    if after is not None:
        require_kept(after, oldest)
    matching = read_page(
        tx.connection,
        _event_filter(tx, request, request.type),
        after=after,
        before=before,
        count=request.limit + 1,
        newest=request.newest,
    )
    rows, more = take(matching, request.limit)
    items = convert_readable(tx, rows, as_event, lambda row: event_name(row.seq))
    next_cursor = encode_cursor(rows[-1].seq) if more else None
    result = EventPage(items=items, next_cursor=next_cursor, oldest_seq=oldest, last_seq=last)
    if request.max_chars is None:
        return result
    return fit(result, request.max_chars, lambda index: encode_cursor(items[index].seq))


@query(
    "event.show", http=Get("/v1/events/{seq}"), scope="events:read", errors=(EventNotFound, NoLongerAvailable)
)
def show_event(tx: Transaction, request: ShowEvent) -> Event:
    """Show one event by its number."""
    oldest, _last = bounds(tx.connection, tx.workspace_id)
    require_kept(request.seq - 1, oldest)
    visible = filter_for(tx.caller).where()
    row = tx.execute(select(events).where(visible, events.c.seq == request.seq)).one_or_none()
    if row is None:
        raise EventNotFound(f"there is no event {request.seq} that you may see")
    return as_event(row)


@subscription(
    "event.stream", http=Get("/v1/stream"), scope="events:read", errors=(NoLongerAvailable, ChannelNotFound)
)
def stream_events(tx: Transaction, request: StreamEvents) -> EventFilter:
    """Push events that the caller may see as they happen, from `after` on."""
    return _event_filter(tx, request, request.type)


class _PruneArchived(PruneLog):
    """The request with the file to which the events were written."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    archived: ArchivedEvents


async def _archive(request: PruneLog, preparation: Preparation) -> _PruneArchived:
    """Write the file outside of any transaction that others wait for."""
    data = preparation.store.settings.data.absolute()
    archived = await preparation.read(
        lambda tx: archive_events(tx, request.before, data / ARCHIVE / tx.workspace_id)
    )
    return _PruneArchived(before=request.before, archived=archived)


@command("log.prune", http=Post("/v1/log/prune"), scope="log:admin", prepare=_archive)
def prune_log(tx: Transaction, request: PruneLog) -> PrunedLog:
    """Move old events to a gzipped file of CloudEvents in the data folder.

    The file is on disk before the events leave the log. One call moves a bounded number; ask again until
    `complete`. Streams that resume from before `oldest_seq` are refused from then on.
    """
    if not isinstance(request, _PruneArchived):
        raise InternalError("the archive is written before the transaction, not inside it")
    moved = remove_archived(tx, request.archived)
    pruned = PrunedLog(
        events=moved.events,
        path=None if moved.path is None else str(moved.path),
        oldest_seq=moved.oldest_seq,
        complete=moved.complete,
    )
    if moved.events:
        tx.emit(NewEvent(LOG_PRUNED, f"workspace/{tx.workspace_id}", pruned, ADMINS))
    return pruned


def as_event(row: Row[Any]) -> Event:
    """The event in a row of the log; raises DamagedRecord."""
    try:
        return Event(**(event_fields(row) | {"at": row.at, "data": event_data(row)}))
    except DAMAGE_ERRORS as error:
        raise damaged_event(row.seq, error) from error


def _audience(tx: Transaction, request: PostEvent) -> tuple[Audience, str | None, str | None]:
    """Who may see a posted event, the recipient's id and the channel's."""
    if request.recipient_id is not None and request.channel is not None:
        raise TwoAudiences("recipient_id: an event has a recipient or a channel, not both")
    if request.recipient_id is not None:
        recipient_id = find_agent(tx, request.recipient_id).id
        return Audience("agents", (recipient_id,)), recipient_id, None
    if request.channel is not None:
        channel_id, member_ids = _channel_members(tx, request.channel)
        return Audience("channel", member_ids), None, channel_id
    return WORKSPACE, None, None


def _channel_members(tx: Transaction, name: str) -> tuple[str, tuple[str, ...]]:
    """The id of a channel and of its members. Raises NotAMember unless the acting agent is one of them."""
    channel = find_channel(tx, name)
    require_open(channel)
    table = channel_members.c
    of_channel = table.workspace_id == tx.workspace_id, table.channel_id == channel.id
    member_ids = tuple(tx.execute(select(table.agent_id).where(*of_channel)).scalars())
    if tx.caller.agent_id not in member_ids:
        raise NotAMember(f"the acting agent is not in '#{channel.name}'")
    return channel.id, member_ids


def _subject(tx: Transaction, task_id: str | None, channel_id: str | None, recipient_id: str | None) -> str:
    if task_id is not None:
        return f"task/{task_id}"
    if channel_id is not None:
        return f"channel/{channel_id}"
    return f"agent/{recipient_id or tx.caller.acting_agent()}"


def _event_filter(tx: Transaction, criteria: EventCriteria, types: tuple[str, ...]) -> EventFilter:
    fields = criteria.model_dump(include=set(EventCriteria.model_fields) - {"channel"})
    channel_id = None if criteria.channel is None else find_channel(tx, criteria.channel).id
    return filter_for(tx.caller, types=types, channel_id=channel_id, **fields)


def _seq_range(request: ListEvents) -> tuple[int | None, int | None]:
    """The exclusive bounds (after, before) of the page's `seq` numbers; None for no bound."""
    if request.cursor is None:
        return request.after, None
    (position,) = decode_cursor(request.cursor, 1)
    if not isinstance(position, int):
        raise InvalidRequest("cursor: this is not a cursor of this list")
    return (request.after, position) if request.newest else (max(position, request.after or 0), None)
