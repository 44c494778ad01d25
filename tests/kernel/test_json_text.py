"""JSON from outside is bounded in its shape before anything is made of it."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError

from repomesh.kernel import limits
from repomesh.kernel.json_text import (
    DuplicateKey,
    JsonTooComplex,
    check_json_structure,
    read_shallow,
    replace_lone_surrogates,
)
from repomesh.kernel.operation import Model
from repomesh.operations import registry

LONG_TEXT = b"x" * limits.JSON_UNCHECKED_BYTES


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def array(values: int) -> bytes:
    """An array that is one value itself and holds the others."""
    return b"[" + b",".join([b"1"] * (values - 1)) + b"]"


def keys(count: int) -> bytes:
    return b"{%s}" % b",".join(b'"k%d":%s' % (number, b"0" * 3) for number in range(count))


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        (nested, limits.JSON_BODY_DEPTH_MAX),
        (array, limits.JSON_VALUES_MAX),
        (keys, limits.JSON_KEYS_MAX),
    ],
)
def test_each_bound_is_met_at_its_edge(shape: object, most: int) -> None:
    assert callable(shape)
    check_json_structure(shape(most))
    with pytest.raises(JsonTooComplex):
        check_json_structure(shape(most + 1))


@pytest.mark.parametrize("text", [b"[{,", b'\\"[[{{,,', b"]}" * 100, b"," * 5_000, b"\\\\"])
def test_what_stands_in_a_string_is_no_structure(text: bytes) -> None:
    inside = text.replace(b'"', b'\\"') if b'\\"' not in text else text
    check_json_structure(b'{"a": "%s", "b": "%s"}' % (LONG_TEXT, inside * 50_000))


@pytest.mark.parametrize(
    "text", [b'"', b'"\\', b"\\", b"}" * 10_000, b'{"a', b"\xff" * 10_000, b" " * 200_000]
)
def test_what_is_no_json_is_left_to_the_parser(text: bytes) -> None:
    check_json_structure(LONG_TEXT + text)
    check_json_structure(b'"' + LONG_TEXT * 40 + text)


SHORT, LONG = b"x", LONG_TEXT


@pytest.mark.parametrize("size", [SHORT, LONG])
@pytest.mark.parametrize(
    "inside",
    [
        b'"a": 1, "a": 2',
        b'"a": 1, "b": {"a": 1}, "\\u0061": 2',
        b'"b": [{"x": {"a": [1], "c": "a", "a": null}}]',
        b'"": 1, "": 1',
        b'"a\\"": 1, "a\\"": 1',
    ],
)
def test_a_key_given_twice_is_refused(inside: bytes, size: bytes) -> None:
    with pytest.raises(DuplicateKey) as refused:
        check_json_structure(b'{"text": "%s", %s}' % (size, inside))
    assert refused.value.details["errors"][0]["type"] == "repeated"


@pytest.mark.parametrize("size", [SHORT, LONG])
@pytest.mark.parametrize(
    "inside",
    [
        b'"a": "a", "b": ["a", "a"], "c": {"a": {"a": 1}}, "d": {"a": 1}',
        b'"a": [{"a": 1}, {"a": 1}], "A": ",\\"a\\":"',
        b'"a": {}, "b": {"c": 1}, "c": 2, "\xc3\xa4": 1, "a\xcc\x88": 1',
    ],
)
def test_the_same_word_elsewhere_is_no_key_given_twice(inside: bytes, size: bytes) -> None:
    check_json_structure(b'{"text": "%s", %s}' % (size, inside))


class _Item(Model):
    name: str


class _Request(Model):
    tags: Annotated[tuple[str, ...], Field(max_length=3)] = ()
    items: list[_Item] = []
    metadata: dict[str, list[int]] = {}
    either: list[int] | list[str] = []


@pytest.mark.parametrize("field", ["tags", "items", "either"])
def test_of_a_list_only_the_first_wrong_item_makes_an_error(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _Request.model_validate_json(b'{"%s": %s}' % (field.encode(), array(10_000).replace(b"1", b"{}")))
    assert refused.value.error_count() <= 2  # one for each list that it might have been


def test_a_list_inside_of_free_keys_ends_at_its_first_wrong_item_too() -> None:
    with pytest.raises(ValidationError) as refused:
        _Request.model_validate_json(b'{"metadata": {"a": %s}}' % array(10_000).replace(b"1", b"{}"))
    assert refused.value.error_count() == 1


@pytest.mark.parametrize("wrong", [b"1.5", b"{}", b"[]", b"null"])
def test_no_request_makes_more_errors_than_a_body_may_have_keys(wrong: bytes) -> None:
    items = b"[%s]" % b",".join([wrong] * 5_000)
    counts = {
        (operation.name, name): errors_of(operation.request, b'{"%s": %s}' % (name.encode(), items))
        for operation in registry
        for name in operation.request.model_fields
    }
    assert {place: count for place, count in counts.items() if count > 200} == {}


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\n"', rb'"\ufffd\n"'),
        (rb'"\\ud83d \u00e4"', rb'"\\ud83d \u00e4"'),
        (b'"\xed\xa0\xbd"', '"\ufffd\ufffd\ufffd"'.encode()),
    ],
)
def test_a_lone_surrogate_is_replaced(text: bytes, repaired: bytes) -> None:
    assert replace_lone_surrogates(text) == repaired


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b'{"a": "b", "c": 1, "d": {"e": "f", "g": {"h": "i"}, "j": "k"}, "l": "m"}', None),
        (b'{"a": "b", "c": [{"a": "x"}, "y"], "d": {"e": "f', {"a": "b", "d": {}}),
        (b'{"a": "b", "a": "c", "d": {"e": "\\ud83d", "f": "\\', {"a": None, "d": {"e": "\ufffd"}}),
        (b'{"a": "b"}, "c": "d"}', {"a": "b"}),
        (b'["a", {"b": "c"}]', {}),
        (b'{"a": ' + b"[" * 100_000, {}),
        (b"}]{", {}),
        (b"", {}),
    ],
)
def test_what_can_be_read_of_json(text: bytes, values: dict[str, object] | None) -> None:
    whole = {"a": "b", "d": {"e": "f", "j": "k"}, "l": "m"}
    assert read_shallow(text) == (whole if values is None else values)


def errors_of(request: type[BaseModel], text: bytes) -> int:
    """How many errors the validation of a body makes."""
    try:
        request.model_validate_json(text, strict=True)
    except ValidationError as error:
        return error.error_count()
    return 0


def test_what_carries_a_long_text_takes_a_body_that_holds_it() -> None:
    for operation in registry:
        if operation.http is None or not operation.http.has_body:
            continue
        if operation.http.body_bytes_max == limits.CONTENT_BODY_BYTES_MAX:
            continue  # their contents have bounds in bytes
        longest = max(
            (_chars(field) for field in operation.request.model_json_schema().get("properties", {}).values()),
            default=0,
        )
        assert operation.http.body_bytes_max >= 4 * longest, operation.name


def _chars(field: dict[str, object]) -> int:
    """The characters of the longest text that a field may be."""
    choices = field.get("anyOf", [field])
    assert isinstance(choices, list)
    return max(int(choice.get("maxLength", 0)) for choice in choices)
