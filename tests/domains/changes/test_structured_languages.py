"""What each reader of the structured merge understands: names, numbers, comments and forms of a language."""

from __future__ import annotations

import pytest

from repomesh.domains.changes.building.structured.merging import merge_contents
from repomesh.domains.changes.building.structured.outcome import NotMergeable

CONFLICT = None
LICENSED = "# License\n# more\n\nimport os\n\nx = 1\n"
RENAMED = "class B:\n    x = 1\n\n    def one(self):\n        return 1\n"
HEADED = "class A(\n    B,\n    metaclass=M,\n):\n    def f(self):\n        return 1\n"
STRUCT = "package a\n\ntype A struct {\n\tName string\n\tID   int\n}\n"
ALIGNED = "package a\n\ntype A struct {\n\tName        string\n\tID          int\n\tDescription string\n}\n"
MAP = 'package a\n\nvar m = map[string]int{\n\t"a": 1,\n}\n'
UMLAUTS = '// ü€😀\nexport const a = { ä: "ß" };\n\nexport class Ö {\n  ä() {\n    return "€";\n  }\n}\n'
STEPS = "steps:\n  - name: a\n    run: x\n  - name: b\n    run: y\n"
NESTED = '[[a]]\nname = "x"\n[a.b]\nc = 1\n'

