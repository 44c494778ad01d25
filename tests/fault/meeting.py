"""A meeting of two rounds, held step by step over HTTP with a server that may be killed at any of them.

In the first round one says nothing until its deadline, one is away and passed over, and the vote ends at its
deadline, one against one. In the second the dissent speaks first, and two against one decide.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from fault.outside import Outside
from fault.running import Forked

TEAM = ("ann", "ben", "cat", "dan")
SWEEP_EVERY_S = 0.1
UNDER_WAY_S = 0.3  # for a request, or a sweep, to come as far as it gets in a held database

Moment = Literal["held", "committed", "answered", "away"]
"""When a step's server is killed: before it is committed, before it is answered, after that; or so early
that the time runs out while no server runs."""


class TooSlow(Exception):
    """The machine took longer for a step than the meeting gives: what was asked for in time came too late."""


@dataclass(frozen=True)
class Step:
    """Something that one does, or a deadline: then `path` is None."""

    who: str
    path: str | None
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def moments(self) -> tuple[Moment, ...]:
        return ("held", "committed", "answered") if self.path else ("held", "committed", "away")

    def __str__(self) -> str:
        return f"{self.who or 'the owner'}: {self.path or 'time is up'}"


def _speak(who: str, content: str, **fields: Any) -> Step:
    return Step(who, "/v1/meetings/{id}/speak", {"content": content, **fields})


def _vote(who: str, choice: str, reason: str) -> Step:
    return Step(who, "/v1/meetings/{id}/vote", {"choice": choice, "reason": reason})


MEETING = {"topic": "Which parser?", "participant_ids": list(TEAM), "consensus": "two_thirds"}
SCRIPT = (
    Step("ann", "/v1/meetings", MEETING),
    Step("ann", "/v1/meetings/{id}/start"),
    Step("", "/v1/agents/dan/leave"),
    _speak("ann", "Write our own.", kind="proposal"),
    _speak("ben", "No: it is never finished.", kind="objection", proposal="Take lark."),
    Step("cat", None),
    _vote("ann", "agree", "Very well."),
    _vote("ben", "disagree", "Measure it first."),
    Step("cat", None),
    _speak("ben", "Take lark if it parses 1 MB/s.", kind="proposal", tasks=[{"goal": "Measure lark"}]),
    _speak("ann", "It does.", kind="support"),
    _speak("cat", "I would rather write it."),
    _vote("ben", "agree", "It is measured."),
    _vote("ann", "agree", "Less to maintain."),
    _vote("cat", "disagree", "I like parsers."),
)


@dataclass(frozen=True)
class Kill:
    """A server's end: at which step, and when in it."""

    step: int
    moment: Moment

    def __str__(self) -> str:
        return f"{self.step + 1}/{len(SCRIPT)} {SCRIPT[self.step]} ({self.moment})"


MOVED = "meeting.deadline_moved"
"""Whoever was awaited gets back the time that the server was away."""
KILLS = [Kill(number, moment) for number, step in enumerate(SCRIPT) for moment in step.moments]
FIVE = KILLS[4::10]


