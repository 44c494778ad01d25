"""`repomesh demo meeting`: four agents meet; one is killed in its turn, one is slow, one dissents."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from repomesh.cli import output
from repomesh.cli.demo import meeting_checks, participant, stage
from repomesh.cli.demo.participant import HERE, OVER_MCP, OVER_SOCKET, ROLES, TOPIC
from repomesh.cli.demo.verdicts import Verdict, check_claims
from repomesh.client.client import Client
from repomesh.client.stream import follow
from repomesh.views import meeting_view
from repomesh.views.terminal_text import clean

EVIDENCE = "evidence.json"
"""The record that the claims are checked in, as a file in the scratch folder."""
_INACTIVE_S = 3.0  # so that the killed participant is skipped before its deadline
_VOTE_S = 8.0
_PATIENCE_S = 60.0
_TOLD_S = 5.0  # for the last lines of the story
_TURN = "ben has the turn"
_OVER = ("meeting.completed", "meeting.cancelled")


class MeetingPlay(stage.DemoRun):
    """One meeting, on a server in a scratch folder."""

    module = participant.__name__
    players = tuple(ROLES)
    settings = {"REPOMESH_AGENT_INACTIVE_AFTER_S": str(_INACTIVE_S)}

    def __init__(self, scratch: Path, *, quiet: bool) -> None:
        super().__init__(scratch, quiet=quiet)
        self.marks = {mark: asyncio.Event() for mark in (*map(HERE.format, ROLES), _TURN)}
        self.sockets = 0

    async def play(self) -> list[Verdict]:
        """Play the meeting and return the verdicts on its claims."""
        self.work.mkdir()
        self.scene("A server starts.")
        async with self.server() as owner:
            await self.cast(owner)
            meeting = await owner.call_json("meeting.create", _terms())
            await self.perform(owner, meeting["id"])
            selector = {"meeting_id": meeting["id"]}
            minutes = (await owner.call_json("meeting.minutes", selector))["markdown"]
            self.scene("The minutes:")
            self.print(f"\n{clean(minutes)}")
            record = meeting_checks.MeetingRecord(
                log=[event async for event in owner.items("event.list", limit=200)],
                meeting=await owner.call_json("meeting.show", selector),
                minutes=minutes,
                metrics=(await owner.http.get("/metrics")).text,
                exit_codes=self.exit_codes,
                sockets=self.sockets,
            )
        (self.scratch / EVIDENCE).write_text(json.dumps(asdict(record)))
        return check_claims(meeting_checks.CLAIMS, record)

    async def perform(self, owner: Client, meeting_id: str) -> None:
        """Start the participants and the meeting, kill one in its turn, and wait for the others."""
        self.scene(
            f"Four agents take their seats, {_join_names(OVER_MCP)} over MCP, "
            f"{_join_names(OVER_SOCKET)} by socket."
        )
        variables = {"REPOMESH_MEETING": meeting_id}
        watchers = [asyncio.create_task(self.watch(name, owner.url, **variables)) for name in ROLES]
        printing = None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    for name in ROLES:
                        await self.marks[HERE.format(name)].wait()
                    self.sockets = _open_streams((await owner.http.get("/metrics")).text)
                    printing = asyncio.create_task(self.print_events(owner, meeting_id))
                    await owner.call_json("meeting.start", {"meeting_id": meeting_id})
                    await self.marks[_TURN].wait()
                    self.kill("ben")
                    self.scene("ben is killed in its turn.")
                    await asyncio.wait(watchers)
                    await asyncio.wait([printing], timeout=_TOLD_S)
        finally:
            for name in self.processes:
                self.kill(name)
            if printing is not None:
                printing.cancel()
        await asyncio.gather(*watchers)

    async def print_events(self, owner: Client, meeting_id: str) -> None:
        """Print what happens in the meeting as it happens."""
        async for event in follow(owner, after=0, correlation_id=meeting_id, type=["meeting", "decision"]):
            for index, line in enumerate(meeting_view.event_lines(output.style(), event)):
                self.print(f"{event['at'][11:19]}  {line}" if index == 0 else f"          {line}")
            if event["type"] in _OVER:
                return


def _terms() -> dict[str, Any]:
    return {
        "topic": TOPIC,
        "participant_ids": list(ROLES),
        "chair": "ada",
        "consensus": "two_thirds",
        "max_discussion_rounds": 2,
        "opinion_timeout_s": participant.OPINION_S,
        "vote_timeout_s": _VOTE_S,
    }


def _open_streams(metrics: str) -> int:
    match = re.search(r"^repomesh_stream_subscribers ([0-9.]+)", metrics, re.MULTILINE)
    return int(float(match[1])) if match else 0


def _join_names(names: Iterable[str]) -> str:
    return " and ".join(names)
