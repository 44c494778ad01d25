"""Rates: a burst, a steady pace after it, and a memory with an end."""

from __future__ import annotations

import pytest

from repomesh.kernel import rates
from repomesh.kernel.errors import RateLimited
from repomesh.kernel.identity import Caller, Role


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The present second, in a list so that a test can move it."""
    present = [1000.0]
    monkeypatch.setattr(rates.time, "monotonic", lambda: present[0])
    return present


def caller(number: int = 0) -> Caller:
    return Caller("workspace", Role.OWNER, f"token-{number}")


def taken(limiter: rates.RateLimiter, who: Caller) -> int:
    """How many units are left, by taking them."""
    for count in range(1_000):
        try:
            limiter.take("messages", who)
        except RateLimited:
            return count
    raise AssertionError("no limit")


def test_the_allowance_is_the_burst_and_comes_back_evenly(now: list[float]) -> None:
    limiter = rates.RateLimiter({"messages": 60})
    assert taken(limiter, caller()) == 60
    now[0] += 5
    assert taken(limiter, caller()) == 5
    now[0] += 3_600
    assert taken(limiter, caller()) == 60


def test_a_refusal_says_when_one_more_is_allowed(now: list[float]) -> None:
    limiter = rates.RateLimiter({"messages": 60})
    taken(limiter, caller())
    with pytest.raises(RateLimited) as refused:
        limiter.take("messages", caller())
    now[0] += refused.value.details["retry_after_s"]
    limiter.take("messages", caller())


def test_callers_do_not_spend_each_others(now: list[float]) -> None:
    limiter = rates.RateLimiter({"messages": 3})
    assert [taken(limiter, caller(number)) for number in range(3)] == [3, 3, 3]


def test_only_so_many_callers_are_remembered(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_BUCKETS_MAX", 2)
    limiter = rates.RateLimiter({"messages": 3})
    for number in (0, 1, 2):
        taken(limiter, caller(number))
    assert taken(limiter, caller(2)) == 0
    assert taken(limiter, caller(0)) == 3
