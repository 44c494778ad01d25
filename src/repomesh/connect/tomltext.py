"""Edits TOML as text: a table is added or removed, and everything else stays byte for byte.

The text is never generated from its values. Each edit is verified by parsing the result: it must hold the
previous values with the edit, and nothing else.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from repomesh.connect.errors import BrokenSettings, UnsuitableSettings

_HEADER = re.compile(r"^[ \t]*\[(?!\[)([^\]\r\n]+)\][ \t]*(?:#[^\r\n]*)?\r?$", re.MULTILINE)
_ANY_HEADER = re.compile(r"^[ \t]*\[[^\r\n]*$", re.MULTILINE)
_KEY = re.compile(r"[ \t]*(?:([A-Za-z0-9_-]+)|(\"(?:[^\"\\\r\n]|\\.)*\")|'([^'\r\n]*)')[ \t]*(\.|$)")
_BRACES_MAX = 500  # places tried in a file that writes the table's parent inline


def read(text: str) -> dict[str, Any]:
    """Parse a document; raises BrokenSettings with the place of the error."""
    try:
        return tomllib.loads(_strip_bom(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BrokenSettings(f"{str(error)[:1].lower()}{str(error)[1:]}") from None


def find(text: str, path: Sequence[str]) -> Any:
    """The value at `path`, None without one; raises BrokenSettings."""
    return _value_at(read(text), path)


def put(text: str, path: Sequence[str], table: Mapping[str, Any]) -> str:
    """Add a table at `path`, where there is none; raises UnsuitableSettings if the file can't hold it."""
    expected = _set_value(read(text), path, dict(table))
    edited = _append_table(text, path, table)
    if _reads_as(edited, expected):
        return edited
    for at in _closing_braces(text):
        inline = f"{json.dumps(path[-1])} = {_inline(table)} "
        for comma in (", ", " "):
            edited = text[:at].rstrip(" ") + comma + inline + text[at:]
            if _reads_as(edited, expected):
                return edited
    parent_name = ".".join(path[:-1])
    raise UnsuitableSettings(f"'{parent_name}' is written in a way that leaves no room for a further table")


def remove(text: str, path: Sequence[str]) -> str:
    """Remove the table at `path` and those below it; raises UnsuitableSettings if they can't be cut out."""
    expected = _delete_value(read(text), path)
    sections = _sections(text, path)
    candidates = [
        _remove_ranges(text, sections),
        *(_remove_ranges(text, [section]) for section in sections),
        *_inline_removals(text, path[-1]),
    ]
    for candidate in candidates:
        # An empty parent is removed with its only section.
        if _reads_as(candidate, expected) or _reads_as(candidate, _prune(expected, path)):
            return candidate
    table_name = ".".join(path)
    raise UnsuitableSettings(
        f"'{table_name}' is written in a way that it can't be cut out of", hint="Remove it by hand."
    )


# -- adding ----------------------------------------------------------------------------------------


def _append_table(text: str, path: Sequence[str], table: Mapping[str, Any]) -> str:
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    lines = [f"[{'.'.join(_quote_key(name) for name in path)}]"]
    lines += [f"{_quote_key(name)} = {_inline(value)}" for name, value in table.items()]
    body = newline.join([*lines, ""])
    plain = _strip_bom(text)
    if not plain.strip():
        return text + body
    gap = newline if text.endswith("\n") else newline * 2
    return text + gap + body


def _closing_braces(text: str) -> list[int]:
    return [at for at, char in enumerate(text) if char == "}"][:_BRACES_MAX]


def _quote_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_quote_key(name)} = {_inline(part)}" for name, part in value.items()) + " }"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and truth values are written as in JSON


# -- removing --------------------------------------------------------------------------------------


def _sections(text: str, path: Sequence[str]) -> list[tuple[int, int]]:
    """The ranges of `[path]` and `[path.…]`, each without the comments and blank lines at its end.

    A multi-line string may hold lines that only look like a header.
    """
    ranges = []
    for header in _HEADER.finditer(text):
        names = _parse_header(header[1])
        if names is None or names[: len(path)] != list(path):
            continue
        next_header = _ANY_HEADER.search(text, header.end())
        section = text[header.start() : next_header.start() if next_header else len(text)]
        # The blank line before it belongs to the range.
        blank_line = re.search(r"(?<=\n)[ \t]*\r?\n$", text[: header.start()])
        start = blank_line.start() if blank_line is not None else header.start()
        ranges.append((start, header.start() + len(section) - len(_trailing_comments(section))))
    return ranges


def _remove_ranges(text: str, places: Sequence[tuple[int, int]]) -> str:
    for start, end in reversed(places):
        text = text[:start] + text[end:]
    return text


def _trailing_comments(section: str) -> str:
    """The blank lines and comments at the end of a section: they belong to the next one."""
    lines = section.splitlines(keepends=True)
    end = len(lines)
    while end > 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return "".join(lines[end:])


def _inline_removals(text: str, name: str) -> list[str]:
    """The texts without `name = { … }` in an inline table, one for each place where it may be."""
    candidates = []
    key = rf"(?:{re.escape(_quote_key(name))}|{re.escape(json.dumps(name))})"
    for start in re.finditer(rf"(,[ \t]*)?{key}[ \t]*=[ \t]*\{{", text):
        for end in [at for at in _closing_braces(text) if at > start.end() - 1][:20]:
            candidates.append(text[: start.start()] + text[end + 1 :])
            comma = re.match(r"[ \t]*,[ \t]*", text[end + 1 :])
            if comma is not None and start[1] is None:
                candidates.append(text[: start.start()] + text[end + 1 + comma.end() :])
    return candidates


def _parse_header(header: str) -> list[str] | None:
    """The names in a header such as `a."b c".d`."""
    names, at = [], 0
    while at < len(header):
        match = _KEY.match(header, at)
        if match is None:
            return None
        bare, quoted, literal, _ = match.groups()
        names.append(bare if bare is not None else json.loads(quoted) if quoted is not None else literal)
        at = match.end()
    return names


# -- values ----------------------------------------------------------------------------------------


def _reads_as(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(_strip_bom(text)) == expected
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _strip_bom(text: str) -> str:
    return text.removeprefix("\ufeff")


def _value_at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _set_value(value: dict[str, Any], path: Sequence[str], table: Any) -> dict[str, Any]:
    """A copy of `value` with `table` at `path`."""
    inner = value.get(path[0], {})
    if len(path) == 1:
        return value | {path[0]: table}
    if not isinstance(inner, dict):
        raise UnsuitableSettings(f"'{path[0]}' is no table")
    return value | {path[0]: _set_value(inner, path[1:], table)}


def _delete_value(value: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """A copy of `value` with nothing at `path`."""
    if len(path) == 1:
        return {name: part for name, part in value.items() if name != path[0]}
    return value | {path[0]: _delete_value(value[path[0]], path[1:])}


def _prune(value: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """`value` without those tables above `path` that hold nothing."""
    if len(path) < 2 or not isinstance(value.get(path[0]), dict):
        return value
    inner = _prune(value[path[0]], path[1:])
    if inner:
        return value | {path[0]: inner}
    return {name: part for name, part in value.items() if name != path[0]}
