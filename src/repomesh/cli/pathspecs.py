"""Paths and patterns as people type them: from the folder in which they stand, as git's pathspecs are."""

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
"""Names in which no character means anything else."""
_NOUNS: Final = frozenset({"lock", "task", "session", "review"})
_RESOURCE_NAME: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9._+-]+:.*\S", re.DOTALL
)  # 'port:8080'; 'C:' is no name
HELP: Final = "A path is relative to the folder you are in; '/' or ':/' before it means from the root."


def is_pathspec(operation: str, field: str) -> bool:
    """Whether a field of an operation holds paths of the repository."""
    noun, _, verb = operation.partition(".")
    return noun in _NOUNS and (field in _FIELDS or (noun == "lock" and verb == "list" and field == "path"))


def resolve(operation: str, fields: Mapping[str, Any], url: str | None) -> dict[str, Any]:
    """The fields of an operation with paths from the root of the repository.

    They stay as they are, but for a mark of the root, when the server that is asked is not this folder's.
    Raises OutsideRepository.
    """
    mine = {name: value for name, value in fields.items() if is_pathspec(operation, name)}
    if not mine:
        return dict(fields)
    root = find_root(url)
    for name, value in mine.items():
        many = [value] if isinstance(value, str) else value
        exact = (operation, name) in _EXACT
        whole = [resolve_path(str(text), root, exact=exact) for text in many]
        mine[name] = whole[0] if isinstance(value, str) else whole
    return {**fields, **mine}


def find_root(url: str | None) -> Path | None:
    """The root of the work tree that one stands in; None when the server that is asked is another's."""
    here = Path.cwd()
    data = data_folder.data_folder(here)
    named = url or os.environ.get("REPOMESH_URL")
    if named:
        note = data_folder.read_server(data)
        if note is None or not discovery.same_server(named, note["url"]):
            return None
    repository = data_folder.repository(here)
    if repository is None:
        return data.parent if data.parent in (here, *here.parents) else None
    if data.name == data_folder.DATA and data.parent != repository:
        other = data_folder.repository(data.parent) if data.parent.is_dir() else None
        if other is not None and other != repository:
            return None
    return data_folder.work_tree(here)


def resolve_path(text: str, root: Path | None, *, exact: bool = False) -> str:
    """A path, pattern or named resource as the server takes it: paths from the root.

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
        inside = [each for each in (top, root.as_posix()) if text == each or text.startswith(f"{each}/")]
        if not inside and Path(text).parent != Path("/") and Path(text).parent.exists():
            raise OutsideRepository(f"{text} lies outside of {top}")  # a path of this machine
        text = text[len(inside[0]) :] if inside else text
        return text.lstrip("/") or "."
    folder = posixpath.relpath(Path.cwd().resolve().as_posix(), top)
    if not text or (folder == "." and ".." not in text.split("/")):
        return text
    if not exact:  # brackets in the folder's own name stand for themselves, too
        folder = folder.replace("*", "[*]").replace("?", "[?]")
    whole = posixpath.normpath(posixpath.join(folder, text))
    if whole == ".." or whole.startswith("../"):
        raise OutsideRepository(f"{text} lies outside of {top}")
    is_folder = text.endswith(("/", "/.", "/..")) or text in (".", "..")
    if is_folder and whole != ".":
        return f"{whole}/"
    return f"./{whole}" if not exact and _RESOURCE_NAME.fullmatch(whole) else whole
