"""Resolves imports of JavaScript and TypeScript: relative ones, tsconfig paths, the repository's packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from repomesh.domains.requests.planning.languages.manifests import by_folder, join_path, json_object, nearest
from repomesh.domains.requests.planning.languages.syntax import capture
from repomesh.domains.requests.planning.path_names import suffix
from repomesh.domains.requests.planning.references import REQUIRED
from repomesh.domains.requests.planning.source_files import SourceFiles

SUFFIXES = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx")
_TRIED = (".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".json", ".vue", ".svelte")
_COMPILED = {".js": (".ts", ".tsx"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
_PATTERNS_MAX = 100  # of `paths` in one tsconfig.json

_QUERY = """
(import_statement source: (string) @source)
(export_statement source: (string) @source)
(call_expression function: (import) arguments: (arguments . (string) @source))
(call_expression function: (identifier) @_f arguments: (arguments . (string) @source)
  (#any-of? @_f "require"))
(call_expression function: (member_expression object: (identifier) @_o property: (property_identifier) @_p)
  arguments: (arguments . (string) @source)
  (#any-of? @_o "jest" "vi" "require")
  (#any-of? @_p "mock" "unmock" "doMock" "resolve" "requireActual" "importActual"))
"""
_TYPESCRIPT_QUERY = _QUERY + "(import_require_clause source: (string) @source)\n"


class ScriptModules:
    """The JavaScript and TypeScript modules of a repository."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        self._paths = by_folder(files, "jsconfig.json", _read_paths)
        self._paths |= by_folder(files, "tsconfig.json", _read_paths)
        packages = by_folder(files, "package.json", json_object)
        self._packages = {
            value["name"]: (folder, value)
            for folder, value in sorted(packages.items(), reverse=True)
            if isinstance(value.get("name"), str)
        }

    def references(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the files that a source imports, possibly repeated."""
        ending = suffix(path)
        query = _TYPESCRIPT_QUERY if "ts" in ending else _QUERY
        for text in capture(self._files, path, ending, query).get("source", ()):
            target = self._resolve(path, text[1:-1])
            if target is not None:
                yield target, REQUIRED

    def _resolve(self, path: str, specifier: str) -> str | None:
        specifier = specifier.partition("?")[0]
        if specifier.startswith((".", "/")):
            base = join_path(path.rpartition("/")[0] if specifier[0] == "." else "", specifier)
            return None if base is None else self._file(base)
        return self._by_paths(path, specifier) or self._by_package(specifier)

    def _by_paths(self, path: str, specifier: str) -> str | None:
        """Return the file that `compilerOptions.paths` or `baseUrl` of the nearest tsconfig.json means."""
        configured = nearest(self._paths, path)
        if configured is None:
            return None
        folder, (base_url, patterns) = configured
        for pattern, targets in patterns:
            start, star, end = pattern.partition("*")
            is_match = (
                specifier.startswith(start) and specifier.endswith(end) if star else specifier == pattern
            )
            if not is_match or len(specifier) < len(start) + len(end):
                continue
            middle = specifier[len(start) : len(specifier) - len(end)] if star else ""
            for target in targets:
                base = join_path(folder, f"{base_url}/{target.replace('*', middle)}")
                file = self._file(base) if base else None
                if file is not None:
                    return file
        base = join_path(folder, f"{base_url}/{specifier}") if base_url else None
        return self._file(base) if base else None

    def _by_package(self, specifier: str) -> str | None:
        parts = specifier.split("/")
        name = "/".join(parts[:2]) if specifier.startswith("@") else parts[0]
        if name not in self._packages:
            return None
        folder, package = self._packages[name]
        rest = specifier[len(name) + 1 :]
        candidates = [rest, f"src/{rest}"] if rest else [_main(package), "src/index", "index", "lib/index"]
        for candidate in candidates:
            base = join_path(folder, candidate)
            file = self._file(base) if base else None
            if file is not None:
                return file
        return None

    def _file(self, base: str) -> str | None:
        """Return the file that an import path without or with suffix means."""
        paths = self._files.paths
        if base in paths:
            return base
        ending = suffix(base)
        stripped = base[: -len(ending)] if ending else base
        compiled = [f"{stripped}{other}" for other in _COMPILED.get(ending, ())]
        indexes = [f"{base}/index{each}" for each in _TRIED] if base else [f"index{each}" for each in _TRIED]
        candidates = [*compiled, *(f"{base}{each}" for each in _TRIED), *indexes]
        return next((candidate for candidate in candidates if candidate in paths), None)


def _main(package: dict[str, Any]) -> str:
    for name in ("source", "module", "main", "types"):
        value = package.get(name)
        if isinstance(value, str):
            return value
    return "index"


def _read_paths(text: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """Return `baseUrl` ('' for none) and `paths` of a tsconfig.json."""
    options = json_object(text).get("compilerOptions")
    if not isinstance(options, dict):
        return "", []
    base_url = options.get("baseUrl")
    paths = options.get("paths")
    patterns = [
        (pattern, [target for target in targets if isinstance(target, str)][:_PATTERNS_MAX])
        for pattern, targets in (paths.items() if isinstance(paths, dict) else ())
        if isinstance(targets, list)
    ]
    return base_url if isinstance(base_url, str) else "", patterns[:_PATTERNS_MAX]
