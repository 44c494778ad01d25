"""Resolves imports of Python to files: absolute and relative ones, `src` layouts, re-exports."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator

from repomesh.domains.requests.planning.languages.python_imports import (
    PythonImport,
    SourceDamaged,
    read_imports,
)
from repomesh.domains.requests.planning.languages.syntax import DAMAGED
from repomesh.domains.requests.planning.references import NAMED
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.kernel import limits

SUFFIXES = (".py", ".pyi")
_ROOT_NAMES = frozenset(
    {"src", "lib", "python", "tests", "test"}
)  # folders that are commonly on Python's path
_ROOTS_MAX = 16  # folders in which one top-level name is looked for, the shortest first
_STANDARD = frozenset(sys.stdlib_module_names)
_INIT = "__init__"


class PythonModules:
    """The modules of a repository, found by name. Building it is linear in the paths' total length."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        self._imports: dict[str, list[PythonImport]] = {}
        self._folders: set[str] = set()
        self._roots: defaultdict[str, set[str]] = defaultdict(set)
        sources = [path for path in files.sorted_paths if path.endswith(SUFFIXES)]
        packages = {_folder(path) for path in sources if _stem(path) == _INIT}
        for path in sources:
            self._add_folders(path)
            self._add_roots(path, packages)

    def references(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the files that a source imports, each with a strength, possibly repeated."""
        for imported in self.imports(path):
            for target in self._resolve(path, imported):
                yield target, imported.strength

    def imports(self, path: str) -> list[PythonImport]:
        """Return the imports of a source; none for one that is missing or damaged, which is noted."""
        if path not in self._imports:
            content = self._files.source(path)
            try:
                self._imports[path] = [] if content is None else read_imports(content)
            except SourceDamaged:
                self._files.notes.add_file(DAMAGED, path)
                self._imports[path] = []
        return self._imports[path]

    def _add_folders(self, path: str) -> None:
        folder = _folder(path)
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = _folder(folder)

    def _add_roots(self, path: str, packages: set[str]) -> None:
        """Remember under which folders the first part of the file's module name is importable."""
        parts = path.split("/")
        folder = _folder(path)
        while folder and folder in packages:
            folder = _folder(folder)
        depths = {folder.count("/") + 1 if folder else 0}
        depths |= {index + 1 for index, part in enumerate(parts[:-1]) if part in _ROOT_NAMES}
        if len(parts) > 1:
            depths.add(0)
        for depth in depths:
            if depth < len(parts):
                self._roots[_stem(parts[depth])].add("/".join(parts[:depth]))

    def _resolve(self, importer: str, imported: PythonImport) -> set[str]:
        if imported.level:
            folder = importer
            for _ in range(imported.level):
                if not folder:
                    return set()
                folder = _folder(folder)
            base = "/".join(part for part in (folder, imported.module.replace(".", "/")) if part)
            return self._of_module(base, imported.name)
        top = imported.module.partition(".")[0]
        if top in _STANDARD:
            return set()
        for root in self._candidate_roots(importer, top):
            found = self._of_absolute(root, imported)
            if found:
                return found - {importer}
        return set()

    def _candidate_roots(self, importer: str, top: str) -> list[str]:
        """Return the folders above the importer, nearest first, then others that hold the top-level name."""
        roots = self._roots.get(top, set())
        above = []
        folder = importer
        while folder:
            folder = _folder(folder)
            if folder in roots:
                above.append(folder)
        if len(roots) > _ROOTS_MAX:
            return above + [root for root in ("", "src", "lib") if root in roots and root not in above]
        return above + sorted(roots.difference(above), key=lambda root: (root.count("/"), root))

    def _of_absolute(self, root: str, imported: PythonImport) -> set[str]:
        parts = imported.module.split(".")
        prefix = f"{root}/" if root else ""
        if imported.name is not None:
            return self._of_module(prefix + "/".join(parts), imported.name)
        for length in range(len(parts), 0, -1):
            base = prefix + "/".join(parts[:length])
            file = self._file(base)
            if file is not None:
                is_sure = imported.strength > NAMED or (length > 1 and length >= len(parts) - 2)
                return {file} if is_sure else set()
        return set()

    def _of_module(self, base: str, name: str | None) -> set[str]:
        """Return the files behind `from base import name`.

        That is a submodule; else the module, and where it is a package, those that it has the name from.
        """
        submodule = self._file(f"{base}/{name}" if base else name) if name not in (None, "*") else None
        if submodule is not None:
            return {submodule}
        module = self._file(base)
        if module is None:
            return set()
        if name is None or name == "*" or _stem(module) != _INIT:
            return {module}
        return {module, *self._origins(module, name, {module})}

    def _origins(self, package: str, name: str, seen: set[str]) -> Iterator[str]:
        """Yield the files from which a package re-exports a name."""
        if len(seen) > limits.PLAN_REEXPORT_DEPTH_MAX:
            return
        for imported in self.imports(package):
            if imported.strength == NAMED or imported.name not in (name, "*"):
                continue
            for target in self._resolve_reexport(package, imported):
                if target in seen or (imported.name == "*" and not self._mentions(target, name)):
                    continue
                seen.add(target)
                yield target
                if _stem(target) == _INIT:
                    yield from self._origins(target, name, seen)

    def _resolve_reexport(self, package: str, imported: PythonImport) -> set[str]:
        """Return the module that a package imports from, without following further re-exports."""
        without_name = PythonImport(imported.module, imported.level, "*", imported.strength)
        return self._resolve(package, without_name)

    def _mentions(self, path: str, name: str) -> bool:
        content = self._files.source(path)
        return content is not None and re.search(rb"\b%s\b" % re.escape(name.encode()), content) is not None

    def _file(self, base: str | None) -> str | None:
        """Return the file of a module by its path without suffix."""
        if not base:
            return None
        for suffix in SUFFIXES:
            for path in (f"{base}{suffix}", f"{base}/{_INIT}{suffix}"):
                if path in self._files.paths:
                    return path
        return None


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]
