"""Policy of a background job: concurrency, time limit and retries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """The bounds of one kind of job.

    `concurrency` is how many run at once in a process; `limit_s` the time of one effect; `waits_s` the
    seconds before the second and each further attempt, to which up to the share `jitter` is added, so that
    what failed together is not tried again together. After the last wait an attempt that fails is the last,
    and what it was for is a dead letter.
    """

    concurrency: int
    limit_s: float
    waits_s: tuple[float, ...] = ()
    jitter: float = 0.0

    @property
    def attempts(self) -> int:
        """How many attempts there are in all."""
        return len(self.waits_s) + 1

    def next_wait_s(self, attempts: int, spread: float) -> float | None:
        """Seconds until the next attempt after `attempts` failed ones; None when that was the last.

        `spread`, from 0 to 1, is how much of the jitter is added.
        """
        if attempts >= self.attempts:
            return None
        return self.waits_s[attempts - 1] * (1 + self.jitter * spread)
