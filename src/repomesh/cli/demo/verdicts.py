"""Checks the claims of a demo against what its run left behind."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Event = dict[str, Any]
Record = TypeVar("Record")


class ClaimNotFound(Exception):
    """The record of a run does not show what a claim says."""


@dataclass(kw_only=True)
class RunRecord:
    """Results of a finished demo: its event log, metrics and exit codes."""

    log: list[Event]
    metrics: str = ""
    exit_codes: dict[str, int | None] = field(default_factory=dict)

    def events(self, *types: str) -> Iterator[Event]:
        """Return the events of these types, in order."""
        return (event for event in self.log if event["type"] in types)

    def first(
        self, type_: str, subject: str = "", fits: Callable[[Event], bool] = lambda _event: True
    ) -> Event:
        """Return the first event of a type that fits; raises ClaimNotFound with `subject` in its message."""
        match = next((event for event in self.events(type_) if fits(event)), None)
        if match is None:
            raise ClaimNotFound(f"the log has no {type_} {subject}".rstrip())
        return match

    def refusals(self, operation: str, code: str) -> int:
        """Return how often the server refused an operation with this code."""
        pattern = rf'repomesh_operations_total{{code="{code}",operation="{operation}"}} ([0-9.]+)'
        match = re.search(pattern, self.metrics)
        return int(float(match[1])) if match else 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a claim holds, and why."""

    claim: str
    holds: bool
    why: str


def check_claims(claims: Sequence[Callable[[Record], str]], record: Record) -> list[Verdict]:
    """Check every claim; a claim returns its evidence, or raises ClaimNotFound."""
    verdicts = []
    for claim in claims:
        text = (claim.__doc__ or "").strip()
        try:
            verdicts.append(Verdict(text, True, claim(record)))
        except (ClaimNotFound, OSError) as missing:
            verdicts.append(Verdict(text, False, str(missing)))
    return verdicts


def require(condition: bool, otherwise: str) -> None:
    """Raise ClaimNotFound with the message `otherwise` unless the condition is true."""
    if not condition:
        raise ClaimNotFound(otherwise)


def require_killed(record: RunRecord, name: str) -> None:
    """Raise ClaimNotFound unless a player was ended by SIGKILL."""
    code = record.exit_codes.get(name)
    require(code == -signal.SIGKILL, f"{name} ended with {code}")


def log_is_gapless(record: RunRecord) -> str:
    """The event log has no gap."""
    numbers = [event["seq"] for event in record.log]
    is_gapless = bool(numbers) and numbers == list(range(1, len(numbers) + 1))
    require(is_gapless, "it is empty, or numbers are missing or double")
    return f"events 1 to {len(numbers)}"
