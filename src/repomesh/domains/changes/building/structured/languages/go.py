"""Go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from repomesh.domains.changes.building.structured.entities import NAME
from repomesh.domains.changes.building.structured.languages.grammar import (
    Described,
    Grammar,
    child_of_type,
    named,
    text_of,
    words,
)

if TYPE_CHECKING:
    from tree_sitter import Node

_VERSION = re.compile(r"/v\d+$")


def _describe(node: Node) -> Described | None:
    kind = node.type
    name = text_of(node.child_by_field_name("name"))
    if kind in ("function_declaration", "type_spec", "type_alias", "method_elem"):
        return named(name)
    if kind == "method_declaration":
        receiver = re.search(r"(\w+)\s*(?:\[[^]]*\])?\s*\)$", text_of(node.child_by_field_name("receiver")))
        return named(f"{receiver.group(1) if receiver else ''}.{name}")
    if kind in ("var_spec", "const_spec", "field_declaration"):
        return _spec(node)
    if kind in ("var_declaration", "const_declaration", "type_declaration", "import_declaration"):
        return _declaration(node)
    if kind == "import_spec":
        return _import(node)
    if kind == "keyed_element":
        return Described(("key", text_of(node.named_children[0])))
    return Described(("package", "")) if kind == "package_clause" else None


def _spec(node: Node) -> Described | None:
    names = [text_of(name) for name in node.children_by_field_name("name")]
    value = None
    if node.type == "const_spec":
        given = node.child_by_field_name("value")
        text = text_of(given)
        is_numbered = given is None or "iota" in text  # by its place
        value = "iota" if is_numbered else text if text.isdecimal() and text not in ("0", "1") else None
    names = names or [text_of(node.child_by_field_name("type"))]
    return Described((NAME, ", ".join(names)), value=value, binds=tuple((name, NAME) for name in names))


def _declaration(node: Node) -> Described | None:
    kind = node.type.removesuffix("_declaration")
    if _container(node) is not None or child_of_type(node, "import_spec_list", "var_spec_list"):
        return Described(("block", kind), joined=True)
    single = child_of_type(node, "import_spec", "var_spec", "const_spec", "type_spec", "type_alias")
    return None if single is None else _describe(single)


def _import(node: Node) -> Described | None:
    path = text_of(node.child_by_field_name("path")).strip('"`')
    alias = text_of(node.child_by_field_name("name"))
    name = alias or _VERSION.sub("", path).rpartition("/")[2]
    return Described(
        ("import", f"{alias} {path}".strip()), binds=() if alias in ("_", ".") else ((name, path),)
    )


def _container(node: Node) -> Node | None:
    """A group of constants or types has no node of its own."""
    if node.type in ("const_declaration", "type_declaration") and any(
        child.type == "(" for child in node.children
    ):
        return node
    return None


GO = Grammar(
    package="tree_sitter_go",
    describe=_describe,
    lines=words(
        "source_file field_declaration_list interface_type import_spec_list var_spec_list const_declaration",
        "type_declaration",
    ),
    lists=words("literal_value"),
    through=words(
        "import_declaration var_declaration type_declaration type_spec struct_type var_spec expression_list",
        "composite_literal keyed_element",
    ),
    container=_container,
)
