"""How long a caller is remembered where another server on the same database may revoke its token."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh
from receiver import eventually
from repomesh.domains.agents.credentials import RevokeToken, revoke_token
from repomesh.kernel.errors import TokenRevoked
from repomesh.kernel.identity import Caller

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("engine", ["postgresql"])
async def test_what_another_server_revokes_is_refused_soon(mesh: Mesh) -> None:
    authenticate, store = mesh.server.authenticate, mesh.server.store
    ada = f"Bearer {(await mesh.post('/v1/agents/register', name='ada'))['token']}"
    owner, caller = await authenticate(f"Bearer {mesh.token}"), await authenticate(ada)
    # As another server does it: this one is told of nothing.
    store.write_now(owner, lambda tx: revoke_token(tx, RevokeToken(token_id=caller.token_id)))

    async def is_refused() -> bool:
        try:
            await authenticate(ada)
        except TokenRevoked:
            return True
        return False

    await eventually(is_refused)


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_who_was_looked_up_while_access_changed_is_looked_up_again(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticate, store = mesh.server.authenticate, mesh.server.store
    ada = f"Bearer {(await mesh.post('/v1/agents/register', name='ada'))['token']}"
    authenticate.forget()
    read, reads = store.read, 0

    async def interrupted(*arguments: Any) -> Any:
        nonlocal reads
        found = await read(*arguments)
        if isinstance(found, Caller):  # others read the store as well
            reads += 1
            if reads == 1:
                authenticate.forget()
        return found

    monkeypatch.setattr(store, "read", interrupted)
    for _ in range(3):
        await authenticate(ada)
    assert reads == 2, "the first may be out of date, the second is remembered"
