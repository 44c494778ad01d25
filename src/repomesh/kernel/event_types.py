"""The event types that repomesh itself writes, each with the shape of its data.

Agents may post events of any other type; these are reserved, so that nobody can forge them.
"""

from __future__ import annotations

from pydantic import BaseModel

EVENT_TYPES: dict[str, type[BaseModel]] = {}


def event_type(name: str, data: type[BaseModel]) -> str:
    """Declare a type; its data class's docstring is its documentation. Answers the name."""
    if name in EVENT_TYPES:
        raise ValueError(f"event type {name} is declared twice")
    EVENT_TYPES[name] = data
    return name
