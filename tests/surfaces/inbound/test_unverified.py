"""Signed webhooks: what is held of their bodies before a signature can be checked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from harness import Mesh
from rawsocket import until
from repomesh.kernel import limits, signing
from repomesh.surfaces.inbound.endpoint import PATH
from surfaces.inbound.test_webhook import SECRET, payload

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("engine", ["sqlite"]),
    pytest.mark.settings(webhook_secret=SECRET, webhook_agent="phone"),
]

BODY = json.dumps(payload("create_session")).encode()


class Delivery:
    """One delivery whose body comes in pieces."""

    def __init__(self, mesh: Mesh, body: bytes = BODY, signature: str | None = None) -> None:
        at = int(mesh.clock().timestamp())
        self.sent: list[Any] = []
        self.read = 0
        self._pieces: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        headers = {
            "host": "localhost",
            "webhook-id": "w1",
            "webhook-timestamp": str(at),
            "webhook-signature": signature or signing.sign(SECRET, "w1", at, body),
        }
        scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.task = asyncio.ensure_future(mesh.server.asgi(scope, self._receive, self._send))  # type: ignore[arg-type]

    async def bring(self, piece: bytes, *, last: bool = False) -> None:
        """Send a piece, and wait until it was taken or the delivery is answered."""
        self._pieces.put_nowait((piece, not last))

        async def is_taken() -> bool:
            return self._pieces.empty() or self.task.done()

        await until(is_taken)
        await asyncio.sleep(0)

    async def answer(self) -> tuple[int, Any]:
        await asyncio.wait_for(self.task, 30)
        return self.sent[0]["status"], json.loads(self.sent[1]["body"])

    async def _receive(self) -> Any:
        piece, more = await self._pieces.get()
        self.read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": more}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


async def test_a_signature_of_no_such_form_is_refused_unread(mesh: Mesh) -> None:
    for signature in ("v1,AAAA", "v2," + "A" * 43 + "=", "nonsense"):
        delivery = Delivery(mesh, signature=signature)
        assert (await delivery.answer())[0] == 401
        assert delivery.read == 0


async def test_bodies_share_a_budget_which_is_given_back(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNVERIFIED_BODY_BYTES_MAX", len(BODY) + 100)
    await mesh.agent("phone")
    holding = Delivery(mesh, b"")
    await holding.bring(b"x" * 101)
    late = Delivery(mesh)
    await late.bring(BODY, last=True)
    status, told = await late.answer()
    assert (status, told["error"]["code"]) == (503, "too_much_unverified")
    await holding.bring(b"", last=True)
    assert (await holding.answer())[0] == 401
    again = Delivery(mesh)
    await again.bring(BODY, last=True)
    assert (await again.answer())[0] == 200


async def test_a_body_that_does_not_come_gives_its_share_back(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNVERIFIED_BODY_BYTES_MAX", len(BODY))
    monkeypatch.setattr(limits, "UNVERIFIED_BODY_S", 0.01)
    await mesh.agent("phone")
    holding = Delivery(mesh, b"")
    await holding.bring(b"x")
    status, told = await holding.answer()
    assert (status, told["error"]["code"]) == (408, "request_timeout")
    monkeypatch.setattr(limits, "UNVERIFIED_BODY_S", 30.0)
    delivery = Delivery(mesh)
    await delivery.bring(BODY, last=True)
    assert (await delivery.answer())[0] == 200
