"""References in other languages, which tree-sitter reads."""

from __future__ import annotations

import sys

import pytest

from domains.requests.planning.projects import files_of, planned, references
from repomesh.domains.requests.planning.graph import build_graph
from repomesh.domains.requests.planning.languages import syntax
from repomesh.domains.requests.planning.languages.rust_modules import expand_use

pytest.importorskip("tree_sitter")


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ('import b from "./b";', "web/src/b.ts"),
        ('import {x} from "./b.js";', "web/src/b.ts"),
        ('export * from "./b";', "web/src/b.ts"),
        ('export {x} from "../src/b";', "web/src/b.ts"),
        ('import type {X} from "./b";', "web/src/b.ts"),
        ('import b = require("./b");', "web/src/b.ts"),
        ('const b = require("./b");', "web/src/b.ts"),
        ('const b = await import("./b");', "web/src/b.ts"),
        ('jest.mock("./b");', "web/src/b.ts"),
        ('import d from "./dir";', "web/src/dir/index.tsx"),
        ('import b from "@/b";', "web/src/b.ts"),
        ('import b from "src/b";', "web/src/b.ts"),
        ('import x from "@me/lib";', "lib/main.js"),
        ('import x from "@me/lib/deep";', "lib/src/deep.js"),
        ('import "./style.css";', "web/src/style.css"),
        ('import data from "./data.json";', "web/src/data.json"),
    ],
)
def test_javascript_and_typescript(statement: str, target: str) -> None:
    project = {
        "web/tsconfig.json": '{ // a comment\n "compilerOptions": {"baseUrl": ".", '
        '"paths": {"@/*": ["src/*",]}},}',
        "lib/package.json": '{"name": "@me/lib", "main": "main.js"}',
        "lib/main.js": "",
        "lib/src/deep.js": "",
        "web/src/a.ts": statement,
        "web/src/b.ts": "",
        "web/src/dir/index.tsx": "",
        "web/src/style.css": "",
        "web/src/data.json": "{}",
    }
    assert references(project) == {("web/src/a.ts", target)}


@pytest.mark.parametrize(
    "statement", ['import "react";', 'import "../../../../out";', 'f("./b");', 'import "./no";']
)
def test_other_specifiers_are_no_references(statement: str) -> None:
    assert references({"a.js": statement, "b.js": ""}) == set()


def test_go_uses_the_files_that_declare_a_name() -> None:
    project = {
        "go.mod": "module example.com/m\n",
        "cmd/main.go": """package main
            import (
                other "example.com/m/pkg/a"
                "fmt"
            )
            func main() { fmt.Println(other.Foo()); var t other.T; _ = t }
            """,
        "pkg/a/foo.go": "package a\nfunc Foo() int { return helper() }\n",
        "pkg/a/helper.go": "package a\nfunc helper() int { return limit }\n",
        "pkg/a/limit.go": "package a\nconst limit = 3\n",
        "pkg/a/types.go": "package a\ntype T struct{}\n",
        "pkg/a/unused.go": "package a\nfunc Unused() {}\n",
        "pkg/a/foo_test.go": "package a\nfunc TestFoo() { Foo() }\n",
    }
    assert references(project) == {
        ("cmd/main.go", "pkg/a/foo.go"),
        ("cmd/main.go", "pkg/a/types.go"),
        ("pkg/a/foo.go", "pkg/a/helper.go"),
        ("pkg/a/helper.go", "pkg/a/limit.go"),
        ("pkg/a/foo_test.go", "pkg/a/foo.go"),
    }


def test_rust_follows_modules_and_paths() -> None:
    project = {
        "Cargo.toml": '[package]\nname = "my-crate"\n',
        "src/lib.rs": "pub mod x;\nmod y;\n",
        "src/x/mod.rs": "pub mod deep;",
        "src/x/deep.rs": "use super::super::y::f;\nfn z() { crate::y::g(); }",
        "src/y.rs": "use crate::x::{deep::Thing, self};",
        "tests/it.rs": "use my_crate::x::deep;",
    }
    assert references(project) == {
        ("src/lib.rs", "src/x/mod.rs"),
        ("src/lib.rs", "src/y.rs"),
        ("src/x/mod.rs", "src/x/deep.rs"),
        ("src/x/deep.rs", "src/y.rs"),
        ("src/y.rs", "src/x/deep.rs"),
        ("src/y.rs", "src/x/mod.rs"),
        ("tests/it.rs", "src/x/deep.rs"),
    }


def test_groups_of_use_are_expanded() -> None:
    assert expand_use("a::{b, c::{d as e, f}, self, *}") == [
        ["a", "b"],
        ["a", "c", "d"],
        ["a", "c", "f"],
        ["a", "self"],
        ["a", "*"],
    ]
    assert expand_use("crate::x") == [["crate", "x"]]
    assert expand_use("{" * 10_000) == []


def test_java_finds_classes_by_import_package_and_wildcard() -> None:
    project = {
        "src/main/java/com/x/A.java": "package com.x; import com.y.B; import com.z.*; "
        "import static com.y.S.f; class A { C c; B b; D d; }",
        "src/main/java/com/x/C.java": "package com.x; class C {}",
        "src/main/java/com/y/B.java": "package com.y; class B {}",
        "src/main/java/com/y/S.java": "package com.y; class S {}",
        "src/main/java/com/z/D.java": "package com.z; class D {}",
        "src/main/java/com/z/Unused.java": "package com.z; class Unused {}",
    }
    used = {target.rpartition("/")[2] for source, target in references(project) if source.endswith("A.java")}
    assert used == {"B.java", "C.java", "D.java", "S.java"}


def test_css_imports_and_shows() -> None:
    project = {
        "a.css": '@import "b.css"; @import url("c.css"); '
        ".x { background: url(img/i.png) } .y { color: var(--b) }",
        "b.css": '@import url("https://example.org/x.css");',
        "c.css": "",
        "img/i.png": b"\0",
    }
    assert references(project) == {("a.css", "b.css"), ("a.css", "c.css"), ("a.css", "img/i.png")}


@pytest.mark.parametrize("name", ["a.js", "a.tsx", "a.go", "a.rs", "a.java", "a.css"])
@pytest.mark.parametrize("content", [b"import {{{ from", b"\xff\xfe\0\0", b"(" * 50_000, b"/* \xd0\xd0"])
def test_damaged_sources_break_nothing(name: str, content: bytes) -> None:
    assert references({name: content, "b.js": ""}) == set()


def test_without_tree_sitter_the_plan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    syntax.load_language.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter", None)
    project = {"a.ts": 'import "./b"', "b.ts": "", "c.py": ""}
    plan = planned(project, project)
    assert plan.notes == ("Without references, since the extra repomesh[merge] is not installed: a.ts, b.ts",)
    assert len(plan.tasks) == 3


def test_languages_do_not_mix() -> None:
    files = files_of({"a.py": "import b", "b.js": "", "b.go": "package b"})
    assert list(build_graph(files).references()) == []
