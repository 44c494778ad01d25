"""Five meetings of twenty at once beside other traffic: how soon the next is asked, and what arrives.

Every participant has a socket to its meeting, and every other one speaks and votes over HTTP. Each takes a
moment before it answers, as the quickest of models does; what is when none does stands in the table without
a limit. The floor is what a message takes to be stored at the same time.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.load import Connection, request
from bench.messages import ask, once, register
from bench.push import Listener, upgrade
from bench.report import Report
from bench.servers import Running, repomesh

MEETINGS, PARTICIPANTS, SETS = 5, 20, 3
ROUNDS = 2  # the first ends ten against ten
MESSAGES_PER_S, SENDERS = 100, 10
THINKING_S = (0.05, 0.25)
DIRECT = 10
WITHIN_S = 60.0
_SAID = "The parser now accepts trailing commas; please look at the error path before I merge it. " * 4
_OPINION, _VOTE = b'{"type":"opinion_request"', b'{"type":"consensus_request"'
_EVENT, _MESSAGE = b'{"type":"meeting_event"', b'{"type":"direct_message"'


def measure(report: Report, folder: Path) -> None:
    """Hold the meetings, then have the participants of one write to each other."""
    folder.mkdir()
    with repomesh(folder / "data") as server:
        _measure(report, server)


def _measure(report: Report, server: Running) -> None:
    tokens = {name: register(server, name) for name in _names(MEETINGS * PARTICIPANTS)}
    senders = [register(server, f"writer-{number}") for number in range(SENDERS)]
    register(server, "listener")
    traffic, at_once = Traffic(server, senders), Traffic(server, senders)
    held: list[Held] = []
    for _ in range(SETS):
        held += asyncio.run(_hold(server, tokens, traffic, THINKING_S))
    what = f"{MEETINGS} meetings of {PARTICIPANTS}, {MESSAGES_PER_S} messages/s beside"
    _latencies(report, f"{what}: opinion to next request", held, traffic, at_most_ms=100)
    hasty = asyncio.run(_hold(server, tokens, at_once, (0.0, 0.0)))
    _latencies(report, "the same when nobody takes a moment", hasty, at_once)
    held += hasty
    sent = at_once.sent | traffic.sent
    report.require(
        "requests measured",
        sum(len(one.waits_s) for one in held),
        MEETINGS * (SETS + 1) * ROUNDS * PARTICIPANTS,
    )
    report.require("opinions and votes not on record", sum(_missing(server, one) for one in held), 0)
    report.require("opinions that a socket did not tell", sum(one.untold for one in held), 0)
    report.at_least("other messages", len(traffic.sent) / traffic.elapsed_s, "/s", 0.95 * MESSAGES_PER_S)
    report.require("other messages lost", len(sent - _stored(server)), 0)
    arrived, in_order = asyncio.run(_write_to_each_other(server, dict([*tokens.items()][:PARTICIPANTS])))
    report.require(f"direct messages of {PARTICIPANTS} sockets that arrived", arrived, PARTICIPANTS * DIRECT)
    report.require("of them in their sender's order", in_order, PARTICIPANTS * DIRECT)


def _latencies(
    report: Report, what: str, held: list[Held], traffic: Traffic, at_most_ms: float | None = None
) -> None:
    waits = statistics.quantiles([wait for one in held for wait in one.waits_s], n=20)
    stored = statistics.quantiles(traffic.latencies_s, n=20)
    report.note(f"{what}, p50", waits[9] * 1e3, "ms")
    if at_most_ms is not None:
        report.bound(f"{what}, p95", waits[18] * 1e3, "ms", at_most_ms)
    report.add("its p95", waits[18] * 1e3, "ms", "a message stored, p95", stored[18] * 1e3)


def _names(count: int) -> list[str]:
    return [f"participant-{number:03}" for number in range(count)]


class Seat(Listener):
    """A participant's socket to its meeting; it answers what it is asked at once."""

    def __init__(self, table: Held, name: str, token: str, http_port: int | None) -> None:
        super().__init__(upgrade(f"/v1/ws/meetings/{table.meeting_id}", token), [], b"")
        self.name, self.token = name, token
        self.http_port = http_port  # speaks over HTTP there, else here
        self.told = 0
        self.messages: list[tuple[str, str]] = []
        self._table = table

    def arrived(self, frame: bytes, now: float) -> None:
        """Note what is told, and do what is asked."""
        if frame.startswith(_EVENT):
            head = frame[:80]
            self.told += b'"opinion_presented"' in head
            if b'"meeting_completed"' in head:
                self._table.over.set()
        elif frame.startswith((_OPINION, _VOTE)):
            self._table.asked(now)
            do = (
                self._speak if frame.startswith(_OPINION) else partial(self._vote, json.loads(frame)["round"])
            )
            asyncio.get_running_loop().call_later(self._table.pause_s(), do)
        elif frame.startswith(_MESSAGE):
            message = json.loads(frame)
            self.messages.append((message["sender_name"], message["content"]))
        elif frame.startswith(b'{"type":"error"'):
            raise RuntimeError(frame.decode())

    def _speak(self) -> None:
        self._do("opinion", "speak", {"content": f"{self.name}: {_SAID}"})
        self._table.said_at = time.perf_counter()

    def _vote(self, round_: int) -> None:
        agrees = round_ == ROUNDS or int(self.name[-1]) % 2 == 0
        body = {"choice": "agree" if agrees else "disagree"} if self.http_port else {"agrees": agrees}
        self._do("consensus_vote", "vote", {**body, "reason": "So I think."})

    def _do(self, frame: str, verb: str, body: dict[str, Any]) -> None:
        if self.http_port is None:
            self.say(json.dumps({"type": frame, "meeting_id": self._table.meeting_id, **body}).encode())
            return
        path = f"/v1/meetings/{self._table.meeting_id}/{verb}"
        raw = request("POST", path, self.token, json.dumps(body).encode())
        self._table.answers.append(asyncio.ensure_future(once(self.http_port, raw)))


