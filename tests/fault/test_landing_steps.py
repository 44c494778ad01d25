"""kill -9 of a real server at every step of submit, land and push: it ends as one that nobody disturbed.

Each step is one of `dying.STEPS`; the server dies before it, and behind it. It also dies while git itself is
at work: within the remote's hooks, and within the update of the work tree. `make faults` does all, the suite
five.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fault.landings.deaths import Deathbed
from fault.running import AT_FULL_SIZE
from repomesh.kernel.settings import Settings

pytestmark = pytest.mark.fault

FIVE = (("after", "run change.submit"), ("after", "commit queue.intend"), ("after", "push"))
WITHIN_GIT = ("pre-receive", "post-receive", "smudge")
NEVER = "0"


@pytest.fixture
def bed(settings: Settings, tmp_path: Path) -> Iterator[Deathbed]:
    made = Deathbed(tmp_path / "bed", settings.database_url)
    yield made
    made.close()


def deaths(steps: list[str]) -> list[tuple[str, ...]]:
    """Where a server is to die: (file to arm, moment, number)."""
    numbered = [line.partition(" ")[::2] for line in steps]
    if AT_FULL_SIZE:
        moments = [("armed", moment, number) for number, _name in numbered for moment in ("before", "after")]
        return [*moments, *((name,) for name in WITHIN_GIT)]
    chosen = [
        ("armed", moment, number) for moment, wanted in FIVE for number, name in numbered if name == wanted
    ]
    return [*chosen, ("pre-receive",), ("smudge",)]


def test_a_change_lands_alike_wherever_its_server_is_killed(bed: Deathbed) -> None:
    undisturbed = bed.land("armed", "before", NEVER)
    assert not undisturbed.died
    names = [line.partition(" ")[2] for line in undisturbed.steps]
    assert {"pin", "run change.submit", "commit queue.intend", "push", "move_branch"} <= set(names)
    survived = 0
    for death in deaths(undisturbed.steps):
        landed = bed.land(*death)
        step = landed.steps[-1] if landed.steps else ""
        print(f"killed at {' '.join(death)} {step}: landed alike" if landed.died else f"not reached: {death}")
        survived += landed.died
    assert survived >= (2 * len(names) * 0.9 if AT_FULL_SIZE else 5)
    print(f"{survived} kills, {len(names)} steps")
