"""How single operations look on the command line, where that can't be told from their fields alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """`arguments` are the fields given by position (else those in the path); `name` another verb."""

    arguments: tuple[str, ...] = ()
    name: str | None = None
    hidden: bool = False
    left_out: tuple[str, ...] = ()


SHAPES: dict[str, Shape] = {
    "agent.register": Shape(arguments=("name",)),
    "token.create": Shape(arguments=("role",)),
    "workspace.add": Shape(arguments=("name",)),
}
"""By operation."""