@dataclass
class Held:
    """One meeting: its seats, and the seconds from each opinion until the next was asked."""

    meeting_id: str
    thinking_s: tuple[float, float]
    seats: list[Seat] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    said_at: float | None = None
    answers: list[asyncio.Future[tuple[int, bytes]]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def asked(self, now: float) -> None:
        """Somebody is asked: to speak, or after the last opinion to vote."""
        if self.said_at is not None:
            self.waits_s.append(now - self.said_at)
            self.said_at = None

    def pause_s(self) -> float:
        """How long one takes to answer."""
        return random.uniform(*self.thinking_s)

    @property
    def untold(self) -> int:
        """How many opinions some socket was not told of."""
        return sum(ROUNDS * PARTICIPANTS - seat.told for seat in self.seats)


class Traffic:
    """Messages at a steady pace, each sent when its time has come, and how long each took."""

    def __init__(self, server: Running, tokens: list[str]) -> None:
        self._server = server
        self._tokens = tokens
        self.sent: set[str] = set()
        self.latencies_s: list[float] = []
        self.elapsed_s = 0.0

    async def run(self, until: asyncio.Event) -> None:
        """Send until told to stop."""
        begun = time.perf_counter()
        await asyncio.gather(*(self._send(number, until) for number in range(SENDERS)))
        self.elapsed_s += time.perf_counter() - begun

    async def _send(self, number: int, until: asyncio.Event) -> None:
        connection = await Connection.open("127.0.0.1", self._server.port)
        pause_s = SENDERS / MESSAGES_PER_S
        due = time.perf_counter() + pause_s * number / SENDERS
        body = json.dumps({"to": ["listener"], "subject": "Parser", "body": _SAID}).encode()
        while not until.is_set():
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += pause_s
            start = time.perf_counter()
            status, answer = await connection.request(
                request("POST", "/v1/messages", self._tokens[number], body)
            )
            assert status < 300, answer
            self.latencies_s.append(time.perf_counter() - start)
            self.sent.add(json.loads(answer)["id"])
        connection.close()


async def _hold(
    server: Running, tokens: dict[str, str], traffic: Traffic, thinking_s: tuple[float, float]
) -> list[Held]:
    """Hold the meetings at once to their end, with other messages beside."""
    names = [*tokens]
    tables = []
    for number in range(MEETINGS):
        members = names[number * PARTICIPANTS : (number + 1) * PARTICIPANTS]
        tables.append(await _table(server, {name: tokens[name] for name in members}, thinking_s))
    ended = asyncio.Event()
    beside = asyncio.create_task(traffic.run(ended))
    await asyncio.gather(*(_post(server, f"/v1/meetings/{table.meeting_id}/start") for table in tables))
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*(table.over.wait() for table in tables))
    ended.set()
    await beside
    for table in tables:
        for status, answer in await asyncio.gather(*table.answers):
            assert status < 300, answer
        _leave(table)
    return tables


