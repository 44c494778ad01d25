"""JSON text from outside: its shape is bounded before anything is made of it.

A parser makes an object of 64 bytes and more of two bytes of text, and validation an error of each wrong one.
So depth, values and keys are counted first, over text that is not trusted yet: 10 MB cost no memory, and on a
thread no other request more than a moment.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import pydantic_core

from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest

P = ParamSpec("P")
T = TypeVar("T")

_STRUCTURE = re.compile(rb'["{}\[\],]')
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# A regular expression keeps the interpreter for as long as it runs: over this many bytes, some 0.1 ms.
_WINDOW_BYTES = 65_536


class JsonTooComplex(InvalidRequest):
    """The JSON nests too deep, or holds too many values, or an object too many keys."""

    code = "json_too_complex"
    hint = "Send the data in several requests, or as one text in 'content'. Nothing was changed."


class DuplicateKey(InvalidRequest):
    """An object of the JSON has a key twice, and parsers differ in which one they take."""

    code = "duplicate_key"
    hint = "Send each 'key' of a JSON object once. Nothing was changed."


def check_json_structure(text: bytes) -> None:
    """Raise JsonTooComplex when `text` has a shape that no request needs, DuplicateKey for a key given twice.

    It does not check that the text is JSON: the parser does, which is safe from here on.
    """
    if len(text) <= limits.JSON_UNCHECKED_BYTES and _count_openings(text) <= limits.JSON_BODY_DEPTH_MAX:
        _check_keys(text)
    else:
        _check_all(text)


def _check_keys(text: bytes) -> None:
    """Raise DuplicateKey, by the library's parser: it is fast, and the text is short."""
    try:
        json.loads(text.decode(), object_pairs_hook=_require_unique)
    except ValueError:  # no JSON
        return


def _require_unique(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _value in pairs:
        if name in names:
            raise _duplicate_key(name)
        names.add(name)


def _check_all(text: bytes) -> None:
    """Raise JsonTooComplex or DuplicateKey; reads a long text without making anything of its values."""
    values, commas = 1, [0]  # of each container that is open
    names: list[set[str] | None] = [None]  # of each container that is open; None for an array
    awaits_name = False
    for sign, begin, end in _scan_structure(text):
        if sign == b'"':
            if awaits_name and (keys := names[-1]) is not None:
                _add_key(keys, text[begin:end])
            awaits_name = False
            continue
        if sign == b",":
            commas[-1] += 1
            awaits_name = names[-1] is not None
            if awaits_name and commas[-1] >= limits.JSON_KEYS_MAX:
                raise _too_complex(f"an object has more than {limits.JSON_KEYS_MAX} keys")
        elif sign in (b"{", b"["):
            commas.append(0)
            awaits_name = sign == b"{"
            names.append(set() if awaits_name else None)
            if len(commas) - 1 > limits.JSON_BODY_DEPTH_MAX:
                raise _too_complex(f"it nests deeper than {limits.JSON_BODY_DEPTH_MAX} levels")
        else:
            if len(commas) > 1:  # a closing sign too many is for the parser to refuse
                commas.pop()
                names.pop()
            awaits_name = False
            continue
        values += 1
        if values > limits.JSON_VALUES_MAX:
            raise _too_complex(f"it holds more than {limits.JSON_VALUES_MAX} values")


def parse_json(text: bytes) -> Any:
    """The value in a text from outside; integers keep every digit.

    Raises JsonTooComplex, DuplicateKey, and ValueError for what is no JSON.
    """
    check_json_structure(text)
    return pydantic_core.from_json(text, allow_inf_nan=False)


def replace_lone_surrogates(text: bytes) -> bytes:
    """JSON text without halves of surrogate pairs and without invalid UTF-8: both become U+FFFD.

    `JSON.stringify` writes such halves as escapes, and parsers of strict Unicode refuse the whole text.
    """
    valid = text.decode(errors="replace").encode()
    return _ESCAPE_BYTES.sub(lambda match: rb"\ufffd" if match["half"] else match[0], valid)


_ESCAPE_BYTES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


def read_shallow(text: bytes) -> dict[str, Any]:
    """The strings of the outermost object and of the objects in it, of JSON that can't be parsed whole.

    The text may end early, nest too deep or be malformed; the first JSON_SHALLOW_SIGNS_MAX signs of its
    structure are read. A name that is given twice has the value None. Returns an empty object for any other
    JSON.
    """
    outer: dict[str, Any] = {}
    open_objects: list[dict[str, Any] | None] = []  # of the two outermost levels; None for an array
    depth, name = 0, None
    awaits_name = False
    for sign, begin, end in islice(_scan_structure(text), limits.JSON_SHALLOW_SIGNS_MAX):
        if sign in (b"{", b"["):
            depth += 1
            if depth <= _SHALLOW_LEVELS:
                inner = outer if depth == 1 else dict[str, Any]()
                if (
                    depth > 1
                    and name is not None
                    and sign == b"{"
                    and (parent := open_objects[-1]) is not None
                ):
                    _put_once(parent, name, inner)
                open_objects.append(inner if sign == b"{" else None)
            name, awaits_name = None, depth <= _SHALLOW_LEVELS and sign == b"{"
        elif sign in (b"}", b"]"):
            if depth <= 1:
                break
            depth -= 1
            del open_objects[depth:]
            name, awaits_name = None, False
        elif depth > _SHALLOW_LEVELS or not open_objects or (current := open_objects[-1]) is None:
            continue
        elif sign == b",":
            name, awaits_name = None, True
        elif awaits_name:
            name, awaits_name = _string(text[begin:end]), False
        elif name is not None:
            value = _string(text[begin:end])
            if value is not None:
                _put_once(current, name, value)
            name = None
    return outer


_SHALLOW_LEVELS = 2


def _put_once(values: dict[str, Any], name: str, value: Any) -> None:
    values[name] = None if name in values else value


def _string(quoted: bytes) -> str | None:
    """The string in its quotes; None for one that is malformed or not complete."""
    try:
        value = pydantic_core.from_json(replace_lone_surrogates(quoted))
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _add_key(keys: set[str], quoted: bytes) -> None:
    """Add a key as it stands in the text, quotes included, to `keys`; raises DuplicateKey."""
    try:
        name = str(json.loads(quoted) if b"\\" in quoted else quoted[1:-1].decode())
    except ValueError:  # no JSON
        return
    if name in keys:
        raise _duplicate_key(name)
    keys.add(name)


def without_escapes(text: str, *, is_json: bool = False) -> str:
    """The text as its words are looked for: of JSON, with the escapes of its strings undone.

    It counts as JSON with `is_json`, or when the whole of it is an object or array. Other texts stay as is.
    """
    if "\\" not in text or not (is_json or _is_json(text)):
        return text
    return _ESCAPE.sub(_unescape, text)


_ESCAPE = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\(.)"
)
_SHORT_ESCAPES = {"n": "\n", "r": "\n", "t": " ", "b": " ", "f": " "}


