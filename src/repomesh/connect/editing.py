"""Puts entries into a settings file's text and takes them out again, whatever its format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from repomesh.connect import entries, jsontext, tomltext
from repomesh.connect.entries import SettingsEntry, SettingsFile

Containers = Sequence[Sequence[str]]
"""Paths of objects, lists and tables that were not there before."""


@dataclass(frozen=True, slots=True)
class EditedLines:
    """Lines that connect put in the place of others, at the line `at` of what it wrote."""

    at: int
    removed: str
    inserted: str


def satisfied(file: SettingsFile, text: str, cli: str) -> bool:
    """Whether `text` holds all that is wanted, and nothing of ours beyond it."""
    if file.format == "lines":
        return all(want.value in text.splitlines() for want in file.wants)
    if not _content(text):
        return not file.wants
    if file.format == "toml":
        return all(_fits(tomltext.find(text, want.path), want.value) for want in file.wants)
    root = jsontext.read(text)
    ours = _ours(file, root, cli)
    return len(ours) == sum(_is_entry(want) for want in file.wants) and all(
        _holds(root, want) for want in file.wants
    )


def _is_entry(want: SettingsEntry) -> bool:
    """Whether `_ours` finds it; settings such as a file's version are nobody's."""
    return want.item or want.path[-1] == entries.SERVER


def _holds(root: jsontext.Node, want: SettingsEntry) -> bool:
    found = jsontext.find(root, want.path)
    if found is None:
        return False
    if want.item:
        return isinstance(found.value, list) and want.value in found.value
    return _fits(found.value, want.value)


def _fits(found: Any, wanted: Any) -> bool:
    """Whether an entry is as wanted; what its person or the CLI added, a time-out say, is no harm."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return all(found.get(name) == value for name, value in wanted.items())
    return bool(found == wanted)


def applied(file: SettingsFile, text: str) -> str:
    """`text`, which holds nothing of ours, with what is wanted; raises BrokenSettings, UnsuitableSettings."""
    if file.format == "lines":
        return _with_lines(text, [want.value for want in file.wants])
    if file.format == "json" and not _content(text):
        text = text + "{}\n"
    for want in file.wants:
        if file.format == "toml":
            if tomltext.find(text, want.path) is not None:  # one that a person wrote is in the way
                text = tomltext.remove(text, want.path)
            text = tomltext.put(text, want.path, want.value)
        elif want.item and not _holds(jsontext.read(text), want):
            text = jsontext.append(text, want.path, want.value)
        elif want.item:
            continue
        else:
            text = jsontext.put(text, want.path, want.value)
    return text


def stripped(file: SettingsFile, text: str, cli: str, made: Containers | None) -> str:
    """`text` without what is ours, and without what that leaves empty.

    Of what is empty then only the containers in `made` go; without a record, all of them do.
    """
    if file.format == "lines":
        wanted = {want.value for want in file.wants}
        return "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\r\n") not in wanted)
    if not _content(text):
        return text
    if file.format == "toml":
        for want in file.wants:
            if entries.is_server(tomltext.find(text, want.path), cli):
                text = tomltext.remove(text, want.path)
        return text
    while ours := _ours(file, jsontext.read(text), cli):
        text = _cut(text, ours[-1], made)
    return text


def is_there(file: SettingsFile, text: str, cli: str) -> bool:
    """Whether `text` holds what only connect writes; that a person approved our server is no sign of it."""
    if file.format == "lines":
        return True
    if not _content(text):
        return False
    if file.format == "toml":
        return any(entries.is_server(tomltext.find(text, want.path), cli) for want in file.wants)
    found = _ours(file, jsontext.read(text), cli)
    return any(path[0] == "hooks" or path[-1] == entries.SERVER for path in found)


def _cut(text: str, path: jsontext.Path, made: Containers | None) -> str:
    """Remove what is at `path`, then each container above it that is empty by that."""
    text = jsontext.remove(text, path)
    while len(path) > 1:
        path = path[:-1]
        node = jsontext.find(jsontext.read(text), path)
        assert node is not None
        inside = text[node.start + 1 : node.end - 1]
        named = [key for key in path if isinstance(key, str)]
        ours = made is None or not isinstance(path[-1], str) or named in [list(one) for one in made]
        if node.parts or inside.strip() or not ours:
            break
        text = jsontext.remove(text, path)
    return text


