"""Resolves references of Go: imported packages of the repository's modules, and names of the same package.

A Go package is a folder. A file references those files of a package that declare a name which it uses.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from repomesh.domains.requests.planning.languages.manifests import by_folder
from repomesh.domains.requests.planning.languages.syntax import Captures, capture
from repomesh.domains.requests.planning.references import REQUIRED
from repomesh.domains.requests.planning.source_files import SourceFiles

SUFFIX = ".go"
_MODULE = re.compile(r"^module\s+\"?([^\s\"]+)", re.MULTILINE)
_VERSION = re.compile(r"/v\d+$")
_PARSED_PER_FOLDER_MAX = 200  # files of one package that are parsed for what they declare

_QUERY = """
(import_spec) @import
(function_declaration name: (identifier) @declared)
(type_spec name: (type_identifier) @declared)
(type_alias name: (type_identifier) @declared)
(source_file (const_declaration (const_spec name: (identifier) @declared)))
(source_file (var_declaration (var_spec name: (identifier) @declared)))
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @declared))))
(selector_expression operand: (identifier) field: (field_identifier)) @selector
(qualified_type) @selector
(identifier) @used
(type_identifier) @used
"""


class GoPackages:
    """The Go packages of a repository."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        self._captures: dict[str, Captures] = {}
        self._declaring: dict[str, dict[str, list[str]]] = {}
        modules = by_folder(files, "go.mod", _module_path)
        self._modules = sorted((name, folder) for folder, name in modules.items() if name)

    def references(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the files that declare what a source uses, possibly repeated."""
        captured = self._read(path)
        folder = path.rpartition("/")[0]
        declared = set(captured.get("declared", ()))
        own = self._declared_in(folder)
        for name in captured.get("used", ()):
            if name not in declared:
                yield from ((target, REQUIRED) for target in own.get(name, ()))
        selected = _by_operand(captured.get("selector", ()))
        for text in captured.get("import", ()):
            yield from self._imported(text, selected)

    def _imported(self, text: str, selected: dict[str, set[str]]) -> Iterator[tuple[str, int]]:
        alias, _, quoted = text.rpartition(" ")
        imported = quoted.strip('"`')
        folder = self._folder_of(imported)
        if folder is None:
            return
        name = alias.strip() or _VERSION.sub("", imported).rpartition("/")[2]
        declaring = self._declared_in(folder)
        for used in sorted(selected.get(name, ())):
            yield from ((target, REQUIRED) for target in declaring.get(used, ()))

    def _folder_of(self, imported: str) -> str | None:
        """Return the folder of an imported package; None for one of another repository."""
        for module, folder in reversed(self._modules):
            if imported == module:
                return folder
            if imported.startswith(f"{module}/"):
                rest = imported[len(module) + 1 :]
                return f"{folder}/{rest}" if folder else rest
        return None

    def _declared_in(self, folder: str) -> dict[str, list[str]]:
        """Return by name the files of a folder that declare it."""
        if folder not in self._declaring:
            found: defaultdict[str, list[str]] = defaultdict(list)
            for path in self._by_folder.get(folder, ())[:_PARSED_PER_FOLDER_MAX]:
                for name in self._read(path).get("declared", ()):
                    if name not in ("_", "init", "main"):
                        found[name].append(path)
            self._declaring[folder] = dict(found)
        return self._declaring[folder]

    def _read(self, path: str) -> Captures:
        if path not in self._captures:
            self._captures[path] = capture(self._files, path, SUFFIX, _QUERY)
        return self._captures[path]

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._files.sorted_paths:
            if path.endswith(SUFFIX):
                found[path.rpartition("/")[0]].append(path)
        return dict(found)


def _module_path(text: str) -> str:
    match = _MODULE.search(text)
    return match[1] if match else ""


def _by_operand(selectors: Iterator[str] | list[str] | tuple[()]) -> dict[str, set[str]]:
    """Return the selected names by what stands before the dot."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for text in selectors:
        operand, _, name = text.partition(".")
        found[operand.strip()].add(name.strip())
    return dict(found)
