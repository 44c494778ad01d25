"""Checks what a commit needs within a minute: format, style, types, imports, and the tests of what changed.

The tests are those beside the changed files: of `src/repomesh/store/log.py` those in `tests/store` whose name
holds `log`, else the whole folder, each on SQLite alone. `make test` runs everything, on both engines.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
FOLDER_FILES_MAX = 12  # of tests; a folder that holds more is left to `make test`
SLOW = ("tests/fault", "tests/clis", "tests/conformance")


def changed() -> list[Path]:
    """The files that differ from the last commit, new ones among them; without any, those of that commit."""
    names = _git("diff", "--name-only", "HEAD") + _git("ls-files", "--others", "--exclude-standard")
    return [Path(name) for name in names or _git("show", "--name-only", "--format=", "HEAD")]


def tests_of(path: Path) -> Iterator[Path]:
    """The test files that belong to a changed file."""
    if path.parts[0] == "tests":
        if path.name.startswith("test_") and (ROOT / path).exists():
            yield path
        return
    if path.parts[:2] != ("src", "repomesh"):
        return
    folder = Path("tests", *path.parts[2:-1])
    while not (ROOT / folder).is_dir():
        folder = folder.parent
    beside = sorted((ROOT / folder).glob("test_*.py"))
    named = [test for test in beside if path.stem.rstrip("s") in test.stem]
    for test in named or (beside if len(beside) <= FOLDER_FILES_MAX else []):
        yield test.relative_to(ROOT)


def main() -> int:
    """Run every step; returns how many failed."""
    tests = sorted({test for path in changed() for test in tests_of(path)})
    tests = [test for test in tests if not str(test).startswith(SLOW)]
    steps = [
        ("format", [BIN / "ruff", "format", "--check", "--quiet", "src", "tests", "bench", "scripts"]),
        ("style", [BIN / "ruff", "check", "--quiet", "src", "tests", "bench", "scripts"]),
        ("types", [BIN / "mypy"]),
        ("imports", [BIN / "lint-imports"]),
    ]
    if tests:
        options = ["-q", "-n", "2", "-k", "not postgresql"]
        steps.append((f"{len(tests)} files of tests", [BIN / "python", "-m", "pytest", *options, *tests]))
    return sum(not _passes(name, command) for name, command in steps)


def _passes(name: str, command: Sequence[str | Path]) -> bool:
    began = time.monotonic()
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    print(
        f"{'ok' if done.returncode == 0 else 'FAILED':7}{name} ({time.monotonic() - began:.0f} s)", flush=True
    )
    if done.returncode != 0:
        print(done.stdout + done.stderr)
    return done.returncode == 0


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
