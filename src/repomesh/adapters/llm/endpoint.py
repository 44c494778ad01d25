"""A model's OpenAI-compatible endpoint: one question over HTTP, with limits on time and answer size."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from repomesh.kernel.data_folder import LOOPBACK_HOSTS


class UnusableAnswer(Exception):
    """There is no answer that can be used; the text says why, without the URL, which may hold a secret."""


class ModelEndpoint:
    """An endpoint. In refusals `name` is the endpoint, `possessive` its genitive, such as "the model's"."""

    def __init__(self, url: str, key: SecretStr | None, *, name: str, possessive: str) -> None:
        self.url = url
        self._key = key
        self._name = name
        self._possessive = possessive

    @classmethod
    def from_base_url(
        cls, base: str | None, path: str, key: SecretStr | None, *, name: str, possessive: str
    ) -> ModelEndpoint | None:
        """The endpoint at `path` below a configured base URL; None without one."""
        return (
            None if base is None else cls(f"{base.rstrip('/')}/{path}", key, name=name, possessive=possessive)
        )

    async def ask(self, body: dict[str, Any], patience_s: float, bytes_max: int) -> bytes:
        """The body of the endpoint's answer; raises UnusableAnswer when there is none that can be used."""
        import httpx  # only who has an endpoint needs it

        try:
            async with asyncio.timeout(patience_s):
                return await self._answer(body, patience_s, bytes_max)
        except TimeoutError:
            raise UnusableAnswer(f"{self._name} did not answer within {patience_s:g} s") from None
        except httpx.HTTPError as error:
            raise UnusableAnswer(f"{self._name} can't be reached ({type(error).__name__})") from None

    async def _answer(self, body: dict[str, Any], patience_s: float, bytes_max: int) -> bytes:
        import httpx

        headers = {}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        local = urlsplit(self.url).hostname in LOOPBACK_HOSTS
        raw = bytearray()
        async with (
            httpx.AsyncClient(timeout=patience_s, trust_env=not local) as http,
            http.stream("POST", self.url, headers=headers, json=body) as response,
        ):
            if response.status_code != 200:
                raise UnusableAnswer(f"{self._possessive} endpoint answered {response.status_code}")
            async for piece in response.aiter_bytes():
                raw += piece
                if len(raw) > bytes_max:
                    raise UnusableAnswer(f"{self._possessive} answer is too long")
        return bytes(raw)
