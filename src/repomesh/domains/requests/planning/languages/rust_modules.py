"""Resolves references of Rust: `mod x;`, and paths of `use` and expressions in the repository's crates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from repomesh.domains.requests.planning.languages.manifests import by_folder, join_path
from repomesh.domains.requests.planning.languages.syntax import capture
from repomesh.domains.requests.planning.references import LAZY, REQUIRED
from repomesh.domains.requests.planning.source_files import SourceFiles

SUFFIX = ".rs"
_ROOTS = ("lib.rs", "main.rs")
_PACKAGE_NAME = re.compile(r"^\s*\[package\][^\[]*?^\s*name\s*=\s*\"([\w-]+)\"", re.MULTILINE | re.DOTALL)
_USE_CHARS_MAX = 20_000  # of one `use` declaration
_USE_PATHS_MAX = 500
_USE_DEPTH_MAX = 50
_USE_TOKEN = re.compile(r"[{},]|\bas\s+\w+|[\w*]+")

_QUERY = """
(mod_item name: (identifier) @module !body)
(use_declaration argument: (_) @use)
(scoped_identifier) @path
(scoped_type_identifier) @path
"""


class RustModules:
    """The Rust modules of a repository."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        names = by_folder(files, "Cargo.toml", _package_name)
        self._crates = {name.replace("-", "_"): folder for folder, name in names.items() if name}

    def references(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the files that a source declares (LAZY) or uses, possibly repeated."""
        captured = capture(self._files, path, SUFFIX, _QUERY)
        own_folder = self._module_folder(path)
        for name in captured.get("module", ()):
            target = self._module_file(f"{own_folder}/{name}" if own_folder else name)
            if target is not None:
                yield target, LAZY
        uses = [use for text in captured.get("use", ()) for use in expand_use(text)]
        paths = [text.split("::") for text in _whole_paths(captured.get("path", ()))]
        for parts in (*uses, *paths):
            target = self._resolve(path, [part.strip() for part in parts])
            if target is not None:
                yield target, REQUIRED

    def _resolve(self, path: str, parts: list[str]) -> str | None:
        first, rest = parts[0], parts[1:]
        if first == "crate":
            return self._longest(self._crate_root(path), rest)
        if first in self._crates:
            return self._longest(join_path(self._crates[first], "src") or "src", rest)
        base, rest = self._module_folder(path), parts
        while rest and rest[0] in ("self", "super"):
            base = base.rpartition("/")[0] if rest[0] == "super" else base
            rest = rest[1:]
        if rest is parts and self._module_file(f"{base}/{first}" if base else first) is None:
            return None  # no module that this file declares
        return self._longest(base, rest)

    def _longest(self, base: str, parts: list[str]) -> str | None:
        """Return the file of the longest beginning of a path that is a module."""
        for length in range(len(parts), 0, -1):
            target = self._module_file("/".join([*([base] if base else []), *parts[:length]]))
            if target is not None:
                return target
        roots = [f"{base}/{name}" if base else name for name in (*_ROOTS, "mod.rs")]
        return next((root for root in [*roots, f"{base}{SUFFIX}"] if root in self._files.paths), None)

    def _module_folder(self, path: str) -> str:
        """Return the folder in which the modules are that a file declares."""
        folder, _, name = path.rpartition("/")
        if name in (*_ROOTS, "mod.rs", "build.rs"):
            return folder
        stem = name.removesuffix(SUFFIX)
        return f"{folder}/{stem}" if folder else stem

    def _crate_root(self, path: str) -> str:
        """Return the nearest folder above a file with `lib.rs` or `main.rs`."""
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            if any((f"{folder}/{name}" if folder else name) in self._files.paths for name in _ROOTS):
                return folder
        return path.rpartition("/")[0]

    def _module_file(self, base: str) -> str | None:
        candidates = (f"{base}{SUFFIX}", f"{base}/mod.rs")
        return next((path for path in candidates if path in self._files.paths), None)


def expand_use(text: str) -> list[list[str]]:
    """Return the paths of a `use` declaration's argument: `a::{b, c::d as e}` has `a::b` and `a::c::d`.

    Groups end with `*` where all names are used. At most _USE_PATHS_MAX paths; none for a text of more than
    _USE_CHARS_MAX characters.
    """
    if len(text) > _USE_CHARS_MAX:
        return []
    found: list[list[str]] = []
    prefixes: list[list[str]] = [[]]
    current: list[str] | None = []  # None behind a closed group
    for token in [*_USE_TOKEN.findall(text), ","]:
        if token == "{":
            prefixes.append(current or [])
            current = list(prefixes[-1])
        elif token in (",", "}"):
            if current is not None and current != prefixes[-1]:
                found.append(current)
            if token == "}" and len(prefixes) > 1:
                prefixes.pop()
            current = None if token == "}" else list(prefixes[-1])
        elif current is not None and not token.startswith("as "):
            current.append(token)
        if len(found) >= _USE_PATHS_MAX or len(prefixes) > _USE_DEPTH_MAX:
            break
    return found


def _whole_paths(texts: Sequence[str]) -> list[str]:
    """Return the paths that are not the beginning of another one, as `a::b` is of `a::b::c`."""
    beginnings = {text[: match.start()] for text in texts for match in re.finditer("::", text)}
    return [text for text in texts if text not in beginnings]


def _package_name(text: str) -> str:
    match = _PACKAGE_NAME.search(text)
    return match[1] if match else ""
