"""Edits TOML as text: a table is added or removed, and all else stays byte for byte.

The text is never written anew from its values. Each edit is checked by reading the result: it must hold what
was there, and the edit, and nothing else.
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
    """The document; raises BrokenSettings with the place of the fault."""
    try:
        return tomllib.loads(_unmarked(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BrokenSettings(f"{str(error)[:1].lower()}{str(error)[1:]}") from None


def find(text: str, path: Sequence[str]) -> Any:
    """What stands at `path`; None when there is nothing."""
    return _at(read(text), path)


def put(text: str, path: Sequence[str], table: Mapping[str, Any]) -> str:
    """`text` with a table at `path`, where none is; raises UnsuitableSettings where it can't stand."""
    wanted = _with(read(text), path, dict(table))
    made = _appended(text, path, table)
    if _reads_as(made, wanted):
        return made
    for at in _closing_braces(text):
        inline = f"{json.dumps(path[-1])} = {_inline(table)} "
        for comma in (", ", " "):
            made = text[:at].rstrip(" ") + comma + inline + text[at:]
            if _reads_as(made, wanted):
                return made
    where = ".".join(path[:-1])
    raise UnsuitableSettings(f"'{where}' is written in a way that leaves no room for a further table")


def remove(text: str, path: Sequence[str]) -> str:
    """`text` without the table at `path` and those below it; raises UnsuitableSettings where it can't go."""
    wanted = _without(read(text), path)
    found = _sections(text, path)
    tried = [_cut(text, found), *(_cut(text, [one]) for one in found), *_without_inline(text, path[-1])]
    for made in tried:
        # A parent that held nothing else goes with its only section.
        if _reads_as(made, wanted) or _reads_as(made, _pruned(wanted, path)):
            return made
    where = ".".join(path)
    raise UnsuitableSettings(
        f"'{where}' is written in a way that it can't be cut out of", hint="Remove it by hand."
    )


# -- adding ----------------------------------------------------------------------------------------


def _appended(text: str, path: Sequence[str], table: Mapping[str, Any]) -> str:
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    lines = [f"[{'.'.join(_key(name) for name in path)}]"]
    lines += [f"{_key(name)} = {_inline(value)}" for name, value in table.items()]
    body = newline.join([*lines, ""])
    plain = _unmarked(text)
    if not plain.strip():
        return text + body
    gap = newline if text.endswith("\n") else newline * 2
    return text + gap + body


def _closing_braces(text: str) -> list[int]:
    return [at for at, char in enumerate(text) if char == "}"][:_BRACES_MAX]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_inline(part)}" for name, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and truth values are written as in JSON


# -- removing --------------------------------------------------------------------------------------


def _sections(text: str, path: Sequence[str]) -> list[tuple[int, int]]:
    """Where `[path]` and `[path.…]` stand, each up to its last line with something but a comment in it.

    A text over several lines may hold what only looks like one.
    """
    found = []
    for header in _HEADER.finditer(text):
        names = _names(header[1])
        if names is None or names[: len(path)] != list(path):
            continue
        following = _ANY_HEADER.search(text, header.end())
        section = text[header.start() : following.start() if following else len(text)]
        # The blank line that sets it off goes with it.
        blank = re.search(r"(?<=\n)[ \t]*\r?\n$", text[: header.start()])
        start = blank.start() if blank is not None else header.start()
        found.append((start, header.start() + len(section) - len(_trailing(section))))
    return found


def _cut(text: str, places: Sequence[tuple[int, int]]) -> str:
    for start, end in reversed(places):
        text = text[:start] + text[end:]
    return text


def _trailing(section: str) -> str:
    """The blank lines and comments at the end of a section: they belong to what follows."""
    lines = section.splitlines(keepends=True)
    end = len(lines)
    while end > 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return "".join(lines[end:])


def _without_inline(text: str, name: str) -> list[str]:
    """What is left when `name = { … }` is cut out of an inline table, for each place where it may stand."""
    made = []
    key = rf"(?:{re.escape(_key(name))}|{re.escape(json.dumps(name))})"
    for start in re.finditer(rf"(,[ \t]*)?{key}[ \t]*=[ \t]*\{{", text):
        for end in [at for at in _closing_braces(text) if at > start.end() - 1][:20]:
            made.append(text[: start.start()] + text[end + 1 :])
            behind = re.match(r"[ \t]*,[ \t]*", text[end + 1 :])
            if behind is not None and start[1] is None:
                made.append(text[: start.start()] + text[end + 1 + behind.end() :])
    return made


def _names(header: str) -> list[str] | None:
    """The names in a header such as `a."b c".d`."""
    names, at = [], 0
    while at < len(header):
        found = _KEY.match(header, at)
        if found is None:
            return None
        bare, quoted, literal, _ = found.groups()
        names.append(bare if bare is not None else json.loads(quoted) if quoted is not None else literal)
        at = found.end()
    return names


# -- values ----------------------------------------------------------------------------------------


def _reads_as(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(_unmarked(text)) == wanted
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _unmarked(text: str) -> str:
    return text.removeprefix("\ufeff")


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _with(value: dict[str, Any], path: Sequence[str], table: Any) -> dict[str, Any]:
    """A copy of `value` with `table` at `path`."""
    inner = value.get(path[0], {})
    if len(path) == 1:
        return value | {path[0]: table}
    if not isinstance(inner, dict):
        raise UnsuitableSettings(f"'{path[0]}' is no table")
    return value | {path[0]: _with(inner, path[1:], table)}


def _without(value: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """A copy of `value` with nothing at `path`."""
    if len(path) == 1:
        return {name: part for name, part in value.items() if name != path[0]}
    return value | {path[0]: _without(value[path[0]], path[1:])}


def _pruned(value: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """`value` without those tables above `path` that hold nothing."""
    if len(path) < 2 or not isinstance(value.get(path[0]), dict):
        return value
    inner = _pruned(value[path[0]], path[1:])
    if inner:
        return value | {path[0]: inner}
    return {name: part for name, part in value.items() if name != path[0]}
