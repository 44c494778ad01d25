"""Resolves references of Java: imported classes, and classes of the same package, by the names of files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from repomesh.domains.requests.planning.languages.syntax import capture
from repomesh.domains.requests.planning.references import REQUIRED
from repomesh.domains.requests.planning.source_files import SourceFiles

SUFFIX = ".java"
_CANDIDATES_MAX = 50  # files of one class name that an import is compared with

_QUERY = """
(import_declaration) @import
(type_identifier) @used
(method_invocation object: (identifier) @used)
(field_access object: (identifier) @used)
(annotation name: (identifier) @used)
(marker_annotation name: (identifier) @used)
"""


class JavaClasses:
    """The Java classes of a repository: each public one has a file of its name."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        self._by_class: defaultdict[str, list[str]] = defaultdict(list)
        self._folders: defaultdict[str, list[str]] = defaultdict(list)
        for path in files.sorted_paths:
            if path.endswith(SUFFIX):
                folder, _, name = path.rpartition("/")
                self._by_class[name.removesuffix(SUFFIX)].append(path)
                if folder not in self._folders[folder.rpartition("/")[2]]:
                    self._folders[folder.rpartition("/")[2]].append(folder)

    def references(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the files of the classes that a source imports or uses, possibly repeated."""
        captured = capture(self._files, path, SUFFIX, _QUERY)
        used = captured.get("used", ())
        folder = path.rpartition("/")[0]
        yield from self._in_folder(folder, used)
        for text in captured.get("import", ()):
            words = text.removeprefix("import").rstrip(";").split()
            is_static = words[:1] == ["static"]
            parts = "".join(words[1:] if is_static else words).split(".")
            if parts[-1] == "*" and not is_static:
                for package in self._packages(parts[:-1]):
                    yield from self._in_folder(package, used)
                continue
            target = self._class_file(parts[:-1] if is_static else parts) or self._class_file(parts[:-1])
            if target is not None:
                yield target, REQUIRED

    def _in_folder(self, folder: str, names: list[str] | tuple[()]) -> Iterator[tuple[str, int]]:
        for name in names:
            target = f"{folder}/{name}{SUFFIX}" if folder else f"{name}{SUFFIX}"
            if target in self._files.paths:
                yield target, REQUIRED

    def _class_file(self, parts: list[str]) -> str | None:
        """Return the file of a class by its full name."""
        if not parts:
            return None
        ending = "/".join(parts) + SUFFIX
        candidates = self._by_class.get(parts[-1], [])[:_CANDIDATES_MAX]
        return next((path for path in candidates if path == ending or path.endswith(f"/{ending}")), None)

    def _packages(self, parts: list[str]) -> list[str]:
        """Return the folders of a package."""
        ending = "/".join(parts)
        candidates = self._folders.get(parts[-1], [])[:_CANDIDATES_MAX] if parts else []
        return [folder for folder in candidates if folder == ending or folder.endswith(f"/{ending}")]
