"""What a workspace forgets by itself."""

from __future__ import annotations

import pytest

from harness import Mesh
from repomesh.kernel.limits import IDEMPOTENCY_KEPT_S

pytestmark = pytest.mark.anyio


async def test_a_key_is_remembered_for_a_day_and_then_forgotten(mesh: Mesh) -> None:
    async def replayed() -> bool:
        answer = await mesh.request(
            "POST", "/v1/tokens", json={"role": "observer"}, headers={"Idempotency-Key": "once"}
        )
        return "idempotent-replayed" in answer.headers

    assert not await replayed()
    mesh.clock.advance(IDEMPOTENCY_KEPT_S - 60)
    await mesh.sweep()
    assert await replayed()
    mesh.clock.advance(120)
    await mesh.sweep()
    assert not await replayed()
    assert await replayed()