class Meeting:
    """The meeting on one server; `timeout_s` is the time that it gives for an opinion and for the votes."""

    def __init__(self, server: Forked, outside: Outside, timeout_s: float) -> None:
        self._server = server
        self._outside = outside
        self._timeout_s = timeout_s
        self._meeting: dict[str, Any] = {}
        self._steps = 0
        """What happened to the meeting, without the deadlines that moved when a server came back."""

    def hold(self, kill: Kill | None = None) -> dict[str, Any]:
        """Play every step, and kill the server at one of them; answers what came of it. Raises TooSlow."""
        for name in TEAM:
            self._call("POST", "/v1/agents/register", None, {"name": name})
        for number, step in enumerate(SCRIPT):
            if kill is None or kill.step != number:
                self._take(number, step)
            elif step.path is None:
                self._kill_at_deadline(number, step, kill.moment)
            else:
                self._kill_at_command(number, step, kill.moment)
        return self._outcome()

    # -- steps -------------------------------------------------------------------------------------

    def _take(self, number: int, step: Step) -> bool:
        """Take a step; whether it was answered as one that was taken before."""
        if step.path is None:
            self._wait_for_change()
            return False
        status, headers, answer = self._exchange(*self._request(number, step))
        if status == 409 and self._is_late():
            raise TooSlow(f"{step}: {answer}")
        assert status < 300, (str(step), answer)
        if "topic" in answer:
            before, was_late = self._steps, self._is_late()
            self._refresh(answer["id"])
            if was_late and self._steps > before + 1:
                raise TooSlow(f"{step}: a deadline passed before it")
            assert self._steps == before + 1, "nothing happens to a meeting but its steps"
        return headers.get("Idempotent-Replayed") == "true"

    def _kill_at_command(self, number: int, step: Step, moment: Moment) -> None:
        method, path, who, body, key = self._request(number, step)
        if moment == "answered":
            self._take(number, step)
            self._server.kill()
            self._server.start()
            return
        connection = self._connect()
        if moment == "held":
            with self._outside.held():
                self._send(connection, method, path, who, body, key)
                time.sleep(UNDER_WAY_S)
                self._server.kill()
        else:
            self._send(connection, method, path, who, body, key)
            self._outside.wait_for(f"SELECT 1 FROM idempotency_records WHERE key = '{key}'")
            self._server.kill()
        connection.close()
        self._server.start()
        assert self._take(number, step) == (moment == "committed")

    def _kill_at_deadline(self, number: int, step: Step, moment: Moment) -> None:
        if moment == "held":
            with self._outside.held():
                self._sleep_past_deadline()
                self._server.kill()
        elif moment == "committed":
            later = f"version > {self._meeting['version']}"
            self._outside.wait_for(f"SELECT 1 FROM meetings WHERE {later}")
            self._server.kill()
        else:
            self._server.kill()
            self._sleep_past_deadline()
        self._server.start()
        self._take(number, step)

    def _wait_for_change(self) -> None:
        before = self._steps
        deadline = time.monotonic() + self._timeout_s + 60
        while self._steps == before:
            assert time.monotonic() < deadline, "the deadline was not kept"
            time.sleep(0.05)
            self._refresh(self._meeting["id"])
        assert self._steps == before + 1, "one deadline is one step"

    def _refresh(self, id_: str) -> None:
        self._meeting = self._call("GET", f"/v1/meetings/{id_}")
        self._steps = self._meeting["version"] - len(self._replay(MOVED))

    def _replay(self, *types: str) -> list[dict[str, Any]]:
        events = self._call("GET", f"/v1/meetings/{self._meeting['id']}/replay?limit=200")["items"]
        return [one for one in events if one["type"] in types or not types]

    def _due_at(self) -> datetime | None:
        due_at = self._meeting.get("due_at")
        return None if due_at is None else datetime.fromisoformat(due_at)

    def _is_late(self) -> bool:
        due_at = self._due_at()
        return due_at is not None and datetime.now(UTC) >= due_at

    def _sleep_past_deadline(self) -> None:
        due_at = self._due_at()
        assert due_at is not None
        time.sleep(max(0.0, (due_at - datetime.now(UTC)).total_seconds()) + UNDER_WAY_S)

    # -- what came of it ---------------------------------------------------------------------------

    def _outcome(self) -> dict[str, Any]:
        """All that is left of the meeting but its ids and times."""
        id_ = self._meeting["id"]
        whole = self._call("GET", f"/v1/meetings/{id_}")
        events = self._replay()
        tasks = self._call("GET", "/v1/tasks")["items"]
        messages = self._call("GET", "/v1/messages?limit=200")["items"]
        acknowledged = self._call("GET", "/v1/events?type=message.acked&limit=200")["items"]
        return {
            "end": [*(whole[name] for name in ("status", "outcome", "round")), self._steps],
            "rounds": [_round(one) for one in whole["rounds"]],
            "decision": _decision(whole["decision"]),
            "tasks": [task["goal"] for task in tasks],
            "events": _steps(events),
            "messages": [(one["subject"], sorted(one["to"]), one["tags"]) for one in messages],
            "acknowledged": [one["data"].get("agent_name") for one in acknowledged],
        }

    # -- HTTP --------------------------------------------------------------------------------------

    def _request(self, number: int, step: Step) -> tuple[str, str, str, dict[str, Any], str]:
        assert step.path is not None
        body = step.body
        if step.path == "/v1/meetings":
            body = body | {"opinion_timeout_s": self._timeout_s, "vote_timeout_s": self._timeout_s}
        return "POST", step.path.format(id=self._meeting.get("id")), step.who, body, f"step-{number}"

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._server.url.removeprefix("http://"), timeout=60)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        who: str | None,
        body: dict[str, Any] | None,
        key: str | None,
    ) -> None:
        headers = {"Authorization": f"Bearer {self._server.token}", "Content-Type": "application/json"}
        headers |= {"X-Repomesh-Agent": who} if who else {}
        headers |= {"Idempotency-Key": key} if key else {}
        connection.request(method, path, None if body is None else json.dumps(body), headers)

    def _exchange(
        self,
        method: str,
        path: str,
        who: str | None = None,
        body: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        connection = self._connect()
        self._send(connection, method, path, who, body, key)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, response.headers, answer

    def _call(self, method: str, path: str, who: str | None = None, body: Any = None) -> Any:
        status, _, answer = self._exchange(method, path, who, body)
        assert status < 300, answer
        return answer


def _round(round_: dict[str, Any]) -> Any:
    said = ("sequence", "agent_name", "kind", "content", "proposal")
    put = ("source", "agent_name", "text")
    return (
        [[one[name] for name in said] for one in round_["opinions"]],
        [round_["proposal"][name] for name in put],
        [[one[name] for name in ("agent_name", "choice", "reason")] for one in round_["votes"]],
    )


def _decision(decision: dict[str, Any]) -> Any:
    sides = {
        side: [(one["agent_name"], one["choice"], one["reason"]) for one in decision[side]]
        for side in ("agreement", "dissent", "absent")
    }
    return [decision["decision"], decision["rationale"], decision["status"], len(decision["task_ids"]), sides]


def _steps(events: list[dict[str, Any]]) -> list[Any]:
    """What happened, as if no deadline had moved."""
    steps, moved = [], 0
    for event in events:
        if event["type"] == MOVED:
            moved += 1
            continue
        data = event["data"]
        version = data.get("meeting", {}).get("version")
        version = None if version is None else version - moved
        steps.append((event["type"], data.get("round"), data.get("agent_name"), version))
    return steps
