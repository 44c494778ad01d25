"""Requests as they should not be, and what every answer bears."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asgi import JSON, create, request, send
from harness import Mesh, Refused
from repomesh.app import Server
from repomesh.kernel.fields import encode_cursor
from repomesh.kernel.operation import Kind
from repomesh.operations import registry

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"])

# -- paths and queries -------------------------------------------------------------------------------


async def test_a_field_comes_from_one_place_once(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for method, path, query, body in (
        ("GET", "/v1/agents", b"limit=1&limit=2", b""),
        ("GET", "/v1/agents", b"unknown=1", b""),
        ("GET", "/v1/agents", b"=1", b""),
        ("GET", "/v1/agents", b"limit=", b""),
        ("GET", f"/v1/agents/{alice.id}", b"agent_id=other", b""),
        ("POST", "/v1/tokens", b"role=observer", b""),
        ("POST", "/v1/tokens", b"role=observer", b'{"role": "observer"}'),
        ("POST", f"/v1/agents/{alice.id}/leave", b"", b'{"agent_id": "alice"}'),
        ("POST", f"/v1/agents/{alice.id}/leave", b"", b"[1]"),
        ("POST", f"/v1/agents/{alice.id}/leave", b"", b"{"),
        ("DELETE", "/v1/tokens/not-an-id", b"", b""),
    ):
        answer = await send(mesh, method, path, body, JSON, query=query)
        assert answer.status == 422, (method, path, query, body)
        assert answer.json["errors"][0]["field"]


async def test_no_bytes_in_a_url_or_a_header_upset_the_server(mesh: Mesh) -> None:
    await mesh.agent("alice")
    odd = [
        b"%00",
        b"%FF",
        b"%C3%28",
        b"%ED%A0%80",
        b"\xff\xfe",
        b"%",
        b"%zz",
        b"+" * 3_000,
        b"a" * 3_000,
        b"'--",
    ]
    for value in odd:
        for query in (b"name_prefix=" + value, b"cursor=" + value, b"limit=" + value, value + b"=1"):
            assert (await send(mesh, "GET", "/v1/agents", query=query)).status in (200, 422), query
    for path in ("/v1/agents/a\x00b", "/v1/agents/\ufffd", "/v1/agents/" + "a" * 3_000, "/v1/agents/a b"):
        assert (await send(mesh, "GET", path)).status in (404, 422), path
    for name in (b"x-repomesh-agent", b"x-correlation-id", b"idempotency-key", b"if-match", b"traceparent"):
        for value in (b"\xff", b"a\x00b", b"a" * 10_000, b"\xe2\x80\xae", b'"', b"9" * 400):
            answer = await create(mesh, b'{"role": "observer"}', (name, value))
            assert answer.status in (201, 404, 422), (name, value)
    wrong = await request(
        mesh.server.asgi,
        "GET",
        "/v1/agents",
        headers=[(b"host", b"localhost"), (b"authorization", b"Bearer \xff\x00")],
    )
    assert wrong.status == 401


@on_sqlite
async def test_two_authorization_headers_are_refused(mesh: Mesh) -> None:
    """A proxy in front may have looked at the other one."""
    token = b"Bearer " + mesh.token.encode()
    for other in (token, b"Bearer rpm_other"):
        for path in ("/v1/agents", "/metrics", "/mcp"):
            headers = [(b"host", b"localhost"), (b"authorization", token), (b"authorization", other)]
            answer = await request(
                mesh.server.asgi, "POST" if path == "/mcp" else "GET", path, headers=headers
            )
            assert (answer.status, answer.json["code"]) == (422, "invalid_request"), path


@on_sqlite
async def test_every_number_in_a_query_is_bounded(mesh: Mesh) -> None:
    for limit in ("0", "-1", "201", "1.5", "1e2", "0x10", "9" * 30, "9" * 5_000, "nan"):
        with pytest.raises(Refused) as refused:
            await mesh.get("/v1/agents", limit=limit)
        assert (refused.value.status, refused.value.problem["errors"][0]["field"]) == (422, "limit")


async def test_a_cursor_of_ones_own_making_is_refused(mesh: Mesh) -> None:
    await mesh.agent("alice")
    forged = [encode_cursor(*parts) for parts in ((), (1,), (True,), (None,), ("a", "b"), ("\0",), (1.5,))]
    for cursor in (*forged, "W10", "bm90IGpzb24", "_" * 512, "A" * 513):
        with pytest.raises(Refused) as refused:
            await mesh.get("/v1/agents", cursor=cursor)
        assert refused.value.status == 422, cursor


@on_sqlite
async def test_paths_have_their_methods_and_no_others(mesh: Mesh) -> None:
    for method, path, allow in (
        ("PUT", "/v1/agents", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/agents/register", "OPTIONS, POST"),
        ("HEAD", "/v1/agents/register", "OPTIONS, POST"),
        ("TRACE", "/v1/tokens", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
    ):
        answer = await send(mesh, method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allow), (method, path)
        assert (await send(mesh, "OPTIONS", path)).headers["allow"] == allow
    options = await send(mesh, "OPTIONS", "/v1/tokens")
    assert (options.status, options.body) == (204, b"")
    assert (await send(mesh, "HEAD", "/v1/agents")).status == 200
    for path in ("/", "/v1", "/v1/agents/", "/v1//agents", "/v2/agents", "/V1/agents", "/v1/agents/a/b"):
        answer = await send(mesh, "GET", path)
        assert (answer.status, answer.json["code"]) == (404, "not_found"), path


# -- headers -----------------------------------------------------------------------------------------


@on_sqlite
async def test_every_answer_is_kept_by_nobody_and_guessed_at_by_no_browser(mesh: Mesh) -> None:
    for method, path in (
        ("GET", "/v1/agents"),
        ("GET", "/nowhere"),
        ("GET", "/healthz"),
        ("OPTIONS", "/v1/agents"),
    ):
        answer = await send(mesh, method, path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@on_sqlite
async def test_a_refusal_is_a_problem_document(mesh: Mesh) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await mesh.anonymous().request("GET", "/v1/agents", headers={"traceparent": parent})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    problem = answer.json()
    assert problem["trace_id"] == parent[3:35]
    assert problem["type"] == "urn:repomesh:problem:unauthenticated"
    assert problem["status"] == 401
    assert all(problem[name] for name in ("title", "detail", "code", "hint"))


@on_sqlite
async def test_a_refusal_repeats_no_secret(mesh: Mesh) -> None:
    secret = "rpm_guessed-by-somebody"
    wrong = type(mesh.anonymous())(mesh.http, secret)
    for answer in (
        await wrong.request("GET", "/v1/agents"),
        await mesh.request("GET", "/v1/agents", params={"limit": secret}),
        await mesh.request("GET", "/v1/agents", params={"token": mesh.token}),
        await mesh.request("GET", "/v1/agents", params={"cursor": mesh.token}),
        await mesh.request("POST", "/v1/tokens", json={"role": mesh.token}),
        await mesh.request(
            "POST", "/v1/tokens", json={"role": "observer"}, headers={"If-Match": str(mesh.token)}
        ),
        await mesh.request("GET", "/v1/agents", headers={"X-Repomesh-Agent": f"!{mesh.token}"}),
    ):
        assert answer.status_code >= 400
        assert secret not in answer.text
        assert mesh.token is not None
        assert mesh.token not in answer.text


async def test_a_replay_says_that_it_is_one(mesh: Mesh) -> None:
    key = {"Idempotency-Key": "once"}
    answers = [
        await mesh.request("POST", "/v1/agents/register", json={"name": "a"}, headers=key) for _ in "12"
    ]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
    for bad in ("", " ", "a b", "k" * 256, "\x7f"):
        answer = await create(mesh, b'{"role": "observer"}', (b"idempotency-key", bad.encode()))
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_a_correlation_id_is_written_with_what_it_caused(mesh: Mesh) -> None:
    await mesh.post("/v1/agents/register", headers={"X-Correlation-Id": "release 7"}, name="alice")
    found = await mesh.events(correlation_id="release 7")
    assert "agent.registered" in {event["type"] for event in found}


async def test_a_version_is_shown_and_demanded(mesh: Mesh) -> None:
    task = await mesh.post("/v1/tasks", goal="one")
    path = f"/v1/tasks/{task['id']}"
    tag = (await mesh.request("GET", path)).headers["etag"]
    first = await mesh.request("PATCH", path, json={"goal": "two"}, headers={"If-Match": tag})
    assert first.status_code == 200
    assert first.headers["etag"] != tag
    late = await mesh.request("PATCH", path, json={"goal": "three"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "stale_version")
    for unreadable in ("2", 'W/"2"', '"a"', '"1", "2"', '"' + "9" * 16 + '"'):
        answer = await mesh.request("PATCH", path, json={"goal": "x"}, headers={"If-Match": unreadable})
        assert answer.status_code == 422, unreadable
    ignored = await mesh.request("POST", "/v1/tasks", json={"goal": "new"}, headers={"If-Match": '"1"'})
    assert ignored.json()["code"] == "condition_ignored"
    assert (
        await mesh.request("PATCH", path, json={"goal": "4"}, headers={"If-Match": "*"})
    ).status_code == 200
    assert len((await mesh.get("/v1/tasks"))["items"]) == 1


# -- the server --------------------------------------------------------------------------------------


async def test_the_pages_about_the_server_tell_what_their_reader_may_know(mesh: Mesh) -> None:
    anonymous = mesh.anonymous()
    assert (await anonymous.get("/healthz"))["status"] == "ok"
    assert (await anonymous.get("/readyz"))["status"] == "ready"
    assert (await anonymous.request("GET", "/metrics")).status_code == 401
    observer = await mesh.observer()
    figures = await observer.request("GET", "/metrics")
    assert figures.headers["content-type"].startswith("text/plain")
    assert 'repomesh_operations_total{code="ok",operation="token.create"}' in figures.text
    mesh.server.store.close()
    answer = await anonymous.request("GET", "/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "retry-after" in answer.headers
    assert str(mesh.server.settings.data) not in answer.text
    assert (await anonymous.get("/healthz"))["status"] == "ok"


@on_sqlite
async def test_a_fault_of_the_surface_is_a_problem_document_too(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the inner workings")

    monkeypatch.setattr("repomesh.surfaces.http.routes._send_answer", broken)
    answer = await mesh.request("GET", "/v1/agents")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "inner workings" not in answer.text


@on_sqlite
async def test_a_client_that_leaves_takes_its_wait_along(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    assert alice.token is not None
    answered = asyncio.Event()

    async def receive() -> Any:
        await answered.wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/messages/wait",
        "raw_path": b"/v1/messages/wait",
        "query_string": b"timeout_s=50",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {alice.token}".encode())],
        "root_path": "",
    }
    waiting = asyncio.create_task(mesh.server.asgi(scope, receive, send))  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    answered.set()
    await asyncio.wait_for(waiting, 10)
    # A server that stops ends waits in the same way, and its clients are still there to read this.
    assert sent[0]["status"] == 503
    ended = mesh.server.metrics.operations.labels("message.wait", "cancelled")._value.get()
    assert ended == 1


def test_path_fields_are_text() -> None:
    """A field in the path is put into the body as text, where types are not guessed."""
    for operation in registry:
        if operation.http is None or operation.kind is Kind.SUBSCRIPTION or not operation.http.has_body:
            continue
        properties = operation.request.model_json_schema()["properties"]
        for name in operation.http.path_fields:
            kinds = [choice.get("type") for choice in properties[name].get("anyOf", [properties[name]])]
            assert set(kinds) == {"string"}, operation.name


@on_sqlite
async def test_the_routes_shadow_none_of_each_other(server: Server) -> None:
    """A literal path such as /messages/wait must not be swallowed by /messages/{message_id}."""
    for operation in registry:
        if operation.http is None or operation.kind is Kind.SUBSCRIPTION:
            continue
        path = operation.http.path
        for name in operation.http.path_fields:
            path = path.replace(f"{{{name}}}", "x")
        answer = await request(server.asgi, "OPTIONS", path)
        assert operation.http.method in answer.headers["allow"].split(", "), operation.name
