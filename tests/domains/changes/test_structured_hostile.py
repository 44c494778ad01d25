"""Files that were written to do harm: they are merged or refused, in bounded work."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repomesh.domains.changes.building.structured import tree_source
from repomesh.domains.changes.building.structured.differences import Change, changes, merged_lines
from repomesh.domains.changes.building.structured.merging import merge_contents
from repomesh.domains.changes.building.structured.outcome import NotMergeable

MANY = 200_000
NESTED = "the file is nested too deep"
SYNTAX = "it has syntax errors, or is too much to read"
PARTS = "the file has too many parts"

# (path, text, what the reason begins with)
REFUSED: list[tuple[str, str, str]] = [
    ("a.json", "[" * MANY + "]" * MANY, NESTED),
    ("a.json", '{"a":' * 1000 + "1" + "}" * 1000, NESTED),
    ("a.json", "[" + "1," * MANY + "1]", PARTS),
    ("a.json", '"' * MANY, "it is no JSON"),
    ("a.json", '{"a": NaN}', "NaN is no JSON"),
    ("a.toml", "a = " + "[" * MANY, NESTED),
    ("a.toml", "a." * MANY + "a = 1\n", "a key has too many parts"),
    ("a.toml", "[[a]]\nx = 1\n" * 30_000, PARTS),
    ("a.toml", "a = 1\na = 2\n", "it is no TOML"),
    ("a.yaml", "[" * MANY, NESTED),
    ("a.yaml", "".join(" " * depth + "a:\n" for depth in range(300)), NESTED),
    ("a.yaml", "- a\n" * MANY, PARTS),
    ("a.yaml", "a: &a [*a]\n", "the alias a stands for nothing"),
    ("a.yaml", "a:\n\tb: 1\n", "it is no YAML"),
    ("a.yaml", "a: 1\x85b: 2\n", "the YAML has directives or line ends"),
    ("a.yaml", "a: 1\n? [b]\n: 1\n", "the document is no mapping or sequence on lines of its own"),
    ("a.py", "(" * MANY + ")" * MANY + "\n", "it is no Python"),
    ("a.py", "x = " + "-" * MANY + "1\n", "it is no Python"),
    ("a.py", "x = 1" + "+1" * MANY + "\n", NESTED),
    ("a.py", "".join(f"{' ' * depth}class A{depth}:\n" for depth in range(90)) + " " * 90 + "pass\n", NESTED),
    ("a.py", "x = 1; y = 2\n", "two statements stand on one line"),
    ("a.js", "(" * MANY, SYNTAX),
    ("a.js", "}{)(][;,'`" * 20_000, SYNTAX),
    ("a.js", "f();\n" * 40_000, PARTS),
    ("a.ts", "a" + "<b" * 20_000 + "<", SYNTAX),
    ("a.rs", "/*" * MANY, SYNTAX),
    ("a.go", "package a\n\nfunc a() {\n", SYNTAX),
    ("requirements.txt", "".join(f"a{number}==1\n" for number in range(40_000)), PARTS),
]


@pytest.mark.parametrize(
    ("path", "text", "reason"), REFUSED, ids=[f"{path}: {text[:12]!r}" for path, text, _ in REFUSED]
)
def test_what_is_too_much_or_no_such_file_stays_a_conflict(path: str, text: str, reason: str) -> None:
    with pytest.raises(NotMergeable) as error:
        merge_contents(path, text.encode(), f"{text}\n".encode(), f"\n{text}".encode(), ())
    assert str(error.value).startswith(reason)


def test_aliases_that_multiply_are_counted_as_often_as_they_are_used() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(NotMergeable, match="too many values"):
        merge_contents("a.yaml", bomb.encode(), f"{bomb}o: 1\n".encode(), f"{bomb}t: 1\n".encode(), ())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x = 1\n\0", "the file is no text: it holds NUL"),
        (b"x = '\xff'\n", "the file is no text in UTF-8"),
        (b"x = 1\r\ny = 1\n", "the file mixes line ends"),
        (b"x = 1\ry = 1\r", "the file mixes line ends"),
        (b"#" * 1_000_001, "the file has more than"),
    ],
)
def test_what_is_no_plain_text_stays_a_conflict(content: bytes, reason: str) -> None:
    for path in ("a.py", "CHANGELOG.md"):
        with pytest.raises(NotMergeable) as error:
            merge_contents(path, b"x = 1\n", content, b"x = 1\ny = 2\n", ("*.md",))
        assert str(error.value).startswith(reason)


def test_line_ends_are_those_of_the_side_that_changed_them() -> None:
    merged = merge_contents("a.py", b"x = 1\n", b"x = 1\r\no = 1\r\n", b"x = 1\nt = 1\n", ())
    assert merged == b"x = 1\r\no = 1\r\nt = 1\r\n"
    assert (
        merge_contents("a.py", b"x = 1", b"x = 1\no = 1\n", b"x = 1\nt = 1", ()) == b"x = 1\no = 1\nt = 1\n"
    )


def test_without_the_extra_other_languages_stay_conflicts_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter", None)
    with pytest.raises(NotMergeable, match=r"needs the extra repomesh\[merge\]"):
        merge_contents("a.go", b"package a\n", b"package a\n\nvar o int\n", b"package a\n\nvar t int\n", ())
    assert merge_contents("a.py", b"x = 1\n", b"x = 1\no = 1\n", b"x = 1\nt = 1\n", ())


def test_a_grammar_that_is_missing_is_said_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    tree_source.load_language.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_go", None)
    with pytest.raises(NotMergeable, match=r"needs the extra repomesh\[merge\]"):
        merge_contents("a.go", b"package a\n", b"package a\n\nvar o int\n", b"package a\n\nvar t int\n", ())


def applied(base: list[str], made: list[Change]) -> list[str]:
    result: list[str] = []
    position = 0
    for start, end, lines in made:
        result += [*base[position:start], *lines]
        position = end
    return [*result, *base[position:]]


few_lines = st.lists(st.sampled_from("abcd"), max_size=12)


@settings(max_examples=300, deadline=None)
@given(few_lines, few_lines, few_lines)
def test_changes_of_lines_make_the_other_text(base: list[str], ours: list[str], theirs: list[str]) -> None:
    assert applied(base, changes(base, ours)) == ours
    assert (
        merged_lines(base, ours, base)
        == merged_lines(base, base, ours)
        == merged_lines(base, ours, ours)
        == ours
    )
    try:
        merged = merged_lines(base, ours, theirs)
    except NotMergeable:
        return
    assert merged == merged_lines(base, theirs, ours)


def test_lines_that_differ_in_too_many_places_are_refused() -> None:
    with pytest.raises(NotMergeable, match="too many lines"):
        changes(["a", "b"] * 50_000, ["b", "a", "a"] * 50_000)
    assert (
        len(changes([str(number) for number in range(MANY)], [str(-1 - number) for number in range(MANY)]))
        == 1
    )
