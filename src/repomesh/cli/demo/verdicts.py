"""Whether a demo's story happened: each claim is looked up, and a story that did not happen is not told."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Event = dict[str, Any]
Record = TypeVar("Record")


class ClaimNotFound(Exception):
    """What a claim says can't be found."""


@dataclass(kw_only=True)
class RunRecord:
    """What is left of any demo when the play is over."""

    log: list[Event]
    metrics: str = ""
    exit_codes: dict[str, int | None] = field(default_factory=dict)

    def events_of(self, *types: str) -> Iterator[Event]:
        """The events of these types."""
        return (event for event in self.log if event["type"] in types)

    def first(self, type_: str, what: str = "", fits: Callable[[Event], bool] = lambda _event: True) -> Event:
        """The first event that fits; raises Missing."""
        found = next((event for event in self.events_of(type_) if fits(event)), None)
        if found is None:
            raise ClaimNotFound(f"the log has no {type_} {what}".rstrip())
        return found

    def refusals(self, operation: str, code: str) -> int:
        """How often the server refused an operation so."""
        wanted = rf'repomesh_operations_total{{code="{code}",operation="{operation}"}} ([0-9.]+)'
        found = re.search(wanted, self.metrics)
        return int(float(found[1])) if found else 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a claim holds, and why."""

    claim: str
    holds: bool
    why: str


def check_claims(claims: Sequence[Callable[[Record], str]], seen: Record) -> list[Verdict]:
    """Every claim, looked up; each answers where it is written, or raises Missing."""
    made = []
    for claim in claims:
        text = (claim.__doc__ or "").strip()
        try:
            made.append(Verdict(text, True, claim(seen)))
        except (ClaimNotFound, OSError) as missing:
            made.append(Verdict(text, False, str(missing)))
    return made


def require(true: bool, otherwise: str) -> None:
    """Raise Missing unless it is true."""
    if not true:
        raise ClaimNotFound(otherwise)


def require_killed(seen: RunRecord, name: str) -> None:
    """Raise Missing unless a player was ended by SIGKILL."""
    code = seen.exit_codes.get(name)
    require(code == -signal.SIGKILL, f"{name} ended with {code}")


def log_is_gapless(seen: RunRecord) -> str:
    """The event log has no gap."""
    numbers = [event["seq"] for event in seen.log]
    whole = bool(numbers) and numbers == list(range(1, len(numbers) + 1))
    require(whole, "it is empty, or numbers are missing or double")
    return f"events 1 to {len(numbers)}"
