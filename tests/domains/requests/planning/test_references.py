"""Which file uses which other one, in Python."""

from __future__ import annotations

import pytest

from domains.requests.planning.projects import files_of, references, strengths
from repomesh.domains.requests.planning.graph import build_graph
from repomesh.domains.requests.planning.references import LAZY, NAMED, REQUIRED, TYPE_ONLY, ReferenceGraph
from repomesh.kernel import limits


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ("import app.core.db", "src/app/core/db.py"),
        ("import app.core.db as db", "src/app/core/db.py"),
        ("from app.core import db", "src/app/core/db.py"),
        ("from app.core.db import connect", "src/app/core/db.py"),
        ("from app.core.db import *", "src/app/core/db.py"),
        ("from . import b", "src/app/web/b.py"),
        ("from .b import f", "src/app/web/b.py"),
        ("from .. import helpers", "src/app/helpers.py"),
        ("from ..core import db", "src/app/core/db.py"),
        ("from ..core.db import f", "src/app/core/db.py"),
        ("try:\n    import app.helpers\nexcept ImportError:\n    pass", "src/app/helpers.py"),
        ("if x:\n    from app import helpers", "src/app/helpers.py"),
        ("if x: import app.helpers", "src/app/helpers.py"),
        ("match x:\n    case 1:\n        import app.helpers", "src/app/helpers.py"),
        ("from app.stubs import f", "src/app/stubs.pyi"),
    ],
)
def test_an_import_is_a_reference_to_its_file(statement: str, target: str) -> None:
    project = {
        "src/app/__init__.py": "",
        "src/app/helpers.py": "",
        "src/app/stubs.pyi": "",
        "src/app/core/__init__.py": "",
        "src/app/core/db.py": "",
        "src/app/web/__init__.py": "",
        "src/app/web/a.py": statement,
        "src/app/web/b.py": "",
    }
    assert references(project) == {("src/app/web/a.py", target)}


@pytest.mark.parametrize(
    "statement",
    [
        "import json",
        "import requests.sessions",
        "from ....... import x",
        "from .nothing import x",
        "import a",
        "",
    ],
)
def test_what_is_elsewhere_is_no_reference(statement: str) -> None:
    assert (
        references({"pkg/__init__.py": "", "pkg/a.py": statement, "pkg/json.py": "", "pkg/b.py": ""}) == set()
    )


def test_a_re_exported_name_leads_to_the_module_that_has_it() -> None:
    project = {
        "app/__init__.py": "from .engine import *\nfrom .model import Model as Model",
        "app/engine/__init__.py": "from .core import Engine",
        "app/engine/core.py": "class Engine: ...",
        "app/model.py": "class Model: ...",
        "a.py": "from app import Model",
        "b.py": "from app import Engine",
    }
    found = references(project)
    assert {target for source, target in found if source == "a.py"} == {"app/__init__.py", "app/model.py"}
    assert ("b.py", "app/engine/core.py") in found
    assert ("b.py", "app/model.py") not in found


def test_re_exports_in_a_circle_end() -> None:
    project = {
        "a/__init__.py": "from b import X",
        "b/__init__.py": "from a import X",
        "c.py": "from a import X",
    }
    assert ("c.py", "a/__init__.py") in references(project)


def test_the_root_of_the_repository_may_be_a_package() -> None:
    assert references({"__init__.py": "from . import a", "a.py": ""}) == {("__init__.py", "a.py")}


def test_how_strong_a_reference_is() -> None:
    project = {
        "a.py": """
            from typing import TYPE_CHECKING
            import b
            if TYPE_CHECKING:
                import c
            else:
                import f
            def g():
                import d
            NAME = "pkg.e"
            """,
        **{f"{name}.py": "" for name in "bcdf"},
        "pkg/__init__.py": "",
        "pkg/e.py": "",
    }
    expected = {"b.py": REQUIRED, "c.py": TYPE_ONLY, "d.py": LAZY, "f.py": REQUIRED, "pkg/e.py": NAMED}
    assert strengths(project) == {("a.py", target): strength for target, strength in expected.items()}


def test_tests_use_what_they_test_in_any_layout() -> None:
    project = {
        "src/app/__init__.py": "",
        "src/app/a.py": "",
        "tests/test_a.py": "from app.a import f\nfrom helpers.data import x\nimport neighbour",
        "tests/helpers/data.py": "",
        "tests/neighbour.py": "",
        "packages/one/src/one/__init__.py": "",
        "packages/two/two/use.py": "import one",
    }
    assert references(project) == {
        ("tests/test_a.py", "src/app/a.py"),
        ("tests/test_a.py", "tests/helpers/data.py"),
        ("tests/test_a.py", "tests/neighbour.py"),
        ("packages/two/two/use.py", "packages/one/src/one/__init__.py"),
    }


def test_of_equal_names_the_nearest_module_counts() -> None:
    project = {f"{folder}/{name}": "" for folder in ("one", "two") for name in ("util.py", "other.py")}
    project |= {"one/a.py": "import util", "two/a.py": "import util"}
    assert references(project) == {("one/a.py", "one/util.py"), ("two/a.py", "two/util.py")}


@pytest.mark.parametrize(
    "content",
    [
        b"import ((",
        b"import b\0",
        b"\xff\xfe\x00import b",
        b"# coding: no-such-coding\nimport b",
        b"import b\n" + b"(" * 500,
        b"import b\nx = " + b"-" * 20_000 + b"1",
    ],
)
def test_damaged_sources_have_no_references_and_a_note(content: bytes) -> None:
    files = files_of({"a.py": content, "b.py": ""})
    assert list(build_graph(files).references()) == []
    assert files.notes.lines() == ("Without references, since their syntax is damaged: a.py",)


def test_files_that_can_not_be_read_are_noted() -> None:
    def read(path: str) -> bytes | None:
        if path == "b.py":
            raise PermissionError(path)
        return None if path == "link.py" else b"import b"

    from repomesh.domains.requests.planning.source_files import SourceFiles

    files = SourceFiles(["a.py", "b.py", "link.py"], read)
    assert [(each.source, each.target) for each in build_graph(files).references()] == [("a.py", "b.py")]
    assert files.notes.lines() == (
        "Not read, since they are no regular files or can't be read: b.py, link.py",
    )


def test_large_files_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PLAN_SOURCE_BYTES_MAX", 20)
    monkeypatch.setattr(limits, "PLAN_PARSED_BYTES_MAX", 30)
    files = files_of(
        {"a.py": "import b", "b.py": "import c #" + "x" * 20, "c.py": "import a", "d.py": "import a\n" * 2}
    )
    assert {each.source for each in build_graph(files).references()} == {"a.py", "c.py"}
    assert [note.partition(":")[0] for note in files.notes.lines()] == [
        "Without references, since all files together are too large to parse",
        "Without references, since they are too large to be parsed",
    ]


def test_a_graph_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PLAN_REFERENCES_MAX", 2)
    files = files_of({"a.py": "import b, c, d", "b.py": "", "c.py": "", "d.py": ""})
    assert len(list(build_graph(files).references())) == 2
    assert "Further references were left out" in files.notes.lines()[0]


def test_a_graph_keeps_the_strongest_reference_and_none_to_itself() -> None:
    graph = ReferenceGraph()
    graph.add("a", "b", LAZY)
    graph.add("a", "b", REQUIRED)
    graph.add("a", "b", NAMED)
    graph.add("a", "a", REQUIRED)
    assert [(each.target, each.strength) for each in graph.references()] == [("b", REQUIRED)]
    assert graph.among(["a"]) == []