async def _table(server: Running, tokens: dict[str, str], thinking_s: tuple[float, float]) -> Held:
    """A meeting that waits for its start, with all its seats taken."""
    made = await _post(
        server, "/v1/meetings", topic="Which parser?", participant_ids=[*tokens], max_discussion_rounds=ROUNDS
    )
    table = Held(made["id"], thinking_s)
    loop = asyncio.get_running_loop()
    for number, (name, token) in enumerate(tokens.items()):
        seat = Seat(table, name, token, server.port if number % 2 else None)
        await loop.create_connection(lambda seat=seat: seat, "127.0.0.1", server.port)
        await seat.opened
        table.seats.append(seat)
    await asyncio.sleep(0.5)
    return table


def _leave(table: Held) -> None:
    for seat in table.seats:
        if seat.transport is not None:
            seat.transport.abort()


async def _post(server: Running, path: str, **body: Any) -> Any:
    raw = request("POST", path, server.token, json.dumps(body).encode())
    status, answer = await once(server.port, raw)
    assert status < 300, answer
    return json.loads(answer)


def _missing(server: Running, table: Held) -> int:
    """How many opinions and votes the meeting does not show."""
    shown = ask(server, f"/v1/meetings/{table.meeting_id}", server.token)
    assert shown["outcome"] == "consensus", shown["outcome"]
    there = sum(len(one["opinions"]) + len(one["votes"]) for one in shown["rounds"])
    return 2 * ROUNDS * PARTICIPANTS - there


def _stored(server: Running) -> set[str]:
    """The ids of the messages that the listener was sent."""
    read = partial(ask, server, token=server.token)
    found: set[str] = set()
    cursor = ""
    while True:
        page = read(f"/v1/messages?recipient=listener&limit=200{cursor}")
        found |= {one["id"] for one in page["items"]}
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def _write_to_each_other(server: Running, tokens: dict[str, str]) -> tuple[int, int]:
    """Have all seats of a meeting send to their two neighbours; what arrived, and what of it in order."""
    table = await _table(server, tokens, THINKING_S)
    names = [*tokens]
    for number in range(DIRECT):
        for place, seat in enumerate(table.seats):
            receiver = names[(place + 1 + number % 2) % PARTICIPANTS]
            frame = {"type": "direct_message", "receiver_id": receiver, "content": f"{number}"}
            seat.say(json.dumps({**frame, "meeting_id": table.meeting_id}).encode())
    deadline = time.perf_counter() + WITHIN_S
    while sum(len(seat.messages) for seat in table.seats) < PARTICIPANTS * DIRECT:
        if time.perf_counter() > deadline:
            break
        await asyncio.sleep(0.01)
    _leave(table)
    in_order = 0
    for seat in table.seats:
        of_senders: defaultdict[str, list[int]] = defaultdict(list)
        for sender, content in seat.messages:
            of_senders[sender].append(int(content))
        in_order += sum(len(one) for one in of_senders.values() if one == sorted({*one}))
    return sum(len(seat.messages) for seat in table.seats), in_order