def _unescape(match: re.Match[str]) -> str:
    high, low, unit, short = match.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if unit is None:
        return _SHORT_ESCAPES.get(short, short)
    code = int(unit, 16)
    return " " if code < 0x20 or 0xD800 <= code < 0xE000 else chr(code)  # half a pair is no character


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "[") and text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        raw = text.encode()
        check_json_structure(raw)
        pydantic_core.from_json(raw)
    except (InvalidRequest, ValueError):
        return False
    return True


async def run_off_loop_if_large(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `function` returns; runs it on a thread when `size` bytes would block the event loop.

    Few run at once: all threads of the interpreter share its time with the event loop.
    """
    if size > limits.JSON_ON_LOOP_BYTES:
        turns = asyncio.Semaphore(limits.LARGE_JSON_AT_ONCE)
        async with _large_turns.setdefault(asyncio.get_running_loop(), turns):
            return await asyncio.to_thread(function, *args, **kwargs)
    return function(*args, **kwargs)


_large_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _count_openings(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _scan_structure(text: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (sign, start, end) of each sign of structure, and of each string with its quote as the sign."""
    position, end = 0, len(text)
    while position < end:
        match = _STRUCTURE.search(text, position, position + _WINDOW_BYTES)
        if match is None:
            position += _WINDOW_BYTES
            continue
        position = _find_string_end(text, match.end()) if match[0] == b'"' else match.end()
        yield match[0], match.start(), position


def _find_string_end(text: bytes, position: int) -> int:
    """Where the string that begins at `position` is over; the end of the text when it never is."""
    while position < len(text):
        match = _STRING_REST.match(text, position, position + _WINDOW_BYTES)
        assert match is not None, "it matches nothing, too"
        if text[match.end() : match.end() + 1] == b'"':
            return match.end() + 1
        if match.end() == position:  # a lone backslash ends the text
            return len(text)
        position = match.end()
    return position


def _too_complex(message: str) -> JsonTooComplex:
    return JsonTooComplex(
        f"body: {message}", errors=[{"field": "body", "message": message, "type": "too_complex"}]
    )


def _duplicate_key(name: str) -> DuplicateKey:
    field, message = name[: limits.PROBLEM_FIELD_CHARS_MAX], "given more than once"
    return DuplicateKey(
        f"{field}: {message}", errors=[{"field": field, "message": message, "type": "repeated"}]
    )
