"""Bodies as they should not be: refused with the field, and nothing is changed."""

from __future__ import annotations

import json

import pytest

from asgi import JSON, create, send
from harness import Mesh, Refused
from repomesh.kernel import limits
from repomesh.kernel.limits import BODY_BYTES_MAX, PROBLEM_FIELDS_MAX

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"])


async def nothing_was_made(mesh: Mesh) -> bool:
    return len((await mesh.get("/v1/tokens"))["items"]) == 1 and not (await mesh.get("/v1/agents"))["items"]


async def test_what_is_no_valid_request_changes_nothing(mesh: Mesh) -> None:
    for body in (
        b"",
        b" ",
        b"{",
        b'{"role": "observer"',
        b"{}}",
        b"[]",
        b"null",
        b'"observer"',
        b"\xef\xbb\xbf{}",
        b'{"role": "\xff"}',
        b'{"role": "observer", "label": "\xc3\x28"}',
        b'{"role": "observer", "label": "\\ud800"}',
        b'{"role": "observer", "label": "\\u0000"}',
        b'{"role": "observer", "label": "a\\nb"}',
        b'{"role": "observer", "label": 7}',
        b'{"role": "observer", "label": null}',
        b'{"role": "observer", "label": ["x"]}',
        b'{"role": "observer", "unknown": 1}',
        b'{"role": ["observer"]}',
        b'{"role": "king"}',
        b'{"role": "agent", "agent": "' + b"a" * 65 + b'"}',
        b'{"role": "agent", "agent": ""}',
        b'{"role": "agent", "agent": "../up"}',
        b'{"role": ' + b"9" * 5_000 + b"}",
        b'{"role": 1e999}',
    ):
        answer = await create(mesh, body)
        assert answer.status == 422, body[:60]
        assert answer.json["code"] == "invalid_request"
        assert answer.json["errors"][0]["field"]
    assert await nothing_was_made(mesh)


async def test_types_are_not_guessed(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for field, value in (("force", "true"), ("force", 1), ("capabilities", "python"), ("name", 7)):
        with pytest.raises(Refused) as refused:
            await mesh.post("/v1/agents/register", **{field: value})
        assert refused.value.problem["errors"][0]["field"] == field
    for figure in (b"NaN", b"Infinity", b"-1e999", b'"1"', b"true"):
        answer = await send(
            mesh, "POST", f"/v1/agents/{alice.id}/heartbeat", b'{"resources": {"cpu": %s}}' % figure, JSON
        )
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "resources.cpu"), figure


@on_sqlite
async def test_a_body_is_json_and_says_so(mesh: Mesh) -> None:
    body = b'{"role": "observer"}'
    for type_ in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"", b"json"):
        answer = await send(mesh, "POST", "/v1/tokens", body, (b"content-type", type_))
        assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), type_
    assert (await send(mesh, "POST", "/v1/tokens", body)).status == 415
    for encoding in (b"gzip", b"br", b"identity, gzip"):
        answer = await send(mesh, "POST", "/v1/tokens", body, JSON, (b"content-encoding", encoding))
        assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), encoding
    assert await nothing_was_made(mesh)
    plain = (b"content-encoding", b"identity")
    assert (await send(mesh, "POST", "/v1/tokens", b"\xef\xbb\xbf" + body, JSON, plain)).status == 201
    for type_ in (b"application/json", b"Application/JSON ; charset=utf-8"):
        assert (await send(mesh, "POST", "/v1/tokens", body, (b"content-type", type_))).status == 201


@on_sqlite
async def test_a_body_whose_fields_all_default_may_be_absent(mesh: Mesh) -> None:
    for body in (b"", b"{}"):
        headers = [JSON] if body else []
        assert (await send(mesh, "POST", "/v1/agents/register", body, *headers)).status == 200


@on_sqlite
async def test_a_body_may_have_a_mebibyte_and_not_a_byte_more(mesh: Mesh) -> None:
    body = b'{"role": "observer"}'.ljust(BODY_BYTES_MAX)
    thousand = [body[at : at + 10_486] for at in range(0, len(body), 10_486)]
    assert (await create(mesh, body)).status == 201
    assert (await send(mesh, "POST", "/v1/tokens", thousand, JSON)).status == 201
    declared = (b"content-length", str(BODY_BYTES_MAX + 1).encode())
    for pieces, headers in (
        ([b"never read"], [declared]),
        ([*thousand, b" "], []),
        ([*thousand, b" "], [(b"content-length", b"20")]),
        ([body + b" "], [(b"content-length", b"nonsense")]),
    ):
        answer = await send(mesh, "POST", "/v1/tokens", pieces, JSON, *headers)
        assert (answer.status, answer.json["code"]) == (413, "too_large")
        assert answer.json["limit_bytes"] == BODY_BYTES_MAX
        assert answer.json["size_bytes"] == BODY_BYTES_MAX + 1
    assert len((await mesh.get("/v1/tokens"))["items"]) == 3


