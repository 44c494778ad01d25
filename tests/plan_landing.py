"""Lands the known change of a case along a plan, task by task, and finds imports that break on the way."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from plan_histories import Case, Entry, Objects
from repomesh.domains.requests.planning.models import Plan
from repomesh.domains.requests.planning.ordering import topological
from repomesh.domains.requests.planning.path_names import as_pattern


@dataclass(frozen=True)
class Landing:
    """How the tasks of a plan landed: each on the base, one after another, in a random order."""

    merged: int
    conflicts: int
    same_tree: bool


def owners_of(case: Case, plan: Plan) -> dict[str, list[str]]:
    """By touched path the keys of the tasks that own it."""
    by_pattern: dict[str, list[str]] = {}
    for task in plan.tasks:
        for pattern in task.owned:
            by_pattern.setdefault(pattern, []).append(task.key)
    return {path: by_pattern.get(as_pattern(path) or path, []) for path in case.touched}


def land(case: Case, owners: Mapping[str, str], rng: random.Random) -> Landing:
    """Merge each task's commit into the branch with `git merge-tree`, in a random order."""
    objects, (_base, final) = case.objects, case.trees
    keys = sorted(set(owners.values()))
    rng.shuffle(keys)
    head = case.base
    conflicts = 0
    for key in keys:
        paths = [path for path, owner in owners.items() if owner == key]
        commit = _commit_of(objects, case.base, {path: final.get(path) for path in paths})
        merged = objects.git("merge-tree", "--write-tree", head, commit, accepted=(0, 1)).decode()
        tree = merged.split("\n", 1)[0]
        if "\n" in merged.strip():
            conflicts += 1
            continue
        head = objects.git("commit-tree", tree, "-p", head, "-m", key).decode().strip()
    final_tree = objects.git("rev-parse", f"{case.final}^{{tree}}")
    same = objects.git("rev-parse", f"{head}^{{tree}}") == final_tree
    return Landing(len(keys) - conflicts, conflicts, same)


def _commit_of(objects: Objects, base: str, changes: Mapping[str, Entry | None]) -> str:
    """A commit on the base with some final contents; None removes a file."""
    index = str(objects.folder / "index-of-landing")
    objects.git("read-tree", base, index=index)
    gone = [
        f"0 {'0' * 40}\t{path}".encode("utf-8", "surrogateescape") for path, new in changes.items() if not new
    ]
    new = [
        f"{entry.mode} {entry.oid}\t{path}".encode("utf-8", "surrogateescape")
        for path, entry in changes.items()
        if entry
    ]
    for lines in (gone, new):  # a folder may take the place of a file
        objects.git(
            "update-index", "-z", "--index-info", stdin=b"".join(each + b"\0" for each in lines), index=index
        )
    tree = objects.git("write-tree", index=index).decode().strip()
    return objects.git("commit-tree", tree, "-p", base, "-m", "A task").decode().strip()


def broken_steps(case: Case, plan: Plan, owners: Mapping[str, str], rng: random.Random) -> tuple[int, int]:
    """Land the tasks in a random order that respects dependencies; count the steps and the breaking ones.

    A step breaks an import when a changed Python file then imports a name that the imported file lacks,
    although the final state has it. Append-only files have all their names: each task brings its own.
    """
    order = _random_order(plan, rng)
    append_only = {item.path for item in plan.shared if item.mode == "append_only"}
    base, final = case.trees
    state: dict[str, Entry] = dict(base)
    broken_before = _broken(case, state, append_only)
    broken = 0
    for key in order:
        for path in (path for path, owner in owners.items() if owner == key):
            state.pop(path, None)
            if path in final:
                state[path] = final[path]
        now = _broken(case, state, append_only)
        broken += bool(now - broken_before - _broken(case, final, append_only))
        broken_before = now
    return len(order), broken


def _random_order(plan: Plan, rng: random.Random) -> list[str]:
    names = {task.key: f"{rng.random():.9f}" for task in plan.tasks}
    back = {name: key for key, name in names.items()}
    needs = {names[task.key]: {names[other] for other in task.dependencies} for task in plan.tasks}
    return [back[name] for name in topological(needs)]


def _broken(case: Case, state: Mapping[str, Entry], append_only: set[str]) -> set[tuple[str, str, str]]:
    """(importing file, imported file, name) of each import in a touched file that does not resolve."""
    base, final = case.trees
    everything = {**base, **final}
    found = set()
    for path in case.touched:
        if path not in state or not path.endswith(".py"):
            continue
        for target, name in _imports(case.objects.read(state[path].oid), path, frozenset(everything)):
            versions = [state.get(target)]
            if target in append_only:
                versions += [base.get(target), final.get(target)]
            names = [_names(case.objects.read(entry.oid)) for entry in versions if entry is not None]
            if not any(name in defined or "*" in defined for defined in names):
                found.add((path, target, name))
    return found


def _imports(content: bytes, path: str, files: frozenset[str]) -> Iterator[tuple[str, str]]:
    for module, level, name in _from_imports(content):
        parts = path.split("/")[:-level] if level else []
        for root in ("",) if level else ("", "src/", "tests/"):
            base = root + "/".join([*parts, *(part for part in module.split(".") if part)])
            if f"{base}/{name}.py" in files or f"{base}/{name}/__init__.py" in files:
                submodule = (
                    f"{base}/{name}.py" if f"{base}/{name}.py" in files else f"{base}/{name}/__init__.py"
                )
                yield submodule, "__name__"
                break
            target = next((each for each in (f"{base}.py", f"{base}/__init__.py") if each in files), None)
            if target is not None:
                yield target, name
                break


@cache
def _from_imports(content: bytes) -> Sequence[tuple[str, int, str]]:
    try:
        tree = ast.parse(content)
    except SyntaxError:
        return ()
    return tuple(
        (node.module or "", node.level, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name != "*"
    )


@cache
def _names(content: bytes) -> frozenset[str]:
    """The names that a module binds at its top level, `*` for a star import, and `__name__`."""
    try:
        body = ast.parse(content).body
    except SyntaxError:
        return frozenset({"*"})
    names = {"__name__"}
    for node in (inner for statement in body for inner in _statements(statement)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            if node.name == "__getattr__":
                names.add("*")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return frozenset(names)


def _statements(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement and those inside it, but not inside functions and classes."""
    yield statement
    if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
        for name in ("body", "orelse", "finalbody"):
            for inner in getattr(statement, name, ()):
                yield from _statements(inner)
        for handler in getattr(statement, "handlers", ()):
            for inner in handler.body:
                yield from _statements(inner)
