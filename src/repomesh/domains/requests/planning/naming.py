"""Keys and goals of tasks, after the folders and modules that they own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from repomesh.domains.requests.planning.path_names import folder, is_code, is_index, is_test, stem

KEY = re.compile(r"[^\W_][\w.-]{0,63}")
"""What a key must match: letters of any script, digits, `_`, `.` and `-`; at most 64."""

_GENERAL = frozenset({"src", "lib", "python", "packages", "pkg", "app", "main", "java", "source"})
_GENERAL_SHARE = 0.4  # of all files: 'src' and the folder of the only package
_KEY_PARTS = 2  # of a path that make a key
_NAMED_FILES = 3  # in a goal; the others are counted
_KEY_CHARS = 48


def name_groups(groups: Mapping[str, Sequence[str]], all_paths: Sequence[str]) -> dict[str, str]:
    """Return a unique key for each group of paths, by the group's representative."""
    general = _general_folders(all_paths)
    bases = {root: _base_key(paths, general) for root, paths in groups.items()}
    counts = Counter(bases.values())
    keys: dict[str, str] = {}
    used: set[str] = set()
    for root, paths in groups.items():
        key = bases[root]
        if counts[key] > 1:
            key = _slug([key, stem(main_file(paths))]) or key
        number = 2
        candidate = key
        while candidate in used:
            candidate, number = f"{key}-{number}", number + 1
        used.add(candidate)
        keys[root] = candidate
    return keys


def describe_goal(paths: Sequence[str], new: Sequence[str]) -> str:
    """Return the goal of a task that owns existing and new files."""
    everything = sorted((*paths, *new))
    sources = [path for path in everything if is_code(path) and not is_test(path)]
    shown = sources or everything
    names = ", ".join(path.rpartition("/")[2] for path in shown[:_NAMED_FILES])
    more = f" and {len(shown) - _NAMED_FILES} more" if len(shown) > _NAMED_FILES else ""
    parent = "/".join(_common_parts(shown))
    place = f" in {parent}" if parent and parent != shown[0] else ""
    verb = "Add" if not paths else "Change"
    tests = sum(is_test(path) for path in everything) if sources else 0
    with_tests = f", with {tests} test file{'s' if tests > 1 else ''}" if tests else ""
    return f"{verb} {names}{more}{place}{with_tests}, as the request asks."


def main_file(paths: Sequence[str]) -> str:
    """Return the file after which a group is named: a module that is no test, nearest to the root."""
    return min(
        paths, key=lambda path: (not is_code(path), is_test(path), is_index(path), path.count("/"), path)
    )


def _general_folders(all_paths: Sequence[str]) -> set[str]:
    """Return the folders that hold a large share of all files, whose names therefore say little."""
    counts: Counter[str] = Counter()
    for path in all_paths:
        while path := folder(path):
            counts[path] += 1
    return {name for name, count in counts.items() if count > _GENERAL_SHARE * len(all_paths)}


def _base_key(paths: Sequence[str], general: set[str]) -> str:
    sources = [path for path in paths if is_code(path) and not is_test(path)] or list(paths)
    parents = Counter(folder(path) for path in sources)
    parent, count = min(parents.items(), key=lambda entry: (-entry[1], entry[0]))
    if len(sources) > 1 and 2 * count >= len(sources) and parent and parent not in general:
        parts = _special_parts(parent, general)
    else:
        main = main_file(sources)
        parts = [*_special_parts(folder(main), general), stem(main)]
    return _slug(parts[-_KEY_PARTS:]) or "task"


def _special_parts(path: str, general: set[str]) -> list[str]:
    """Return the names of a folder and those above it without the general ones."""
    names = []
    while path:
        name = path.rpartition("/")[2]
        if path not in general and name.casefold() not in _GENERAL:
            names.append(name)
        path = folder(path)
    return names[::-1]


def _slug(parts: Sequence[str]) -> str:
    text = "-".join(re.sub(r"[^\w.]+", "-", part.casefold()).strip("-._") for part in parts)
    return re.sub(r"-{2,}", "-", text)[:_KEY_CHARS].strip("-._")


def _common_parts(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the folders that all paths have in common, from the root."""
    if not paths:
        return ()
    first, last = min(paths).split("/")[:-1], max(paths).split("/")[:-1]
    common = []
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        common.append(a)
    return tuple(common)
