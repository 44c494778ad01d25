"""What texts mean, as vectors of an OpenAI-compatible endpoint; without settings there is none.

An endpoint that is slow, broken or gone makes an answer without vectors, never an error, and is then left
alone for a while, so that nobody waits for it again and again.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import structlog

from repomesh.kernel import limits
from repomesh.kernel.settings import Settings

log = structlog.get_logger("repomesh.embeddings")

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

NOT_CONFIGURED: Final = (
    "no embeddings are configured: set REPOMESH_EMBEDDINGS_URL and REPOMESH_EMBEDDINGS_MODEL"
)


@dataclass(frozen=True, slots=True)
class Texts:
    """What is to be made vectors of, and something that the asker knows its answer by."""

    texts: tuple[str, ...]
    about: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of length 1 for each text, as 32-bit floats, or in `refusal` why there is none."""

    vectors: tuple[bytes, ...] = ()
    model: str = ""
    refusal: str = ""


class Embedder(Protocol):
    """The port: whatever makes vectors of texts."""

    async def embed(self, wanted: Texts) -> Embedding:
        """A vector for each text; never raises for what the model does."""
        ...


class EndpointEmbedder:
    """Asks the endpoint that the settings name."""

    def __init__(self, settings: Settings) -> None:
        url = settings.embeddings_url
        self._url = None if url is None else f"{url.rstrip('/')}/embeddings"
        self._model = settings.embeddings_model or ""
        self._key = settings.embeddings_key
        self._broken = ""
        self._broken_until = 0.0
        self._running = 0

    async def embed(self, wanted: Texts) -> Embedding:
        """A vector for each text; never raises for what the endpoint does."""
        if self._url is None:
            return Embedding(refusal=NOT_CONFIGURED)
        if time.monotonic() < self._broken_until:
            return Embedding(refusal=self._broken)
        if self._running >= limits.EMBEDDINGS_AT_ONCE_MAX:
            return Embedding(refusal="the embeddings' endpoint is busy")
        self._running += 1
        try:
            return await self._ask(wanted.texts)
        finally:
            self._running -= 1

    async def _ask(self, texts: Sequence[str]) -> Embedding:
        import httpx  # only who has an endpoint needs it

        patience_s = limits.EMBEDDING_S + limits.EMBEDDING_TEXT_S * len(texts)
        try:
            async with asyncio.timeout(patience_s):
                vectors = await self._vectors(texts, patience_s)
        except TimeoutError:
            refusal = f"the embeddings' endpoint did not answer within {patience_s:g} s"
        except httpx.HTTPError as error:  # its words may hold the URL, and that a secret
            refusal = f"the embeddings' endpoint can't be reached ({type(error).__name__})"
        except _Unusable as error:
            refusal = str(error)
        else:
            return Embedding(vectors, self._model)
        self._broken, self._broken_until = refusal, time.monotonic() + limits.EMBEDDINGS_PAUSE_S
        log.warning("no embeddings", reason=refusal, pause_s=limits.EMBEDDINGS_PAUSE_S)
        return Embedding(refusal=refusal)

    async def _vectors(self, texts: Sequence[str], patience_s: float) -> tuple[bytes, ...]:
        import httpx

        assert self._url is not None
        headers = {}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        local = urlsplit(self._url).hostname in _LOOPBACK
        async with (
            httpx.AsyncClient(timeout=patience_s, trust_env=not local) as http,
            http.stream("POST", self._url, headers=headers, json=body) as response,
        ):
            if response.status_code != 200:
                raise _Unusable(f"the embeddings' endpoint answered {response.status_code}")
            raw = bytearray()
            async for piece in response.aiter_bytes():
                raw += piece
                if len(raw) > limits.EMBEDDING_BYTES_MAX:
                    raise _Unusable("the embeddings' answer is too long")
        return _unit_vectors(bytes(raw), len(texts))


class _Unusable(Exception):
    """What the endpoint answered are no vectors."""


def _unit_vectors(raw: bytes, count: int) -> tuple[bytes, ...]:
    """The vectors of an answer in the order of the texts, each made as long as 1."""
    try:
        items = sorted(json.loads(raw)["data"], key=lambda item: item["index"])
        vectors = [_unit(item["embedding"]) for item in items]
    except (ValueError, LookupError, TypeError, OverflowError):
        vectors = []
    if len(vectors) != count or len({len(vector) for vector in vectors}) != 1:
        raise _Unusable("the embeddings' endpoint answered no vectors")
    return tuple(vectors)


def _unit(values: Any) -> bytes:
    length = math.sqrt(sum(value * value for value in values))
    if not math.isfinite(length) or length == 0 or len(values) > limits.EMBEDDING_DIMENSIONS_MAX:
        raise ValueError
    return array("f", [value / length for value in values]).tobytes()
