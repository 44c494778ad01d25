"""Chooses how a conflicted file is merged by its structure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from repomesh.domains.changes.building.structured.appended import merge_appended
from repomesh.domains.changes.building.structured.checking import check_merge, check_names
from repomesh.domains.changes.building.structured.data_values import check_values
from repomesh.domains.changes.building.structured.entities import Body, written
from repomesh.domains.changes.building.structured.json_source import json_value, read_json
from repomesh.domains.changes.building.structured.line_source import read_patterns, read_requirements
from repomesh.domains.changes.building.structured.merging_bodies import merge_bodies
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.python import read_python
from repomesh.domains.changes.building.structured.text_form import merged_form, read_text, write_text
from repomesh.domains.changes.building.structured.toml_source import read_toml, toml_value
from repomesh.domains.changes.building.structured.tree_source import GRAMMARS, read_source
from repomesh.domains.changes.building.structured.yaml_source import read_yaml, yaml_value
from repomesh.domains.leases import paths
from repomesh.kernel import limits

_REQUIREMENTS = re.compile(r"(?:[\w.-]*[-_.])?(?:requirements|constraints)(?:[-_.][\w.-]*)?\.(?:txt|in)")
_IGNORED = re.compile(r"\.\w+ignore")


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one kind are read; of data also what they say, of code also the names in it."""

    read: Callable[[str], Body]
    value: Callable[[str], Any] | None = None
    has_names: bool = False


_BY_SUFFIX = {
    ".json": Format(read_json, json_value),
    ".toml": Format(read_toml, toml_value),
    ".yaml": Format(read_yaml, yaml_value),
    ".yml": Format(read_yaml, yaml_value),
    ".py": Format(read_python, has_names=True),
    ".pyi": Format(read_python, has_names=True),
}


def merge_contents(
    path: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, append_only: Sequence[str]
) -> bytes:
    """Merge the contents of a file that git could not merge. Raises NotMergeable with the reason."""
    if ours is None or theirs is None:
        raise NotMergeable("one side deleted the file, and the other changed it")
    if max(len(ours), len(theirs), len(base or b"")) > limits.STRUCTURED_BYTES_MAX:
        raise NotMergeable(f"the file has more than {limits.STRUCTURED_BYTES_MAX} bytes")
    texts, forms = zip(*(read_text(content) for content in (base or b"", ours, theirs)), strict=True)
    try:
        if any(paths.holds(pattern, path) for pattern in append_only):
            merged = merge_appended(*texts)
        elif base is None:
            raise NotMergeable("both sides added the file, each its own")
        else:
            merged = _merged(_format(path), texts)
    except RecursionError:
        raise NotMergeable("the file is nested too deep") from None
    return write_text(merged, merged_form(*forms))


def _format(path: str) -> Format:
    """How a file of this name is read. Raises NotMergeable."""
    name = PurePosixPath(path).name
    if _REQUIREMENTS.fullmatch(name):
        return Format(read_requirements)
    if _IGNORED.fullmatch(name):
        return Format(read_patterns)
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if suffix in GRAMMARS:
        grammar = GRAMMARS[suffix]
        return Format(partial(read_source, grammar=grammar), has_names=grammar.has_names)
    raise NotMergeable("both sides changed the same lines")


def _merged(form: Format, texts: tuple[str, str, str]) -> str:
    base, ours, theirs = (form.read(text) for text in texts)
    bodies = base, ours, theirs
    if form.has_names:
        check_names(texts, bodies)
    merged = written(merge_bodies(*bodies))
    check_merge(texts, bodies, merged, form.read)
    if form.value is not None:
        check_values(texts, merged, form.value)
    return merged
