"""Asks the server which sessions are to be woken, wakes them, and says what came of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from repomesh.daemon.ways import WAYS, Refused, Session, Way

log = structlog.get_logger("repomesh.daemon")

AT_ONCE_MAX: Final = 4  # CLIs woken side by side


class Caller(Protocol):
    """What the waker needs of a client."""

    async def call_json(self, name: str, fields: Mapping[str, Any]) -> Any:
        """Run an operation."""
        ...


class Waker:
    """Wakes the CLIs of one machine."""

    def __init__(self, client: Caller, data: Path, ways: Mapping[str, Way] = WAYS) -> None:
        self._client = client
        self._data = data
        self._ways = ways
        self._machine = machine()
        self._room = asyncio.Semaphore(AT_ONCE_MAX)

    async def look(self) -> float | None:
        """Wake whoever is due; answers after how many seconds to look again, None if only after an event."""
        due = await self._client.call_json("wake.due", {"cli": list(self._ways)})
        mine = [item for item in due["items"] if is_here(item["processes"], self._machine)]
        async with asyncio.TaskGroup() as tasks:
            for item in mine:
                tasks.create_task(self._wake(item))
        again_s: float | None = due["again_s"]
        return again_s

    async def _wake(self, item: Mapping[str, Any]) -> None:
        async with self._room:
            key = {"cli": item["cli"], "session_id": item["session_id"]}
            wake = await self._client.call_json("wake.take", key)
            if wake["boundary"] is None:
                return  # somebody read it meanwhile, or the session went on
            failure = ""
            try:
                session = Session(**key, cwd=item["cwd"], processes=tuple(item["processes"]))
                await self._ways[item["cli"]](self._data, session, wake["text"])
            except Refused as refused:
                failure = str(refused)
            done = {"boundary": wake["boundary"], "agent_id": item["agent_id"], "failure": failure}
            await self._client.call_json("wake.done", done)
        told = {"agent": item["agent_name"], **key, "messages": len(wake["message_ids"])}
        if failure:
            log.warning("not woken", reason=failure, **told)
        else:
            log.info("woken", **told)


def machine() -> str:
    """This machine, as hooks name it behind a process's number."""
    kept = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in os.uname().nodename
    )
    return kept[:40]


def is_here(processes: list[str], here: str) -> bool:
    """Whether a session runs on this machine, as far as its processes say where they run."""
    machines = {process.partition("@")[2] for process in processes} - {""}
    return not machines or here in machines
