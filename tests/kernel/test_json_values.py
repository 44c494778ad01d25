"""When two JSON values are the same, which can be kept, and how what an older release kept is read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from repomesh.kernel import limits
from repomesh.kernel.json_values import canonical_json, depth, require_kept, same_json, stored_json

SAME = [(1, 1.0), ({"a": 1, "b": [2]}, {"b": (2.0,), "a": 1}), ("", ""), (None, None), (-0.0, 0)]
OTHER = [
    (1, True),
    (0, False),
    (1, "1"),
    (None, False),
    ([], {}),
    ([1], [1, 1]),
    ({"a": 1}, {"a": 1, "b": 1}),
]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value], lambda value: {"in": [value]}])
def test_numbers_are_the_same_by_value_and_never_true_or_false(wrap: Any) -> None:
    for one, other in SAME:
        assert same_json(wrap(one), wrap(other)), (one, other)
        assert canonical_json(orjson.dumps(wrap(one))) == canonical_json(orjson.dumps(wrap(other)))
    for one, other in OTHER:
        assert not same_json(wrap(one), wrap(other)), (one, other)
        assert canonical_json(orjson.dumps(wrap(one))) != canonical_json(orjson.dumps(wrap(other)))


def test_a_value_may_nest_so_deep_and_no_deeper() -> None:
    assert [depth(value) for value in (1, "[", [], {"a": [{}]}, nested(300))] == [0, 0, 1, 3, 300]
    require_kept(nested(limits.JSON_DEPTH_MAX))
    with pytest.raises(ValueError, match="65 levels deep, the limit is 64"):
        require_kept(nested(limits.JSON_DEPTH_MAX + 1))


def test_what_was_kept_deeper_is_text_from_some_level_on() -> None:
    whole = nested(limits.JSON_BODY_DEPTH_MAX)
    assert stored_json(orjson.dumps(whole)) == whole
    cut = stored_json(b"[" * 250 + b"9999999999999999999999" + b"]" * 250)
    assert depth(cut) == limits.JSON_BODY_DEPTH_MAX
    for _ in range(limits.JSON_BODY_DEPTH_MAX):
        [cut] = cut
    assert cut == "[" * 170 + "9999999999999999999999" + "]" * 170


def test_integers_are_exact_or_refused() -> None:
    for fine in (2**64 - 1, -(2**63), 1e300, True, [2**64 - 1]):
        require_kept(fine)
    for wrong in (2**64, -(2**63) - 1, 10**500):
        for value in (wrong, [wrong], {"in": [{"a": 1, "b": wrong}]}):
            with pytest.raises(ValueError, match="more than 64 bits"):
                require_kept(value)