def _ours(file: SettingsFile, root: jsontext.Node, cli: str) -> list[jsontext.Path]:
    """Where entries of ours stand."""
    found: list[jsontext.Path] = []
    for want in file.wants:
        node = jsontext.find(root, want.path)
        if want.path[-1] == entries.SERVER and node is not None and entries.is_server(node.value, cli):
            found.append(want.path)
        if want.item and want.value == entries.SERVER and node is not None and isinstance(node.value, list):
            found += [(*want.path, at) for at, item in enumerate(node.value) if item == want.value]
    return found + list(_hooks(root, cli))


def _hooks(root: jsontext.Node, cli: str) -> Iterable[jsontext.Path]:
    hooks = jsontext.find(root, ("hooks",))
    for event in hooks.parts or () if hooks is not None and hooks.is_object else ():
        for group in event.node.parts or ():
            path: jsontext.Path = ("hooks", event.key, group.key)
            if entries.is_ours(group.node.value, cli):
                yield path
            else:  # somebody put a hook of theirs beside ours
                inner = jsontext.find(group.node, ("hooks",))
                for hook in inner.parts or () if inner is not None else ():
                    if entries.is_ours(hook.node.value, cli):
                        yield (*path, "hooks", hook.key)


def containers(file: SettingsFile, before: str) -> list[list[str]]:
    """The objects and lists above what is wanted that `before` does not hold."""
    if file.format != "json":
        return []
    root = jsontext.read(before) if _content(before) else None
    above = {want.path[:length] for want in file.wants for length in range(1, len(want.path) + want.item)}
    return [list(path) for path in sorted(above) if root is None or jsontext.find(root, path) is None]


def _content(text: str) -> str:
    return text.removeprefix("\ufeff").strip()


def _with_lines(text: str, lines: Sequence[str]) -> str:
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    gap = "" if not text or text.endswith("\n") else newline
    return text + gap + "".join(line + newline for line in lines if line not in text.splitlines())


# -- the way back ----------------------------------------------------------------------------------


def digest(text: str) -> str:
    """What tells whether a file is still as it was written."""
    return hashlib.sha256(text.encode()).hexdigest()


def hunks(before: str, after: str) -> list[EditedLines]:
    """What leads from `after` back to `before`."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        EditedLines(start, "".join(old[i:j]), "".join(new[start:end]))
        for tag, i, j, start, end in found
        if tag != "equal"
    ]


def exactly_before(after: str, changes: Sequence[EditedLines]) -> str:
    """What stood there before `changes`, when nobody has touched it since."""
    lines = after.splitlines(keepends=True)
    for change in reversed(changes):
        lines[change.at : change.at + len(change.inserted.splitlines())] = [change.removed]
    return "".join(lines)


def roughly_before(text: str, changes: Sequence[EditedLines]) -> str | None:
    """`text` with each change taken back where it still stands, once; None when one does not."""
    for change in reversed(changes):
        if not change.inserted or text.count(change.inserted) != 1:
            return None
        text = text.replace(change.inserted, change.removed)
    return text


def is_empty(file: SettingsFile, text: str) -> bool:
    """Whether nothing is left in a file but what any file of its format holds."""
    if not _content(text):
        return True
    if file.format != "json":
        return False
    value: Any = jsontext.read(text).value
    if file.whole and isinstance(value, dict):
        return not value.get("hooks")
    return bool(value == {})


def entries_in(file: SettingsFile, text: str, cli: str) -> tuple[bool, bool]:
    """Whether a file holds our MCP entry, and whether it holds hooks of ours; raises BrokenSettings."""
    if not _content(text) or file.format == "lines":
        return False, False
    if file.format == "toml":
        return any(entries.is_server(tomltext.find(text, want.path), cli) for want in file.wants), False
    ours = _ours(file, jsontext.read(text), cli)
    return any(path[-1] == entries.SERVER for path in ours), any(path[0] == "hooks" for path in ours)
