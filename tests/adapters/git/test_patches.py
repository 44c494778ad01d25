"""Patches as agents write them: each applies exactly, or is refused with what to do; never elsewhere."""

from __future__ import annotations

import difflib
import random
import subprocess
from pathlib import Path

import orjson
import pytest

from repomesh.adapters.git.patches.files import PatchedFile, PatchedFiles, PatchRefused
from repomesh.adapters.git.patches.search_replace import apply_search_replace
from repomesh.adapters.git.patches.unified import apply_unified
from repomesh.adapters.git.patches.whole_files import apply_whole_files
from repomesh.adapters.git.paths import PathRefused
from repomesh.kernel.errors import RepomeshError

APPLY = {"unified": apply_unified, "search_replace": apply_search_replace, "files": apply_whole_files}
NUMBERS = "".join(f"line {number}\n" for number in range(1, 41))
REPEATED = "def a():\n    x = 1\n    return x\n\n" * 12
UNCHANGED = object()


def patch(files: dict[str, str | bytes], text: str | bytes, form: str = "unified") -> dict[str, str | None]:
    """The contents of all files that a patch changed; None for those that it deleted."""
    base = {
        name.encode(): PatchedFile(content.encode() if isinstance(content, str) else content)
        for name, content in files.items()
    }
    patched = PatchedFiles(base.get)
    APPLY[form](text.encode() if isinstance(text, str) else text, patched)
    return {
        path.decode(): None if file is None else file.content.decode()
        for path, file in patched.changed.items()
    }


def diff(old: str, new: str, name: str = "a.txt", context: int = 3) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=context
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


CHANGED = NUMBERS.replace("line 20\n", "line twenty\n")
GOOD = diff(NUMBERS, CHANGED)
TWO = NUMBERS.replace("line 5\n", "line five\n").replace("line 30\n", "line thirty\n")
GOOD_TWO = diff(NUMBERS, TWO)


