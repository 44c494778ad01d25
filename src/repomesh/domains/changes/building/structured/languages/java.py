"""Java."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from repomesh.domains.changes.building.structured.entities import NAME, number_of
from repomesh.domains.changes.building.structured.languages.grammar import (
    Described,
    Grammar,
    named,
    text_of,
    words,
)

if TYPE_CHECKING:
    from tree_sitter import Node

_NAMED = words(
    "class_declaration interface_declaration enum_declaration record_declaration annotation_type_declaration",
    "enum_constant",
)
_METHODS = words("method_declaration constructor_declaration annotation_type_element_declaration")
_FIELDS = words("field_declaration constant_declaration")


def _describe(node: Node) -> Described | None:
    kind = node.type
    if kind in _NAMED:
        return named(text_of(node.child_by_field_name("name")))
    if kind in _METHODS:
        return named(f"{text_of(node.child_by_field_name('name'))}({', '.join(_parameters(node))})")
    if kind in _FIELDS:
        declarators = node.children_by_field_name("declarator")
        names = [text_of(declarator.child_by_field_name("name")) for declarator in declarators]
        value = number_of(names[0], text_of(declarators[0].child_by_field_name("value"))) if names else None
        return Described((NAME, ", ".join(names)), value=value, binds=tuple((name, NAME) for name in names))
    if kind == "import_declaration":
        path = text_of(node).removeprefix("import ").rstrip("; ")
        name = path.rpartition(".")[2]
        return Described(
            ("import", path), binds=() if path.startswith("static") or name == "*" else ((name, path),)
        )
    return Described(("package", "")) if kind == "package_declaration" else None


def _parameters(method: Node) -> list[str]:
    """The types of a method's parameters, as the virtual machine knows them: without type parameters."""
    parameters = method.child_by_field_name("parameters")
    types: list[str] = []
    for parameter in parameters.named_children if parameters is not None else ():
        if parameter.type == "formal_parameter":
            types.append(_erased(text_of(parameter.child_by_field_name("type"))))
        elif parameter.type == "spread_parameter":
            kinds = [
                child
                for child in parameter.named_children
                if child.type not in ("modifiers", "variable_declarator")
            ]
            types.append(f"{_erased(text_of(kinds[0]))}..." if kinds else "...")
    return types


def _erased(text: str) -> str:
    return re.sub(r"<.*>", "", text)


JAVA = Grammar(
    package="tree_sitter_java",
    describe=_describe,
    lines=words("program class_body interface_body annotation_type_body"),
    through=words("class_declaration interface_declaration record_declaration annotation_type_declaration"),
)
