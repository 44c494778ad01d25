"""Resolves typed paths and patterns, which are relative to the current folder like git's pathspecs."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from repomesh.client import discovery
from repomesh.connect.errors import OutsideRepository
from repomesh.kernel import data_folder

_FIELDS: Final = frozenset({"resources", "paths", "folders", "files", "scope"})
_EXACT: Final = frozenset(
    {
        ("lock.check_paths", "paths"),
        ("lock.check_paths", "folders"),
        ("review.request", "files"),
        ("review.revise", "files"),
    }
)
"""(operation, field) of exact paths, in which no character is a pattern."""
_NOUNS: Final = frozenset({"lock", "task", "session", "review"})
# A named resource such as "port:8080"; a single letter as in "C:" is no name.
_RESOURCE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._+-]+:.*\S", re.DOTALL)
HELP: Final = "A path is relative to the folder you are in; '/' or ':/' before it means from the root."


def is_pathspec(operation: str, field: str) -> bool:
    """Whether a field of an operation holds paths of the repository."""
    noun, _, verb = operation.partition(".")
    return noun in _NOUNS and (field in _FIELDS or (noun == "lock" and verb == "list" and field == "path"))


def resolve(operation: str, fields: Mapping[str, Any], url: str | None) -> dict[str, Any]:
    """Return the fields of an operation with paths from the root of the repository.

    For a server of another repository only a leading '/' or ':/' is removed. Raises OutsideRepository.
    """
    path_fields = {name: value for name, value in fields.items() if is_pathspec(operation, name)}
    if not path_fields:
        return dict(fields)
    root = find_root(url)
    for name, value in path_fields.items():
        texts = [value] if isinstance(value, str) else value
        exact = (operation, name) in _EXACT
        resolved = [resolve_path(str(text), root, exact=exact) for text in texts]
        path_fields[name] = resolved[0] if isinstance(value, str) else resolved
    return {**fields, **path_fields}


def find_root(url: str | None) -> Path | None:
    """Return the root of the current work tree; None if the server belongs to another repository."""
    current = Path.cwd()
    data = data_folder.data_folder(current)
    server_url = url or os.environ.get("REPOMESH_URL")
    if server_url:
        note = data_folder.read_server(data)
        if note is None or not discovery.same_server(server_url, note["url"]):
            return None
    repository = data_folder.repository(current)
    if repository is None:
        return data.parent if data.parent in (current, *current.parents) else None
    if data.name == data_folder.DATA and data.parent != repository:
        data_repository = data_folder.repository(data.parent) if data.parent.is_dir() else None
        if data_repository is not None and data_repository != repository:
            return None
    return data_folder.work_tree(current)


def resolve_path(text: str, root: Path | None, *, exact: bool = False) -> str:
    """Return a path, pattern or named resource for the server: paths from the root.

    With `exact` the text is always a path. Raises OutsideRepository for a path that leads out of `root`.
    """
    if text.startswith(":/"):
        return text[2:].lstrip("/") or "."
    if not exact and _RESOURCE_NAME.fullmatch(text):
        return text
    if root is None:
        return text.lstrip("/") or text
    top = Path(os.path.realpath(root)).as_posix()
    if text.startswith("/"):
        roots = [
            prefix for prefix in (top, root.as_posix()) if text == prefix or text.startswith(f"{prefix}/")
        ]
        if not roots and Path(text).parent != Path("/") and Path(text).parent.exists():
            raise OutsideRepository(f"{text} lies outside of {top}")  # a path of this machine
        text = text[len(roots[0]) :] if roots else text
        return text.lstrip("/") or "."
    folder = posixpath.relpath(Path.cwd().resolve().as_posix(), top)
    if not text or (folder == "." and ".." not in text.split("/")):
        return text
    if not exact:  # brackets in the folder's own name stand for themselves, too
        folder = folder.replace("*", "[*]").replace("?", "[?]")
    path = posixpath.normpath(posixpath.join(folder, text))
    if path == ".." or path.startswith("../"):
        raise OutsideRepository(f"{text} lies outside of {top}")
    is_folder = text.endswith(("/", "/.", "/..")) or text in (".", "..")
    if is_folder and path != ".":
        return f"{path}/"
    return f"./{path}" if not exact and _RESOURCE_NAME.fullmatch(path) else path
