"""Adds entries to a settings file's text and removes them again, in every format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from repomesh.connect import entries, jsontext, tomltext
from repomesh.connect.entries import SettingsEntry, SettingsFile

Containers = Sequence[Sequence[str]]
"""Paths of objects, lists and tables that connect created."""


@dataclass(frozen=True, slots=True)
class EditedLines:
    """Lines that connect replaced, at the line `at` of the written text."""

    at: int
    removed: str
    inserted: str


def is_satisfied(file: SettingsFile, text: str, cli: str) -> bool:
    """Whether `text` holds all wanted entries of the file, and no other entries of connect."""
    if file.format == "lines":
        return all(want.value in text.splitlines() for want in file.wants)
    if not _strip_bom(text):
        return not file.wants
    if file.format == "toml":
        return all(_matches(tomltext.find(text, want.path), want.value) for want in file.wants)
    root = jsontext.read(text)
    ours = _own_paths(file, root, cli)
    return len(ours) == sum(_is_entry(want) for want in file.wants) and all(
        _holds(root, want) for want in file.wants
    )


def _is_entry(want: SettingsEntry) -> bool:
    """Whether `_own_paths` finds it; settings such as a file's version have no owner."""
    return want.item or want.path[-1] == entries.SERVER


def _holds(root: jsontext.Node, want: SettingsEntry) -> bool:
    node = jsontext.find(root, want.path)
    if node is None:
        return False
    if want.item:
        return isinstance(node.value, list) and want.value in node.value
    return _matches(node.value, want.value)


def _matches(value: Any, expected: Any) -> bool:
    """Whether an entry is as expected; additions by the user or the CLI, such as a timeout, are allowed."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return all(value.get(name) == member for name, member in expected.items())
    return bool(value == expected)


def add_entries(file: SettingsFile, text: str) -> str:
    """Add the wanted entries to `text`, which holds none; raises BrokenSettings, UnsuitableSettings."""
    if file.format == "lines":
        return _add_lines(text, [want.value for want in file.wants])
    if file.format == "json" and not _strip_bom(text):
        text = text + "{}\n"
    for want in file.wants:
        if file.format == "toml":
            if tomltext.find(text, want.path) is not None:  # the user's own entry is replaced
                text = tomltext.remove(text, want.path)
            text = tomltext.put(text, want.path, want.value)
        elif want.item and not _holds(jsontext.read(text), want):
            text = jsontext.append(text, want.path, want.value)
        elif want.item:
            continue
        else:
            text = jsontext.put(text, want.path, want.value)
    return text


def remove_entries(file: SettingsFile, text: str, cli: str, made_containers: Containers | None) -> str:
    """Remove connect's entries from `text`, and containers that are empty then.

    Only containers in `made_containers` are removed; without a record (None) all of them are.
    """
    if file.format == "lines":
        lines = {want.value for want in file.wants}
        return "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\r\n") not in lines)
    if not _strip_bom(text):
        return text
    if file.format == "toml":
        for want in file.wants:
            if entries.is_server(tomltext.find(text, want.path), cli):
                text = tomltext.remove(text, want.path)
        return text
    while ours := _own_paths(file, jsontext.read(text), cli):
        text = _remove_with_empty_parents(text, ours[-1], made_containers)
    return text


def is_connected(file: SettingsFile, text: str, cli: str) -> bool:
    """Whether `text` holds entries that only connect writes; an approved server may be the user's."""
    if file.format == "lines":
        return True
    if not _strip_bom(text):
        return False
    if file.format == "toml":
        return any(entries.is_server(tomltext.find(text, want.path), cli) for want in file.wants)
    paths = _own_paths(file, jsontext.read(text), cli)
    return any(path[0] == "hooks" or path[-1] == entries.SERVER for path in paths)


def _remove_with_empty_parents(text: str, path: jsontext.Path, made_containers: Containers | None) -> str:
    """Remove the value at `path`, then each container above it that is empty then."""
    text = jsontext.remove(text, path)
    while len(path) > 1:
        path = path[:-1]
        node = jsontext.find(jsontext.read(text), path)
        assert node is not None
        inside = text[node.start + 1 : node.end - 1]
        keys = [key for key in path if isinstance(key, str)]
        is_removable = (
            made_containers is None
            or not isinstance(path[-1], str)
            or keys in [list(container) for container in made_containers]
        )
        if node.parts or inside.strip() or not is_removable:
            break
        text = jsontext.remove(text, path)
    return text


