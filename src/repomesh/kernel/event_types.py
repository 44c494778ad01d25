"""The event types that repomesh itself writes, each with the shape of its data.

Agents may post events of other types; these are reserved, so that nobody can forge them (`is_reserved`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

Severity = Literal["debug", "info", "warning", "error", "critical"]
"""How important an event is."""


@dataclass(frozen=True, slots=True)
class EventType:
    """What happened when an event of this type is emitted, and the model of its data."""

    meaning: str
    data: type[BaseModel]


EVENT_TYPES: dict[str, EventType] = {}
"""By name, each event type that repomesh emits."""

_AREAS: set[str] = set()  # what stands before the dot in their names


def event_type(name: str, data: type[BaseModel], meaning: str) -> str:
    """Declare an event type; returns its name. Raises ValueError if another has its name or its meaning."""
    if name in EVENT_TYPES or any(meaning == other.meaning for other in EVENT_TYPES.values()):
        raise ValueError(f"event type {name}, or its meaning, is declared twice")
    EVENT_TYPES[name] = EventType(meaning, data)
    _AREAS.add(name.partition(".")[0])
    return name


def is_reserved(name: str) -> bool:
    """Whether repomesh emits events of this type, or of another one with the same part before the dot.

    Whoever follows `task` gets every type that begins with `task.`, so none of them may be anybody else's.
    """
    area, dot, _ = name.partition(".")
    return name in EVENT_TYPES or (bool(dot) and area in _AREAS)
