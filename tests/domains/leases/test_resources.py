"""What a lock request names, and what a guard asks before a file is written."""

from __future__ import annotations

import pytest

from harness import Mesh
from repomesh.domains.leases import leasing, resources
from repomesh.domains.leases.conflicts import Targets
from repomesh.domains.leases.errors import InvalidResource
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import system_caller


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
    assert resources.parse(text) == [resources.Resource(type_, spelling, prefix)]


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
        targets = Targets(files=files)
        found = mesh.server.store.read_now(caller, lambda tx: leasing.blocking_locks(tx, targets, bob.id))
        return [lease.resource for lease, _on in found]

    assert blocking("app/[id]/page.tsx") == ["app/[id]/*.tsx"]
    assert blocking("app/i/page.tsx", "src/main.py") == ["app/[id]/*.tsx", "src/*.py"]
    assert blocking("docs/a.md", "src/deep/main.py") == []
    assert blocking("src") == ["src/*.py"]  # a file there would take the place of the folder
    assert blocking("src/*", "src/a\\b") == []
