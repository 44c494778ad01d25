"""Random changes of both sides, in every language: a merge is refused, or holds what both made."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repomesh.domains.changes.building.structured.merging import merge_contents
from repomesh.domains.changes.building.structured.outcome import NotMergeable

Version = dict[str, int]
"""What a file holds: names and numbers."""


@dataclass(frozen=True)
class Language:
    """How a file of names and numbers is written in a language."""

    path: str
    unit: str
    head: str = ""
    between: str = "\n"
    tail: str = ""

    def write(self, version: Version) -> bytes:
        units = [
            self.unit.replace("NAME", name).replace("0", str(number)) for name, number in version.items()
        ]
        return (self.head + self.between.join(units) + self.tail).encode()

    def read(self, content: bytes) -> list[tuple[str, int]]:
        pattern = re.escape(self.unit).replace("NAME", r"(\w+)").replace("0", r"(\d+)")
        return [(name, int(number)) for name, number in re.findall(pattern, content.decode())]


LANGUAGES = (
    Language("a.py", "def NAME():\n    return 0\n", "import os\n\n\n", "\n\n"),
    Language("members.py", "    def NAME(self):\n        return 0\n", "class A:\n"),
    Language("constants.py", "NAME = 0\n", between=""),
    Language("entries.py", '    "NAME": 0,\n', "D = {\n", "", "}\n"),
    Language("a.js", "export function NAME() {\n  return 0;\n}\n", 'import x from "x";\n\n'),
    Language("entries.js", "  NAME: 0,\n", "export const all = {\n", "", "};\n"),
    Language(
        "tests.ts", '  it("NAME", () => {\n    check(0);\n  });\n', 'describe("all", () => {\n', "\n", "});\n"
    ),
    Language("a.ts", "export const NAME = (a: string): number => {\n  return a.length + 0;\n};\n"),
    Language("members.ts", "  NAME(): number {\n    return 0;\n  }\n", "export class A {\n", "\n", "}\n"),
    Language("a.tsx", "export function NAME() {\n  return <b>{0}</b>;\n}\n"),
    Language("a.go", "func NAME() int {\n\treturn 0\n}\n", "package a\n\n"),
    Language("methods.go", "func (a *A) NAME() int {\n\treturn 0\n}\n", "package a\n\ntype A struct{}\n\n"),
    Language("a.rs", "#[inline]\npub fn NAME() -> u32 {\n    0\n}\n", "use std::fmt;\n\n"),
    Language("methods.rs", "    fn NAME(&self) -> u32 {\n        0\n    }\n", "impl A {\n", "\n", "}\n"),
    Language("A.java", "    int NAME() {\n        return 0;\n    }\n", "class A {\n", "\n", "}\n"),
    Language("a.css", ".NAME {\n  width: 0px;\n}\n"),
    Language("a.toml", "NAME = 0\n", "[a]\n", ""),
    Language("tables.toml", "[NAME]\nvalue = 0\n"),
    Language("a.yaml", "  NAME: 0\n", "a:\n", ""),
    Language("services.yaml", "  NAME:\n    image: 0\n", "services:\n", ""),
    Language("a.json", '  "NAME": 0', "{\n", ",\n", "\n}\n"),
    Language("objects.json", '  "NAME": {\n    "value": 0\n  }', '{\n  "a": [],\n', ",\n", "\n}\n"),
    Language("requirements.txt", "NAME==0\n", between=""),
)
NAMES = [f"n{letter}" for letter in "abcdefghij"]
BASE: Version = {name: 100 + index for index, name in enumerate(NAMES[:5])}

Operation = tuple[str, int, int]
operations = st.lists(
    st.tuples(st.sampled_from(["add", "edit", "delete"]), st.integers(0, 9), st.integers(0, 9)), max_size=5
)


def changed(side: int, operations_: list[Operation]) -> Version:
    """A version that a side made of the base; its numbers are its own, but those of what both sides add."""
    version = list(BASE.items())
    for index, (what, which, where) in enumerate(operations_):
        names = [name for name, _ in version]
        number = 1000 * side + index
        if what == "add" and NAMES[which] not in names and NAMES[which] not in BASE:
            version.insert(where % (len(version) + 1), (NAMES[which], 500 if which == 9 else number))
        elif what == "edit" and version:
            name = names[which % len(names)]
            version = [(each, number if each == name else old) for each, old in version]
        elif what == "delete" and len(version) > 1:
            del version[which % len(version)]
    return dict(version)


def merged_by_name(ours: Version, theirs: Version) -> Version | None:
    """What a merge must hold; None where both sides changed one name differently."""
    result: Version = {}
    for name in {**BASE, **ours, **theirs}:
        base, mine, other = (version.get(name) for version in (BASE, ours, theirs))
        if mine != other and base not in (mine, other):
            return None
        value = other if mine == base else mine
        if value is not None:
            result[name] = value
    return result


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.path)
def test_a_merge_holds_what_both_sides_made(language: Language) -> None:
    @settings(max_examples=60, deadline=None)
    @given(operations, operations)
    def check(first: list[Operation], second: list[Operation]) -> None:
        ours, theirs = changed(1, first), changed(2, second)
        wanted = merged_by_name(ours, theirs)
        sides = [language.write(version) for version in (BASE, ours, theirs)]
        try:
            result = merge_contents(language.path, *sides, ())
        except NotMergeable:
            only_adds = all(set(BASE) <= set(version) for version in (ours, theirs))
            assert wanted is None or not only_adds, "what is free of doubt is merged"
            return
        found = language.read(result)
        assert wanted is not None, "a true conflict was merged"
        assert len(found) == len(dict(found)), "nothing stands twice"
        assert dict(found) == wanted
        if found:
            assert language.write(dict(found)) == result, "nothing else was changed"

    check()


def test_each_language_is_written_so_that_it_can_be_read() -> None:
    for language in LANGUAGES:
        assert dict(language.read(language.write(BASE))) == BASE
