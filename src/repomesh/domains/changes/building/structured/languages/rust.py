"""Rust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repomesh.domains.changes.building.structured.entities import number_of
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
    "function_item function_signature_item struct_item enum_item union_item trait_item type_item",
    "const_item static_item mod_item macro_definition associated_type field_declaration",
)


def _describe(node: Node) -> Described | None:
    kind = node.type
    if kind in _NAMED:
        name = text_of(node.child_by_field_name("name"))
        value = text_of(node.child_by_field_name("value")) if kind == "const_item" else ""
        return named(name, value=number_of(name, value))
    if kind == "enum_variant":
        number = node.child_by_field_name("value")
        return named(text_of(node.child_by_field_name("name")), value=text_of(number) if number else None)
    if kind == "impl_item":
        trait = text_of(node.child_by_field_name("trait"))
        return Described(
            ("impl", f"{trait} for {text_of(node.child_by_field_name('type'))}"), joined=not trait
        )
    if kind == "use_declaration":
        return _use(node)
    if kind in (
        "identifier",
        "scoped_identifier",
        "use_as_clause",
        "self",
        "scoped_use_list",
        "use_wildcard",
    ):
        return Described(("imported name", text_of(node)))
    return None


def _use(node: Node) -> Described | None:
    argument = node.child_by_field_name("argument")
    if argument is None:
        return None
    if argument.type != "scoped_use_list":
        path = text_of(argument)
        return Described(("use", path), binds=_bound(argument, path))
    path = text_of(argument.child_by_field_name("path"))
    names = argument.child_by_field_name("list")
    binds = tuple(
        bind
        for name in (names.named_children if names else ())
        for bind in _bound(name, f"{path}::{text_of(name)}")
    )
    return Described(("use", f"{path}::{{}}"), joined=True, binds=binds)


def _bound(node: Node, path: str) -> tuple[tuple[str, str], ...]:
    """The name that a path makes known, if it is a single one."""
    if node.type == "use_as_clause":
        meaning = path.partition(" as ")[0]
        return ((text_of(node.child_by_field_name("alias")), meaning),)
    if node.type in ("identifier", "scoped_identifier"):
        return ((path.rpartition("::")[2], path),)
    return ()


RUST = Grammar(
    package="tree_sitter_rust",
    describe=_describe,
    lines=words("source_file declaration_list"),
    lists=words("field_declaration_list enum_variant_list use_list"),
    through=words(
        "struct_item enum_item union_item impl_item trait_item mod_item foreign_mod_item use_declaration",
        "scoped_use_list",
    ),
    above=words("attribute_item"),
    numbered=words("enum_variant_list"),
)
