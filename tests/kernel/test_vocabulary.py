"""One name for one thing, and hints that name what to type: what a newcomer reads first."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import repomesh
from kernel.test_errors import all_errors
from repomesh.cli import prompt_hints
from repomesh.kernel.errors import RepomeshError
from repomesh.operations import registry

SOURCES = [
    path
    for path in sorted(Path(repomesh.__file__).parent.rglob("*.py"))
    if not {"versions", "generated"} & set(path.parts)
]
VAGUE = {"tell", "told", "say", "said", "do", "hear", "heard"}
"""Names of functions that do not say what is done: emit, resolve, print, send or encode?"""
ROUTE = re.compile(r"\b(?P<verb>GET|POST|PUT|PATCH|DELETE) (?P<path>/v1/[\w/{}-]+)")
NAMED = re.compile(
    r"\bGET\b|'[^']+'|`[^`]+`|\b[a-z]+_[a-z_]+\b|\b[A-Z]+_[A-Z_]+\b|--[a-z]|/v1/"
    r"|\b(Authorization|Idempotency-Key|If-Match|ETag|Retry-After|Content-[A-Z]\w+|X-Repomesh-\w+|Allow)\b"
)
"""A verb, a command or value in quotes, a field or tool, a setting, an option, a route, or a header."""


def definitions(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[str, Path]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield node.name, path  # type: ignore[attr-defined]


def own_errors() -> list[type[RepomeshError]]:
    return [error for error in all_errors()[1:] if "hint" in vars(error)]


def test_a_public_class_name_means_one_thing() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name, path in definitions(ast.ClassDef):
        if not name.startswith("_"):
            places[name].append(str(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_function_is_named_after_what_it_does() -> None:
    functions = definitions((ast.FunctionDef, ast.AsyncFunctionDef))
    assert [(name, str(path)) for name, path in functions if name.lstrip("_") in VAGUE] == []


def test_a_hint_names_what_to_type_or_to_send() -> None:
    assert [f"{error.code}: {error.hint}" for error in own_errors() if not NAMED.search(error.hint)] == []


def test_a_hint_names_routes_that_there_are() -> None:
    routes = {(each.http.method, each.http.path) for each in registry if each.http is not None}
    named = {(found["verb"], found["path"]) for error in own_errors() for found in ROUTE.finditer(error.hint)}
    assert named - routes == set()


def test_the_prompt_knows_the_hints_that_it_has_better_words_for() -> None:
    hints = {(error.code, error.hint) for error in own_errors()}
    assert prompt_hints._DEFAULTS.items() <= hints
