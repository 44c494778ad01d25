"""Cases for the evaluation of planning: requests whose final change is known, in real and made histories.

A case is a base commit and a final commit of a repository; the request touches the files that differ. They
come from this project's history, several commits at a time, and from scripted edits of installed packages.
"""

from __future__ import annotations

import ast
import hashlib
import random
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

PACKAGES = (
    "alembic",
    "anyio",
    "click",
    "httpx",
    "jsonschema",
    "mcp",
    "rich",
    "sqlalchemy",
    "starlette",
    "typer",
)
CASES_PER_PACKAGE = 10
FILES_MIN, FILES_MAX = 3, 150  # of one request; a larger one is a sweep through the whole repository
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}


@dataclass(frozen=True)
class Entry:
    """A file in a commit: its mode and the id of its content."""

    mode: str
    oid: str


@dataclass
class Objects:
    """A git repository, of which nothing is checked out; contents are read by one process."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def git(
        self, *words: str, stdin: bytes = b"", accepted: tuple[int, ...] = (0,), index: str = ""
    ) -> bytes:
        """What git prints."""
        environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", **_IDENTITY, **self.environment}
        if index:
            environment["GIT_INDEX_FILE"] = index
        done = subprocess.run(
            ["git", "-C", str(self.folder), *words], input=stdin, capture_output=True, env=environment
        )
        assert done.returncode in accepted, done.stderr.decode("utf-8", "replace")
        return done.stdout

    def tree(self, commit: str) -> dict[str, Entry]:
        """The files of a commit by path."""
        files = {}
        for line in self.git("ls-tree", "-r", "-z", commit).split(b"\0"):
            if line:
                head, path = line.split(b"\t", 1)
                mode, _type, oid = head.decode().split()
                files[path.decode("utf-8", "surrogateescape")] = Entry(mode, oid)
        return files

    def read(self, oid: str) -> bytes:
        """The content of an object."""
        if oid not in self.contents:
            self._batch.stdin.write(f"{oid}\n".encode())  # type: ignore[union-attr]
            self._batch.stdin.flush()  # type: ignore[union-attr]
            out = self._batch.stdout
            assert out is not None
            size = int(out.readline().split()[2])
            self.contents[oid] = out.read(size)
            out.read(1)
        return self.contents[oid]

    @cached_property
    def _batch(self) -> subprocess.Popen[bytes]:
        words = ["git", "-C", str(self.folder), "cat-file", "--batch"]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        """End the process that reads contents."""
        if "_batch" in self.__dict__:
            self._batch.stdin.close()  # type: ignore[union-attr]
            self._batch.wait()


@dataclass(frozen=True)
class Case:
    """A request whose final change is known."""

    name: str
    source: str
    objects: Objects
    base: str
    final: str

    @property
    def half(self) -> str:
        """'tuning' or 'reported', by the hash of the name."""
        return ("tuning", "reported")[hashlib.sha256(self.name.encode()).digest()[0] % 2]

    @cached_property
    def trees(self) -> tuple[dict[str, Entry], dict[str, Entry]]:
        """The files before and after."""
        return self.objects.tree(self.base), self.objects.tree(self.final)

    @cached_property
    def touched(self) -> list[str]:
        """The paths that differ."""
        base, final = self.trees
        return sorted(path for path in base.keys() | final.keys() if base.get(path) != final.get(path))


def history_cases(objects: Objects, source: str = "repomesh") -> Iterator[Case]:
    """Requests of 3 to 8 consecutive commits of a history, without overlaps, from the oldest on."""
    commits = objects.git("rev-list", "--reverse", "--first-parent", "HEAD").decode().split()
    rng = random.Random(source)
    place = 1
    while place < len(commits):
        count = rng.randint(3, 8)
        last = min(place + count, len(commits)) - 1
        case = Case(f"{source}/{commits[last][:12]}", source, objects, commits[place - 1], commits[last])
        if FILES_MIN <= len(case.touched) <= FILES_MAX:
            yield case
        place = last + 1


def package_cases(package: Path, folder: Path) -> Iterator[Case]:
    """Requests of scripted edits of a package's sources, committed as a repository in `folder`."""
    objects = Objects(folder)
    folder.mkdir(parents=True)
    objects.git("init", "-q", "-b", "main")
    files = _project_of(package)
    base = _commit(objects, files, None)
    for number in range(CASES_PER_PACKAGE):
        edits = ScriptedEdits(dict(files), package.name, random.Random(f"{package.name}/{number}"))
        edits.make()
        changed = {path: text for path, text in edits.files.items() if files.get(path) != text}
        if len(changed) >= FILES_MIN:
            final = _commit(objects, edits.files, base)
            yield Case(f"{package.name}/{number}", package.name, objects, base, final)


