"""Recognises files that work of several tasks commonly touches, by name and content."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from repomesh.domains.leases import paths
from repomesh.domains.requests.planning.models import SharedMode
from repomesh.domains.requests.planning.path_names import is_test, stem, suffix
from repomesh.domains.requests.planning.source_files import LOCK_FILES, SourceFiles, is_generated

_CHANGELOG = re.compile(
    r"(?:changelog|changes|history|news|releases?)(?:\.(?:md|rst|txt|adoc))?", re.IGNORECASE
)
MANIFESTS = frozenset(
    (
        *("package.json", "pyproject.toml", "Pipfile", "Cargo.toml", "go.mod", "Gemfile", "composer.json"),
        *("flake.nix", "requirements.txt", "setup.py", "setup.cfg"),
    )
)
_REEXPORT = re.compile(r"(?:export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;\n]*;?|(?:pub\s+)?(?:mod|use)\s[^;]*;)")
_FUNCTION = re.compile(rb"^[ \t]*(?:async[ \t]+)?def[ \t]", re.MULTILINE)
_CLASS = re.compile(rb"^class[ \t]", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SharedTrait:
    """Why a file counts as shared, and how it is treated."""

    mode: SharedMode
    reason: str


def shared_trait(files: SourceFiles, path: str, append_only: Sequence[str] = ()) -> SharedTrait | None:
    """Return why an existing file counts as shared; None for an ordinary file.

    `append_only` are patterns of files in which the merge queue keeps both sides' lines (`repomesh.toml`).
    """
    name = path.rpartition("/")[2]
    if any(paths.holds(pattern, path) for pattern in append_only):
        return SharedTrait("append_only", "configured as append-only")
    if _CHANGELOG.fullmatch(name):
        return SharedTrait("append_only", "changelog")
    if name in LOCK_FILES:
        return SharedTrait("one_task", "lock file")
    if name in MANIFESTS:
        return SharedTrait("one_task", "manifest")
    content = files.source(path)
    if content is None:
        return None
    if is_generated(content):
        return SharedTrait("one_task", "generated")
    return None if is_test(path) else _trait_of_contents(path, content)


def _trait_of_contents(path: str, content: bytes) -> SharedTrait | None:
    if suffix(path) in (".py", ".pyi"):
        is_errors = stem(path) in ("errors", "exceptions")
        if _FUNCTION.search(content) or (not is_errors and _CLASS.search(content)):
            return None  # parsing it would cost more
        try:
            body = ast.parse(content).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        return _trait_of_python(path, body)
    if stem(path) in ("index", "mod", "lib") and suffix(path) in (".ts", ".js", ".mjs", ".tsx", ".rs"):
        rest = _REEXPORT.sub("", _COMMENT.sub("", content.decode("utf-8", "replace")))
        if not rest.strip():
            return SharedTrait("append_only", "index of re-exports")
    return None


def _trait_of_python(path: str, body: Sequence[ast.stmt]) -> SharedTrait | None:
    """Return the trait of a module that only re-exports, or defines only constants or plain error classes."""
    rest = [statement for statement in body if not _is_text(statement)]
    imports = [statement for statement in rest if isinstance(statement, ast.Import | ast.ImportFrom)]
    others = [statement for statement in rest if not isinstance(statement, ast.Import | ast.ImportFrom)]
    if path.endswith(("__init__.py", "__init__.pyi")):
        is_index = all(isinstance(other, ast.Assign | ast.AnnAssign) for other in others)
        return SharedTrait("append_only", "index of re-exports") if is_index and imports else None
    if others and all(_is_constant(other) for other in others):
        return SharedTrait("append_only", "module of constants")
    if stem(path) in ("errors", "exceptions") and others and all(_is_plain_error(other) for other in others):
        return SharedTrait("append_only", "module of error classes")
    return None


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_constant(statement: ast.stmt) -> bool:
    """Whether a statement assigns to names in upper case."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return all(isinstance(target, ast.Name) and target.id.isupper() for target in targets)


def _is_plain_error(statement: ast.stmt) -> bool:
    """Whether a statement is a derived class without methods."""
    if not isinstance(statement, ast.ClassDef) or not statement.bases:
        return False
    return not any(isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) for inner in statement.body)
