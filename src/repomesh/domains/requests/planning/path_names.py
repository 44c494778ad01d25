"""What the path of a file says about it: its kind, what it tests, and how it is written in a plan."""

from __future__ import annotations

import re

from repomesh.domains.leases import paths

_CODE = frozenset(
    (
        *(".py", ".pyi", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".go", ".rs", ".java"),
        *(".css", ".scss", ".vue", ".svelte", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".kt", ".rb", ".php"),
        *(".swift", ".scala", ".sh", ".sql"),
    )
)
_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs", "testing"})
_TEST_NAME = re.compile(
    r"^(?:test_(?P<a>.+)|(?P<b>.+?)(?:_test|_spec|[.]test|[.]spec|Tests?|IT))$", re.DOTALL
)
_INDEX_STEMS = frozenset({"__init__", "index", "mod", "lib", "main", "conftest"})


def folder(path: str) -> str:
    """Return the folder of a path; empty for the root."""
    return path.rpartition("/")[0]


def suffix(path: str) -> str:
    """Return the last suffix of a file's name with its dot; empty for none."""
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :] if "." in name[1:] else ""


def stem(path: str) -> str:
    """Return a file's name without its last suffix, and of a test without what marks it as one."""
    name = path.rpartition("/")[2]
    bare = name[: name.rindex(".")] if "." in name[1:] else name
    match = _TEST_NAME.match(bare)
    return bare if match is None else match["a"] or match["b"]


def is_code(path: str) -> bool:
    """Whether the suffix is that of a programming language."""
    return suffix(path) in _CODE


def is_index(path: str) -> bool:
    """Whether the name says nothing about the contents: `__init__.py`, `index.ts`, `mod.rs`."""
    return stem(path) in _INDEX_STEMS


def is_test(path: str) -> bool:
    """Whether a file is a test or belongs to tests, by its name or a folder above it."""
    *folders, name = path.split("/")
    bare = name[: name.rindex(".")] if "." in name[1:] else name
    return _TEST_NAME.match(bare) is not None or not _TEST_FOLDERS.isdisjoint(folders)


def as_pattern(path: str) -> str | None:
    """Return a path as a plan writes it, in which `*` and `?` stand for themselves.

    None for a name that no pattern can hold: no UTF-8, a backslash or control character, too long.
    """
    text = path.replace("*", "[*]").replace("?", "[?]")
    try:
        pattern = paths.normalise(text)
        return pattern if pattern == text and paths.holds(pattern, path) else None
    except paths.InvalidPathPattern:
        return None