def _renumbered(text: str, header: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(header + "\n" if line.startswith("@@") else line for line in lines)


HEAD = "--- a/a.txt\n+++ b/a.txt\n"

# What models and mail programs do to a diff: (name, base, diff, what must come out, or UNCHANGED: refused)
DAMAGED = [
    ("as git makes it", NUMBERS, GOOD, CHANGED),
    ("old count too small", NUMBERS, _renumbered(GOOD, "@@ -17,5 +17,7 @@"), CHANGED),
    ("new count too small", NUMBERS, _renumbered(GOOD, "@@ -17,7 +17,4 @@"), CHANGED),
    ("both counts too small", NUMBERS, _renumbered(GOOD, "@@ -17,2 +17,2 @@"), CHANGED),
    ("counts of one", NUMBERS, _renumbered(GOOD, "@@ -17 +17 @@"), CHANGED),
    ("counts too large", NUMBERS, _renumbered(GOOD, "@@ -17,9 +17,9 @@"), UNCHANGED),
    ("no numbers", NUMBERS, _renumbered(GOOD, "@@ @@"), CHANGED),
    ("no numbers, a heading", NUMBERS, _renumbered(GOOD, "@@ def twenty @@"), CHANGED),
    ("wrong start", NUMBERS, _renumbered(GOOD, "@@ -3,7 +3,7 @@"), CHANGED),
    ("start behind the end", NUMBERS, _renumbered(GOOD, "@@ -900,7 +900,7 @@"), CHANGED),
    ("start of nine digits", NUMBERS, _renumbered(GOOD, "@@ -999999999,7 +999999999,7 @@"), CHANGED),
    ("zero start", NUMBERS, _renumbered(GOOD, "@@ -0,7 +0,7 @@"), CHANGED),
    ("stale context", NUMBERS.replace("line 18\n", "line 18 b\n"), GOOD, UNCHANGED),
    ("stale deleted line", NUMBERS.replace("line 20\n", "line 20 b\n"), GOOD, UNCHANGED),
    ("applied already", CHANGED, GOOD, UNCHANGED),
    ("a file that is not there", None, GOOD, UNCHANGED),
    (
        "repeated context",
        REPEATED,
        HEAD + "@@ -1,3 +1,3 @@\n def a():\n-    x = 1\n+    x = 2\n     return x\n",
        UNCHANGED,
    ),
    (
        "repeated context, right number",
        REPEATED,
        HEAD + "@@ -17,3 +17,3 @@\n def a():\n-    x = 1\n+    x = 2\n     return x\n",
        UNCHANGED,
    ),
    ("overlapping repeats", "a\n" * 5, HEAD + "@@ -1,4 +1,4 @@\n a\n a\n-a\n+b\n a\n", UNCHANGED),
    ("no context in a file", NUMBERS, HEAD + "@@ -7,0 +8 @@\n+new\n", UNCHANGED),
    (
        "deleted lines only, unique",
        NUMBERS,
        HEAD + "@@ -20 +19,0 @@\n-line 20\n",
        NUMBERS.replace("line 20\n", ""),
    ),
    ("cut off in the last hunk", NUMBERS, "".join(GOOD_TWO.splitlines(keepends=True)[:-2]), UNCHANGED),
    ("cut off in a line", NUMBERS, GOOD_TWO[:-5], UNCHANGED),
    ("cut off behind a header", NUMBERS, GOOD_TWO[: GOOD_TWO.rindex("@@\n") + 3], UNCHANGED),
    ("no file header", NUMBERS, GOOD[GOOD.index("@@") :], UNCHANGED),
    ("empty", NUMBERS, "", UNCHANGED),
    ("prose", NUMBERS, "I changed line 20.\n", UNCHANGED),
    ("prose and fences around it", NUMBERS, f"Here it is:\n```diff\n{GOOD}```\nDone.\n", CHANGED),
    ("no prefixes", NUMBERS, GOOD.replace("a/a.txt", "a.txt").replace("b/a.txt", "a.txt"), CHANGED),
    (
        "timestamps behind the names",
        NUMBERS,
        GOOD.replace("a.txt\n", "a.txt\t2026-01-01 10:00:00\n"),
        CHANGED,
    ),
    ("a.txt.orig", NUMBERS, GOOD.replace("--- a/a.txt", "--- a.txt.orig"), CHANGED),
    ("CRLF diff, LF file", NUMBERS, GOOD.replace("\n", "\r\n"), CHANGED),
    ("LF diff, CRLF file", NUMBERS.replace("\n", "\r\n"), GOOD, CHANGED.replace("\n", "\r\n")),
    (
        "CRLF diff, CRLF file",
        NUMBERS.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r\n"),
        CHANGED.replace("\n", "\r\n"),
    ),
    (
        "LF diff, a file with both",
        NUMBERS.replace("line 3\n", "line 3\r\n"),
        GOOD,
        CHANGED.replace("line 3\n", "line 3\r\n"),
    ),
    ("LF diff, CRLF only where it changes", NUMBERS.replace("line 20\n", "line 20\r\n"), GOOD, UNCHANGED),
    (
        "empty context lines without their space",
        "a\n\nb\n\nc\n",
        HEAD + "@@ -1,5 +1,5 @@\n a\n\n-b\n+B\n\n c\n",
        "a\n\nB\n\nc\n",
    ),
    ("empty lines behind the diff", NUMBERS, GOOD + "\n\n\n", CHANGED),
    ("a mail's signature behind it", NUMBERS, GOOD + "-- \n2.39.5\n", CHANGED),
    (
        "the file's newline at the end is missing",
        NUMBERS[:-1],
        diff(NUMBERS, NUMBERS.replace("line 39\n", "l\n")),
        NUMBERS.replace("line 39\n", "l\n")[:-1],
    ),
    (
        "the diff says that it is missing",
        NUMBERS[:-1],
        diff(NUMBERS[:-1], NUMBERS[:-1] + "!"),
        NUMBERS[:-1] + "!",
    ),
    ("a line behind one without an ending", "a\nb", HEAD + "@@ -1,2 +1,3 @@\n a\n b\n+c\n", "a\nb\nc\n"),
    ("the diff adds the newline", "a\nb", diff("a\nb", "a\nb\n"), "a\nb\n"),
    ("the diff takes the newline", "a\nb\n", diff("a\nb\n", "a\nb"), "a\nb"),
    ("hunks in the wrong order", NUMBERS, None, TWO),
    ("two hunks on the same lines", NUMBERS, GOOD + GOOD[GOOD.index("@@") :], UNCHANGED),
    (
        "tabs became spaces",
        "a:\n\tb\n\tc\n",
        HEAD + "@@ -1,3 +1,3 @@\n a:\n     b\n-    c\n+    d\n",
        UNCHANGED,
    ),
    (
        "smart quotes",
        "print('a')\n",
        HEAD + "@@ -1 +1 @@\n-print(\u2019a\u2019)\n+print(\u2019b\u2019)\n",
        UNCHANGED,
    ),
    ("indentation lost", "if x:\n    y()\n", HEAD + "@@ -1,2 +1,2 @@\n if x:\n-y()\n+z()\n", UNCHANGED),
    (
        "lines that look like headers",
        "-- a\n++ b\nc\n",
        HEAD + "@@ -1,3 +1,3 @@\n--- a\n+-- A\n ++ b\n c\n",
        "-- A\n++ b\nc\n",
    ),
]


def _swapped(text: str) -> str:
    head, first, second = text.split("@@ -")
    return f"{head}@@ -{second}@@ -{first}"


@pytest.mark.parametrize(
    ("base", "text", "right"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED]
)
def test_a_damaged_diff_applies_exactly_or_not_at_all(
    base: str | None, text: str | None, right: object
) -> None:
    text = _swapped(GOOD_TWO) if text is None else text
    files: dict[str, str | bytes] = {} if base is None else {"a.txt": base}
    if right is UNCHANGED:
        with pytest.raises(PatchRefused) as refused:
            patch(files, text)
        assert refused.value.hint
    else:
        assert patch(files, text) == {"a.txt": right}


def test_what_git_writes_comes_out_as_git_has_it(tmp_path: Path) -> None:
    """Random edits of repetitive files: the diff of git, with its blob ids, makes exactly the new version."""
    chance = random.Random(7)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    files: dict[str, str | bytes] = {}
    right: dict[str, str | None] = {}
    for number in range(60):
        name = f"dir {number % 7}/fälle {number}.txt" if number % 3 else f"f{number}"
        old = "".join(chance.choice(["a\n", "b\n", "\n", "\tx\r\n"]) for _ in range(chance.randint(0, 60)))
        lines = old.splitlines(keepends=True)
        for _ in range(chance.randint(1, 4)):
            place = chance.randint(0, len(lines))
            lines[place : place + chance.randint(0, 2)] = chance.choices(
                ["a\n", "n\n", "--- a\n"], k=chance.randint(0, 3)
            )
        new = "".join(lines)
        if chance.random() < 0.3:
            new = new.rstrip("\n")
        for side, content in (("old", old), ("new", new)):
            path = tmp_path / side / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(content.encode())
        files[name] = old
        if new != old:
            right[name] = new
    git = ["git", "diff", "--no-index", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", "old", "new"]
    text = subprocess.run(git, cwd=tmp_path, capture_output=True, check=False).stdout
    text = text.replace(b"a/old/", b"a/").replace(b"b/new/", b"b/")
    assert patch(files, text) == right


def test_files_are_made_deleted_renamed_and_copied() -> None:
    text = (
        "diff --git a/new.py b/new.py\nnew file mode 100755\nindex 0000000..ce01362\n"
        "--- /dev/null\n+++ b/new.py\n"
        "@@ -0,0 +1 @@\n+hello\n"
        "diff --git a/gone.txt b/gone.txt\ndeleted file mode 100644\n"
        "--- a/gone.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        "diff --git a/from.txt b/to.txt\nsimilarity index 50%\nrename from from.txt\nrename to to.txt\n"
        "--- a/from.txt\n+++ b/to.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n"
        "diff --git a/empty b/empty\nnew file mode 100644\nindex 0000000..e69de29\n"
        "diff --git a/from.txt b/twin.txt\nsimilarity index 100%\ncopy from other.txt\ncopy to twin.txt\n"
    )
    files: dict[str, str | bytes] = {"gone.txt": "x\n", "from.txt": "one\ntwo\n", "other.txt": "o\n"}
    assert patch(files, text) == {
        "new.py": "hello\n",
        "gone.txt": None,
        "from.txt": None,
        "to.txt": "one\nTWO\n",
        "empty": "",
        "twin.txt": "o\n",
    }


@pytest.mark.parametrize(
    "text",
    [
        "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+other\n",  # exists
        "--- a/a.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-line 1\n",  # has more lines
        "diff --git a/a.txt b/b.txt\nrename from a.txt\nrename to b.txt\n",  # exists
        "diff --git a/x.png b/x.png\nGIT binary patch\nliteral 3\nKcmZQzWMT#Y\n",
        "diff --git a/m b/m\nnew file mode 160000\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n+Subproject\n",
        "diff --git a/a.txt b/a.txt\nindex 1111111..2222222 100644\n" + GOOD,  # made from another version
    ],
)
def test_a_diff_that_would_overwrite_or_can_not_be_told_is_refused(text: str) -> None:
    with pytest.raises(PatchRefused):
        patch({"a.txt": NUMBERS, "b.txt": "b\n"}, text)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/passwd",
        ".git/config",
        "a/.GIT/hooks/x",
        ".git\u200c/x",
        "git~1/x",
        ".git./x",
        "a//b",
        ".",
        "x/../y",
        ".git::$INDEX_ALLOCATION/x",
        "n" * 300,
        ".repomesh/token",
        "sub/.REPOMESH/x",
    ],
)
def test_no_patch_names_a_path_outside_of_the_repository(path: str) -> None:
    texts = {
        "unified": f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n",
        "search_replace": f"{path}\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n",
        "files": orjson.dumps({path: "x"}).decode(),
    }
    for form, text in texts.items():
        with pytest.raises((PathRefused, PatchRefused)):
            patch({}, text, form)


