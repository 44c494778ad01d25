"""Each call of an agent counts as a heartbeat, which is recorded at most a few times per time limit."""

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

_AGENTS_MAX = 10_000  # agents remembered; one that is forgotten is only written down once more
_BEATS_PER_LIMIT = 4  # so that the last sign of life on record is never older than a quarter of the limit


class ImplicitHeartbeats:
    """Turns calls into heartbeats of the calling agent, in the background."""

    def __init__(self, registry: Registry, dispatch: Dispatcher, inactive_after_s: float) -> None:
        self._heartbeat = registry["agent.heartbeat"]
        self._dispatch = dispatch
        self._every_s = inactive_after_s / _BEATS_PER_LIMIT
        self._last_calls: OrderedDict[tuple[str, str | None], float] = OrderedDict()
        self._heartbeats: set[asyncio.Task[None]] = set()

    def record_call(self, caller: Caller) -> None:
        """Note a call; called on the event loop for every caller."""
        if caller.agent_id is None or caller.token_id == SYSTEM_TOKEN_ID:
            return  # the server's own work for an agent is no sign that the agent is alive
        key = (caller.agent_id, caller.instance_id)
        now_s = system_clock.elapsed_s()  # also while the machine is suspended
        last_call_s = self._last_calls.get(key)
        if last_call_s is not None and now_s - last_call_s < self._every_s:
            return
        self._last_calls[key] = now_s
        self._last_calls.move_to_end(key)
        if len(self._last_calls) > _AGENTS_MAX:
            self._last_calls.popitem(last=False)
        task = asyncio.create_task(self._send_heartbeat(caller))
        self._heartbeats.add(task)
        task.add_done_callback(self._heartbeats.discard)

    async def stop(self) -> None:
        """Finish the heartbeats under way."""
        await asyncio.gather(*self._heartbeats, return_exceptions=True)

    async def _send_heartbeat(self, caller: Caller) -> None:
        # A heartbeat needs no scope of the agent's own, so that a token of few scopes suffices.
        request = self._heartbeat.request(agent_id=caller.agent_id)
        try:
            await self._dispatch(self._heartbeat, caller.with_all_scopes(), request, RequestContext())
        except RepomeshError as error:
            log.info("heartbeat refused", agent_id=caller.agent_id, code=error.code)
