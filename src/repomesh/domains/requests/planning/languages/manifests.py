"""Configuration files that say what import paths mean, such as package.json and go.mod, read leniently."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.kernel import limits

Value = TypeVar("Value")

_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def by_folder(files: SourceFiles, name: str, read: Callable[[str], Value]) -> dict[str, Value]:
    """Return what `read` makes of each file of a name, by folder; of the first PLAN_CONFIGURATIONS_MAX.

    Those nearest to the root come first. `read` takes the file's text.
    """
    named = [path for path in files.sorted_paths if path.rpartition("/")[2] == name]
    named.sort(key=lambda path: (path.count("/"), path))
    found = {}
    for path in named[: limits.PLAN_CONFIGURATIONS_MAX]:
        content = files.source(path)
        if content is not None:
            found[path.rpartition("/")[0]] = read(content.decode("utf-8", "replace"))
    return found


def nearest(folders: dict[str, Value], path: str) -> tuple[str, Value] | None:
    """Return the folder above a path that is nearest to it among some, and its value; None without one."""
    while path:
        path = path.rpartition("/")[0]
        if path in folders:
            return path, folders[path]
    return None


def json_object(text: str) -> dict[str, Any]:
    """Return a JSON object, also one with comments and trailing commas; empty if it is none."""
    text = _STRING_OR_COMMENT.sub(lambda match: match[0] if match[0][0] == '"' else " ", text)
    text = _TRAILING_COMMA.sub(lambda match: match[1] or "", text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def join_path(folder: str, relative: str) -> str | None:
    """Return a path relative to a folder, from the root; None for one that leads out of the repository."""
    parts = folder.split("/") if folder else []
    for part in relative.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
