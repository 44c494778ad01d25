"""The proceedings of one command on a meeting: what it changes, whom it asks and what it tells."""

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
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

TAG = "meeting"
"""The tag of the messages that meetings send."""

_table = meeting_participants.c
_ADD_PARTICIPANT = Prepared(insert(meeting_participants))
_ONE = (
    _table.workspace_id == bindparam("ws"),
    _table.meeting_id == bindparam("meeting"),
    _table.agent_id == bindparam("agent"),
)
_ASKED = Prepared(update(meeting_participants).where(*_ONE).values(message_id=bindparam("message")))
_AWAITED = Prepared(update(meeting_participants).where(*_ONE).values(awaited=bindparam("is_awaited")))
_CHANGING = (
    *("status", "outcome", "phase", "due_at", "flow", "version", "started_at", "ended_at"),
    *("proposal", "thread_id", "decision_id", "summary", "reason"),
)
_CHANGE = Prepared(
    update(meetings)
    .where(meetings.c.workspace_id == bindparam("ws"), meetings.c.id == bindparam("meeting"))
    .values({name: bindparam(f"new_{name}", type_=meetings.c[name].type) for name in _CHANGING})
)


@dataclass(frozen=True, slots=True)
class CommandTexts:
    """What came with a command, in words: the rules know nothing of it."""

    content: str = ""
    proposal: str | None = None
    tasks: Sequence[CreateTask] = ()
    reason: str = ""
    amendment: str | None = None
    max_chars: int = MEETING_REQUEST_CHARS_DEFAULT


@dataclass(slots=True)
class MeetingWriter:
    """What is under way: the meeting's columns as they change, and the events to come."""

    tx: Transaction
    columns: dict[str, Any]
    state: MeetingState
    words: CommandTexts
    _events: list[Callable[[Meeting], NewEvent]] = field(default_factory=list)
    _participants: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The meeting's id."""
        return str(self.columns["id"])

    def key(self, **further: Any) -> dict[str, Any]:
        """The columns that every row of this meeting has, and further ones."""
        return {"workspace_id": self.tx.workspace_id, "meeting_id": self.id, **further}

    def emit(
        self, model: type[MeetingChanged], type_: str, recipient_id: str | None = None, **said: Any
    ) -> None:
        """Append an event when the command is done, with the meeting as it is then."""

        def event(meeting: Meeting) -> NewEvent:
            data, subject = model(meeting=meeting, **said), f"meeting/{self.id}"
            return NewEvent(type_, subject, data, recipient_id=recipient_id, correlation_id=self.id)

        self._events.append(event)

    def also(self, event: NewEvent) -> None:
        """Append another event in its turn."""
        self._events.append(lambda _meeting: event)

    def take_in(self, agent_id: str) -> None:
        """Give one that takes part its row."""
        if agent_id not in self.participants():
            row = {"max_chars": self.words.max_chars, "awaited": False, "message_id": None}
            self.tx.execute(_ADD_PARTICIPANT, self.key(agent_id=agent_id, **row))
            self._participants = None

    def participants(self) -> Mapping[str, Any]:
        """The rows of who takes part, by agent."""
        if self._participants is None:
            self._participants = rows.participant_rows(self.tx, self.id)
        return self._participants

    def ask(self, agent_ids: Sequence[str], what: str, subject: str, body: str, until: datetime) -> None:
        """Send a request to participants, to be acknowledged; what they answer with does so."""
        sent = system_notice(
            self.tx,
            agent_ids,
            subject,
            body,
            tags=(TAG, what),
            thread_id=self.columns["thread_id"],
            ack_required=True,
            expires_at=until,
        )
        self.columns["thread_id"] = sent.thread_id
        self.tx.execute(_ASKED, [self._one(one) | {"message": sent.id} for one in agent_ids])
        self._participants = None

    def ask_until(self, until: datetime) -> None:
        """Have the requests to those who are awaited be of use for longer."""
        asked = [self.participants()[one].message_id for one in self.state.awaited]
        extend_expiry(self.tx, [message_id for message_id in asked if message_id is not None], until)

    def answered(self, agent_id: str) -> None:
        """Acknowledge the request that the acting agent answers."""
        message_id = self.participants()[agent_id].message_id
        if message_id is not None and self.tx.caller.agent_id == agent_id:
            acknowledge(self.tx, message_rows.find(self.tx, message_id))

    def notify(self, subject: str, body: str) -> None:
        """Tell all who are present how it ended."""
        if self.state.present:
            thread_id = self.columns["thread_id"]
            system_notice(self.tx, self.state.present, subject, body, tags=(TAG,), thread_id=thread_id)

    def write(self, before: MeetingState) -> Meeting:
        """Write the meeting as it is now, and append the events; answers it."""
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
        changed = {f"new_{name}": columns[name] for name in _CHANGING}
        self.tx.change(_CHANGE, changed | {"ws": self.tx.workspace_id, "meeting": self.id})
        self._note_awaited(before)
        return self.publish()

    def publish(self) -> Meeting:
        """Append the events with the meeting as it is; answers it."""
        meeting = rows.as_meeting(self.columns)
        for event in self._events:
            self.tx.emit(event(meeting))
        return meeting

    def _note_awaited(self, before: MeetingState) -> None:
        was, now = set(before.awaited), set(self.state.awaited)
        changed = [self._one(one) | {"is_awaited": one in now} for one in sorted(was ^ now)]
        if changed:
            self.tx.execute(_AWAITED, changed)

    def _one(self, agent_id: str) -> dict[str, Any]:
        return {"ws": self.tx.workspace_id, "meeting": self.id, "agent": agent_id}
