"""CSS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repomesh.domains.changes.building.structured.languages.grammar import (
    Described,
    Grammar,
    child_of_type,
    text_of,
    words,
)

if TYPE_CHECKING:
    from tree_sitter import Node


def _describe(node: Node) -> Described | None:
    kind = node.type
    if kind == "declaration":
        name = text_of(child_of_type(node, "property_name"))
        return Described(
            ("property", name), value=name.partition("-")[0] or name
        )  # of a shorthand and its parts
    if kind == "rule_set":
        return Described(("rule", text_of(child_of_type(node, "selectors"))))
    if kind in ("media_statement", "supports_statement", "keyframes_statement"):
        return Described((kind, text_of(node).partition("{")[0].strip()))
    return None


CSS = Grammar(
    package="tree_sitter_css",
    describe=_describe,
    lines=words("stylesheet block"),
    through=words("rule_set media_statement supports_statement"),
    is_spaced=True,
    has_names=False,
)
