"""JSON values that the store keeps: comparison, limits on depth and integers, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
import pydantic_core

from repomesh.kernel import limits


def same_json(first: Any, second: Any) -> bool:
    """Whether two JSON values are the same.

    Numbers are compared by value, so that 1 and 1.0 are the same; true and false are no numbers, although
    Python counts them as 1 and 0. Lists, and tuples as lists, are compared in their order, objects without.
    """
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(
            same_json(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same_json, first, second))
    return bool(first == second)


def changed_values(requested: Mapping[str, Any], record: Any) -> dict[str, Any]:
    """Those of the `requested` values that differ from the attributes of `record`."""
    return {name: value for name, value in requested.items() if not same_json(value, getattr(record, name))}


def canonical_json(text: str | bytes) -> bytes:
    """JSON as one text for all values that are the same: keys in order, whole numbers without a fraction."""
    return orjson.dumps(_normalize_numbers(orjson.loads(text)), option=orjson.OPT_SORT_KEYS)


def _normalize_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < limits.JSON_INTEGER_MAX:
        return int(value)
    if isinstance(value, list):
        return [_normalize_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _normalize_numbers(item) for key, item in value.items()}
    return value


def depth(value: Any) -> int:
    """How many lists and objects stand inside each other; 0 for a text, a number, true, false and null."""
    return sum(1 for _level in _levels(value))


def require_kept(value: Any) -> None:
    """Raise ValueError for a value that could not be stored and read back unchanged.

    It must nest no deeper than JSON_DEPTH_MAX, and each integer must fit into 64 bits, signed or not: parsers
    silently round larger ones.
    """
    levels = 0
    _require_integers([value])
    for level in _levels(value):
        levels += 1
        _require_integers(level)
    if levels > limits.JSON_DEPTH_MAX:
        raise ValueError(f"nests {levels} levels deep, the limit is {limits.JSON_DEPTH_MAX}")


def _require_integers(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int) and not limits.JSON_INTEGER_MIN <= value <= limits.JSON_INTEGER_MAX:
            raise ValueError("holds an integer of more than 64 bits; send it as a text")


def _levels(value: Any) -> Iterator[list[Any]]:
    """Yield the items of each level of lists and objects, the outermost first."""
    level = [value]
    while containers := [item for item in level if isinstance(item, list | tuple | dict)]:
        level = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        yield level


def stored_json(text: str | bytes) -> Any:
    """The value in a JSON text that was kept, in a form that every answer can hold.

    An older release took deeper nesting: from level JSON_BODY_DEPTH_MAX on it is shown as JSON text. Raises
    ValueError for what is no JSON.
    """
    try:
        value = pydantic_core.from_json(text)
    except ValueError:  # deeper than that parser follows, or no JSON; this one says which
        value = json.loads(text)
    return shown_json(value, text)


def shown_json(value: Any, text: str | bytes) -> Any:
    """`stored_json` for a value that was parsed from `text` already."""
    levels_max = limits.JSON_BODY_DEPTH_MAX
    raw = text if isinstance(text, str) else text.decode()
    if raw.count("[") + raw.count("{") <= levels_max:
        return value
    return value if depth(value) <= levels_max else _serialize_below(value, levels_max)


def _serialize_below(value: Any, levels: int) -> Any:
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, list):
        return [_serialize_below(item, levels - 1) for item in value]
    return {key: _serialize_below(item, levels - 1) for key, item in value.items()}
