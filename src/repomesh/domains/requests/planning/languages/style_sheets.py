"""Resolves references of CSS: `@import` and `url(...)` with relative paths."""

from __future__ import annotations

from collections.abc import Iterator

from repomesh.domains.requests.planning.languages.manifests import join_path
from repomesh.domains.requests.planning.languages.syntax import capture
from repomesh.domains.requests.planning.references import REQUIRED
from repomesh.domains.requests.planning.source_files import SourceFiles

SUFFIX = ".css"
_QUERY = """
(import_statement (string_value) @source)
(call_expression (function_name) @_f (arguments [(string_value) (plain_value)] @source) (#eq? @_f "url"))
"""


class StyleSheets:
    """The style sheets of a repository."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files

    def references(self, path: str) -> Iterator[tuple[str, int]]:
        """Yield the files that a style sheet imports or shows, possibly repeated."""
        for text in capture(self._files, path, SUFFIX, _QUERY).get("source", ()):
            relative = text.strip("\"'").partition("?")[0].partition("#")[0]
            if not relative or ":" in relative or relative.startswith("/"):
                continue
            target = join_path(path.rpartition("/")[0], relative)
            if target in self._files.paths and target is not None:
                yield target, REQUIRED
