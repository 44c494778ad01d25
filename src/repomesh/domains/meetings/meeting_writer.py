"""Writes the results of one command on a meeting: its row, requests to participants, notices, events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, update

from repomesh.domains.meetings import flow, rows
from repomesh.domains.meetings.events import MeetingChanged
from repomesh.domains.meetings.flow import MeetingState
from repomesh.domains.meetings.models import Meeting
from repomesh.domains.meetings.tables import meeting_participants, meetings
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages.receipts import acknowledge
from repomesh.domains.messaging.messages.sending import extend_expiry, system_notice
from repomesh.domains.tasks.models import CreateTask
from repomesh.kernel.limits import MEETING_REQUEST_CHARS_DEFAULT
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

TAG = "meeting"
"""The tag of the messages that meetings send."""

_table = meeting_participants.c
_ADD_PARTICIPANT = PreparedStatement(insert(meeting_participants))
_OF_PARTICIPANT = (
    _table.workspace_id == bindparam("ws"),
    _table.meeting_id == bindparam("meeting"),
    _table.agent_id == bindparam("agent"),
)
_SET_REQUEST = PreparedStatement(
    update(meeting_participants).where(*_OF_PARTICIPANT).values(message_id=bindparam("message"))
)
_SET_AWAITED = PreparedStatement(
    update(meeting_participants).where(*_OF_PARTICIPANT).values(awaited=bindparam("is_awaited"))
)
_CHANGED_COLUMNS = (
    *("status", "outcome", "phase", "due_at", "flow", "version", "started_at", "ended_at"),
    *("proposal", "thread_id", "decision_id", "summary", "reason"),
)
_CHANGE = PreparedStatement(
    update(meetings)
    .where(meetings.c.workspace_id == bindparam("ws"), meetings.c.id == bindparam("meeting"))
    .values({name: bindparam(f"new_{name}", type_=meetings.c[name].type) for name in _CHANGED_COLUMNS})
)


@dataclass(frozen=True, slots=True)
class CommandTexts:
    """The texts, tasks and budget that came with a command; the rules do not use them."""

    content: str = ""
    proposal: str | None = None
    tasks: Sequence[CreateTask] = ()
    reason: str = ""
    amendment: str | None = None
    max_chars: int = MEETING_REQUEST_CHARS_DEFAULT


@dataclass(slots=True)
class MeetingWriter:
    """Collects the changes of one command: the meeting's columns, its state, and the events to emit."""

    tx: Transaction
    columns: dict[str, Any]
    state: MeetingState
    texts: CommandTexts
    _events: list[Callable[[Meeting], NewEvent]] = field(default_factory=list)
    _participants: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The meeting's id."""
        return str(self.columns["id"])

    def key(self, **columns: Any) -> dict[str, Any]:
        """The key columns of a row of this meeting, merged with `columns`."""
        return {"workspace_id": self.tx.workspace_id, "meeting_id": self.id, **columns}

    def emit(
        self, model: type[MeetingChanged], type_: str, recipient_id: str | None = None, **fields: Any
    ) -> None:
        """Queue an event for `publish`, which adds the meeting as it is then to its fields."""

        def event(meeting: Meeting) -> NewEvent:
            data, subject = model(meeting=meeting, **fields), f"meeting/{self.id}"
            return NewEvent(type_, subject, data, recipient_id=recipient_id, correlation_id=self.id)

        self._events.append(event)

    def append_event(self, event: NewEvent) -> None:
        """Queue a finished event for `publish`, in its turn."""
        self._events.append(lambda _meeting: event)

    def add_participant(self, agent_id: str) -> None:
        """Insert the participant's row unless there is one."""
        if agent_id not in self.participants():
            row = {"max_chars": self.texts.max_chars, "awaited": False, "message_id": None}
            self.tx.execute(_ADD_PARTICIPANT, self.key(agent_id=agent_id, **row))
            self._participants = None

    def participants(self) -> Mapping[str, Any]:
        """The rows of the participants by agent id."""
        if self._participants is None:
            self._participants = rows.participant_rows(self.tx, self.id)
        return self._participants

    def send_request(
        self, agent_ids: Sequence[str], tag: str, subject: str, body: str, due_at: datetime
    ) -> None:
        """Send participants a message that requires acknowledgement; speaking or voting acknowledges it."""
        message = system_notice(
            self.tx,
            agent_ids,
            subject,
            body,
            tags=(TAG, tag),
            thread_id=self.columns["thread_id"],
            ack_required=True,
            expires_at=due_at,
        )
        self.columns["thread_id"] = message.thread_id
        self.tx.execute(
            _SET_REQUEST,
            [self._participant_key(agent_id) | {"message": message.id} for agent_id in agent_ids],
        )
        self._participants = None

    def extend_requests(self, due_at: datetime) -> None:
        """Extend the expiry of the open requests to the awaited participants."""
        message_ids = [self.participants()[agent_id].message_id for agent_id in self.state.awaited]
        extend_expiry(self.tx, [message_id for message_id in message_ids if message_id is not None], due_at)

    def acknowledge_request(self, agent_id: str) -> None:
        """Acknowledge the last request to `agent_id`, if it is the caller."""
        message_id = self.participants()[agent_id].message_id
        if message_id is not None and self.tx.caller.agent_id == agent_id:
            acknowledge(self.tx, message_rows.find(self.tx, message_id))

    def notify(self, subject: str, body: str) -> None:
        """Send a notice to all who are present."""
        if self.state.present:
            thread_id = self.columns["thread_id"]
            system_notice(self.tx, self.state.present, subject, body, tags=(TAG,), thread_id=thread_id)

    def write(self, before: MeetingState) -> Meeting:
        """Write the meeting's row, which had the state `before`, and publish the events."""
        columns, state = self.columns, self.state
        columns |= {"status": state.status, "outcome": state.outcome}
        columns |= {"phase": state.phase, "due_at": state.due_at}
        columns |= {"flow": flow.dump(state), "version": columns["version"] + 1}
        if state.phase != "voting":
            columns["proposal"] = None
        if before.status == "pending" and state.status == "in_progress":
            columns["started_at"] = self.tx.now
        if state.status in ("completed", "cancelled"):
            columns["ended_at"] = self.tx.now
        changed = {f"new_{name}": columns[name] for name in _CHANGED_COLUMNS}
        self.tx.change(_CHANGE, changed | {"ws": self.tx.workspace_id, "meeting": self.id})
        self._note_awaited(before)
        return self.publish()

    def publish(self) -> Meeting:
        """Emit the queued events with the meeting as it is. Returns the meeting."""
        meeting = rows.as_meeting(self.columns)
        for event in self._events:
            self.tx.emit(event(meeting))
        return meeting

    def _note_awaited(self, before: MeetingState) -> None:
        awaited_before, awaited_now = set(before.awaited), set(self.state.awaited)
        changed = [
            self._participant_key(agent_id) | {"is_awaited": agent_id in awaited_now}
            for agent_id in sorted(awaited_before ^ awaited_now)
        ]
        if changed:
            self.tx.execute(_SET_AWAITED, changed)

    def _participant_key(self, agent_id: str) -> dict[str, Any]:
        return {"ws": self.tx.workspace_id, "meeting": self.id, "agent": agent_id}
