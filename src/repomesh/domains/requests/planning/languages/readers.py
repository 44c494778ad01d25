"""Chooses the reader of references for a file, by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from repomesh.domains.requests.planning.languages import (
    go_packages,
    java_classes,
    python_modules,
    rust_modules,
    script_modules,
    style_sheets,
)
from repomesh.domains.requests.planning.source_files import SourceFiles


class ReferenceReader(Protocol):
    """Reads the references of files of one language."""

    def references(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the files that a file uses, each with a strength (see `references`)."""


_READERS: dict[str, Callable[[SourceFiles], ReferenceReader]] = {
    **dict.fromkeys(python_modules.SUFFIXES, python_modules.PythonModules),
    **dict.fromkeys(script_modules.SUFFIXES, script_modules.ScriptModules),
    go_packages.SUFFIX: go_packages.GoPackages,
    rust_modules.SUFFIX: rust_modules.RustModules,
    java_classes.SUFFIX: java_classes.JavaClasses,
    style_sheets.SUFFIX: style_sheets.StyleSheets,
}


class ReferenceReaders:
    """The readers of all languages; each is made when a file of its language is first read."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        self._made: dict[Callable[[SourceFiles], ReferenceReader], ReferenceReader] = {}

    def for_file(self, path: str) -> ReferenceReader | None:
        """Return the reader of a file's language; None for other files."""
        name = path.rpartition("/")[2]
        make = _READERS.get(name[name.rindex(".") :]) if "." in name[1:] else None
        if make is None:
            return None
        if make not in self._made:
            self._made[make] = make(self._files)
        return self._made[make]
