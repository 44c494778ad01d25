"""Webhooks do what the API does, once, for whoever may, and say what is wrong with them."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from harness import Mesh, Refused, Speaker
from notebook import Notebook
from repomesh.domains.agents.authentication import verify
from repomesh.domains.workspaces import tokens
from repomesh.kernel import signing
from repomesh.kernel.errors import TokenRevoked
from repomesh.kernel.limits import WEBHOOK_AGE_S_MAX
from repomesh.operations import registry
from repomesh.surfaces.inbound.commands import OPERATIONS

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def payload(command: str, session_id: str | None = "plan", **data: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "collaborative_session_command", "command": command, "data": data}
    return made | ({"session_id": session_id} if session_id is not None else {})


async def post(mesh: Mesh, body: Any, key: str | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        named["X-API-Key"] = key
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await mesh.http.post("/v1/webhook", content=content, headers=named)


async def done(mesh: Mesh, speaker: Speaker, body: Any, **headers: str) -> Any:
    answer = await post(mesh, body, speaker.token, **headers)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["status"] == "success"
    assert said["request_id"]
    return said["data"]


async def refused(mesh: Mesh, speaker: Speaker, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    answer = await post(mesh, body, speaker.token, **headers)
    said = answer.json()
    assert said["status"] == "error", said
    assert {"code", "message", "hint"} <= said["error"].keys()
    return answer.status_code, said["error"]


async def test_every_command_does_what_its_operation_does(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await done(mesh, alice, payload("create_session", title="Plan", participants=["Ann"]))
    chunk = await done(mesh, alice, payload("conversation_chunk", chunk_id="c1", content="Take the parser."))
    assert (chunk["sequence"], chunk["author"]) == (1, "alice")
    await done(mesh, alice, payload("store_memory", key="port", type="decision", content={"port": 8787}))
    assert (await done(mesh, alice, payload("query_memories", type="decision")))["items"][0]["key"] == "port"
    assert (await done(mesh, alice, payload("query_memories", text="8787")))["items"][0]["key"] == "port"
    task = await done(mesh, alice, payload("delegate_task", task_id="t1", goal="Write it", agent="bob"))
    assert len((await bob.get("/v1/messages/inbox"))["items"]) == 1
    artifact = await done(mesh, alice, payload("add_artifact", artifact_id="a1", title="A", content="x = 1"))
    assert (task["key"], artifact["artifact_id"]) == ("t1", "a1")
    assert len((await done(mesh, alice, payload("search", text="parser")))["items"]) == 1
    summary = await done(mesh, alice, payload("get_session_summary"))
    assert summary["decisions"][0]["text"] == '{"port":8787}'
    assert summary["counts"] == {"chunks": 1, "chunk_bytes": 16, "memories": 1, "artifacts": 1, "tasks": 1}
    assert (await done(mesh, alice, payload("pause_session", reason="lunch")))["status"] == "paused"
    status, error = await refused(mesh, alice, payload("conversation_chunk", content="x"))
    assert (status, error["code"], error["hint"]) == (409, "session_not_active", "Resume it first.")
    await done(mesh, alice, payload("resume_session"))
    assert (await done(mesh, alice, payload("complete_session")))["status"] == "completed"
    assert len((await done(mesh, alice, payload("list_sessions", None, status="completed")))["items"]) == 1
    assert (await done(mesh, alice, payload("delete_session")))["done"]


async def test_payloads_of_other_systems_work_as_they_stand(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    task = {"task_id": "task_001", "agent_name": "claude_code", "task_type": "code", "priority": 1}
    task["description"] = "Implement carbon tracking API"
    memory = {"type": "idea", "key": "k", "content": {"what": "carbon"}, "tags": ["sustainability", "a"]}
    payloads: list[tuple[str, dict[str, Any]]] = [
        ("create_session", {"title": "Carbon", "participants": ["claude", "user"]}),
        ("conversation_chunk", {"chunk_id": "c", "content": "Ann: hello", "format": "dialogue"}),
        ("store_memory", memory),
        ("delegate_task", task),
        ("add_artifact", {"type": "code", "name": "carbon.py", "content": "x = 1"}),
        ("query_memories", {"tags": ["sustainability"]}),
        ("query_memories", {"tags": ["sustainability", "a"]}),
        ("query_memories", {"type": "idea", "text": "carbon"}),
    ]
    first = {command: await done(mesh, alice, payload(command, **data)) for command, data in payloads}
    made = first["delegate_task"]["task"]
    assert (made["goal"], made["type"], made["assignee_name"]) == (task["description"], "code", "claude_code")
    claude = await mesh.agent("claude_code")
    assert claude.id == made["assignee_id"]
    assert (await claude.get("/v1/messages/inbox"))["items"][0]["task_id"] == made["id"]
    artifact = first["add_artifact"]
    assert (artifact["title"], artifact["artifact_id"]) == ("carbon.py", "carbon.py")
    assert [one["key"] for one in first["query_memories"]["items"]] == ["k"]
    assert (await done(mesh, alice, payload("query_memories", tags=["sustainability", "b"])))["items"] == []
    steps = [{"command": command, "session_id": "other", "data": data} for command, data in payloads]
    results = (await done(mesh, alice, payload("batch", None, commands=steps)))["results"]
    assert [one["status"] for one in results] == ["success"] * len(payloads)
    again = await done(mesh, alice, payload("delegate_task", **task))
    assert again["task"]["id"] == made["id"]


async def test_what_a_model_errs_in_without_harm_is_read_as_meant_and_said(mesh: Mesh) -> None:
    await done(mesh, mesh, payload("create_session", participants='["Ann", "Ben"]', title=None))
    memory = payload("store_memory", key="k", content="[1]", tags='["a"]', confidence="0.5", sources=None)
    answer = (await post(mesh, memory, mesh.token)).json()
    kept = answer["data"]
    assert (kept["content"], kept["tags"], kept["confidence"]) == ("[1]", ["a"], 0.5)
    assert [one.split(":")[0] for one in answer["understood"]] == ["tags", "confidence", "sources"]
    found = payload("search", text="[1]", limit="3", what='["memory"]')
    assert len((await done(mesh, mesh, found | {"data": json.dumps(found["data"])}))["items"]) == 1
    for bad in ({"limit": "three"}, {"limit": "1e1"}, {"tags": "[1"}, {"tags": "{}"}, {"tags": "[" * 5_000}):
        status, error = await refused(mesh, mesh, payload("search", text="x", **bad))
        assert (status, error["code"]) == (422, "invalid_request")
    steps = [{"command": "list_sessions", "data": {"limit": "1"}}]
    for more in ({}, {"on_error": "continue"}):
        told = await done(mesh, mesh, payload("batch", commands=json.dumps(steps), **more))
        assert told["results"][0]["understood"] == ["limit: a text was read as 1"]
    with pytest.raises(Refused):
        await mesh.post("/v1/memories", key="k", content="x", tags='["a"]')


async def test_a_key_may_what_its_token_may(mesh: Mesh) -> None:
    observer = await mesh.observer()
    await done(mesh, mesh, payload("create_session"))
    assert (await post(mesh, payload("list_sessions", None))).status_code == 401
    assert (await post(mesh, payload("list_sessions", None), "rpm_wrong")).status_code == 401
    assert (await done(mesh, observer, payload("list_sessions", None)))["items"]
    status, error = await refused(mesh, observer, payload("pause_session"))
    assert (status, error["code"]) == (403, "forbidden")


FIRST = "data.commands.0"


def deep(body: Any, levels: int) -> bytes:
    """The body with a content that many lists stand around; more than a JSON library may write."""
    return json.dumps(body).replace('"content": 0', f'"content": {"[" * levels}{"]" * levels}').encode()


def wrapped(body: Any, times: int) -> Any:
    """The body as it comes through so many relays."""
    for _ in range(times):
        body = {"type": "webhook", "payload": body}
    return body


async def test_only_a_post_is_a_webhook(mesh: Mesh) -> None:
    answer = await mesh.http.get("/v1/webhook", headers={"X-API-Key": mesh.token or ""})
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert (answer.json()["status"], answer.json()["error"]["code"]) == ("error", "method_not_allowed")
    assert (await mesh.http.options("/v1/webhook")).headers["allow"] == "OPTIONS, POST"


async def test_what_is_wrong_is_named_with_its_field(mesh: Mesh) -> None:
    wrong: list[tuple[Any, str]] = [
        (b"{", "body"),
        (b"[]", "body"),
        ({"type": "webhook", "payload": "{"}, "body"),
        ({"type": "other"}, "type"),
        ({"type": "collaborative_session_command"}, "command"),
        (payload("dance"), "command"),
        (payload("create_session") | {"extra": 1}, "extra"),
        (payload("create_session", "Not a slug"), "session_id"),
        (payload("create_session", None), "session_id"),
        (payload("create_session", titel="x"), "data.titel"),
        (payload("conversation_chunk"), "data.content"),
        (payload("add_artifact", title="Nothing in it"), "data"),
        (payload("create_session") | {"data": []}, "data"),
        (payload("create_session") | {"webhook_id": "with spaces"}, "webhook_id"),
        (b'{"type": "collaborative_session_command", "command": "\xff"}', "body"),
        (b'{"type": "collaborative_session_command", "command": "\\ud800"}', "body"),
        (wrapped(payload("create_session"), 9), "type"),
        (payload("query_memories", text="x", what=["chunk"]), "data.what"),
        (payload("batch", commands=[]), "data.commands"),
        (payload("batch", commands=[payload("batch")]), "data.commands.0.command"),
        (payload("batch", commands=["create_session"]), "data.commands.0"),
        (payload("batch", commands=[payload("create_session"), {}]), "data.commands.1.command"),
        (payload("batch", commands=[payload("list_sessions") | {"webhook_id": "w"}]), f"{FIRST}.webhook_id"),
        (payload("batch", commands=[payload("list_sessions")], on_error="skip"), "data.on_error"),
        (payload("batch", commands=[payload("list_sessions")] * 101), "data.commands"),
        (payload("batch", commands=[payload("create_session", title=[7])]), "data.commands.0.data.title"),
    ]
    for body, field in wrong:
        status, error = await refused(mesh, mesh, body)
        assert (status, error["code"]) == (422, "invalid_request"), body
        assert error["errors"][0]["field"] == field, error
        assert error["errors"][0]["message"]
    status, error = await refused(mesh, mesh, deep(payload("store_memory", key="deep", content=0), 300))
    assert (status, error["code"]) == (422, "json_too_complex")
    twice = payload("create_session")
    twice["data"]["session_id"] = "other"
    assert (await refused(mesh, mesh, twice))[1]["errors"][0]["field"] == "data.session_id"
    for name in ("webhook_id", "idempotency_key"):
        status, error = await refused(mesh, mesh, payload("create_session"), **{name: "x" * 256})
        assert (status, error["errors"][0]["field"]) == (422, name.replace("_", "-"))
    assert (await mesh.get("/v1/sessions"))["items"] == []


async def test_what_a_relay_wrapped_is_unwrapped(mesh: Mesh) -> None:
    inner = payload("create_session")
    await done(mesh, mesh, {"type": "webhook", "payload": inner, "source": "relay"})
    again = {
        "type": "webhook",
        "payload": json.dumps({"type": "webhook", "payload": payload("pause_session")}),
    }
    assert (await done(mesh, mesh, again))["status"] == "paused"


async def test_a_batch_is_done_whole_or_not_at_all(mesh: Mesh) -> None:
    good = [payload("create_session"), payload("conversation_chunk", None, content="x")]
    bad = [*good, payload("complete_session", None), payload("conversation_chunk", None, content="late")]
    status, error = await refused(mesh, mesh, payload("batch", commands=bad))
    assert (status, error["code"], error["step"]) == (409, "session_not_active", 3)
    assert (await mesh.get("/v1/sessions"))["items"] == []
    results = (await done(mesh, mesh, payload("batch", commands=good)))["results"]
    assert [(one["command"], one["status"]) for one in results] == [
        ("create_session", "success"),
        ("conversation_chunk", "success"),
    ]


async def test_a_batch_may_go_on_behind_what_is_refused(mesh: Mesh) -> None:
    some = [payload("create_session"), payload("create_session"), payload("conversation_chunk", content="x")]
    body = payload("batch", None, commands=some, on_error="continue")
    results = (await done(mesh, mesh, body, webhook_id="w1"))["results"]
    assert [one["status"] for one in results] == ["success", "error", "success"]
    assert results[1]["error"]["code"] == "session_exists"
    assert (await done(mesh, mesh, body, webhook_id="w1"))["results"][2] == results[2]
    assert len((await mesh.get("/v1/sessions/plan/chunks"))["items"]) == 1


async def test_a_batch_that_goes_on_says_of_each_command_what_is_wrong_with_it(mesh: Mesh) -> None:
    some = [
        payload("dance"),
        "no object",
        {"command": "search", "session_id": 7},
        payload("create_session", titel="x"),
        payload("create_session"),
    ]
    results = (await done(mesh, mesh, payload("batch", None, commands=some, on_error="continue")))["results"]
    fields = [one["error"]["errors"][0]["field"] for one in results[:4]]
    assert [field.removeprefix("data.commands.") for field in fields] == [
        "0.command",
        "1",
        "2.session_id",
        "3.data.titel",
    ]
    assert [one["command"] for one in results] == ["dance", "", "search", "create_session", "create_session"]
    assert results[4]["status"] == "success"


async def test_an_observer_may_read_in_a_batch_and_write_in_none(mesh: Mesh) -> None:
    await done(mesh, mesh, payload("create_session"))
    observer = await mesh.observer()
    reading = [payload("list_sessions", None), payload("get_session_summary")]
    results = (await done(mesh, observer, payload("batch", commands=reading)))["results"]
    assert [one["status"] for one in results] == ["success", "success"]
    both = [*reading, payload("pause_session")]
    assert (await refused(mesh, observer, payload("batch", commands=both)))[1]["code"] == "forbidden"
    results = (await done(mesh, observer, payload("batch", commands=both, on_error="continue")))["results"]
    assert [one["status"] for one in results] == ["success", "success", "error"]


async def test_what_is_for_an_agent_that_is_away_waits_in_its_inbox(mesh: Mesh) -> None:
    bob = await mesh.agent("bob")
    await bob.post("/v1/agents/bob/leave")
    await done(mesh, mesh, payload("create_session"))
    delegated = payload("delegate_task", task_id="t1", goal="Write the parser", agent="bob")
    await done(mesh, mesh, delegated, webhook_id="w1")
    await done(mesh, mesh, delegated, webhook_id="w1")
    back = await mesh.agent("bob")
    (message,) = (await back.get("/v1/messages/inbox"))["items"]
    assert "Write the parser" in message["body"] + message["subject"]
    assert (await back.post("/v1/tasks/next/claim"))["task"]["goal"] == "Write the parser"


@pytest.mark.parametrize("header", ["webhook_id", "idempotency_key", None])
async def test_a_duplicate_is_answered_like_the_first(mesh: Mesh, header: str | None) -> None:
    await done(mesh, mesh, payload("create_session"))
    headers = {header: "w1"} if header else {}
    more = {} if header else {"webhook_id": "w1"}
    for body in (
        payload("conversation_chunk", content="x"),
        payload("batch", commands=[payload("conversation_chunk", content="y")]),
    ):
        first = await post(mesh, body | more, mesh.token, **headers)
        again = await post(mesh, body | more, mesh.token, **headers)
        assert first.status_code == 200
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert first.json()["request_id"] == "w1"
    other = payload("conversation_chunk", content="z") | more
    assert (await refused(mesh, mesh, other, **headers))[1]["code"] == "idempotency_conflict"
    assert len((await mesh.get("/v1/sessions/plan/chunks"))["items"]) == 2


@pytest.mark.settings(webhook_secret=SECRET, webhook_agent="phone")
async def test_a_signed_webhook_acts_as_its_agent(mesh: Mesh) -> None:
    body = json.dumps(payload("create_session")).encode()
    now = int(mesh.clock().timestamp())

    def headers(at: int, secret: str = SECRET, signed: bytes = body) -> dict[str, str]:
        signature = signing.sign(secret, "w1", at, signed)
        return {"webhook_id": "w1", "webhook_timestamp": str(at), "webhook_signature": f"v1,AAAA {signature}"}

    assert (
        (await post(mesh, body, **headers(now)))
        .json()["error"]["hint"]
        .startswith("Register the agent 'phone'")
    )
    await mesh.agent("phone")
    foreign = "whsec_" + base64.b64encode(b"t" * 32).decode()
    for wrong in (
        headers(now - WEBHOOK_AGE_S_MAX - 5),
        headers(now, foreign),
        headers(now, signed=body + b" "),
        headers(now) | {"webhook_timestamp": "soon"},
        headers(now) | {"webhook_id": "w2"},
    ):
        assert (await post(mesh, body, **wrong)).status_code == 401
    answer = await post(mesh, body, **headers(now))
    assert answer.json()["data"]["created_by"] == "phone"


def signed(mesh: Mesh, body: bytes, id_: str) -> dict[str, str]:
    """The headers of a signed webhook."""
    at = int(mesh.clock().timestamp())
    signature = signing.sign(SECRET, id_, at, body)
    return {"webhook_id": id_, "webhook_timestamp": str(at), "webhook_signature": signature}


@pytest.mark.settings(webhook_secret=SECRET, webhook_agent="phone")
async def test_the_key_of_signed_webhooks_is_a_principal_that_can_be_revoked(mesh: Mesh) -> None:
    await mesh.agent("phone")
    first, second = (json.dumps(payload("create_session", id_)).encode() for id_ in ("one", "two"))
    assert (await post(mesh, first, **signed(mesh, first, "w1"))).status_code == 200
    (key,) = [one for one in (await mesh.get("/v1/tokens"))["items"] if one["label"] == tokens.WEBHOOK_KEY]
    events = (await mesh.get("/v1/events", type="session.created"))["items"]
    assert [event["principal"] for event in events] == [f"agent:{key['id']}"]
    await mesh.request("DELETE", f"/v1/tokens/{key['id']}")
    answer = await post(mesh, second, **signed(mesh, second, "w2"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_revoked")
    assert (await post(mesh, second, SECRET)).status_code == 401, "it opens nothing as a token"


def test_a_key_that_was_replaced_writes_nothing_more(notebook: Notebook) -> None:
    def enrol(secret: str) -> str:
        return notebook.store.write_now(notebook.caller, lambda tx: tokens.enrol_webhook_key(tx, secret))

    old = replace(notebook.caller, token_id=enrol("whsec_old"))
    assert enrol("whsec_old") == old.token_id
    notebook.store.write_now(old, verify)
    notebook.store.write_now(replace(old, token_id=enrol("whsec_new")), verify)
    with pytest.raises(TokenRevoked):
        notebook.store.write_now(old, verify)
    with pytest.raises(TokenRevoked):
        enrol("whsec_old")


async def test_a_signature_is_worth_nothing_where_no_secret_is_set(mesh: Mesh) -> None:
    body = json.dumps(payload("list_sessions", None)).encode()
    signature = signing.sign(SECRET, "w1", 1, body)
    answer = await post(mesh, body, webhook_id="w1", webhook_timestamp="1", webhook_signature=signature)
    assert answer.status_code == 401


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the Standard Webhooks specification's reference libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signing.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == wanted


@pytest.mark.settings(webhooks_per_minute=3)
async def test_each_key_has_a_rate_of_its_own(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    for _ in range(3):
        await done(mesh, alice, payload("list_sessions", None))
    answer = await post(mesh, payload("list_sessions", None), alice.token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0
    await done(mesh, bob, payload("list_sessions", None))


@pytest.mark.settings(public_url="https://mesh.example.org/")
async def test_a_tunnel_reaches_the_webhook_and_its_schema_alone(mesh: Mesh) -> None:
    outside = {"Host": "mesh.example.org"}
    schema = await mesh.http.get("/openapi-actions.json", headers=outside)
    assert schema.json()["servers"] == [{"url": "https://mesh.example.org"}]
    key = {"X-API-Key": mesh.token or ""}
    body = payload("create_session")
    assert (await mesh.http.post("/v1/webhook", json=body, headers=outside | key)).status_code == 200
    for path in ("/v1/sessions", "/mcp", "/healthz", "/openapi.json", "/v1/webhook/", "//v1/webhook"):
        answer = await mesh.http.get(path, headers=outside | {"Authorization": f"Bearer {mesh.token}"})
        assert answer.status_code == 421, path
    page = {"Origin": "https://mesh.example.org"}
    assert (await mesh.http.post("/v1/webhook", json=body, headers=outside | key | page)).status_code == 403
    assert (
        await mesh.http.post("/v1/webhook", json=body, headers={"Host": "other.example.org"} | key)
    ).status_code == 421


async def test_fifty_at_once_on_one_session_and_sixteen_who_claim(mesh: Mesh) -> None:
    await done(mesh, mesh, payload("create_session"))
    agents = [await mesh.agent(f"agent-{number}") for number in range(16)]
    sent = [
        payload("conversation_chunk", content=f"n{number}", chunk_id=f"c{number}") for number in range(25)
    ]
    sent += [payload("delegate_task", goal=f"Task {number}", task_id=f"t{number}") for number in range(25)]
    twice = [(one, {"webhook_id": f"w{number}"}) for number, one in enumerate(sent)] * 2  # as relays do
    await asyncio.gather(*(done(mesh, mesh, one, **delivery) for one, delivery in twice))
    chunks = (await mesh.get("/v1/sessions/plan/chunks", limit=200))["items"]
    assert sorted(chunk["content"] for chunk in chunks) == sorted(f"n{number}" for number in range(25))
    assert [chunk["sequence"] for chunk in chunks] == list(range(1, 26))

    async def claim(agent: Speaker) -> list[str]:
        mine = []
        while True:
            answer = await agent.request("POST", "/v1/tasks/next/claim")
            if answer.status_code == 404:
                return mine
            mine.append(answer.json()["task"]["goal"])

    claimed = [goal for mine in await asyncio.gather(*map(claim, agents)) for goal in mine]
    assert sorted(claimed) == sorted(f"Task {number}" for number in range(25))


NASTY: list[Any] = [None, "", " ", "\0", "\ufffe", "x" * 70_000, -1, 0, 2**63, 2**70, 1e308, True, [], {}]
NASTY += [[None], ["\0"], [[]] * 101, {"\0": "\0"}, {"": 2**70}, "2026-13-45T99:99:99Z", "../..", "%00"]
HARMLESS = {"create_session": {}, "conversation_chunk": {"content": "x"}, "search": {"text": "x"}}
HARMLESS |= {"store_memory": {"key": "k", "content": "x"}, "delegate_task": {"goal": "x"}}
HARMLESS |= {"add_artifact": {"title": "x", "content": "x"}}


async def test_whatever_stands_in_a_field_is_taken_or_refused_by_its_name(mesh: Mesh) -> None:
    await done(mesh, mesh, payload("create_session"))
    asked: list[tuple[str, dict[str, Any]]] = []
    for command, name in OPERATIONS.items():
        if command == "delete_session":
            continue
        for field in registry[name].request.model_fields:
            for value in NASTY:
                one = payload(command, **HARMLESS.get(command, {}))
                (one if field == "session_id" else one["data"])[field] = value
                asked.append((field, one))
    for start in range(0, len(asked), 100):
        part = asked[start : start + 100]
        body = payload("batch", commands=[one for _, one in part], on_error="continue")
        results = (await done(mesh, mesh, body))["results"]
        for number, (told, (field, one)) in enumerate(zip(results, part, strict=True)):
            if told["status"] == "success":
                continue
            error = told["error"]
            assert error["code"] not in ("internal", "unavailable"), one
            if error["code"] == "invalid_request":
                place = f"data.commands.{number}." + ("" if field == "session_id" else "data.")
                assert error["errors"][0]["field"].startswith((place + field, place.rstrip("."))), (
                    error,
                    one,
                )
                assert error["errors"][0]["message"]
    status, error = await refused(mesh, mesh, deep(payload("store_memory", key="deep", content=0), 300))
    assert (status, error["code"]) == (422, "json_too_complex")
