"""Braces are expanded as a shell does it; what only looks like a pattern is refused with what to write."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness import Mesh, Refused
from repomesh.domains.leases import globs, resources
from repomesh.domains.leases.errors import InvalidResource
from repomesh.kernel.limits import BRACE_ALTERNATIVES_MAX, LIST_ITEMS_MAX


@pytest.mark.parametrize(
    ("text", "stands_for"),
    [
        ("src/*.{ts,tsx}", ["src/*.ts", "src/*.tsx"]),
        ("{a,b}/{c,d}", ["a/c", "a/d", "b/c", "b/d"]),
        ("a{b,c{d,e}}f", ["abf", "acdf", "acef"]),
        ("a{,.bak}", ["a", "a.bak"]),
        ("routes/{slug}.ts", ["routes/{slug}.ts"]),
        ("a{b", ["a{b"]),
        ("a}b", ["a}b"]),
        ("{a{b,c}}", ["{ab}", "{ac}"]),
        ("x[{]a[,]b}", ["x[{]a[,]b}"]),
        ("app/(group)/page.tsx", ["app/(group)/page.tsx"]),
        ("app/[[...slug]]/x", ["app/[[...slug]]/x"]),
    ],
)
def test_braces(text: str, stands_for: list[str]) -> None:
    assert globs.alternatives(text) == stands_for


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab{},", min_size=1, max_size=9), min_size=20, max_size=20))
def test_braces_as_bash_expands_them(texts: list[str]) -> None:
    for text in texts:
        try:
            ours = globs.alternatives(text)
        except InvalidResource:
            continue
        assume("{}" not in text)  # which bash leaves alone, and no file is called
        script = f"printf '%s\\0' x{text}"
        shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert ["x" + one for one in ours] == shell.stdout.split("\0")[:-1], text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("@(a|b).ts", "{a,b}"),
        ("src/+(x).py", "{a,b}"),
        ("src/!(x).py", "{a,b}"),
        ("src/[[:alpha:]]*.py", "[A-Za-z]"),
        ("a.ts,b.ts", "each by itself"),
        ("src/{a,b}.ts,c.ts", "each by itself"),
        ("src/{a,b", "each by itself"),
        ("src/{1..9}.py", "{1,2,3}"),
        ("!src/a.py", "./!"),
        ("~/src/a.py", "./~"),
        (":(exclude)src", "./:"),
        ("{" + ",".join("a" * (BRACE_ALTERNATIVES_MAX + 1)) + "}", "folder"),
        ("{a,b}" * 6, "folder"),
        ("**.py", "'src/**/*.py'"),
        ("src/a**", "'src/**/*.py'"),
        ("src/**b/c", "'src/**/*.py'"),
    ],
)
def test_what_is_not_supported_is_refused_with_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(InvalidResource) as refused:
        resources.parse_all([text])
    assert hint in refused.value.hint
    assert refused.value.message.startswith("resources.0: ")


def test_as_many_alternatives_as_the_limit_are_taken() -> None:
    text = "{" + ",".join(f"a{number}" for number in range(BRACE_ALTERNATIVES_MAX)) + "}"
    assert len(globs.alternatives(text)) == BRACE_ALTERNATIVES_MAX


def test_a_request_names_no_more_resources_than_its_limit_with_braces_expanded() -> None:
    fifty = [f"{number}/{{a,b}}" for number in range(LIST_ITEMS_MAX // 2)]
    assert len(resources.parse_all(fifty)) == LIST_ITEMS_MAX
    with pytest.raises(InvalidResource):
        resources.parse_all([*fifty, "one-more"])


@pytest.mark.parametrize("text", ["{" * 1_000, "{" * 500 + "}" * 500, "{a," * 300 + "}" * 300, "[{" * 500])
def test_hostile_braces_end(text: str) -> None:
    with contextlib.suppress(InvalidResource):
        assert len(globs.alternatives(text)) <= BRACE_ALTERNATIVES_MAX


@pytest.mark.anyio
async def test_a_lock_on_alternatives_holds_each_of_them(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    held = await alice.post("/v1/locks/acquire", resources=["src/*.{ts,tsx}"])
    assert [lock["resource"] for lock in held["locks"]] == ["src/*.ts", "src/*.tsx"]
    for path, free in (("src/a.ts", False), ("src/a.tsx", False), ("src/a.js", True)):
        assert (await bob.post("/v1/locks/check", resources=[path]))["free"] is free
    await alice.post("/v1/locks/release", resources=["src/*.{ts,tsx}"])
    assert (await mesh.get("/v1/locks"))["items"] == []


@pytest.mark.anyio
async def test_a_lock_on_a_folder_holds_all_below_it(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/locks/acquire", resources=["src"])
    for wanted in ("src", "src/", "src/a.py", "src/deep/b.py", "src/*.py", "**/*.py", "{docs,src}/x"):
        with pytest.raises(Refused):
            await bob.post("/v1/locks/acquire", resources=[wanted])
    await bob.post("/v1/locks/acquire", resources=["srcs/a.py", "docs/*.md", "src.py"])


@pytest.mark.anyio
async def test_a_folder_is_refused_where_something_below_it_is_locked_or_waited_for(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/locks/acquire", resources=["src/deep/a.py"])
    for wanted in ("src", "src/deep"):
        with pytest.raises(Refused):
            await bob.post("/v1/locks/acquire", resources=["docs/x.md", wanted])
    await bob.post("/v1/locks/acquire", resources=["src/other"])


@pytest.mark.anyio
async def test_a_task_scope_may_have_alternatives(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    task = await alice.post("/v1/tasks", goal="both kinds", scope=["src/*.{ts,tsx}"])
    claimed = await bob.post(f"/v1/tasks/{task['id']}/claim", take_locks=True)
    assert [lock["resource"] for lock in claimed["locks"]] == ["src/*.ts", "src/*.tsx"]
