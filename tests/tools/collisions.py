"""Prints what becomes of the collision set, beside plain git: `python collisions.py [development|reported]`.

Cases of the development half that are not as they should be are named; of the reported half only numbers.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from collision_set import cases, outcomes, structured, table  # noqa: E402 - found beside this folder


def wrong(half: str) -> list[str]:
    """The cases of the development half that are not as they should be."""
    assert half == "development"
    found = outcomes(cases(half), structured)
    return [
        f"{found[case.name]}: {case.name}"
        for case in cases(half)
        if found[case.name] != ("merged" if case.merged else "kept")
    ]


def main() -> None:
    """Print the tables of the halves that were asked for."""
    for half in sys.argv[1:] or ["development", "reported"]:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{half} half\n", *table(half, Path(folder)), "", sep="\n")
        if half == "development":
            print(*wrong(half), "", sep="\n")


if __name__ == "__main__":
    main()
