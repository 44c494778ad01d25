"""How long a caller is remembered where another server on the same database may revoke its token."""

from __future__ import annotations

import pytest

from harness import Mesh
from receiver import eventually
from repomesh.domains.agents.credentials import RevokeToken, revoke_token
from repomesh.kernel.errors import TokenRevoked

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
