"""What a formatter leaves of a piece of source that tree-sitter has read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_WHOLE = ("string", "literal", "regex")  # in the types of nodes within which white space counts
_COMMA_BEFORE_END = re.compile(r",\n(?=[)\]}])")


def shape_of(node: Node, rest: str) -> str:
    """The structure of a node with its tokens, and what stands behind it on its last line.

    A formatter changes white space, and commas before a closing bracket.
    """
    return _COMMA_BEFORE_END.sub("\n", "\n".join([*_tokens(node), rest]))


def _tokens(node: Node) -> Iterator[str]:
    """The types of a node's inner nodes and the text of its leaves; text between them as well."""
    content = node.text or b""
    position = begin = node.start_byte
    cursor = node.walk()
    while True:
        current = cursor.node
        assert current is not None
        gap = content[position - begin : current.start_byte - begin].strip()
        if gap:
            yield gap.decode()
        position = max(position, current.start_byte)
        if current.child_count and not any(kind in current.type for kind in _WHOLE):
            yield current.type
            cursor.goto_first_child()
            continue
        yield content[current.start_byte - begin : current.end_byte - begin].decode()
        position = max(position, current.end_byte)
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                yield content[position - begin :].decode()
                return