def _project_of(package: Path) -> dict[str, bytes]:
    """The sources of a package in a `src` layout, with files that every project has and a few tests."""
    files = {
        f"src/{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*.py"))
        if path.is_file()
    }
    files["CHANGELOG.md"] = b"# Changelog\n\n## Unreleased\n\n- Begin.\n"
    files["pyproject.toml"] = f'[project]\nname = "{package.name}"\nversion = "1"\n'.encode()
    files["docs/index.md"] = b"# Documentation\n"
    for path in sorted(files):
        if path.endswith(".py") and not path.endswith("__init__.py") and _digest(path) % 2:
            module = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
            files[f"tests/test_{module.rpartition('.')[2]}_{_digest(path)}.py"] = (
                f"import {module} as module\n\n\ndef test_it() -> None:\n    assert module\n".encode()
            )
    return files


def _commit(objects: Objects, files: Mapping[str, bytes], parent: str | None) -> str:
    index = str(objects.folder / ".git" / "index-of-cases")
    objects.git("read-tree", "--empty", index=index)
    lines = []
    for path, content in sorted(files.items()):
        oid = objects.git("hash-object", "-w", "--stdin", stdin=content).decode().strip() if content else ""
        oid = oid or objects.git("hash-object", "-w", "--stdin").decode().strip()
        lines.append(f"100644 {oid}\t{path}\n")
    objects.git("update-index", "--index-info", stdin="".join(lines).encode(), index=index)
    tree = objects.git("write-tree", index=index).decode().strip()
    parents = ["-p", parent] if parent else []
    return objects.git("commit-tree", tree, *parents, "-m", "A state").decode().strip()


def _digest(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0]


@dataclass
class ScriptedEdits:
    """Makes the edits of one request: several kinds, on modules that a random generator picks."""

    files: dict[str, bytes]
    package: str
    rng: random.Random

    def make(self) -> None:
        """Edit the files: each kind of edit zero to three times, and independent modules always."""
        for _ in range(self.rng.randint(0, 2)):
            self._rename()
        for _ in range(self.rng.randint(0, 2)):
            self._add_parameter()
        for _ in range(self.rng.randint(1, 3)):
            self._add_module()
        for _ in range(self.rng.randint(3, 10)):
            self._change_module()
        if self.rng.random() < 0.7:
            self.files["CHANGELOG.md"] += b"- A change.\n"
        if self.rng.random() < 0.3:
            self.files["pyproject.toml"] += b'dependencies = ["idna"]\n'

    def _sources(self) -> list[str]:
        return sorted(path for path in self.files if path.startswith("src/") and path.endswith(".py"))

    def _functions(self) -> list[tuple[str, str, list[str]]]:
        """Functions with the files that import them by name: (file, function, importing files)."""
        importers: dict[tuple[str, str], list[str]] = {}
        for path in self._sources():
            for target, name in _imported_names(path, self.files):
                importers.setdefault((target, name), []).append(path)
        return sorted(
            (target, name, sorted(set(paths)))
            for (target, name), paths in importers.items()
            if re.search(rb"^def %s\(" % name.encode(), self.files[target], re.MULTILINE) and len(paths) < 15
        )

    def _rename(self) -> None:
        self._edit_uses(rb"\b%s\b", "{}_renamed")

    def _add_parameter(self) -> None:
        self._edit_uses(rb"\b%s\((?!\))", "{}(trace, ")

    def _edit_uses(self, pattern: bytes, replacement: str) -> None:
        """Replace in a function's file, and in those that import it, what a pattern finds of its name."""
        functions = self._functions()
        if not functions:
            return
        target, name, importing = self.rng.choice(functions)
        for path in (target, *importing):
            self.files[path] = re.sub(
                pattern % name.encode(), replacement.format(name).encode(), self.files[path]
            )

    def _add_module(self) -> None:
        user = self.rng.choice(self._sources())
        parent = user.rpartition("/")[0]
        name = f"added_{self.rng.randrange(10_000)}"
        dotted = f"{parent}/{name}".removeprefix("src/").replace("/", ".")
        self.files[f"{parent}/{name}.py"] = b"def added(value: int) -> int:\n    return value + 1\n"
        self.files[f"tests/test_{name}.py"] = (
            f"from {dotted} import added\n\n\ndef test_added() -> None:\n    assert added(1) == 2\n".encode()
        )
        self.files[user] += f"\n\nfrom {dotted} import added as _{name}  # noqa: E402\n".encode()

    def _change_module(self) -> None:
        path = self.rng.choice(self._sources())
        self.files[path] += f"\n\ndef _changed_{self.rng.randrange(10_000)}() -> None:\n    pass\n".encode()
        stem = path.rpartition("/")[2].removesuffix(".py")
        test = f"tests/test_{stem}_{_digest(path)}.py"
        if test in self.files:
            self.files[test] += b"\n\ndef test_changed() -> None:\n    assert module.__name__\n"


def _imported_names(path: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """(file, name) of each name that a source imports from another source of the project."""
    try:
        tree = ast.parse(files[path])
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parts = path.split("/")[: -node.level] if node.level else ["src"]
            base = "/".join([*parts, *(node.module or "").split(".")]).rstrip("/")
            if f"{base}.py" in files:
                yield from ((f"{base}.py", alias.name) for alias in node.names)
