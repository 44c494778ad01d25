"""JSON values that callers keep: when two are the same, how deep they nest, and how they are read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
import pydantic_core

from repomesh.kernel import limits


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same.

    Numbers are compared by value, so that 1 and 1.0 are the same; true and false are no numbers, although
    Python counts them as 1 and 0. Lists, and tuples as lists, are compared in their order, objects without.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def differing(wanted: Mapping[str, Any], present: Any) -> dict[str, Any]:
    """Those of the `wanted` values that are not what the attributes of `present` are."""
    return {name: value for name, value in wanted.items() if not same_json(value, getattr(present, name))}


def canonical_json(text: str | bytes) -> bytes:
    """JSON as one text for all values that are the same: keys in order, whole numbers without a fraction."""
    return orjson.dumps(_whole(orjson.loads(text)), option=orjson.OPT_SORT_KEYS)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < limits.JSON_INTEGER_MAX:
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value


def depth(value: Any) -> int:
    """How many lists and objects stand inside each other; 0 for a text, a number, true, false and null."""
    return sum(1 for _level in _levels(value))


def require_kept(value: Any) -> None:
    """Raise ValueError for a value that could not be kept and shown as it is.

    It nests no deeper than JSON_DEPTH_MAX, and each integer fits into 64 bits, signed or not: parsers round
    larger ones without a word.
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
    """What stands at each level of lists and objects, the outermost first."""
    inside = [value]
    while containers := [item for item in inside if isinstance(item, list | tuple | dict)]:
        inside = [item for one in containers for item in (one.values() if isinstance(one, dict) else one)]
        yield inside


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
    """The same for a value that was read from `text` already."""
    raw = text if isinstance(text, str) else text.decode()
    if raw.count("[") + raw.count("{") <= limits.JSON_BODY_DEPTH_MAX:
        return value
    return value if depth(value) <= limits.JSON_BODY_DEPTH_MAX else _cut(value, limits.JSON_BODY_DEPTH_MAX)


def _cut(value: Any, levels: int) -> Any:
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, list):
        return [_cut(item, levels - 1) for item in value]
    return {key: _cut(item, levels - 1) for key, item in value.items()}
