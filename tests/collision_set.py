"""The collision set: what two agents changed at one place, and what a right merge of it is.

Each case is a file under `domains/changes/collisions`: fields, an empty line, then every line of every
version once. The letters before the bar say which versions hold the line: b(ase), o(urs), t(heirs), m(erged),
n and p (other right merges); no letter means all. With `order: free`, a block of ours that stands directly
above one of theirs in a merged text may also stand below it. The cases were written before the mergers.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby, product
from pathlib import Path
from typing import Literal

from repomesh.domains.changes.building.structured.merging import merge_contents
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repositories import Scratch

FOLDER = Path(__file__).parent / "domains" / "changes" / "collisions"
SIDES = {"b": "base", "o": "ours", "t": "theirs"}
KNOWN = {"path", "verdict", "about", "order", "append_only", "exact", "crlf", "no_final_newline"}

Line = tuple[str, str]  # the letters of the versions that hold it, its text
Outcome = Literal["merged", "kept", "harmful"]


@dataclass(frozen=True)
class Case:
    """One collision. `merged` are all right merges; there is none where the conflict is a true one."""

    name: str
    path: str
    append_only: bool
    exact: bool
    base: bytes
    ours: bytes
    theirs: bytes
    merged: tuple[bytes, ...]

    @property
    def language(self) -> str:
        return self.name.partition("/")[0]

    @property
    def half(self) -> str:
        """`development` or `reported`, by the name's hash: no merger is improved by a reported case."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        return "reported" if int(digest, 16) % 2 else "development"

    def judge(self, result: bytes | None) -> Outcome:
        """What became of the case, None being a conflict: a merge that is not a right one is harmful."""
        if result is None:
            return "kept"
        right = {_comparable(text, exact=self.exact) for text in self.merged}
        return "merged" if _comparable(result, exact=self.exact) in right else "harmful"


@cache
def cases(half: str | None = None) -> tuple[Case, ...]:
    """The cases of one half, else all, in the order of their names."""
    found = [_read(path) for path in sorted(FOLDER.glob("*/*.case"))]
    return tuple(case for case in found if half in (None, case.half))


def _read(path: Path) -> Case:
    head, _, body = path.read_text().partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.split("\n"))
    assert KNOWN >= fields.keys() >= {"path", "verdict", "about"}, (path, fields)
    lines = [_line(line) for line in body.removesuffix("\n").split("\n")]
    sides = {side: _text(_holding(lines, letter), fields, side) for letter, side in SIDES.items()}
    merged = tuple(
        _text(order, fields, "merged")
        for letter in "mnp"
        if any(letter in letters for letters, _ in lines)
        for order in _orders(_holding(lines, letter), free=fields.get("order") == "free")
    )
    assert bool(merged) == (fields["verdict"] == "merge"), path
    name = f"{path.parent.name}/{path.stem}"
    return Case(name, fields["path"], "append_only" in fields, "exact" in fields, merged=merged, **sides)


def _line(line: str) -> Line:
    letters, bar, text = line.partition("|")
    assert bar, line
    return letters.strip(), text


def _holding(lines: Iterable[Line], letter: str) -> list[Line]:
    """The lines of one version."""
    return [(letters, text) for letters, text in lines if not letters or letter in letters]


def _orders(lines: list[Line], *, free: bool) -> Iterator[list[Line]]:
    """The lines of a merged text, and again with blocks of ours and theirs swapped in every combination."""
    blocks = [list(block) for _, block in groupby(lines, _side)]
    choices: list[list[list[Line]]] = []
    while blocks:
        block = blocks.pop(0)
        if free and blocks and (_side(block[0]), _side(blocks[0][0])) == ("o", "t"):
            below = blocks.pop(0)
            choices.append([block + below, below + block])
        else:
            choices.append([block])
    return (list(chain(*chosen)) for chosen in product(*choices))


def _side(line: Line) -> str:
    return "".join(letter for letter in line[0] if letter in "bot")


def _text(lines: list[Line], fields: dict[str, str], side: str) -> bytes:
    end = "\r\n" if side in fields.get("crlf", "").split() else "\n"
    text = "".join(line + end for _, line in lines)
    if side in fields.get("no_final_newline", "").split():
        text = text.removesuffix(end)
    return text.encode()


def _comparable(text: bytes, *, exact: bool) -> bytes:
    """A text without what no reader minds: how many empty lines stand together, and the last line's end."""
    return text if exact else re.sub(rb"(\r?\n)(?:\r?\n){2,}", rb"\1\1", text).rstrip(b"\r\n")


def git_conflicts(scratch: Scratch, among: Iterable[Case]) -> set[str]:
    """The names of the cases that git's own merge (ort) leaves in conflict, all in one merge."""
    at = {f"{case.name}/{case.path}": case for case in among}
    start = scratch.commit({}, "start")
    for side, on in (("base", start), ("ours", "base"), ("theirs", "base")):
        files = {path: getattr(case, side).decode() for path, case in at.items()}
        scratch.commit(files, side, on=on, branch=side)
    done = subprocess.run(
        ["git", "merge-tree", "--write-tree", "--name-only", "-z", "--no-messages", "ours", "theirs"],
        cwd=scratch.path,
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return {at[path].name for path in done.stdout.decode().split("\0")[1:] if path in at}


def git_union(case: Case, folder: Path) -> bytes | None:
    """What `git merge-file --union` makes of a case."""
    for side in ("ours", "base", "theirs"):
        (folder / side).write_bytes(getattr(case, side))
    done = subprocess.run(
        ["git", "merge-file", "-p", "--union", "ours", "base", "theirs"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def structured(case: Case) -> bytes | None:
    """What the structured merge makes of a case; None where it leaves the conflict."""
    declared = (case.path,) if case.append_only else ()
    try:
        return merge_contents(case.path, case.base, case.ours, case.theirs, declared)
    except NotMergeable:
        return None


def outcomes(among: tuple[Case, ...], merge: Callable[[Case], bytes | None]) -> dict[str, Outcome]:
    """What became of each case, by its name."""
    return {case.name: case.judge(merge(case)) for case in among}


def table(half: str, folder: Path) -> list[str]:
    """What became of one half as a table in Markdown: a row for each language, and the sum."""
    among = cases(half)
    ours = outcomes(among, structured)
    union = outcomes(among, lambda case: git_union(case, folder))
    rows = [
        "| | mergeable | merged | true conflicts | kept | harmful | `git --union`: merged | harmful |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for language in [*sorted({case.language for case in among}), "all"]:
        listed = [case for case in among if language in ("all", case.language)]
        counts = Counter((bool(case.merged), ours[case.name]) for case in listed)
        plain = Counter(union[case.name] for case in listed)
        cells = (
            sum(bool(case.merged) for case in listed),
            counts[True, "merged"],
            sum(not case.merged for case in listed),
            counts[False, "kept"],
            counts[True, "harmful"] + counts[False, "harmful"],
            plain["merged"],
            plain["harmful"],
        )
        rows.append(f"| {language} | " + " | ".join(map(str, cells)) + " |")
    return rows
