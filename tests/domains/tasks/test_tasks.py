"""Tasks are made, found, changed, and wait for each other."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused
from repomesh.kernel.limits import MAX_CHARS_MIN

pytestmark = pytest.mark.anyio


async def goals(mesh: Mesh, **criteria: Any) -> list[str]:
    return [task["goal"] for task in (await mesh.get("/v1/tasks", **criteria))["items"]]


async def test_a_task_keeps_what_it_was_made_with(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = await alice.post(
        "/v1/tasks",
        goal="Log in with a passkey",
        description="As the *browser* offers it.",
        type="feature",
        priority=7,
        scope=["./src//auth/", "docs/*.md", "docs/*.md"],
        tags=["login"],
        capabilities=["python"],
        review_required=True,
    )
    assert made["scope"] == ["src/auth/**", "docs/*.md"]
    assert (made["status"], made["ready"], made["max_attempts"]) == ("open", True, 3)
    assert made["created_by"] == alice.id
    shown = await mesh.get(f"/v1/tasks/{made['id']}")
    assert {name: shown[name] for name in made} == made
    assert shown["unmet_dependencies"] == shown["history"] == []


async def test_a_scope_outside_the_repository_is_refused_and_changes_nothing(mesh: Mesh) -> None:
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/tasks", goal="Escape", scope=["src/../../etc"])
    assert refused.value.status == 422
    assert refused.value.problem["errors"][0]["field"] == "scope.0"
    assert await goals(mesh) == []


async def test_tasks_are_found_by_what_they_are(mesh: Mesh) -> None:
    first = await mesh.post("/v1/tasks", goal="Fix the parser", type="bugfix", tags=["parser", "urgent"])
    await mesh.post("/v1/tasks", goal="Describe the parser", type="docs", tags=["parser"], priority=5)
    await mesh.post("/v1/tasks", goal="Wait", description="for the zebra", dependencies=[first["id"]])
    assert await goals(mesh) == ["Wait", "Describe the parser", "Fix the parser"]
    assert await goals(mesh, type="bugfix") == ["Fix the parser"]
    assert await goals(mesh, tag="parser") == ["Describe the parser", "Fix the parser"]
    assert await goals(mesh, ready=True) == ["Describe the parser", "Fix the parser"]
    assert await goals(mesh, ready=False) == ["Wait"]
    assert await goals(mesh, text="parser") == ["Describe the parser", "Fix the parser"]
    assert await goals(mesh, text="zebra") == ["Wait"]
    assert await goals(mesh, status="done") == []


@pytest.mark.parametrize("criteria", [{}, {"ready": True}, {"text": "work"}])
async def test_pages_are_complete_and_do_not_overlap(mesh: Mesh, criteria: dict[str, Any]) -> None:
    made = {(await mesh.post("/v1/tasks", goal="work", priority=n % 3))["id"] for n in range(7)}
    found: list[str] = []
    cursor = None
    while True:
        page = await mesh.get("/v1/tasks", limit=3, **criteria, **({"cursor": cursor} if cursor else {}))
        found += [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(found) == 7
    assert set(found) == made


async def test_a_change_is_told_once_and_only_when_something_changed(mesh: Mesh) -> None:
    task = await mesh.post("/v1/tasks", goal="Old words", tags=["a"])
    path = f"/v1/tasks/{task['id']}"
    changed = await mesh.patch(path, goal="New words", priority=3, tags=["b"])
    assert (changed["goal"], changed["priority"], changed["version"]) == ("New words", 3, 2)
    assert await mesh.patch(path, goal="New words", tags=["b"]) == changed
    assert await goals(mesh, text="old") == await goals(mesh, tag="a") == []
    assert await goals(mesh, text="new") == await goals(mesh, tag="b") == ["New words"]


async def test_a_change_of_an_older_version_is_refused(mesh: Mesh) -> None:
    task = await mesh.post("/v1/tasks", goal="One")
    path = f"/v1/tasks/{task['id']}"
    etag = (await mesh.request("GET", path)).headers["etag"]
    await mesh.patch(path, headers={"If-Match": etag}, goal="Two")
    with pytest.raises(Refused) as refused:
        await mesh.patch(path, headers={"If-Match": etag}, goal="Three")
    assert refused.value.status == 412
    assert (await mesh.get(path))["goal"] == "Two"


async def test_a_dependency_must_exist(mesh: Mesh) -> None:
    stranger = "01890000-0000-7000-8000-000000000000"
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/tasks", goal="Wait for nothing", dependencies=[stranger])
    assert (refused.value.status, refused.value.code) == (422, "dependency_not_found")


async def test_a_cycle_is_refused_and_named(mesh: Mesh) -> None:
    first = await mesh.post("/v1/tasks", goal="first")
    second = await mesh.post("/v1/tasks", goal="second", dependencies=[first["id"]])
    third = await mesh.post("/v1/tasks", goal="third", dependencies=[second["id"], first["id"]])
    with pytest.raises(Refused) as refused:
        await mesh.patch(f"/v1/tasks/{first['id']}", dependencies=[third["id"]])
    assert refused.value.code == "dependency_cycle"
    way = [first["id"], third["id"], first["id"]], [first["id"], third["id"], second["id"], first["id"]]
    assert refused.value.problem["cycle"] in way
    assert (await mesh.get(f"/v1/tasks/{first['id']}"))["ready"] is True


async def test_other_dependencies_make_a_task_wait_or_ready(mesh: Mesh) -> None:
    first = await mesh.post("/v1/tasks", goal="first")
    second = await mesh.post("/v1/tasks", goal="second")
    path = f"/v1/tasks/{second['id']}"
    assert (await mesh.patch(path, dependencies=[first["id"]]))["ready"] is False
    assert (await mesh.get(path))["unmet_dependencies"] == [first["id"]]
    assert (await mesh.patch(path, dependencies=[]))["ready"] is True


async def test_an_observer_reads_and_does_not_write(mesh: Mesh) -> None:
    task = await mesh.post("/v1/tasks", goal="Look")
    watcher = await mesh.observer()
    assert (await watcher.get(f"/v1/tasks/{task['id']}"))["goal"] == "Look"
    with pytest.raises(Refused) as refused:
        await watcher.post("/v1/tasks", goal="Touch")
    assert refused.value.status == 403


@pytest.mark.parametrize("criteria", [{}, {"ready": True}, {"text": "long"}])
async def test_a_list_fits_its_budget_and_leads_to_the_rest(mesh: Mesh, criteria: dict[str, Any]) -> None:
    for number in range(5):
        await mesh.post("/v1/tasks", goal=f"long {number}", description="é\n" * 3000, tags=["a"] * 100)
    found: list[str] = []
    cursor = None
    while True:
        options = criteria | ({"cursor": cursor} if cursor else {})
        response = await mesh.request("GET", "/v1/tasks", params={"max_chars": 2500} | options)
        assert len(response.text) <= 2500
        page = response.json()
        found += [task["goal"] for task in page["items"]]
        assert all(task["truncated"] for task in page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert "left out" in page["omitted"]
    assert sorted(found) == [f"long {number}" for number in range(5)]


async def test_a_budget_too_small_for_a_task_leads_behind_it(mesh: Mesh) -> None:
    made = [await mesh.post("/v1/tasks", goal=goal) for goal in ("small", "other")]
    none = await mesh.get("/v1/tasks", max_chars=MAX_CHARS_MIN)
    assert none["items"] == []
    assert none["omitted"] in {
        f"longer than max_chars: {task['id']}; raise max_chars, or go on with next_cursor" for task in made
    }
    assert len((await mesh.get("/v1/tasks", cursor=none["next_cursor"]))["items"]) == 1


async def test_a_task_is_shown_within_a_budget(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = await mesh.post("/v1/tasks", goal="long", description="word " * 5000)
    for _ in range(3):
        held = await alice.post("/v1/tasks/next/claim")
        await alice.post(
            f"/v1/tasks/{made['id']}/release", fencing_token=held["fencing_token"], reason="r" * 1000
        )
    path = f"/v1/tasks/{made['id']}"
    assert "omitted" in await mesh.get(path, max_chars=1_000_000)
    shown = await mesh.request("GET", path, params={"max_chars": 4000})
    assert 3000 < len(shown.text) <= 4000
    assert shown.json()["omitted"] == "shortened: description; past holders left out: 3; raise max_chars"
