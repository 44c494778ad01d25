"""What tests speak with: a mesh and its agents, over the real HTTP application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from repomesh.app import Server
from repomesh.kernel.errors import RepomeshError


class Refused(Exception):
    """The server answered with a problem document."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.problem = response.json()
        self.code = self.problem["code"]
        self.response = response
        super().__init__(f"{self.status} {self.code}: {self.problem['detail']}")


@dataclass
class Speaker:
    """Somebody with a token."""

    http: httpx.AsyncClient
    token: str | None
    name: str = ""
    id: str = ""
    registration: dict[str, Any] | None = None

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        return await self.http.request(method, path, headers=headers, **options)

    async def _answer(self, method: str, path: str, **options: Any) -> Any:
        response = await self.request(method, path, **options)
        if response.status_code >= 400:
            raise Refused(response)
        return response.json()

    async def get(self, path: str, /, **params: Any) -> Any:
        """GET; keyword arguments are query parameters. Raises Refused."""
        return await self._answer("GET", path, params=params)

    async def post(self, path: str, /, headers: dict[str, str] | None = None, **body: Any) -> Any:
        """POST; keyword arguments are the JSON body. Raises Refused."""
        return await self._answer("POST", path, json=body, headers=headers or {})

    async def patch(self, path: str, /, headers: dict[str, str] | None = None, **body: Any) -> Any:
        """PATCH; keyword arguments are the JSON body. Raises Refused."""
        return await self._answer("PATCH", path, json=body, headers=headers or {})

    async def delete(self, path: str, /, **params: Any) -> Any:
        """DELETE; keyword arguments are query parameters. Raises Refused."""
        return await self._answer("DELETE", path, params=params)


class Mesh(Speaker):
    """A running server and its owner."""

    def __init__(self, server: Server, http: httpx.AsyncClient, token: str, clock: Any) -> None:
        super().__init__(http, token, "owner")
        self.server = server
        self.clock = clock

    async def agent(self, name: str, **fields: Any) -> Speaker:
        """Register an agent; answers a speaker with its instance token."""
        made = await self.post("/v1/agents/register", name=name, **fields)
        return Speaker(self.http, made["token"], name, made["agent"]["id"], made)

    async def observer(self) -> Speaker:
        """A speaker with an observer's token."""
        made = await self.post("/v1/tokens", role="observer")
        return Speaker(self.http, made["token"], "observer")

    def anonymous(self) -> Speaker:
        """A speaker without a token."""
        return Speaker(self.http, None)

    async def settled(self) -> None:
        """Wait until what hooks told and the signs of life are written down."""
        await self.server.hooks.service.settled()
        await self.server.implicit_heartbeats.stop()

    async def sweep(self) -> None:
        """Whole passes of the recovery worker: the second one finds what the first one made due."""
        for _ in range(2):
            await self.server.sweeper.run_once()

    async def events(self, **criteria: Any) -> list[dict[str, Any]]:
        """The log as the owner sees it."""
        page: list[dict[str, Any]] = (await self.get("/v1/events", limit=200, **criteria))["items"]
        return page


__all__ = ["Mesh", "Refused", "RepomeshError", "Speaker"]
