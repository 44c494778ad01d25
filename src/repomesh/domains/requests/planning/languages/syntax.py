"""Syntax trees of other languages, read with tree-sitter, which is the extra repomesh[merge]."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from repomesh.domains.changes.building.structured.parsing import load_language, parse
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.kernel import limits

DAMAGED = "Without references, since their syntax is damaged"
_NOT_INSTALLED = "Without references, since the extra repomesh[merge] is not installed"
_GRAMMARS = {
    ".js": ("tree_sitter_javascript", "language"),
    ".jsx": ("tree_sitter_javascript", "language"),
    ".mjs": ("tree_sitter_javascript", "language"),
    ".cjs": ("tree_sitter_javascript", "language"),
    ".ts": ("tree_sitter_typescript", "language_typescript"),
    ".mts": ("tree_sitter_typescript", "language_typescript"),
    ".cts": ("tree_sitter_typescript", "language_typescript"),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    ".java": ("tree_sitter_java", "language"),
    ".css": ("tree_sitter_css", "language"),
}
"""By suffix the package of a grammar and the function in it."""

Captures = Mapping[str, list[str]]
"""Texts of captured nodes by the capture's name, in the order of the source."""


def capture(files: SourceFiles, path: str, suffix: str, query: str) -> Captures:
    """Return what a query finds in a file, at most PLAN_FILE_REFERENCES_MAX texts for each capture.

    Nothing for a file that is missing, damaged, too large or takes too long to parse, which is noted.
    """
    content = files.source(path)
    if content is None:
        return {}
    package, function = _GRAMMARS[suffix]
    try:
        tree = parse(content, load_language(package, function), limits.PLAN_PARSE_STEPS_MAX)
    except ImportError:
        files.notes.add_file(_NOT_INSTALLED, path)
        return {}
    if tree is None:
        files.notes.add_file(DAMAGED, path)
        return {}
    from tree_sitter import QueryCursor

    captured = QueryCursor(_query(package, function, query)).captures(tree.root_node)
    texts = {}
    for name, nodes in captured.items():
        ordered = sorted(nodes, key=lambda node: (node.start_byte, node.end_byte))
        found = [content[node.start_byte : node.end_byte].decode("utf-8", "replace") for node in ordered]
        texts[name] = list(dict.fromkeys(found))[: limits.PLAN_FILE_REFERENCES_MAX]
    return texts


@cache
def _query(package: str, function: str, query: str) -> Any:
    from tree_sitter import Query

    return Query(load_language(package, function), query)
