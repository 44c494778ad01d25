"""What a lock request names, and what a guard asks before a file is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Mesh
from repomesh.domains.leases import leasing, paths, resources, rules
from repomesh.domains.leases.errors import InvalidResource
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import system_caller

PARTS = st.sampled_from(["a", "b.py", "*", "**", "?", "[ab]", "[id]", "a*.py", "*b", "x_%"])
NAMES = st.sampled_from(["a", "b", "b.py", "aa.py", "[id]", "x_%", "i", "ab"])


@given(st.lists(PARTS, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=4))
def test_every_path_of_a_pattern_ends_as_the_sieve_says(parts: list[str], names: list[str]) -> None:
    pattern, path = paths.normalise("/".join(parts)), "/".join(names)
    if paths.matches(pattern, path):
        assert path.endswith(rules.ending(pattern))


@pytest.mark.parametrize(
    ("text", "type_", "spelling", "prefix"),
    [
        ("./src//a.py", "path", "src/a.py", "src/a.py"),
        ("src/", "path", "src/**", "src"),
        ("**", "path", "**", ""),
        ("port:8080", "resource", "port:8080", "port:8080"),
        ("db:prod main", "resource", "db:prod main", "db:prod main"),
        ("./port:8080", "path", "port:8080", "port:8080"),
        ("docs/a:b.md", "path", "docs/a:b.md", "docs/a:b.md"),
    ],
)
def test_a_colon_makes_a_name_and_all_else_is_a_path(
    text: str, type_: str, spelling: str, prefix: str
) -> None:
    assert resources.parse(text) == resources.Resource(type_, spelling, prefix)


@pytest.mark.parametrize("text", ["", "/", "C:", "port:\n", "a/../b", "\x00", "port:" + "x" * 3_000])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidResource):
        resources.parse(text)


@pytest.mark.anyio
async def test_a_guard_sees_who_forbids_to_write_a_file(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/locks/acquire", resources=["app/[id]/*.tsx", "src/*.py"], mode="shared")
    await bob.post("/v1/locks/acquire", resources=["docs/**"])
    [workspace_id] = mesh.server.store.read_now(system_caller(""), workspace_ids)
    caller = system_caller(workspace_id)

    def blocking(*files: str) -> list[str]:
        found = mesh.server.store.read_now(caller, lambda tx: leasing.blocking_locks(tx, files, bob.id))
        return [lease.resource for lease in found]

    assert blocking("app/[id]/page.tsx") == ["app/[id]/*.tsx"]
    assert blocking("app/i/page.tsx", "./src//main.py") == ["app/[id]/*.tsx", "src/*.py"]
    assert blocking("docs/a.md", "src/deep/main.py", "src") == []
    with pytest.raises(InvalidResource):
        blocking("../outside")