# (name, path, base, ours, theirs, result or CONFLICT)
CASES: list[tuple[str, str, str, str, str, str | None]] = [
    (
        "a comment at the top stays there",
        "a.py",
        LICENSED,
        LICENSED.replace("import os", "import abc\nimport os"),
        LICENSED.replace("import os", "import ast\nimport os"),
        LICENSED.replace("import os", "import abc\nimport ast\nimport os"),
    ),
    (
        "a comment that both moved would stand twice",
        "a.py",
        "# The system.\nimport os\n",
        "# The system.\nimport abc\nimport os\n",
        "# The system.\nimport ast\nimport os\n",
        CONFLICT,
    ),
    (
        "a class whose head takes several lines",
        "a.py",
        HEADED,
        HEADED.replace("    def f", "    x = 1\n\n    def f"),
        HEADED.replace("    def f", "    y = 2\n\n    def f"),
        HEADED.replace("    def f", "    x = 1\n\n    y = 2\n\n    def f"),
    ),
    (
        "sorted imports stay sorted",
        "a.py",
        "import ast\nimport zlib\n",
        "import ast\nimport os\nimport zlib\n",
        "import ast\nimport json\nimport re\nimport zlib\n",
        "import ast\nimport json\nimport os\nimport re\nimport zlib\n",
    ),
    (
        "an import from __future__ that would not stand at the top",
        "a.py",
        "X = 1\n",
        "import os\nX = 1\n",
        "from __future__ import annotations\nX = 1\n",
        CONFLICT,
    ),
    (
        "both import from a new module",
        "a.py",
        "x = 1\n",
        "from a import b\n\nx = 1\n",
        "from a import c\n\nx = 1\n",
        "from a import b, c\n\nx = 1\n",
    ),
    (
        "the comment and the signature of a function",
        "a.py",
        "# About f.\ndef f(x):\n    return x\n",
        "# About f, better.\ndef f(x):\n    return x\n",
        "# About f.\ndef f(x, y):\n    return x\n",
        CONFLICT,
    ),
    (
        "formatted here, its comment changed there",
        "a.py",
        "# About f.\nf = g(1,2)\n",
        "# About f.\nf = g(1, 2)\n",
        "# About f, better.\nf = g(1,2)\n",
        "# About f, better.\nf = g(1,2)\n",
    ),
    (
        "one number of a series",
        "a.py",
        "ERR_A = 16\n",
        "ERR_A = 16\nERR_B = 17\n",
        "ERR_A = 16\nERR_C = 17\n",
        CONFLICT,
    ),
    (
        "a name that stands twice",
        "a.py",
        "x = 1\nx = 2\n",
        "x = 1\nx = 2\ny = 1\n",
        "x = 1\nx = 2\nz = 1\n",
        "x = 1\nx = 2\ny = 1\nz = 1\n",
    ),
    (
        "an import removed here and used there",
        "a.py",
        "import os\n\n\ndef a():\n    return os\n",
        "def a():\n    return 1\n",
        "import os\n\n\ndef a():\n    return os\n\n\ndef b():\n    return os.sep\n",
        CONFLICT,
    ),
    (
        "both replaced one function",
        "a.py",
        "def a():\n    return 1\n\n\ndef b():\n    return 2\n",
        "def a():\n    return 1\n\n\ndef c():\n    return 2 + 1\n",
        "def a():\n    return 1\n\n\ndef d():\n    return 2 + 2\n",
        CONFLICT,
    ),
    (
        "a struct that gofmt aligned anew",
        "a.go",
        STRUCT,
        ALIGNED,
        STRUCT.replace("}\n", "\tAge  int\n}\n"),
        ALIGNED.replace("}\n", "\tAge  int\n}\n"),
    ),
    (
        "two functions init",
        "a.go",
        "package a\n",
        "package a\n\nfunc init() { a() }\n",
        "package a\n\nfunc init() { b() }\n",
        CONFLICT,
    ),
    (
        "entries of a map",
        "a.go",
        MAP,
        MAP.replace("}\n", '\t"b": 2,\n}\n'),
        MAP.replace("}\n", '\t"c": 3,\n}\n'),
        MAP.replace("}\n", '\t"b": 2,\n\t"c": 3,\n}\n'),
    ),
    (
        "variants that are numbered by their place",
        "a.rs",
        "enum E {\n    A = 1,\n    B,\n}\n",
        "enum E {\n    A = 1,\n    B,\n    C,\n}\n",
        "enum E {\n    A = 1,\n    B,\n    D,\n}\n",
        CONFLICT,
    ),
    (
        "both begin to implement a type",
        "a.rs",
        "struct A;\n",
        "struct A;\n\nimpl A {\n    fn a(&self) {}\n}\n",
        "struct A;\n\nimpl A {\n    fn b(&self) {}\n}\n",
        "struct A;\n\nimpl A {\n    fn a(&self) {}\n    fn b(&self) {}\n}\n",
    ),
    (
        "letters of more than one byte",
        "a.js",
        UMLAUTS,
        UMLAUTS.replace("  }\n}", "  }\n\n  ö() {}\n}"),
        UMLAUTS.replace("  }\n}", "  }\n\n  ü() {}\n}"),
        UMLAUTS.replace("  }\n}", "  }\n\n  ö() {}\n\n  ü() {}\n}"),
    ),
    (
        "one line made many, and an entry more",
        "a.js",
        "export const a = { x: 1, y: 2 };\n",
        "export const a = {\n  x: 1,\n  y: 2,\n};\n",
        "export const a = { x: 1, y: 2, z: 3 };\n",
        "export const a = {\n  x: 1,\n  y: 2,\n  z: 3,\n};\n",
    ),
    (
        "an entry and a spread that may override it",
        "a.js",
        "export const a = {\n  x: 1,\n};\n",
        "export const a = {\n  x: 1,\n  y: 2,\n};\n",
        "export const a = {\n  x: 1,\n  ...others,\n};\n",
        CONFLICT,
    ),
    (
        "both import from a new module",
        "a.ts",
        "const x = 1;\n",
        'import { a } from "a";\nconst x = 1;\n',
        'import { b } from "a";\nconst x = 1;\n',
        'import { a, b } from "a";\nconst x = 1;\n',
    ),
    (
        "decorators on lines of their own",
        "a.ts",
        "@C()\nexport class A {\n  @I() a: string;\n}\n",
        "@C()\nexport class A {\n  @I() a: string;\n\n  @I()\n  b: string;\n}\n",
        "@C()\nexport class A {\n  @I() a: string;\n\n  @I()\n  c: string;\n}\n",
        "@C()\nexport class A {\n  @I() a: string;\n\n  @I()\n  b: string;\n\n  @I()\n  c: string;\n}\n",
    ),
    (
        "a space that means something",
        "a.css",
        ".a .b { color: red; }\n",
        ".a.b { color: red; }\n",
        ".a .b { color: blue; }\n",
        CONFLICT,
    ),
    (
        "a number before its unit",
        "a.css",
        ".a { width: 1px; }\n",
        ".a { width: 2px; }\n",
        ".a { width: 3px; }\n",
        CONFLICT,
    ),
    (
        "keys of two levels",
        "a.yaml",
        "a:\n  b: 1\n",
        "a:\n  b: 1\n  c: 2\n",
        "a:\n  b: 1\nd: 3\n",
        "a:\n  b: 1\n  c: 2\nd: 3\n",
    ),
    (
        "another indentation",
        "a.yaml",
        "a:\n  b: 1\n",
        "a:\n    b: 1\n    c: 2\n",
        "a:\n  b: 1\n  d: 3\n",
        CONFLICT,
    ),
    (
        "steps that are known by their names",
        "a.yaml",
        STEPS,
        STEPS.replace("run: x", "run: o"),
        STEPS.replace("  - name: b", "    env: t\n  - name: b"),
        CONFLICT,
    ),
    (
        "empty lines that belong to a text",
        "a.yaml",
        "a: |+\n  x\n\nb: 1\n",
        "a: |+\n  x\n\nb: 1\nc: 2\n",
        "a: |+\n  x\n\nb: 1\nd: 2\n",
        "a: |+\n  x\n\nb: 1\nc: 2\nd: 2\n",
    ),
    (
        "directives",
        "a.yaml",
        "%YAML 1.2\n---\na: 1\n",
        "%YAML 1.2\n---\na: 1\nb: 1\n",
        "%YAML 1.2\n---\na: 1\nc: 1\n",
        CONFLICT,
    ),
    (
        "an alias that would stand for nothing",
        "a.yaml",
        "a: &x 1\nb: *x\n",
        "a: 1\nb: 1\n",
        "a: &x 1\nb: *x\nc: *x\n",
        CONFLICT,
    ),
    (
        "keys in braces",
        "a.toml",
        "d = {a = 1}\n",
        "d = {a = 1, b = 2}\n",
        "d = {a = 1, c = 2}\n",
        "d = {a = 1, b = 2, c = 2}\n",
    ),
    (
        "tables that belong to an item of a list",
        "a.toml",
        NESTED,
        NESTED + '\n[[a]]\nname = "o"\n[a.b]\nc = 2\n',
        NESTED + '\n[[a]]\nname = "t"\n',
        NESTED + '\n[[a]]\nname = "o"\n[a.b]\nc = 2\n\n[[a]]\nname = "t"\n',
    ),
    (
        "a table twice",
        "a.toml",
        "[a]\nx = 1\n",
        "[a]\nx = 1\n\n[b]\ny = 1\n\n[b]\nz = 1\n",
        "[a]\nx = 1\nt = 2\n",
        CONFLICT,
    ),
    (
        "a byte order mark",
        "a.json",
        '\ufeff{"a": 1}\n',
        '\ufeff{"a": 1, "b": 2}\n',
        '\ufeff{"a": 1, "c": 2}\n',
        '\ufeff{"a": 1, "b": 2, "c": 2}\n',
    ),
    (
        "a pattern that takes back another",
        "a.json",
        '{"files": ["a"]}\n',
        '{"files": ["a", "b"]}\n',
        '{"files": ["a", "!c"]}\n',
        CONFLICT,
    ),
    (
        "objects in a list",
        "a.json",
        '[\n  {"name": "a", "v": 1},\n  {"name": "b", "v": 1}\n]\n',
        '[\n  {"name": "a", "v": 2},\n  {"name": "b", "v": 1}\n]\n',
        '[\n  {"name": "a", "v": 1},\n  {"name": "b", "v": 2}\n]\n',
        '[\n  {"name": "a", "v": 2},\n  {"name": "b", "v": 2}\n]\n',
    ),
    (
        "a class renamed and changed",
        "a.py",
        RENAMED.replace("class B", "class A"),
        RENAMED,
        RENAMED.replace("class B", "class A").replace("return 1", "return 2"),
        RENAMED.replace("return 1", "return 2"),
    ),
    (
        "YAML with anchors",
        "c.yaml",
        "a: &x 1\nb: *x\n",
        "a: &x 2\nb: *x\n",
        "a: &x 1\nb: *x\nc: 1\n",
        "a: &x 2\nb: *x\nc: 1\n",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case[1]}: {case[0]}" for case in CASES])
def test_a_conflict_is_merged_only_without_doubt(case: tuple[str, str, str, str, str, str | None]) -> None:
    _name, path, base, ours, theirs, right = case
    if right is CONFLICT:
        with pytest.raises(NotMergeable) as error:
            merge_contents(path, base.encode(), ours.encode(), theirs.encode(), ())
        assert str(error.value)
    else:
        assert merge_contents(path, base.encode(), ours.encode(), theirs.encode(), ()).decode() == right
