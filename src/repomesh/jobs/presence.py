"""Presence: any call of an agent is a sign of life, written down at most a few times per time limit."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog

from repomesh.kernel.clock import system_clock
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import SYSTEM_TOKEN_ID, Caller, RequestContext
from repomesh.kernel.operation import Registry

log = structlog.get_logger("repomesh.presence")

_KNOWN_MAX = 10_000  # agents remembered; one that is forgotten is only written down once more
_BEATS_PER_LIMIT = 4  # so that the last sign of life on record is never older than a quarter of the limit


class Presence:
    """Turns calls into heartbeats of the calling agent, behind its answer and never in its way."""

    def __init__(self, registry: Registry, dispatch: Dispatcher, inactive_after_s: float) -> None:
        self._heartbeat = registry["agent.heartbeat"]
        self._dispatch = dispatch
        self._every_s = inactive_after_s / _BEATS_PER_LIMIT
        self._heard: OrderedDict[tuple[str, str | None], float] = OrderedDict()
        self._beats: set[asyncio.Task[None]] = set()

    def record_call(self, caller: Caller) -> None:
        """Note a call; called on the event loop for every caller."""
        if caller.agent_id is None or caller.token_id == SYSTEM_TOKEN_ID:
            return  # the server's own work for an agent says nothing of its life
        key = (caller.agent_id, caller.instance_id)
        now = system_clock.elapsed_s()  # also while the machine is suspended
        last = self._heard.get(key)
        if last is not None and now - last < self._every_s:
            return
        self._heard[key] = now
        self._heard.move_to_end(key)
        if len(self._heard) > _KNOWN_MAX:
            self._heard.popitem(last=False)
        task = asyncio.create_task(self._beat(caller))
        self._beats.add(task)
        task.add_done_callback(self._beats.discard)

    async def stop(self) -> None:
        """Finish the heartbeats under way."""
        await asyncio.gather(*self._beats, return_exceptions=True)

    async def _beat(self, caller: Caller) -> None:
        # That it lives is no act of its own, so that a token of few scopes says it, too.
        request = self._heartbeat.request(agent_id=caller.agent_id)
        try:
            await self._dispatch(self._heartbeat, caller.with_all_scopes(), request, RequestContext())
        except RepomeshError as error:
            log.info("sign of life refused", agent_id=caller.agent_id, code=error.code)
