"""A mesh that answers at a URL, with a web server's sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from conftest import MovableClock
from live import LiveMesh, serving, url_of
from repomesh.app import Server
from repomesh.kernel.settings import Settings
from repomesh.store import folder


@pytest.fixture
async def live(server: Server, settings: Settings, clock: MovableClock) -> AsyncIterator[LiveMesh]:
    token = folder.read_secret(settings.data / folder.TOKEN)
    assert token is not None
    with serving(server) as web:
        async with httpx.AsyncClient(base_url=url_of(web), timeout=30) as http:
            yield LiveMesh(server, http, token, clock, web)