def _block(search: str, replacement: str, path: str = "a.txt") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replacement}>>>>>>> REPLACE\n"


@pytest.mark.parametrize(
    ("base", "text", "right"),
    [
        (NUMBERS, _block("line 20\n", "line twenty\n"), CHANGED),
        (
            NUMBERS,
            f"```python\n{_block('line 20', '')}```\n".replace("line 20=", "line 20\n="),
            NUMBERS.replace("line 20\n", ""),
        ),
        (NUMBERS.replace("\n", "\r\n"), _block("line 20\n", "line twenty\n"), CHANGED.replace("\n", "\r\n")),
        (NUMBERS[:-1], _block("line 40\n", "line forty\n"), NUMBERS[:-1].replace("line 40", "line forty")),
        (None, _block("", "new\n"), "new\n"),
        ("", _block("", "new\n"), "new\n"),
        (NUMBERS, _block("line 5\n", "line five\n") + _block("line 30\n", "line thirty\n", ""), TWO),
        (NUMBERS, _block("line five\n", "x\n"), UNCHANGED),
        (NUMBERS, _block("", "x\n"), UNCHANGED),
        (REPEATED, _block("    x = 1\n", "    x = 2\n"), UNCHANGED),
        (NUMBERS, _block("line 20\n", "x\n", ""), UNCHANGED),
        (NUMBERS, _block("line 20\n", "x\n")[:-20], UNCHANGED),
        (NUMBERS, "a.txt\n<<<<<<< SEARCH\nline 20\n>>>>>>> REPLACE\n", UNCHANGED),
        (NUMBERS, "a.txt\nline 20\n", UNCHANGED),
        (None, _block("x\n", "y\n"), UNCHANGED),
    ],
)
def test_search_and_replace_finds_one_place_or_refuses(base: str | None, text: str, right: object) -> None:
    files: dict[str, str | bytes] = {} if base is None else {"a.txt": base}
    if right is UNCHANGED:
        with pytest.raises(PatchRefused):
            patch(files, text, "search_replace")
    else:
        assert patch(files, text, "search_replace") == {"a.txt": right}