def _own_paths(file: SettingsFile, root: jsontext.Node, cli: str) -> list[jsontext.Path]:
    """The paths of connect's entries."""
    paths: list[jsontext.Path] = []
    for want in file.wants:
        node = jsontext.find(root, want.path)
        if want.path[-1] == entries.SERVER and node is not None and entries.is_server(node.value, cli):
            paths.append(want.path)
        if want.item and want.value == entries.SERVER and node is not None and isinstance(node.value, list):
            paths += [(*want.path, at) for at, item in enumerate(node.value) if item == want.value]
    return paths + list(_own_hook_paths(root, cli))


def _own_hook_paths(root: jsontext.Node, cli: str) -> Iterable[jsontext.Path]:
    hooks = jsontext.find(root, ("hooks",))
    for event in hooks.parts or () if hooks is not None and hooks.is_object else ():
        for group in event.node.parts or ():
            path: jsontext.Path = ("hooks", event.key, group.key)
            if entries.is_own_group(group.node.value, cli):
                yield path
            else:  # the user added a hook beside ours
                inner = jsontext.find(group.node, ("hooks",))
                for hook in inner.parts or () if inner is not None else ():
                    if entries.is_own_group(hook.node.value, cli):
                        yield (*path, "hooks", hook.key)


def missing_containers(file: SettingsFile, before: str) -> list[list[str]]:
    """The paths of objects and lists above the wanted entries that `before` does not hold."""
    if file.format != "json":
        return []
    root = jsontext.read(before) if _strip_bom(before) else None
    above = {want.path[:length] for want in file.wants for length in range(1, len(want.path) + want.item)}
    return [list(path) for path in sorted(above) if root is None or jsontext.find(root, path) is None]


def _strip_bom(text: str) -> str:
    return text.removeprefix("\ufeff").strip()


def _add_lines(text: str, lines: Sequence[str]) -> str:
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    gap = "" if not text or text.endswith("\n") else newline
    return text + gap + "".join(line + newline for line in lines if line not in text.splitlines())


# -- reverting -------------------------------------------------------------------------------------


def digest(text: str) -> str:
    """The SHA-256 of a text, which shows whether a file was changed since."""
    return hashlib.sha256(text.encode()).hexdigest()


def hunks(before: str, after: str) -> list[EditedLines]:
    """The edits that lead from `after` back to `before`."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        EditedLines(start, "".join(old[i:j]), "".join(new[start:end]))
        for tag, i, j, start, end in opcodes
        if tag != "equal"
    ]


def revert_exactly(after: str, changes: Sequence[EditedLines]) -> str:
    """The text before `changes`, for a text that was not changed since."""
    lines = after.splitlines(keepends=True)
    for change in reversed(changes):
        lines[change.at : change.at + len(change.inserted.splitlines())] = [change.removed]
    return "".join(lines)


def revert_by_text(text: str, changes: Sequence[EditedLines]) -> str | None:
    """Revert each change whose inserted text is found once; None unless all are."""
    for change in reversed(changes):
        if not change.inserted or text.count(change.inserted) != 1:
            return None
        text = text.replace(change.inserted, change.removed)
    return text


def is_empty(file: SettingsFile, text: str) -> bool:
    """Whether a file holds nothing but the frame of its format."""
    if not _strip_bom(text):
        return True
    if file.format != "json":
        return False
    value: Any = jsontext.read(text).value
    if file.whole and isinstance(value, dict):
        return not value.get("hooks")
    return bool(value == {})


def entries_in(file: SettingsFile, text: str, cli: str) -> tuple[bool, bool]:
    """Whether a file holds our MCP entry, and whether it holds hooks of ours; raises BrokenSettings."""
    if not _strip_bom(text) or file.format == "lines":
        return False, False
    if file.format == "toml":
        return any(entries.is_server(tomltext.find(text, want.path), cli) for want in file.wants), False
    ours = _own_paths(file, jsontext.read(text), cli)
    return any(path[-1] == entries.SERVER for path in ours), any(path[0] == "hooks" for path in ours)
