"""Questions to a language model over an OpenAI-compatible endpoint; without settings there is none.

What is asked holds words of others, and so does what comes back: both are data. An endpoint that is slow,
broken or gone makes an answer without a text, never an error.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from repomesh.kernel import limits
from repomesh.kernel.settings import Settings

log = structlog.get_logger("repomesh.completions")

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

NOT_CONFIGURED: Final = "no model is configured: set REPOMESH_COMPLETIONS_URL and REPOMESH_COMPLETIONS_MODEL"


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is to do, and the material for it."""

    task: str
    material: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote, or in `refusal` why there is nothing."""

    text: str = ""
    model: str = ""
    refusal: str = ""


class Completions:
    """Asks the endpoint that the settings name. The same question asked twice at once goes out once."""

    def __init__(self, settings: Settings) -> None:
        url = settings.completions_url
        self._url = None if url is None else f"{url.rstrip('/')}/chat/completions"
        self._model = settings.completions_model
        self._key = settings.completions_key
        self._running: dict[Question, asyncio.Task[Completion]] = {}

    async def complete(self, question: Question) -> Completion:
        """The model's answer; never raises for what the endpoint does."""
        if self._url is None:
            return Completion(refusal=NOT_CONFIGURED)
        running = self._running.get(question)
        if running is None:
            if len(self._running) >= limits.COMPLETIONS_AT_ONCE_MAX:
                return Completion(refusal="the model is busy; ask again in a moment")
            running = asyncio.create_task(self._ask(question), name="completion")
            self._running[question] = running
            running.add_done_callback(lambda _done: self._running.pop(question, None))
        try:
            return await asyncio.shield(running)  # who leaves takes the answer away from nobody
        except asyncio.CancelledError:
            if running.cancelled():
                return Completion(refusal="the server is stopping")
            raise

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _ask(self, question: Question) -> Completion:
        import httpx  # only who has an endpoint needs it

        try:
            async with asyncio.timeout(limits.COMPLETION_S):
                text = await self._answer(question)
        except TimeoutError:
            refusal = f"the model did not answer within {limits.COMPLETION_S:g} s"
        except httpx.HTTPError as error:  # its words may hold the URL, and that a secret
            refusal = f"the model can't be reached ({type(error).__name__})"
        except _Unusable as error:
            refusal = str(error)
        else:
            return Completion(text=text, model=self._model or "")
        log.warning("no completion", reason=refusal)
        return Completion(refusal=refusal)

    async def _answer(self, question: Question) -> str:
        import httpx

        assert self._url is not None
        headers = {}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        messages = [
            {"role": "system", "content": question.task},
            {"role": "user", "content": question.material},
        ]
        body = {"model": self._model, "messages": messages, "stream": False}
        local = urlsplit(self._url).hostname in _LOOPBACK
        async with (
            httpx.AsyncClient(timeout=limits.COMPLETION_S, trust_env=not local) as http,
            http.stream("POST", self._url, headers=headers, json=body) as response,
        ):
            if response.status_code != 200:
                raise _Unusable(f"the model's endpoint answered {response.status_code}")
            raw = b""
            async for piece in response.aiter_bytes():
                raw += piece
                if len(raw) > limits.COMPLETION_BYTES_MAX:
                    raise _Unusable("the model's answer is too long")
        return _text(raw)


class _Unusable(Exception):
    """What the endpoint answered is no completion."""


def _text(raw: bytes) -> str:
    """The first choice's text in a `chat.completion`."""
    try:
        answer: Any = json.loads(raw)
        text = answer["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise _Unusable("the model's endpoint answered no text")
    return text.strip()[: limits.COMPLETION_CHARS_MAX]
