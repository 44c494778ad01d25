"""Parses sources with tree-sitter, of the extra repomesh[merge], in a bounded number of steps."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tree_sitter import Tree

_READ_BYTES = 65_536


@cache
def load_language(package: str, function: str) -> Any:
    """The tree_sitter.Language of a grammar's package. Raises ImportError where it is not installed."""
    from tree_sitter import Language

    return Language(getattr(importlib.import_module(package), function)())


def parse(content: bytes, language: Any, steps_max: int) -> Tree | None:
    """The syntax tree of a source; None at its first error, or when it takes more than `steps_max` steps."""
    from tree_sitter import Parser

    steps = 0

    def is_over(_offset: int, has_error: bool) -> bool:
        nonlocal steps
        steps += 1
        return has_error or steps > steps_max

    try:
        tree = Parser(language).parse(
            lambda offset, _point: content[offset : offset + _READ_BYTES], progress_callback=is_over
        )
    except ValueError:
        return None
    return None if tree.root_node.has_error else tree
