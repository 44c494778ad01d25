"""One participant of the demo's meeting, as a process of its own.

It stands in for a model: its opinions and votes are scripted here, the requests it gets are not. The server
and the other participants are real.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from mcp.client.client import ConnectMode

from repomesh.cli.demo.agent import ToolRefused, print_line
from repomesh.cli.demo.seat import MeetingPrompt, Seat, socket_seat, tool_seat

TOPIC = "May agents push to main?"
PROPOSAL = "Agents push to main once the tests pass."
AMENDED = (
    "Agents push to main once the tests pass and another agent has reviewed; who breaks it mends it first."
)
TASK = "Have the guard ask for a review before a push to main"
DISSENT = "Two agents of one model make the same mistake; I want a person to look."
OPINION_S = 4.5
"""Seconds for an opinion; the slow participant takes longer."""
_LATE_S = OPINION_S + 0.5
_SLOW_S = 1.0
_PATIENCE_S = 70.0

Part = Callable[[Seat, MeetingPrompt], Awaitable[None]]


async def ada(seat: Seat, prompt: MeetingPrompt) -> None:
    """Chairs the meeting and makes the proposals; the second one answers the objections to the first."""
    if prompt.kind == "vote":
        await seat.vote(prompt, "agree", "It is my proposal.")
    elif prompt.round == 1:
        await seat.speak(prompt, "Waiting for a person costs a night each time.", proposal=PROPOSAL)
    else:
        opinion = "Cleo asked who mends it, Dora who looks at it: both are in it now."
        await seat.speak(prompt, opinion, proposal=AMENDED, tasks=[{"goal": TASK, "type": "feature"}])


async def ben(seat: Seat, prompt: MeetingPrompt) -> None:
    """Gets its turn and waits until it is killed."""
    del seat
    print_line(f"is asked for its {prompt.kind} and thinks", mark="ben has the turn")
    await asyncio.Event().wait()


async def cleo(seat: Seat, prompt: MeetingPrompt) -> None:
    """Is slow: misses its first turn, and takes its time for the second."""
    if prompt.kind == "vote":
        choice, reason = ("disagree", "Who mends main at night?"), ("agree", "That answers my question.")
        await seat.vote(prompt, *(choice if prompt.round == 1 else reason))
    elif prompt.round == 1:
        await asyncio.sleep(_LATE_S)
        try:
            await seat.speak(prompt, "I have thought long about it.")
        except ToolRefused as refused:
            print_line(f"was too late: {refused.answer['message']}")
    else:
        await asyncio.sleep(_SLOW_S)
        await seat.speak(prompt, "I could not say it in time: who mends main at night?")


async def dora(seat: Seat, prompt: MeetingPrompt) -> None:
    """Objects and votes against both proposals."""
    if prompt.kind == "vote":
        amendment = "Another has to look first." if prompt.round == 1 else None
        await seat.vote(prompt, "disagree", DISSENT, amendment)
    else:
        opinion = (
            "A red main stops everybody." if prompt.round == 1 else "A review by an agent is not enough."
        )
        await seat.speak(prompt, opinion, kind="objection" if prompt.round == 1 else "opinion")


ROLES: dict[str, Part] = {"ada": ada, "ben": ben, "cleo": cleo, "dora": dora}
"""Each participant's part."""
OVER_MCP: dict[str, ConnectMode] = {"ada": "auto", "cleo": "legacy"}  # the older handshake, too
OVER_SOCKET = ("ben", "dora")
HERE = "{} is here"
"""The mark that a participant prints when it is connected."""


async def play(name: str) -> None:
    """Take part until the meeting is over."""
    async with asyncio.timeout(_PATIENCE_S), _seat(name) as seat:
        print_line("is here", mark=HERE.format(name))
        while (prompt := await seat.next_prompt()) is not None:
            await ROLES[name](seat, prompt)


def _seat(name: str) -> AbstractAsyncContextManager[Seat]:
    url, token = os.environ["REPOMESH_URL"], os.environ["REPOMESH_TOKEN"]
    if name in OVER_SOCKET:
        return socket_seat(url, token, name, os.environ["REPOMESH_MEETING"])
    return tool_seat(url, token, name, OVER_MCP[name])


if __name__ == "__main__":
    asyncio.run(play(sys.argv[1]))
