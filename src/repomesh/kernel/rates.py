"""Rate limits: a token bucket for each caller and each named rate, in the memory of one process."""

from __future__ import annotations

import time
from collections import OrderedDict

from repomesh.kernel.errors import RateLimited
from repomesh.kernel.identity import Caller

_BUCKETS_MAX = 10_000  # the least recently used is forgotten, that is: full again


class RateLimiter:
    """`per_minute` names each rate's allowance, which is also its burst."""

    def __init__(self, per_minute: dict[str, int]) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[tuple[str, str, str], tuple[float, float]] = OrderedDict()

    def take(self, rate: str, caller: Caller) -> None:
        """Use one unit of `rate`; raises RateLimited with `retry_after_s` when none is left."""
        burst = float(self._per_minute[rate])
        key = (rate, caller.workspace_id, caller.agent_id or caller.token_id)
        now = time.monotonic()
        level, updated_at = self._buckets.pop(key, (burst, now))
        level = min(burst, level + (now - updated_at) * burst / 60.0)
        if level < 1.0:
            self._buckets[key] = (level, now)
            wait_s = (1.0 - level) * 60.0 / burst
            raise RateLimited(
                f"more than {burst:.0f} {rate} a minute", retry_after_s=round(max(wait_s, 0.001), 3)
            )
        self._buckets[key] = (level - 1.0, now)
        if len(self._buckets) > _BUCKETS_MAX:
            self._buckets.popitem(last=False)
