"""Merges conflicted files by their structure in a process of its own: what is parsed may be hostile."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from repomesh.domains.changes.building.structured.merging import merge_contents
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.kernel import limits
from repomesh.kernel.isolated import IsolatedCallFailed, IsolationLimits, call_isolated

_LIMITS = IsolationLimits(limits.STRUCTURED_MEMORY_BYTES, limits.STRUCTURED_CPU_S)


@dataclass(frozen=True, slots=True)
class ConflictedContents:
    """A file that git could not merge: its path, and its content in the base and on both sides."""

    path: str
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None


def merge_isolated(
    files: Sequence[ConflictedContents], append_only: Sequence[str]
) -> list[bytes | NotMergeable]:
    """Merge each file as `merge_contents` does; returns its content, or why it stays a conflict."""
    size = sum(len(side or b"") for file in files for side in (file.base, file.ours, file.theirs))
    if size > limits.STRUCTURED_CHANGE_BYTES_MAX:
        too_large = (
            f"the files in conflict have more than {limits.STRUCTURED_CHANGE_BYTES_MAX} bytes together"
        )
        return [NotMergeable(too_large)] * len(files)
    argument = {
        "append_only": list(append_only),
        "files": [
            {
                "path": file.path,
                "base": _encode(file.base),
                "ours": _encode(file.ours),
                "theirs": _encode(file.theirs),
            }
            for file in files
        ],
    }
    try:
        answers = call_isolated(merge_encoded, argument, _LIMITS)
    except IsolatedCallFailed as failure:
        return [NotMergeable(f"a merge by structure was given up: {failure}")] * len(files)
    return [
        NotMergeable(answer["reason"]) if "reason" in answer else base64.b64decode(answer["content"])
        for answer in answers
    ]


def merge_encoded(argument: dict[str, Any]) -> list[dict[str, str]]:
    """Merge the files of `merge_isolated`'s argument; runs in the process of its own."""
    return [_merge_one(file, argument["append_only"]) for file in argument["files"]]


def _merge_one(file: dict[str, str | None], append_only: list[str]) -> dict[str, str]:
    base, ours, theirs = (_decode(file[side]) for side in ("base", "ours", "theirs"))
    try:
        merged = merge_contents(str(file["path"]), base, ours, theirs, append_only)
    except NotMergeable as error:
        return {"reason": str(error)}
    return {"content": base64.b64encode(merged).decode()}


def _encode(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
