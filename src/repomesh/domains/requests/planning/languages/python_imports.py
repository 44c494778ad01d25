"""The imports of a Python source, read with `ast`."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from repomesh.domains.requests.planning.references import LAZY, NAMED, REQUIRED, TYPE_ONLY
from repomesh.kernel import limits

# A dotted name in quotes, as of `import_module("a.b")` or `patch("a.b.c")`.
_DOTTED = re.compile(rb"""["']([A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,12})["']""", re.ASCII)


# An import that is not at the beginning of a line, so that it may be inside another statement.
_NESTED = re.compile(rb"(?:^[ \t]+|[:;][ \t]*)(?:from|import)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PythonImport:
    """One imported name.

    Args:
        module: The dotted module; empty for `from . import x`.
        level: Leading dots: 0 for an absolute import.
        name: What is imported of the module: None for `import module`, `*` for all.
        strength: How strongly the importing file depends on it (see `references`).
    """

    module: str
    level: int
    name: str | None
    strength: int


class SourceDamaged(ValueError):
    """A source can't be parsed."""


def read_imports(content: bytes) -> list[PythonImport]:
    """Return the imports of a source in order, at most PLAN_FILE_REFERENCES_MAX. Raises SourceDamaged.

    Those inside functions are LAZY, those below `if TYPE_CHECKING` TYPE_ONLY, dotted names in quotes NAMED.
    """
    imports: list[PythonImport] = []
    if b"import" in content:
        is_nested = _NESTED.search(content) is not None
        for found in _of_statements(_parse(content).body, REQUIRED, is_nested=is_nested):
            imports.append(found)
            if len(imports) >= limits.PLAN_FILE_REFERENCES_MAX:
                break
    quoted = dict.fromkeys(match[1].decode("ascii") for match in _DOTTED.finditer(content))
    imports += [PythonImport(name, 0, None, NAMED) for name in quoted]
    return imports[: limits.PLAN_FILE_REFERENCES_MAX]


def _parse(content: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes that a later version refuses
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SourceDamaged(type(error).__name__) from None


def _of_statements(body: Sequence[ast.stmt], strength: int, *, is_nested: bool) -> Iterator[PythonImport]:
    """Yield the imports of statements and, with `is_nested`, of those inside them. Expressions hold none."""
    waiting: list[tuple[ast.stmt, int]] = [(statement, strength) for statement in reversed(body)]
    while waiting:
        statement, strength = waiting.pop()
        if isinstance(statement, ast.Import):
            yield from (PythonImport(alias.name, 0, None, strength) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            module, level = statement.module or "", statement.level
            yield from (PythonImport(module, level, alias.name, strength) for alias in statement.names)
        elif is_nested:
            waiting += reversed(list(_inside(statement, strength)))


def _inside(statement: ast.stmt, strength: int) -> Iterator[tuple[ast.stmt, int]]:
    """Yield the statements directly inside one, each with the strength of imports there."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        strength = min(strength, LAZY)
    body_strength = strength
    if isinstance(statement, ast.If) and _is_type_checking(statement.test):
        body_strength = min(strength, TYPE_ONLY)
    for field in ("body", "orelse", "finalbody"):
        inner_strength = body_strength if field == "body" else strength
        yield from ((inner, inner_strength) for inner in getattr(statement, field, ()))
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield from ((inner, strength) for inner in part.body)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"