@on_sqlite
async def test_of_many_wrong_fields_the_first_are_named(mesh: Mesh) -> None:
    fields = ",".join(f'"{"x" * 300}{number}": 1' for number in range(1_000))
    answer = await create(mesh, f"{{{fields}}}".encode())
    assert answer.status == 422
    assert len(answer.json["errors"]) == PROBLEM_FIELDS_MAX
    assert len(answer.body) < 20_000


@on_sqlite
async def test_a_shape_that_no_request_needs_is_refused_by_every_surface_that_reads_json(mesh: Mesh) -> None:
    bombs = (
        b'{"label": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"label": [' + b"1," * limits.JSON_VALUES_MAX + b"1]}",
        b"{%s}" % b",".join(b'"%d":1' % number for number in range(limits.JSON_KEYS_MAX + 1)),
    )
    for path in ("/v1/tokens", "/v1/agents/alice/heartbeat", "/v1/webhook", "/v1/hooks/claude/Stop", "/mcp"):
        for bomb in bombs:
            answer = await send(mesh, "POST", path, bomb, JSON)
            assert answer.status == 422, (path, bomb[:20])
            assert (answer.json.get("error") or answer.json)["code"] == "json_too_complex"


@on_sqlite
async def test_an_integer_is_kept_to_the_last_digit_or_refused_by_its_field(mesh: Mesh) -> None:
    command = {"type": "collaborative_session_command", "command": "store_memory"}
    for number, fits in ((2**64 - 1, True), (-(2**63), True), (2**64, False), (-(2**63) - 1, False)):
        memory = {"key": f"k{number}", "content": {"n": [number]}}
        step = {"command": "store_memory", "data": memory}
        batch = {"command": "batch", "data": {"commands": [step]}}
        ways = (("/v1/memories", memory), ("/v1/webhook", command | step), ("/v1/webhook", command | batch))
        answers = [await send(mesh, "POST", path, json.dumps(body).encode(), JSON) for path, body in ways]
        for answer in answers:
            assert answer.status == (200 if fits else 422), answer.json
            assert fits or "64 bits" in json.dumps(answer.json)
        [kept] = (await mesh.get("/v1/memories", key=memory["key"]))["items"] if fits else [memory]
        assert kept["content"] == {"n": [number]}
    alice = await mesh.agent("alice")
    await alice.post("/v1/events", type="count", data={"number": 2**64 - 1})
    assert (await mesh.events(type="count"))[0]["data"] == {"number": 2**64 - 1}
    with pytest.raises(Refused):
        await alice.post("/v1/events", type="count", data={"number": 2**64})


@on_sqlite
async def test_a_key_given_twice_is_refused_by_every_surface_that_reads_json(mesh: Mesh) -> None:
    twice = b'{"role": "observer", "role": "owner"}'
    for path in ("/v1/tokens", "/v1/agents/alice/heartbeat", "/v1/webhook", "/v1/hooks/claude/Stop", "/mcp"):
        answer = await send(mesh, "POST", path, twice, JSON)
        assert answer.status == 422, path
        problem = answer.json.get("error") or answer.json
        assert (problem["code"], problem["errors"][0]["field"]) == ("duplicate_key", "role"), path
    assert [token["role"] for token in (await mesh.get("/v1/tokens"))["items"]].count("owner") == 1


@on_sqlite
async def test_a_query_is_bounded_in_its_length_and_in_its_parameters(mesh: Mesh) -> None:
    many = b"&".join([b"a"] * (limits.QUERY_FIELDS_MAX + 1))
    for method, path in (("GET", "/v1/agents"), ("POST", "/v1/tokens")):
        refused = await send(mesh, method, path, query=many)
        assert (refused.status, refused.json["errors"][0]["field"]) == (422, "query")
    few = b"&".join(b"a%d=1" % number for number in range(100))
    assert len((await send(mesh, "POST", "/v1/tokens", query=few)).json["errors"]) == PROBLEM_FIELDS_MAX
    long = b"x" * (limits.URL_BYTES_MAX - len("/v1/agents"))
    for query, status in ((long, 422), (long + b"x", 413)):
        assert (await send(mesh, "GET", "/v1/agents", query=query)).status == status
