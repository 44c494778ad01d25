"""JavaScript and TypeScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from repomesh.domains.changes.building.structured.entities import NAME, number_of
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

_NAMED = words(
    "function_declaration generator_function_declaration function_signature class_declaration",
    "abstract_class_declaration interface_declaration type_alias_declaration enum_declaration module",
    "internal_module property_signature method_signature abstract_method_signature",
    "public_field_definition field_definition",
)
_TESTS = re.compile(r"(?:test|it|bench|(describe|suite|context))(?:\.\w+)*")
_VALUES = words("function_expression arrow_function generator_function class object")


def _describe(node: Node) -> Described | None:
    kind = node.type
    if kind in _NAMED:
        return named(text_of(node.child_by_field_name("name") or node.child_by_field_name("property")))
    if kind in _BY_TYPE:
        return _BY_TYPE[kind](node)
    return None


def _import(node: Node) -> Described | None:
    source = _unquoted(node.child_by_field_name("source"))
    clause = child_of_type(node, "import_clause")
    if clause is None:
        return None  # for its effect
    is_type = any(child.type == "type" for child in node.children)
    names = tuple((name, f"{source}:{meaning}") for name, meaning in _imported(clause))
    return Described(("import type" if is_type else "import", source), joined=True, binds=names)


def _imported(clause: Node) -> Iterator[tuple[str, str]]:
    for child in clause.named_children:
        if child.type == "named_imports":
            for specifier in child.named_children:
                name = text_of(specifier.child_by_field_name("name"))
                yield text_of(specifier.child_by_field_name("alias")) or name, name
        elif child.type == "namespace_import":
            yield text_of(child.named_children[0]), "*"
        else:
            yield text_of(child), "default"


def _export(node: Node) -> Described | None:
    if any(child.type == "default" for child in node.children):
        return Described((NAME, "export default"))
    declaration = node.child_by_field_name("declaration")
    if declaration is not None:
        return _describe(declaration)
    source = _unquoted(node.child_by_field_name("source"))
    is_list = child_of_type(node, "export_clause") is not None
    return Described(
        ("export" if is_list else "export all", source or text_of(node) * (not is_list)), joined=is_list
    )


def _variables(node: Node) -> Described | None:
    declarators = [child for child in node.named_children if child.type == "variable_declarator"]
    names = [declarator.child_by_field_name("name") for declarator in declarators]
    if len(names) == 1 and names[0] is not None and names[0].type == "object_pattern":
        source = text_of(declarators[0].child_by_field_name("value"))
        binds = tuple((text_of(name), source) for name in names[0].named_children)
        return Described(("import", source), joined=True, binds=binds)
    texts = [text_of(name) for name in names]
    value = number_of(texts[0], text_of(declarators[0].child_by_field_name("value"))) if texts else None
    return Described((NAME, ", ".join(texts)), value=value, binds=tuple((text, NAME) for text in texts))


def _method(node: Node) -> Described | None:
    name = text_of(node.child_by_field_name("name"))
    marks = [child.type for child in node.children if child.type in ("get", "set", "static")]
    meaning = "accessor" if {"get", "set"} & set(marks) else NAME
    return Described((NAME, " ".join([*marks, name])), binds=((name, meaning),))


def _statement(node: Node) -> Described | None:
    expression = node.named_children[0] if node.named_children else None
    if expression is None:
        return None
    if expression.type == "call_expression":
        called = text_of(expression.child_by_field_name("function"))
        title = _first_argument(expression)
        if _TESTS.fullmatch(called) and title is not None and title.type in ("string", "template_string"):
            return Described(("test", f"{called} {text_of(title)}"))
    if expression.type == "assignment_expression":
        left, right = (expression.child_by_field_name(side) for side in ("left", "right"))
        if right is not None and right.type in _VALUES:
            return Described((NAME, text_of(left)))
    if expression.type in ("internal_module", "module"):
        return _describe(expression)
    return None


def _member(node: Node) -> Described | None:
    return Described(("key", _unquoted(node.child_by_field_name("key") or node)))


def _specifier(node: Node) -> Described | None:
    return Described(
        ("imported name", text_of(node.child_by_field_name("alias") or node.child_by_field_name("name")))
    )


def _enum_member(node: Node) -> Described | None:
    if node.type == "enum_assignment":
        value = text_of(node.child_by_field_name("value"))
        return named(_unquoted(node.child_by_field_name("name")), value=value)
    return named(_unquoted(node), value="")  # numbered by its place


_BY_TYPE = {
    "import_statement": _import,
    "export_statement": _export,
    "lexical_declaration": _variables,
    "variable_declaration": _variables,
    "method_definition": _method,
    "expression_statement": _statement,
    "ambient_declaration": lambda node: _describe(node.named_children[0]) if node.named_children else None,
    "pair": _member,
    "pair_pattern": _member,
    "shorthand_property_identifier": _member,
    "shorthand_property_identifier_pattern": _member,
    "import_specifier": _specifier,
    "export_specifier": _specifier,
    "enum_assignment": _enum_member,
    "property_identifier": _enum_member,
}


def _container(node: Node) -> Node | None:
    """The statements of a group of tests."""
    call = node.named_children[0] if node.type == "expression_statement" and node.named_children else None
    if call is None or call.type != "call_expression":
        return None
    match = _TESTS.fullmatch(text_of(call.child_by_field_name("function")))
    arguments = call.child_by_field_name("arguments")
    if match is None or not match.group(1) or arguments is None or not arguments.named_children:
        return None
    return child_of_type(arguments.named_children[-1], "statement_block")


def _first_argument(call: Node) -> Node | None:
    arguments = call.child_by_field_name("arguments")
    return arguments.named_children[0] if arguments is not None and arguments.named_children else None


def _unquoted(node: Node | None) -> str:
    text = text_of(node)
    return text[1:-1] if len(text) > 1 and text[0] in "\"'" and text[0] == text[-1] else text


JAVASCRIPT = Grammar(
    package="tree_sitter_javascript",
    describe=_describe,
    lines=words("program class_body interface_body statement_block"),
    lists=words("object object_pattern named_imports export_clause enum_body"),
    unions=words("union_type"),
    through=words(
        "export_statement class_declaration abstract_class_declaration interface_declaration",
        "enum_declaration lexical_declaration variable_declaration variable_declarator",
        "type_alias_declaration expression_statement assignment_expression import_statement import_clause",
        "as_expression satisfies_expression pair public_field_definition field_definition",
        "ambient_declaration internal_module module",
    ),
    above=words("decorator hash_bang_line"),
    container=_container,
    strict_lists=words("object"),
)
TYPESCRIPT = replace(
    JAVASCRIPT,
    package="tree_sitter_typescript",
    function="language_typescript",
    lines=JAVASCRIPT.lines | {"object_type"},
)
TSX = replace(TYPESCRIPT, function="language_tsx")
