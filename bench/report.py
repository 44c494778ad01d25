"""Figures beside their limits: a table for people, a file for programs, and whether all of them hold."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is the figure to what it is measured beside; `holds` is None without a limit."""

    name: str
    value: float
    unit: str
    beside: str = ""
    beside_value: float | None = None
    ratio: float | None = None
    limit: str = ""
    holds: bool | None = None


class Report:
    """Collects the figures of one run."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.plans: dict[str, list[str]] = {}

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        beside: str,
        beside_value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """A figure beside another of the same run, with a limit on their ratio."""
        ratio = value / beside_value
        limit, holds = "", None
        if at_most is not None:
            limit, holds = f"≤ {at_most:g} ×", ratio <= at_most
        if at_least is not None:
            limit, holds = f"≥ {at_least:g} ×", ratio >= at_least
        self.rows.append(Row(name, value, unit, beside, beside_value, ratio, limit, holds))

    def bound(
        self,
        name: str,
        value: float,
        unit: str,
        at_most: float,
        beside: str = "",
        beside_value: float | None = None,
    ) -> None:
        """A figure with a limit of its own, and for comparison another of the same run."""
        ratio = value / beside_value if beside_value else None
        limit, holds = f"≤ {at_most:g} {unit}", value <= at_most
        self.rows.append(Row(name, value, unit, beside, beside_value, ratio, limit, holds))

    def at_least(self, name: str, value: float, unit: str, wanted: float) -> None:
        """A figure that must reach a number of its own."""
        self.rows.append(Row(name, value, unit, limit=f"≥ {wanted:g} {unit}", holds=value >= wanted))

    def require(self, name: str, value: float, wanted: float) -> None:
        """A count that must be exact."""
        self.rows.append(Row(name, value, "", limit=f"= {wanted:g}", holds=value == wanted))

    def note(self, name: str, value: float, unit: str) -> None:
        """A figure without a limit."""
        self.rows.append(Row(name, value, unit))

    @property
    def holds(self) -> bool:
        """Whether every limit holds."""
        return all(row.holds is not False for row in self.rows)

    def write(self, path: Path, elapsed_s: float) -> None:
        """The figures as JSON."""
        about = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "elapsed_s": round(elapsed_s, 1),
        }
        rows = [asdict(row) for row in self.rows]
        path.write_text(json.dumps({"about": about, "figures": rows, "plans": self.plans}, indent=2) + "\n")

    def show(self) -> None:
        """The figures as a table."""
        table = Table(title="repomesh beside its floors")
        for heading in ("figure", "value", "beside", "ratio", "limit", ""):
            table.add_column(heading, justify="right" if heading in ("value", "ratio") else "left")
        for row in self.rows:
            beside = (
                "" if row.beside_value is None else f"{row.beside} {_number(row.beside_value)} {row.unit}"
            )
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            mark = {True: "holds", False: "[red]MISSED[/red]", None: ""}[row.holds]
            table.add_row(row.name, f"{_number(row.value)} {row.unit}", beside, ratio, row.limit, mark)
        Console(width=150).print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
