"""The proxy's membership as an agent: registration, heartbeats and leaving."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any, Final
from urllib.parse import quote

import httpx

from repomesh.kernel import processes
from repomesh.proxy.messages import Headers, Json, RefusedError, refusal_of_response

FINAL: Final = frozenset({"instance_replaced", "token_revoked", "agent_retired"})
"""Codes of deliberate refusals, after which the proxy must not register again."""
UNKNOWN_S: Final = 15.0
"""The heartbeat interval while there is no registered instance."""
CONNECT_S: Final = 5.0
ANSWER_S: Final = 15.0


class Membership:
    """One registered instance of an agent, with its own token.

    `name` is the agent's name, or with `numbered` the first free one of 'name', 'name-2' …; without a name
    the server derives a free one from the client's. `headers` identify the instance in every request, and are
    None while it is not registered.
    """

    def __init__(
        self, http: httpx.AsyncClient, url: str, token: str, name: str | None, *, numbered: bool = False
    ) -> None:
        self._http = http
        self._url = url
        self._token = token
        self._name = name
        self._numbered = numbered
        self._instance_id = f"proxy:{uuid.uuid4().hex}"
        self._key = uuid.uuid4().hex
        self._registration: Json | None = None
        self._final_refusal: RefusedError | None = None

    @property
    def headers(self) -> Headers | None:
        """The headers that identify the instance, None while it is not registered."""
        if self._registration is None:
            return None
        return {"Authorization": f"Bearer {self._registration['token']}"}

    @property
    def heartbeat_every_s(self) -> float:
        """The interval of heartbeats that the server asks for, in seconds."""
        return float(self._registration["heartbeat_every_s"]) if self._registration else UNKNOWN_S

    async def register(self, client_name: str) -> None:
        """Register the agent, unless it is registered; raises RefusedError."""
        if self._final_refusal is not None:
            raise self._final_refusal
        if self._registration is not None:
            return
        body: Json = {
            "program": _label(client_name),
            "instance_id": self._instance_id,
            # The hooks name the client's process, too, so that both become one agent.
            "process_id": processes.name_of(os.getppid()),
        }
        if self._name is not None:
            body |= {"name": self._name}
        if self._numbered:
            body |= {"next_if_active": True}
        # The same key until it succeeds: when only the answer was lost, the server repeats it.
        registration = await self._post("/v1/agents/register", body, self._token, self._key)
        self._registration = registration
        # A later registration must be for the same agent.
        self._name, self._numbered = registration["agent"]["name"], False

    async def heartbeat(self) -> None:
        """Send a heartbeat of the instance; raises RefusedError."""
        if self._registration is not None:
            await self._post_action("heartbeat")

    async def leave(self) -> None:
        """End the instance, so that its leases are released at once; raises RefusedError."""
        if self._registration is not None:
            await self._post_action("leave")

    def forget_instance(self, refusal_error: RefusedError, identity: Headers | None) -> None:
        """Forget the instance with the headers `identity`, which the server refused.

        It may register again, as when the server's data was restored, unless the refusal is one of FINAL.
        """
        if identity != self.headers:
            return  # another request handled it first, and there is a new instance
        self._registration = None
        self._key = uuid.uuid4().hex
        if refusal_error.body["code"] in FINAL:
            self._final_refusal = refusal_error

    async def _post_action(self, action: str) -> None:
        assert self._registration is not None
        identity, agent_id = self.headers, quote(self._registration["agent"]["id"])
        try:
            token = self._registration["token"]
            await self._post(f"/v1/agents/{agent_id}/{action}", {}, token, uuid.uuid4().hex)
        except RefusedError as refusal_error:
            if refusal_error.status == httpx.codes.UNAUTHORIZED:
                self.forget_instance(refusal_error, identity)
            raise

    async def _post(self, path: str, body: Json, token: str, key: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        response = await self._http.post(f"{self._url}{path}", json=body, headers=headers, timeout=timeout)
        if response.status_code != httpx.codes.OK:
            raise refusal_of_response(response, response.content)
        return response.json()


def _label(client_name: str) -> str:
    """The client's name as one line of bounded length."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", client_name).strip()[:200]
