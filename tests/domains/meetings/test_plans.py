"""What a meeting costs does not grow with the meetings that were held: it is found by its indexes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from plans import plans, scans, steps
from repomesh.app import Server
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.agents.tables import agents
from repomesh.domains.meetings import tables
from repomesh.domains.meetings.decisions.models import ListDecisions
from repomesh.domains.meetings.decisions.operations import list_decisions
from repomesh.domains.meetings.decisions.rows import newest_active
from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.meetings.models import (
    CastVoteRequest,
    CreateMeeting,
    ListMeetings,
    Meeting,
    SettleMeetings,
    ShowRequest,
    Speak,
)
from repomesh.domains.meetings.operations import create_meeting, detail, list_meetings
from repomesh.domains.meetings.speaking import settle_meetings, show_request, speak, vote
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.transaction import Transaction

HELD, RUNNING = 2_000, 50
OF_MEETINGS = (
    tables.meetings,
    tables.meeting_participants,
    tables.meeting_opinions,
    tables.meeting_proposals,
    tables.meeting_votes,
    decisions,
)
NAMES = [table.name for table in OF_MEETINGS]


class Room:
    """A workspace with two agents, in which many meetings were held and some are under way."""

    def __init__(self, server: Server) -> None:
        self.server = server
        (self.workspace_id,) = server.store.read_now(system_caller(""), workspace_ids)
        self.owner = system_caller(self.workspace_id)
        self.ann, self.ben = self._agent("ann"), self._agent("ben")
        self.do(self.owner, lambda tx: tx.execute(update(agents).values(status="active")))

    def _agent(self, name: str) -> Caller:
        agent = self.server.store.write_now(self.owner, lambda tx: ensure_agent(tx, name))
        return Caller(self.workspace_id, Role.AGENT, "token", agent.id, agent.name)

    def do(self, caller: Caller, work: Callable[[Transaction], Any]) -> Any:
        return self.server.store.write_now(caller, work)

    def begun(self) -> str:
        asked = CreateMeeting(topic="Which parser?", participant_ids=("ann", "ben"), start=True)
        meeting: Meeting = self.do(self.owner, lambda tx: create_meeting(tx, asked))
        return meeting.id

    def all_speak(self, meeting_id: str) -> None:
        for one in (self.ann, self.ben):
            self.do(one, lambda tx: speak(tx, Speak(meeting_id=meeting_id, content="So.", kind="proposal")))

    def held(self) -> str:
        meeting_id = self.begun()
        self.all_speak(meeting_id)
        for one in (self.ann, self.ben):
            self.do(one, lambda tx: vote(tx, CastVoteRequest(meeting_id=meeting_id, choice="agree")))
        return meeting_id

    def copy(self, meeting_id: str, times: int) -> None:
        """Write a meeting again so many times, with all that was said in it."""
        ids = [new_id() for _ in range(times)]

        def write(tx: Transaction) -> None:
            for table in OF_MEETINGS:
                own = "id" if table is tables.meetings else "meeting_id"
                rows = [row._asdict() for row in tx.execute(select(table).where(table.c[own] == meeting_id))]
                copies = [row | {own: one} for row in rows for one in ids]
                if table is decisions:  # of which few hold
                    copies = [
                        row | {"id": new_id(), "status": "superseded" if number % 100 else "active"}
                        for number, row in enumerate(copies)
                    ]
                if copies:
                    tx.execute(insert(table), copies)

        self.do(self.owner, write)

    def scanned(self, caller: Caller, work: Callable[[Transaction], Any], used: str) -> list[str]:
        """The steps of `work` that read a table of meetings from end to end; it must use this index."""
        found = plans(self.server.store, caller, work)
        assert used in steps(found), steps(found)
        return scans(found, *NAMES)


@pytest.fixture
def room(server: Server) -> Room:
    made = Room(server)
    made.copy(made.held(), HELD)
    made.copy(made.begun(), RUNNING)
    made.do(made.owner, lambda tx: tx.execute(text("ANALYZE")))
    return made


def test_a_turn_reads_its_own_meeting(room: Room) -> None:
    meeting_id = room.begun()

    def turn(tx: Transaction) -> None:
        speak(tx, Speak(meeting_id=meeting_id, content="So.", kind="proposal"))

    assert room.scanned(room.ann, turn, "meeting_opinions") == []
    assert room.scanned(room.ben, turn, "meeting_opinions") == []


def test_a_vote_and_its_decision_read_their_own_meeting(room: Room) -> None:
    meeting_id = room.begun()
    room.all_speak(meeting_id)

    def cast(tx: Transaction) -> None:
        vote(tx, CastVoteRequest(meeting_id=meeting_id, choice="agree"))

    assert room.scanned(room.ann, cast, "meeting_participants") == []
    assert room.scanned(room.ben, cast, "meeting_votes") == []


def test_what_is_asked_and_shown_reads_its_own_meeting(room: Room) -> None:
    meeting_id = room.begun()
    asked = ShowRequest(meeting_id=meeting_id)
    assert room.scanned(room.ann, lambda tx: show_request(tx, asked), "meeting_opinions") == []
    assert room.scanned(room.ann, lambda tx: detail(tx, meeting_id), "meeting_votes") == []


def test_the_sweep_looks_only_at_what_is_due_or_waits_for_one_who_is_gone(room: Room) -> None:
    def settle(tx: Transaction) -> None:
        assert settle_meetings(tx, SettleMeetings()).meeting_ids == []

    assert room.scanned(room.owner, settle, "ix_meetings_due") == []

    def overdue(tx: Transaction) -> None:
        tx.now += timedelta(days=1)
        settle_meetings(tx, SettleMeetings())

    assert room.scanned(room.owner, overdue, "ix_meetings_due") == []


def test_lists_begin_with_the_newest_and_stop_at_their_page(room: Room) -> None:
    for request in (ListMeetings(), ListMeetings(status="in_progress"), ListMeetings(status="completed")):
        assert room.scanned(room.owner, lambda tx, asked=request: list_meetings(tx, asked), "meetings") == []
    for wanted in (ListDecisions(), ListDecisions(status="active")):
        assert room.scanned(room.owner, lambda tx, asked=wanted: list_decisions(tx, asked), "decisions") == []
    assert room.scanned(room.owner, lambda tx: newest_active(tx, 5), "ix_decisions_status") == []