def test_whole_files() -> None:
    text = orjson.dumps(
        {"a.txt": "new\n", "b/c.txt": {"content_base64": "AAE=", "executable": True}, "gone": None}
    )
    assert patch({"a.txt": "old\n", "gone": "x"}, text, "files") == {
        "a.txt": "new\n",
        "b/c.txt": "\0\1",
        "gone": None,
    }
    for wrong in (
        "[]",
        "{}",
        "{",
        '{"a": 1}',
        '{"a": {"content": 1}}',
        '{"a": {"content_base64": "%"}}',
        '{"x": null}',
    ):
        with pytest.raises(RepomeshError):
            patch({"a.txt": "old\n"}, wrong, "files")


def test_a_patch_is_read_in_linear_time_and_looks_through_a_bounded_number_of_lines() -> None:
    hunk = "@@ -1,60001 +1,60001 @@\n" + " a\n" * 60_000 + "-b\n+c\n"
    with pytest.raises(PatchRefused, match="fits nowhere"):
        patch({"a.txt": "a\n" * 200_000}, HEAD + hunk)
    with pytest.raises(PatchRefused, match="3,000,000 lines"):
        patch({"a.txt": "a\n" * 200_000}, HEAD + "@@ -1 +1 @@\n-b\n+c\n" * 100)
    unique = "first\n" + "a\n" * 200_000
    with pytest.raises(PatchRefused, match="3,000,000 lines"):
        patch({"a.txt": unique}, _block("first\n", "first\n") * 20, "search_replace")


def test_a_hunk_of_one_line_repeated_takes_linear_time() -> None:
    count = 60_000
    block = " a\n" * (count // 2) + "-b\n"
    text = f"{HEAD}@@ -1,{count // 2 + 1} +1,{count // 2} @@\n{block}"
    with pytest.raises(PatchRefused):
        patch({"a.txt": "a\n" * count}, text)
