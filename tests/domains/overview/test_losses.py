"""An agent that lost leases is told so first thing, once: which, when, why, and who holds the same by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import Mesh
from hooking import Cli, repository
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio
SILENT_S = 3600.0


async def working(mesh: Mesh, **options: Any) -> Cli:
    """A CLI whose agent has locked a file."""
    cli = Cli(mesh, **options)
    await cli.hook("start")
    await lock(mesh, await cli.agent(), "a.txt")
    return cli


async def lock(mesh: Mesh, agent: str, *resources: str, **fields: Any) -> Any:
    acting = {"X-Repomesh-Agent": agent}
    taken = await mesh.post("/v1/locks/acquire", headers=acting, resources=list(resources), **fields)
    await mesh.settled()  # what was heard of it belongs to this time
    return taken


@pytest.mark.parametrize("swept", [True, False])
@pytest.mark.parametrize(("moment", "said"), [("prompt", {"prompt": "x"}), ("start", {}), ("after", {})])
async def test_the_next_hook_begins_with_what_was_lost_once(
    mesh: Mesh, swept: bool, moment: str, said: dict[str, Any]
) -> None:
    cli = await working(mesh)
    mesh.clock.advance(SILENT_S)
    if swept:
        await mesh.sweep()
    text = await cli.told(moment, **said)
    assert text.startswith("[repomesh] First: you no longer hold this.")
    assert "'a.txt'" in text
    assert "silent" in text
    assert "no longer hold" not in await cli.told("after")


async def test_who_took_it_meanwhile_is_named_and_the_edit_is_denied_with_the_history(
    mesh: Mesh, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "project")
    cli = await working(mesh, cwd=str(folder))
    mesh.clock.advance(SILENT_S)
    bob = await mesh.agent("bob")
    await bob.post("/v1/locks/acquire", resources=["a.txt"])
    edit = {"tool_name": "Edit", "tool_input": {"file_path": str(folder / "a.txt")}}
    denied = await cli.told("before", **edit)
    assert "locked by agent 'bob'" in denied
    assert "you held 'a.txt'" in denied
    assert "agent 'bob' holds it now" in await cli.told("prompt", prompt="x")
    assert "you held 'a.txt'" in await cli.told("before", **edit), "the history stays"


async def test_an_answer_that_came_too_late_is_given_again(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = await working(mesh)
    mesh.clock.advance(SILENT_S)
    with monkeypatch.context() as late:
        late.setattr("repomesh.surfaces.hooks.routes.HOOK_ANSWER_S", -1.0)
        assert "no longer hold" in await cli.told("prompt", prompt="x")
    assert "no longer hold" in await cli.told("prompt", prompt="x")
    assert "no longer hold" not in await cli.told("after")


async def test_many_losses_are_counted(mesh: Mesh) -> None:
    cli = await working(mesh)
    for number in range(limits.BRIEFING_ITEMS_MAX + 2):
        await lock(mesh, await cli.agent(), f"{'deep/' * 8}{number}.txt")
    mesh.clock.advance(SILENT_S)
    text = await cli.told("after")
    first, _, _ = text.partition("\nand ")
    assert len(first) <= limits.LOSSES_SHARE_CHARS
    assert f"and {limits.BRIEFING_ITEMS_MAX + 3 - first.count(' (token ')} more" in text
    assert "no longer hold" not in await cli.told("after")


async def test_what_was_given_back_or_only_for_an_edit_is_no_loss(mesh: Mesh, tmp_path: Path) -> None:
    folder = repository(tmp_path / "project")
    cli = await working(mesh, cwd=str(folder))
    agent = {"X-Repomesh-Agent": await cli.agent()}
    await mesh.post("/v1/locks/release", headers=agent, resources=["a.txt"])
    await cli.hook("before", tool_name="Edit", tool_input={"file_path": str(folder / "b.txt")})
    mesh.clock.advance(SILENT_S)
    await mesh.sweep()
    assert "no longer hold" not in await cli.told("prompt", prompt="x")


async def test_what_an_admin_took_away_is_told_with_the_reason(mesh: Mesh) -> None:
    cli = await working(mesh)
    await mesh.post("/v1/locks/force-release", resources=["a.txt"], reason="It blocks the release.")
    assert "an administrator took it away" in await cli.told("after")


async def test_a_task_that_was_lost_is_told(mesh: Mesh) -> None:
    cli = Cli(mesh)
    await cli.hook("start")
    task = await mesh.post("/v1/tasks", goal="Mend it")
    await mesh.post(f"/v1/tasks/{task['id']}/claim", headers={"X-Repomesh-Agent": await cli.agent()})
    mesh.clock.advance(SILENT_S)
    await mesh.sweep()
    assert f"task {task['id']}" in await cli.told("prompt", prompt="x")


async def test_a_registration_is_briefed_with_it_first(mesh: Mesh) -> None:
    ann = await mesh.agent("ann")
    await ann.post("/v1/locks/acquire", resources=["a.txt"])
    await mesh.settled()
    mesh.clock.advance(SILENT_S)
    await mesh.sweep()
    again = await mesh.agent("ann")
    assert again.registration is not None
    assert again.registration["briefing"].startswith("[repomesh] First: you no longer hold this.")
    assert "no longer hold" not in (await again.get("/v1/briefing"))["text"]
