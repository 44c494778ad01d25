"""Bodies as they should not be: refused with the field, and nothing is changed."""

from __future__ import annotations

import pytest

from asgi import JSON, create, send
from harness import Mesh, Refused
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
        b'{"label": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
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
    assert await nothing_was_made(mesh)
    for type_ in (b"application/json", b"Application/JSON ; charset=utf-8"):
        assert (await send(mesh, "POST", "/v1/tokens", body, (b"content-type", type_))).status == 201


@on_sqlite
async def test_a_body_whose_fields_all_default_may_be_absent(mesh: Mesh) -> None:
    for body in (b"", b"{}"):
        headers = [JSON] if body else []
        assert (await send(mesh, "POST", "/v1/agents/register", body, *headers)).status == 200


@on_sqlite
async def test_a_body_may_have_ten_mebibytes_and_not_a_byte_more(mesh: Mesh) -> None:
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
