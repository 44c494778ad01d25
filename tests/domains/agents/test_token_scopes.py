"""Tokens that are narrowed to scopes, and tokens that end by themselves."""

from __future__ import annotations

import pytest

from clocks import MovableClock
from harness import Mesh, Refused, Speaker
from repomesh.kernel import limits
from repomesh.kernel.operation import Kind
from repomesh.operations import registry

pytestmark = pytest.mark.anyio

OFFERED = [op for op in registry if op.http is not None and op.kind is not Kind.SUBSCRIPTION]
WRITES = sorted({op.scope for op in OFFERED if op.scope.endswith(":write")})


async def token(mesh: Mesh, *scopes: str, **fields: object) -> Speaker:
    request = {"role": "agent", "agent": "ann"} | ({"scopes": list(scopes)} if scopes else {}) | fields
    return Speaker(mesh.http, (await mesh.post("/v1/tokens", **request))["token"])


async def code(speaker: Speaker, verb: str, path: str, **fields: object) -> str:
    with pytest.raises(Refused) as refused:
        await getattr(speaker, verb)(path, **fields)
    return str(refused.value.code)


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("scope", WRITES)
async def test_a_narrowed_token_calls_the_operations_of_its_scope_alone(mesh: Mesh, scope: str) -> None:
    narrow = await token(mesh, scope)
    for operation in OFFERED:
        assert operation.http is not None
        path = operation.http.path.format(**dict.fromkeys(operation.http.path_fields, "x"))
        how = {"json": {}} if operation.http.has_body else {}
        response = await narrow.request(operation.http.method, path, **how)
        refused = response.status_code == 403 and "scope" in response.json()["detail"]
        assert refused == (operation.scope != scope), (operation.name, response.text)


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_a_star_stands_for_every_area_of_one_right(mesh: Mesh) -> None:
    reader = await token(mesh, "*:read", "tasks:write")
    assert (await reader.get("/v1/messages"))["items"] == []
    await reader.post("/v1/tasks", goal="Read it")
    assert await code(reader, "post", "/v1/messages", to=["ann"], body="x") == "forbidden"


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_a_search_finds_what_the_token_may_read(mesh: Mesh) -> None:
    ann = await mesh.agent("ann")
    await ann.post("/v1/tasks", goal="needle")
    await ann.post("/v1/messages", to=["ann"], body="needle")
    narrow = await token(mesh, "sessions:read", "tasks:read")
    for path in ("/v1/search", "/v1/recall"):
        asked = {"text": "needle", "what": ["message", "task"]}
        assert len((await ann.get(path, **asked))["items"]) == 2
        assert [item["what"] for item in (await narrow.get(path, **asked))["items"]] == ["task"]
        assert await code(narrow, "get", path, text="needle", what="message") == "forbidden"


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_a_task_brings_no_more_than_the_token_may_have(mesh: Mesh) -> None:
    ann = await mesh.agent("ann")
    task = await ann.post("/v1/tasks", goal="Write it", scope=["src/a.py"])
    await ann.post("/v1/messages", to=["ann"], body="direct", task_id=task["id"])
    bob = await mesh.agent("bob")
    await bob.post("/v1/locks/acquire", resources=["src/a.py"])
    path = f"/v1/tasks/{task['id']}"
    narrow = await (await token(mesh, "tasks:read")).get(f"{path}/context")
    assert [narrow[part] for part in ("messages", "events", "locks")] == [[], [], []]
    wide = await (await token(mesh, "*:read")).get(f"{path}/context")
    assert all(wide[part] for part in ("messages", "events", "locks"))
    await bob.post("/v1/locks/release", resources=["src/a.py"])
    worker = await token(mesh, "tasks:write")
    assert await code(worker, "post", f"{path}/claim", take_locks=True) == "forbidden"
    await worker.post(f"{path}/claim")


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_a_session_delegates_tasks_only_for_those_who_may_create_tasks(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan", title="Plan")
    path, task = "/v1/sessions/plan/tasks", {"goal": "Write it"}
    assert await code(await token(mesh, "sessions:write"), "post", path, **task) == "forbidden"
    webhook = {
        "type": "collaborative_session_command",
        "command": "delegate_task",
        "session_id": "plan",
        "data": {"agent_name": "ann", **task},
    }
    narrow = await token(mesh, "sessions:write")
    answer = await narrow.request("POST", "/v1/webhook", json=webhook)
    assert answer.json()["error"]["code"] == "forbidden"
    both = await token(mesh, "sessions:write", "tasks:write")
    assert (await both.post(path, **task))["task"]["goal"] == "Write it"


async def test_what_a_narrowed_token_makes_is_narrowed_alike(mesh: Mesh, clock: MovableClock) -> None:
    made = await mesh.post(
        "/v1/tokens", role="owner", scopes=["tokens:admin", "agents:write"], expires_in_s=600
    )
    assert made["scopes"] == ["agents:write", "tokens:admin"]
    narrow = Speaker(mesh.http, made["token"])
    assert await code(narrow, "post", "/v1/tokens", role="owner", scopes=["tasks:write"]) == "forbidden"
    child = await narrow.post("/v1/tokens", role="owner", expires_in_s=limits.TOKEN_LIFE_S_MAX)
    assert (child["scopes"], child["expires_at"]) == (made["scopes"], made["expires_at"])
    instance = Speaker(mesh.http, (await narrow.post("/v1/agents/register", name="ben"))["token"])
    assert await code(instance, "get", "/v1/messages") == "forbidden"
    clock.advance(601)
    assert await code(instance, "get", "/v1/messages") == "token_expired"


async def test_a_token_ends_at_its_time_with_all_that_it_held(mesh: Mesh, clock: MovableClock) -> None:
    brief = await token(mesh, expires_in_s=600)
    await brief.post("/v1/locks/acquire", resources=["src/a.py"], ttl_s=3_600)
    clock.advance(540)
    assert len((await brief.get("/v1/locks"))["items"]) == 1
    clock.advance(60)
    assert await code(brief, "get", "/v1/locks") == "token_expired"
    await mesh.sweep()
    clock.advance(limits.SWEEP_CHANGES_S)
    await mesh.sweep()
    assert (await mesh.get("/v1/locks"))["items"] == []
    (event,) = (await mesh.get("/v1/events", type="token.revoked"))["items"]
    assert event["data"]["reason"] == "expired"
    assert await code(brief, "get", "/v1/locks") == "token_expired"


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"scopes": ["messages:send"]}, "invalid_request"),
        ({"scopes": ["message:read"]}, "unknown_scope"),
        ({"scopes": []}, "invalid_request"),
        ({"scopes": ["tasks:admin"]}, "unknown_scope"),
        ({"scopes": ["webhooks:admin"]}, "forbidden"),
        ({"expires_in_s": limits.TOKEN_LIFE_S_MIN - 1}, "invalid_request"),
        ({"expires_in_s": limits.TOKEN_LIFE_S_MAX + 1}, "invalid_request"),
        ({"scopes": ["tasks:read"] * (limits.TOKEN_SCOPES_MAX + 1)}, "invalid_request"),
    ],
)
async def test_what_can_not_be_made_is_refused(mesh: Mesh, fields: dict[str, object], expected: str) -> None:
    assert await code(mesh, "post", "/v1/tokens", role="agent", agent="ann", **fields) == expected
