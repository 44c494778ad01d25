"""Vectors of texts' meaning from an OpenAI-compatible endpoint; without settings there are none.

An endpoint that is slow, broken or gone makes an answer without vectors, never an error, and is then not
asked for a while, so that callers do not wait for it again and again.
"""

from __future__ import annotations

import json
import math
import time
from array import array
from collections.abc import Sequence
from typing import Any, Final

import structlog

from repomesh.adapters.llm.endpoint import ModelEndpoint, UnusableAnswer
from repomesh.kernel import limits
from repomesh.kernel.ports import EmbeddingRequest, EmbeddingResult
from repomesh.kernel.settings import Settings

log = structlog.get_logger("repomesh.embeddings")

NOT_CONFIGURED: Final = (
    "no embeddings are configured: set REPOMESH_EMBEDDINGS_URL and REPOMESH_EMBEDDINGS_MODEL"
)


class EndpointEmbedder:
    """Asks the endpoint that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = ModelEndpoint.from_base_url(
            settings.embeddings_url,
            "embeddings",
            settings.embeddings_key,
            name="the embeddings' endpoint",
            possessive="the embeddings'",
        )
        self._model = settings.embeddings_model or ""
        self._broken = ""
        self._broken_until = 0.0
        self._running = 0

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """A vector for each text; never raises for what the endpoint does."""
        if self._endpoint is None:
            return EmbeddingResult(refusal=NOT_CONFIGURED)
        if time.monotonic() < self._broken_until:
            return EmbeddingResult(refusal=self._broken)
        if self._running >= limits.EMBEDDINGS_AT_ONCE_MAX:
            return EmbeddingResult(refusal="the embeddings' endpoint is busy")
        self._running += 1
        try:
            return await self._ask(self._endpoint, request.texts)
        finally:
            self._running -= 1

    async def _ask(self, endpoint: ModelEndpoint, texts: Sequence[str]) -> EmbeddingResult:
        patience_s = limits.EMBEDDING_S + limits.EMBEDDING_TEXT_S * len(texts)
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        try:
            raw = await endpoint.ask(body, patience_s, limits.EMBEDDING_BYTES_MAX)
            return EmbeddingResult(_unit_vectors(raw, len(texts)), self._model)
        except UnusableAnswer as error:
            self._broken, self._broken_until = str(error), time.monotonic() + limits.EMBEDDINGS_PAUSE_S
            log.warning("no embeddings", reason=self._broken, pause_s=limits.EMBEDDINGS_PAUSE_S)
            return EmbeddingResult(refusal=self._broken)


def _unit_vectors(raw: bytes, count: int) -> tuple[bytes, ...]:
    """The vectors of an answer in the order of the texts, each made as long as 1."""
    try:
        items = sorted(json.loads(raw)["data"], key=lambda item: item["index"])
        vectors = [_normalize(item["embedding"]) for item in items]
    except (ValueError, LookupError, TypeError, OverflowError):
        vectors = []
    if len(vectors) != count or len({len(vector) for vector in vectors}) != 1:
        raise UnusableAnswer("the embeddings' endpoint answered no vectors")
    return tuple(vectors)


def _normalize(values: Any) -> bytes:
    length = math.sqrt(sum(value * value for value in values))
    if not math.isfinite(length) or length == 0 or len(values) > limits.EMBEDDING_DIMENSIONS_MAX:
        raise ValueError
    return array("f", [value / length for value in values]).tobytes()
