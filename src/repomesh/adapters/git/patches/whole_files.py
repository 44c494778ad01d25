"""Whole files: a JSON object of their paths and contents; null deletes a file."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from repomesh.adapters.git.modes import EXECUTABLE, REGULAR
from repomesh.adapters.git.patches.files import PatchedFile, PatchedFiles, PatchRefused

_FORM = (
    'files are given as a JSON object: {"path": "content"}, null to delete one, or '
    '{"path": {"content_base64": "…", "executable": true}}'
)


def apply_whole_files(text: bytes, files: PatchedFiles) -> None:
    """Write the files in `text`; one that exists keeps its mode. Raises PatchRefused and PathRefused."""
    try:
        contents = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PatchRefused(f"{_FORM}; this is no JSON: {error}") from None
    if not isinstance(contents, dict) or not contents:
        raise PatchRefused(_FORM)
    for name, content in contents.items():
        path = name.encode()
        if content is None:
            files.delete(path)
            continue
        current = files.read(path)
        files.write(path, _as_file(name, content, REGULAR if current is None else current.mode))


def _as_file(name: str, content: Any, mode: str) -> PatchedFile:
    if isinstance(content, str):
        return PatchedFile(content.encode(), mode)
    if not isinstance(content, dict) or content.keys() - {"content", "content_base64", "executable"}:
        raise PatchRefused(f"{_FORM}; {name!r} has another form")
    text, encoded, executable = (content.get(key) for key in ("content", "content_base64", "executable"))
    if executable is not None:
        mode = EXECUTABLE if executable is True else REGULAR
    if isinstance(text, str) and encoded is None:
        return PatchedFile(text.encode(), mode)
    if isinstance(encoded, str) and text is None:
        try:
            return PatchedFile(base64.b64decode(encoded, validate=True), mode)
        except (binascii.Error, ValueError):
            raise PatchRefused(f"the content of {name!r} is no base64") from None
    raise PatchRefused(f"{_FORM}; {name!r} has another form")
