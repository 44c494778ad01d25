"""How entities are found in the syntax tree of a language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from repomesh.domains.changes.building.structured.entities import NAME, Key

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True, slots=True)
class Described:
    """What an entity is, but for its text: see `Entity` for the meaning of each part."""

    key: Key
    ordered: bool = False
    joined: bool = False
    value: str | None = None
    binds: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language.

    Attributes:
        package: The Python package of its grammar, and `function`, which answers it.
        describe: Says what a node is; None for a statement without a name, whose order counts.
        lines: The types of nodes whose children are entities on lines of their own.
        lists: The types of nodes whose children are entities between commas.
        unions: The types of nodes that nest to the left, one for each operand.
        through: The types of nodes in which a node of the types above is looked for.
        above: The types of nodes that belong to the entity below them, besides comments: attributes, for one.
        container: Finds the node with the parts of an entity where `through` does not tell.
        strict_lists: The types of `lists` in which a spread must keep its place.
        is_spaced: Whether white space between tokens means something.
        numbered: The types of `lists` whose items without a value are numbered where others have one.
        has_names: Whether a name means one thing in a scope.
    """

    package: str
    describe: Callable[[Node], Described | None]
    lines: frozenset[str]
    lists: frozenset[str] = frozenset()
    function: str = "language"
    unions: frozenset[str] = frozenset()
    through: frozenset[str] = frozenset()
    above: frozenset[str] = frozenset()
    container: Callable[[Node], Node | None] = field(default=lambda _node: None)
    strict_lists: frozenset[str] = frozenset()
    is_spaced: bool = False
    numbered: frozenset[str] = frozenset()
    has_names: bool = True


def words(*names: str) -> frozenset[str]:
    """The types of nodes that are named in texts, with spaces between them."""
    return frozenset(name for text in names for name in text.split())


def text_of(node: Node | None) -> str:
    """The text of a node on one line; nothing for none."""
    return " ".join(node.text.decode().split()) if node is not None and node.text else ""


def named(name: str, meaning: str = NAME, *, value: str | None = None) -> Described:
    """An entity that makes a name known."""
    return Described((NAME, name), value=value, binds=((name, meaning),))


def child_of_type(node: Node, *types: str) -> Node | None:
    """The first named child of one of these types."""
    return next((child for child in node.named_children if child.type in types), None)
