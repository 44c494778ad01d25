"""Asks the server which sessions are due, wakes them, and reports the outcome."""

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

AT_ONCE_MAX: Final = 4  # CLIs woken in parallel
AGAIN_AFTER_FAILURE_S: Final = 15.0  # until a session that failed before the attempt is tried again


class WakeClient(Protocol):
    """The interface of the client that the waker needs."""

    async def call_json(self, name: str, fields: Mapping[str, Any]) -> Any:
        """Run an operation."""
        ...


class Waker:
    """Wakes the CLI sessions of one machine."""

    def __init__(self, client: WakeClient, data: Path, ways: Mapping[str, Way] = WAYS) -> None:
        self._client = client
        self._data = data
        self._ways = ways
        self._machine = machine()
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def wake_due(self) -> float | None:
        """Wake the due sessions; returns the seconds until the next call, None to wait for an event."""
        due_sessions = await self._client.call_json("wake.due", {"cli": list(self._ways)})
        again_s: float | None = due_sessions["again_s"]
        outcomes = await asyncio.gather(
            *map(self._wake_isolated, due_sessions["items"]), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        if all(outcomes):
            return again_s
        return AGAIN_AFTER_FAILURE_S if again_s is None else min(again_s, AGAIN_AFTER_FAILURE_S)

    async def _wake_isolated(self, item: Mapping[str, Any]) -> bool:
        """Wake one session if it runs here; returns False when that failed, which affects no other session.

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
        except Exception:  # one session's data must not keep the others from being woken
            log.exception("session skipped", session_id=item.get("session_id"))
            return False
        return True

    async def _wake(self, item: Mapping[str, Any]) -> None:
        async with self._slots:
            key = {"cli": item["cli"], "session_id": item["session_id"]}
            wake = await self._client.call_json("wake.take", key)
            if wake["boundary"] is None:
                return  # the messages were read meanwhile, or the session continued
            failure = ""
            try:
                session = WakeTarget(**key, cwd=item["cwd"], processes=tuple(item["processes"]))
                await self._ways[item["cli"]](self._data, session, wake["text"])
            except WakeRefused as refusal:
                failure = str(refusal)
            except Exception as error:  # counted as a refusal, so that its attempts are bounded, too
                log.exception("wake method failed", **key)
                failure = f"the attempt failed: {type(error).__name__}"
            result = {"boundary": wake["boundary"], "agent_id": item["agent_id"], "failure": failure}
            await self._client.call_json("wake.done", result)
        log_fields = {"agent": item["agent_name"], **key, "messages": len(wake["message_ids"])}
        if failure:
            log.warning("not woken", reason=failure, **log_fields)
        else:
            log.info("woken", **log_fields)


def is_here(processes: list[str], this_machine: str) -> bool:
    """Whether a session runs on this machine; True if its processes name no machine."""
    machines = {process.partition("@")[2] for process in processes} - {""}
    return not machines or any(same_machine(name, this_machine) for name in machines)
