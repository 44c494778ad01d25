"""How the proxy is an agent: it registers, says again and again that it lives, and leaves."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any, Final
from urllib.parse import quote

import httpx

from repomesh.kernel import processes
from repomesh.proxy.messages import Headers, Json, RefusedError, refusal

FINAL: Final = frozenset({"instance_replaced", "token_revoked", "agent_retired"})
"""Refusals that were meant: who is told one of these must not come back by itself."""
UNKNOWN_S: Final = 15.0
"""Between looks at whether there is an instance to keep alive, while there is none."""
CONNECT_S: Final = 5.0
ANSWER_S: Final = 15.0


class Membership:
    """One instance of an agent, held with the token that the server gives it.

    `name` is the agent to be, or with `numbered` the first free one of 'name', 'name-2' …; without a name the
    server makes a free one from the client's own. `headers` identify the instance in every request, and are
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
        self._ended: RefusedError | None = None

    @property
    def headers(self) -> Headers | None:
        """What identifies the instance."""
        if self._registration is None:
            return None
        return {"Authorization": f"Bearer {self._registration['token']}"}

    @property
    def heartbeat_every_s(self) -> float:
        """How often the server wants to hear of the instance."""
        return float(self._registration["heartbeat_every_s"]) if self._registration else UNKNOWN_S

    async def register(self, client_name: str) -> None:
        """Become the agent, unless it is one already; raises RefusedError."""
        if self._ended is not None:
            raise self._ended
        if self._registration is not None:
            return
        body: Json = {
            "program": _label(client_name),
            "instance_id": self._instance_id,
            # Its hooks name the client, too, so that both are one agent.
            "process_id": processes.name_of(os.getppid()),
        }
        if self._name is not None:
            body |= {"name": self._name}
        if self._numbered:
            body |= {"next_if_active": True}
        # The same key until it worked: when only the answer was lost, the same agent is answered again.
        made = await self._post("/v1/agents/register", body, self._token, self._key)
        self._registration = made
        # Coming back later, it is to be the same agent.
        self._name, self._numbered = made["agent"]["name"], False

    async def heartbeat(self) -> None:
        """Say that the instance lives; raises RefusedError."""
        if self._registration is not None:
            await self._speak("heartbeat")

    async def leave(self) -> None:
        """End the instance, so that what it held is free at once."""
        if self._registration is not None:
            await self._speak("leave")

    def lost(self, refused: RefusedError, identity: Headers | None) -> None:
        """The server refused the instance that `identity` stood for: for good, or because it forgot it.

        A server whose data was set back may be joined again; who replaced or revoked the instance meant it.
        """
        if identity != self.headers:
            return  # another request saw it first, and the instance is a new one by now
        self._registration = None
        self._key = uuid.uuid4().hex
        if refused.body["code"] in FINAL:
            self._ended = refused

    async def _speak(self, what: str) -> None:
        assert self._registration is not None
        identity, agent_id = self.headers, quote(self._registration["agent"]["id"])
        try:
            token = self._registration["token"]
            await self._post(f"/v1/agents/{agent_id}/{what}", {}, token, uuid.uuid4().hex)
        except RefusedError as refused:
            if refused.status == httpx.codes.UNAUTHORIZED:
                self.lost(refused, identity)
            raise

    async def _post(self, path: str, body: Json, token: str, key: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        response = await self._http.post(f"{self._url}{path}", json=body, headers=headers, timeout=timeout)
        if response.status_code != httpx.codes.OK:
            raise refusal(response, response.content)
        return response.json()


def _label(client_name: str) -> str:
    """What the client calls itself, as the server takes it: one line, and not too long."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", client_name).strip()[:200]
