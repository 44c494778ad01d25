"""Names the tests of what changed, for `make check`.

The tests are those beside the changed files: of `src/repomesh/store/log.py` those in `tests/store` whose name
holds `log`, else the whole folder.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
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


def main() -> None:
    """Print the test files, one a line."""
    tests = sorted({str(test) for path in changed() for test in tests_of(path)})
    print("\n".join(test for test in tests if not test.startswith(SLOW)))


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    main()
