"""Conflicts that git leaves: merged where their structure leaves no doubt, else left as conflicts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from repomesh.domains.changes.building.structured.merging import merge_contents
from repomesh.domains.changes.building.structured.outcome import NotMergeable

APPEND_ONLY = ("CHANGELOG.md",)
CONFLICT = None
PY = "import os\n\n\ndef first():\n    return 1\n\n\ndef last():\n    return 9\n"
CLASS = 'class A:\n    """Doc."""\n\n    x = 1\n\n    def one(self):\n        return 1\n'
LISTED = '__all__ = [\n    "a",\n    "b",\n]\n'
JSON = '{\n  "name": "x",\n  "scripts": {\n    "a": "1"\n  },\n  "files": [\n    "p"\n  ]\n}\n'
TOML = '# top\n[project]\nname = "x"  # the name\ndependencies = [\n    "a",\n]\n\n[tool]\ny = 1\n'
YAML = "# top\nname: x  # the name\non:\n  push: 1\nsteps:\n  - a\ntags:\n  - a\n"
LOG = "# Log\n\n- one\n"

# (name, path, base, ours, theirs, result or CONFLICT)
CASES: list[tuple[str, str, str, str, str, str | None]] = [
    (
        "functions at the end",
        "a.py",
        PY,
        PY + "\n\ndef o():\n    pass\n",
        PY + "\n\ndef t():\n    pass\n",
        PY + "\n\ndef o():\n    pass\n\n\ndef t():\n    pass\n",
    ),
    (
        "functions in the middle",
        "a.py",
        PY,
        PY.replace("\n\ndef last", "\n\ndef o():\n    pass\n\n\ndef last"),
        PY.replace("\n\ndef last", "\n\ndef t():\n    pass\n\n\ndef last"),
        PY.replace("\n\ndef last", "\n\ndef o():\n    pass\n\n\ndef t():\n    pass\n\n\ndef last"),
    ),
    (
        "imports",
        "a.py",
        PY,
        PY.replace("import os\n", "import os\nimport re\n"),
        PY.replace("import os\n", "import os\nimport sys\n"),
        PY.replace("import os\n", "import os\nimport re\nimport sys\n"),
    ),
    (
        "imports from",
        "a.py",
        PY,
        PY.replace("import os\n", "import os\nfrom a import b\n"),
        PY.replace("import os\n", "import os\nfrom c import d as e\n"),
        PY.replace("import os\n", "import os\nfrom a import b\nfrom c import d as e\n"),
    ),
    (
        "neighbouring functions changed",
        "a.py",
        "def a(): return 1\ndef b(): return 2\n",
        "def a(): return 10\ndef b(): return 2\n",
        "def a(): return 1\ndef b(): return 20\n",
        "def a(): return 10\ndef b(): return 20\n",
    ),
    (
        "methods",
        "a.py",
        CLASS,
        CLASS + "\n    def o(self):\n        return 2\n",
        CLASS + "\n    def t(self):\n        return 3\n",
        CLASS + "\n    def o(self):\n        return 2\n\n    def t(self):\n        return 3\n",
    ),
    (
        "a method and a field side by side",
        "a.py",
        CLASS,
        CLASS.replace("    x = 1\n", "    x = 1\n    y = 2\n"),
        CLASS.replace("    x = 1\n", "    x = 5\n"),
        CLASS.replace("    x = 1\n", "    x = 5\n    y = 2\n"),
    ),
    (
        "items of a list",
        "a.py",
        LISTED,
        LISTED.replace('    "b",\n', '    "b",\n    "o",\n'),
        LISTED.replace('    "b",\n', '    "b",\n    "t",\n'),
        LISTED.replace('    "b",\n', '    "b",\n    "o",\n    "t",\n'),
    ),
    (
        "the same function on both sides",
        "a.py",
        PY,
        PY + "\n\ndef n():\n    pass\n",
        PY + "\n\ndef n():\n    pass\n\n\ndef t():\n    pass\n",
        PY + "\n\ndef n():\n    pass\n\n\ndef t():\n    pass\n",
    ),
    ("constants at the end", "a.py", "A = 1\n", "A = 1\nB = 2\n", "A = 1\nC = 3\n", "A = 1\nB = 2\nC = 3\n"),
    (
        "a function moved away and a new one",
        "a.py",
        PY,
        PY.replace("\n\ndef last():\n    return 9\n", ""),
        PY + "\n\ndef t():\n    pass\n",
        PY.replace("\n\ndef last():\n    return 9\n", "") + "\n\ndef t():\n    pass\n",
    ),
    (
        "one function changed twice",
        "a.py",
        PY,
        PY.replace("return 1", "return 2"),
        PY.replace("return 1", "return 3"),
        CONFLICT,
    ),
    (
        "one removed, the other changed it",
        "a.py",
        PY,
        PY.replace("def first():\n    return 1\n\n\n", ""),
        PY.replace("return 1", "return 3"),
        CONFLICT,
    ),
    (
        "two functions of one name",
        "a.py",
        PY,
        PY + "\n\ndef n():\n    return 1\n",
        PY + "\n\ndef n():\n    return 2\n",
        CONFLICT,
    ),
    ("a constant changed twice", "a.py", "A = 1\nB = 1\n", "A = 2\nB = 1\n", "A = 3\nB = 1\n", CONFLICT),
    (
        "a signature and its body",
        "a.py",
        "def f(a):\n    return a\n",
        "def f(a, b):\n    return a\n",
        "def f(a):\n    return a + 1\n",
        CONFLICT,
    ),
    ("statements without a name", "a.py", "run(1)\n", "run(2)\n", "run(3)\n", CONFLICT),
    (
        "the same key in a dictionary",
        "a.py",
        'D = {\n    "a": 1,\n}\n',
        'D = {\n    "a": 1,\n    "b": 2,\n}\n',
        'D = {\n    "a": 1,\n    "b": 3,\n}\n',
        CONFLICT,
    ),
    ("a side that is no Python", "a.py", PY, PY + "\n\ndef (:\n", PY + "\n\ndef t():\n    pass\n", CONFLICT),
    (
        "a list whose order may count",
        "a.py",
        LISTED.replace("__all__", "MIDDLEWARE"),
        LISTED.replace("__all__", "MIDDLEWARE").replace('    "b",\n', '    "b",\n    "o",\n'),
        LISTED.replace("__all__", "MIDDLEWARE").replace('    "b",\n', '    "b",\n    "t",\n'),
        CONFLICT,
    ),
    (
        "a base class and another",
        "a.py",
        "class A(B):\n    x = 1\n",
        "class A(C):\n    x = 1\n",
        "class A(D):\n    x = 1\n",
        CONFLICT,
    ),
    (
        "a list whose order was changed",
        "a.py",
        LISTED,
        'NAMES = [\n    "b",\n    "a",\n]\n',
        LISTED.replace('    "b",\n', '    "b",\n    "t",\n'),
        CONFLICT,
    ),
    (
        "keys of an object",
        "p.json",
        JSON,
        JSON.replace('"a": "1"\n', '"a": "1",\n    "o": "2"\n'),
        JSON.replace('"a": "1"\n', '"a": "1",\n    "t": "3"\n'),
        JSON.replace('"a": "1"\n', '"a": "1",\n    "o": "2",\n    "t": "3"\n'),
    ),
    (
        "items of an array",
        "p.json",
        JSON,
        JSON.replace('"p"\n', '"p",\n    "o"\n'),
        JSON.replace('"p"\n', '"p",\n    "t"\n'),
        JSON.replace('"p"\n', '"p",\n    "o",\n    "t"\n'),
    ),
    (
        "neighbouring values",
        "p.json",
        '{\n  "a": 1,\n  "b": 1\n}\n',
        '{\n  "a": 2,\n  "b": 1\n}\n',
        '{\n  "a": 1,\n  "b": 2\n}\n',
        '{\n  "a": 2,\n  "b": 2\n}\n',
    ),
    ("one value twice", "p.json", '{\n  "a": 1\n}\n', '{\n  "a": 2\n}\n', '{\n  "a": 3\n}\n', CONFLICT),
    (
        "1 and true are not the same",
        "p.json",
        '{\n  "a": 0\n}\n',
        '{\n  "a": 1\n}\n',
        '{\n  "a": true\n}\n',
        CONFLICT,
    ),
    (
        "a key twice",
        "p.json",
        '{\n  "a": 1\n}\n',
        '{\n  "a": 1,\n  "b": 1,\n  "b": 2\n}\n',
        '{\n  "a": 2\n}\n',
        CONFLICT,
    ),
    (
        "JSON with comments",
        "p.json",
        '{\n  "a": 1 // x\n}\n',
        '{\n  "a": 2 // x\n}\n',
        '{\n  "a": 1, // x\n  "b": 1\n}\n',
        CONFLICT,
    ),
    (
        "removed and changed",
        "p.json",
        '{\n  "a": 1,\n  "b": 1\n}\n',
        '{\n  "b": 1\n}\n',
        '{\n  "a": 2,\n  "b": 1\n}\n',
        CONFLICT,
    ),
    (
        "dependencies",
        "p.toml",
        TOML,
        TOML.replace('    "a",\n', '    "a",\n    "o",\n'),
        TOML.replace('    "a",\n', '    "a",\n    "t",\n'),
        TOML.replace('    "a",\n', '    "a",\n    "o",\n    "t",\n'),
    ),
    (
        "keys side by side",
        "p.toml",
        TOML,
        TOML.replace("y = 1\n", "y = 1\no = 2\n"),
        TOML.replace("y = 1\n", "y = 1\nt = 3\n"),
        TOML.replace("y = 1\n", "y = 1\no = 2\nt = 3\n"),
    ),
    (
        "a TOML value twice",
        "p.toml",
        TOML,
        TOML.replace("y = 1", "y = 2"),
        TOML.replace("y = 1", "y = 3"),
        CONFLICT,
    ),
    (
        "a version and a name",
        "p.toml",
        '[a]\nv = "1"\nn = "x"\n',
        '[a]\nv = "2"\nn = "x"\n',
        '[a]\nv = "1"\nn = "y"\n',
        '[a]\nv = "2"\nn = "y"\n',
    ),
    ("TOML that is none", "p.toml", TOML, TOML + "x\n", TOML + "t = 1\n", CONFLICT),
    (
        "YAML keys",
        "c.yml",
        YAML,
        YAML.replace("  push: 1\n", "  push: 1\n  o: 2\n"),
        YAML.replace("  push: 1\n", "  push: 1\n  t: 3\n"),
        YAML.replace("  push: 1\n", "  push: 1\n  o: 2\n  t: 3\n"),
    ),
    ("YAML items", "c.yml", YAML, YAML + "  - o\n", YAML + "  - t\n", YAML + "  - o\n  - t\n"),
    (
        "YAML items whose order may count",
        "c.yml",
        YAML,
        YAML.replace("  - a\ntags", "  - a\n  - o\ntags"),
        YAML.replace("  - a\ntags", "  - a\n  - t\ntags"),
        CONFLICT,
    ),
    (
        "a YAML value twice",
        "c.yaml",
        YAML,
        YAML.replace("push: 1", "push: 2"),
        YAML.replace("push: 1", "push: 3"),
        CONFLICT,
    ),
    (
        "YAML items that moved",
        "c.yml",
        "s:\n  - a\n  - b\n",
        "s:\n  - b\n  - a\n",
        "s:\n  - a\n  - b\n  - t\n",
        CONFLICT,
    ),
    ("a log of changes", "CHANGELOG.md", LOG, LOG + "- o\n", LOG + "- t\n", LOG + "- o\n- t\n"),
    ("a log whose line was changed", "CHANGELOG.md", LOG, "# Log\n\n- ONE\n", LOG + "- t\n", CONFLICT),
    ("prose", "README.md", "One.\n", "Two.\n", "Three.\n", CONFLICT),
    ("binary", "x.bin", "\x00", "\x00a", "\x00b", CONFLICT),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case[1]}: {case[0]}" for case in CASES])
def test_a_conflict_is_merged_only_without_doubt(case: tuple[str, str, str, str, str, str | None]) -> None:
    _name, path, base, ours, theirs, right = case
    sides = [text.encode() for text in (base, ours, theirs)]
    if right is CONFLICT:
        with pytest.raises(NotMergeable) as error:
            merge_contents(path, *sides, APPEND_ONLY)
        assert str(error.value)
    else:
        assert merge_contents(path, *sides, APPEND_ONLY).decode() == right


def test_git_alone_leaves_each_of_them_as_a_conflict(tmp_path: Path) -> None:
    """Else they would say nothing about the structured merge."""
    merged_by_git = []
    for name, _path, base, ours, theirs, right in CASES:
        for side, text in (("base", base), ("ours", ours), ("theirs", theirs)):
            (tmp_path / side).write_text(text)
        done = subprocess.run(
            ["git", "merge-file", "-p", "ours", "base", "theirs"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0 and right is not CONFLICT:
            merged_by_git.append(name)
    assert merged_by_git == []


def test_a_file_that_one_side_deleted_or_both_added_is_a_conflict() -> None:
    for sides in ((b"a\n", None, b"b\n"), (b"a\n", b"b\n", None), (None, b"a\n", b"b\n")):
        with pytest.raises(NotMergeable):
            merge_contents("a.py", *sides, APPEND_ONLY)


def test_keys_that_both_added_in_one_place_stand_as_if_one_came_after_the_other() -> None:
    sides = {"a": 0, "z": 0}, {"a": 0, "b": 1, "c": 1, "z": 0}, {"a": 0, "d": 2, "e": 2, "z": 0}
    texts = [json.dumps(side, indent=2).encode() for side in sides]
    assert list(json.loads(merge_contents("p.json", *texts, APPEND_ONLY))) == ["a", "b", "c", "d", "e", "z"]
