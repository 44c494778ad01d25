"""Asks the server which sessions are to be woken, wakes them, and says what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from repomesh.client.errors import RemoteError
from repomesh.daemon.wake_methods import WAYS, WakeRefused, WakeTarget, Way
from repomesh.kernel.errors import Failure
from repomesh.kernel.processes import machine, same_machine

log = structlog.get_logger("repomesh.daemon")

AT_ONCE_MAX: Final = 4  # CLIs woken side by side
AGAIN_AFTER_FAILURE_S: Final = 15.0  # until a session is looked at again that could not even be tried


class WakeClient(Protocol):
    """What the waker needs of a client."""

    async def call_json(self, name: str, fields: Mapping[str, Any]) -> Any:
        """Run an operation."""
        ...


class Waker:
    """Wakes the CLIs of one machine."""

    def __init__(self, client: WakeClient, data: Path, ways: Mapping[str, Way] = WAYS) -> None:
        self._client = client
        self._data = data
        self._ways = ways
        self._machine = machine()
        self._room = asyncio.Semaphore(AT_ONCE_MAX)

    async def look(self) -> float | None:
        """Wake whoever is due; answers after how many seconds to look again, None if only after an event."""
        due = await self._client.call_json("wake.due", {"cli": list(self._ways)})
        again_s: float | None = due["again_s"]
        ended = await asyncio.gather(*map(self._isolated, due["items"]), return_exceptions=True)
        for refusal in ended:
            if isinstance(refusal, BaseException):
                raise refusal
        if all(ended):
            return again_s
        return AGAIN_AFTER_FAILURE_S if again_s is None else min(again_s, AGAIN_AFTER_FAILURE_S)

    async def _isolated(self, item: Mapping[str, Any]) -> bool:
        """Wake one session if it runs here; False when it failed, which holds up no other session.

        Raises RemoteError when the server refuses the token: then no session can be woken.
        """
        try:
            if is_here(item["processes"], self._machine):
                await self._wake(item)
        except RemoteError as error:
            if error.failure in (Failure.FORBIDDEN, Failure.UNAUTHENTICATED):
                raise
            log.warning("session skipped", session_id=item.get("session_id"), reason=str(error))
            return False
        except Exception:  # whatever one session's data does, the others are woken
            log.exception("session skipped", session_id=item.get("session_id"))
            return False
        return True

    async def _wake(self, item: Mapping[str, Any]) -> None:
        async with self._room:
            key = {"cli": item["cli"], "session_id": item["session_id"]}
            wake = await self._client.call_json("wake.take", key)
            if wake["boundary"] is None:
                return  # somebody read it meanwhile, or the session went on
            failure = ""
            try:
                session = WakeTarget(**key, cwd=item["cwd"], processes=tuple(item["processes"]))
                await self._ways[item["cli"]](self._data, session, wake["text"])
            except WakeRefused as refused:
                failure = str(refused)
            except Exception as error:  # counted as a refusal, so that its tries are bounded, too
                log.exception("a way to wake failed", **key)
                failure = f"the attempt failed: {type(error).__name__}"
            done = {"boundary": wake["boundary"], "agent_id": item["agent_id"], "failure": failure}
            await self._client.call_json("wake.done", done)
        told = {"agent": item["agent_name"], **key, "messages": len(wake["message_ids"])}
        if failure:
            log.warning("not woken", reason=failure, **told)
        else:
            log.info("woken", **told)


def is_here(processes: list[str], here: str) -> bool:
    """Whether a session runs on this machine, as far as its processes say where they run."""
    machines = {process.partition("@")[2] for process in processes} - {""}
    return not machines or any(same_machine(one, here) for one in machines)
