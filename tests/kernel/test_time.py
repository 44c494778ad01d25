"""Time never goes back, and ids follow it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from clocks import StillClock
from repomesh.kernel.clock import SteadyClock, system_clock
from repomesh.kernel.ids import IdSequence, first_id_at

START = datetime(2030, 1, 1, tzinfo=UTC)


def after(begin: datetime, end: datetime) -> float:
    return round((end - begin).total_seconds(), 3)


def test_a_wall_clock_that_is_put_back_is_caught_up_with_at_nine_tenths_of_the_speed() -> None:
    clock = PutBack()
    steady = SteadyClock(clock)
    clock.put_back(10)
    assert steady() == START
    clock.advance(50)
    assert after(START, steady()) == 45
    clock.advance(50)
    assert after(START, steady()) == 90
    clock.advance(50)
    assert after(START, steady()) == 140  # what the wall clock says: it is caught up with


def test_time_jumps_with_the_wall_clock_and_never_back() -> None:
    clock = PutBack()
    steady = SteadyClock(clock)
    clock.put_back(-3_600)
    assert after(START, steady()) == 3_600
    clock.put_back(3_600)
    assert after(START, steady()) == 3_600


def test_each_time_that_follows_is_later_even_when_the_clock_stands_still() -> None:
    steady = SteadyClock(StillClock())
    times = [steady.following() for _ in range(100)]
    assert times == sorted(set(times))
    assert steady() == times[-1]


def test_ids_grow_within_a_moment_and_from_one_to_the_next() -> None:
    moments = [START + timedelta(microseconds=number) for number in (0, 1, 2, 999, 1_000, 1_001)]
    ids = [id_ for moment in moments for sequence in [IdSequence(moment)] for id_ in take(sequence, 5_000)]
    assert ids == sorted(set(ids))
    made = [uuid.UUID(id_) for id_ in ids]
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert [str(one) for one in made] == ids
    milliseconds = int(START.timestamp() * 1_000)
    assert first_id_at(milliseconds) <= ids[0] < first_id_at(milliseconds + 1)


def test_the_machine_counts_seconds_that_nobody_sets() -> None:
    assert system_clock.elapsed_s() <= system_clock.elapsed_s()


def take(sequence: IdSequence, count: int) -> list[str]:
    return [sequence.next_id() for _ in range(count)]


class PutBack(StillClock):
    """A clock that somebody sets."""

    def __init__(self) -> None:
        super().__init__()
        self._behind = timedelta()

    def __call__(self) -> datetime:
        return self.now - self._behind

    def put_back(self, seconds: float) -> None:
        self._behind += timedelta(seconds=seconds)
