"""Completions of a language model over an OpenAI-compatible endpoint; without settings there are none.

Prompts and answers hold texts of others: both are data, never instructions to the server. An endpoint that is
slow, broken or gone makes an answer without a text, never an error.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import structlog

from repomesh.adapters.llm.endpoint import ModelEndpoint, UnusableAnswer
from repomesh.kernel import limits
from repomesh.kernel.ports import NO_COMPLETIONS, Completion, ModelPrompt
from repomesh.kernel.settings import Settings

log = structlog.get_logger("repomesh.completions")


class EndpointCompletions:
    """Asks the endpoint that the settings name. Equal questions at the same time are sent once."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = ModelEndpoint.from_base_url(
            settings.completions_url,
            "chat/completions",
            settings.completions_key,
            name="the model",
            possessive="the model's",
        )
        self._model = settings.completions_model
        self._running: dict[ModelPrompt, asyncio.Task[Completion]] = {}

    async def complete(self, question: ModelPrompt) -> Completion:
        """The model's answer; never raises for what the endpoint does."""
        if self._endpoint is None:
            return Completion(refusal=NO_COMPLETIONS)
        task = self._running.get(question)
        if task is None:
            if len(self._running) >= limits.COMPLETIONS_AT_ONCE_MAX:
                return Completion(refusal="the model is busy; ask again in a moment")
            task = asyncio.create_task(self._ask(self._endpoint, question), name="completion")
            self._running[question] = task
            task.add_done_callback(lambda _done: self._running.pop(question, None))
        try:
            return await asyncio.shield(task)  # a caller that leaves does not cancel it for others
        except asyncio.CancelledError:
            if task.cancelled():
                return Completion(refusal="the server is stopping")
            raise

    async def close(self) -> None:
        """Cancel the requests under way."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _ask(self, endpoint: ModelEndpoint, question: ModelPrompt) -> Completion:
        messages = [
            {"role": "system", "content": question.task},
            {"role": "user", "content": question.material},
        ]
        body = {"model": self._model, "messages": messages, "stream": False}
        try:
            raw = await endpoint.ask(body, limits.COMPLETION_S, limits.COMPLETION_BYTES_MAX)
            return Completion(text=_completion_text(raw), model=self._model or "")
        except UnusableAnswer as error:
            log.warning("no completion", reason=str(error))
            return Completion(refusal=str(error))


def _completion_text(raw: bytes) -> str:
    """The first choice's text in a `chat.completion`."""
    try:
        answer: Any = json.loads(raw)
        text = answer["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise UnusableAnswer("the model's endpoint answered no text")
    return text.strip()[: limits.COMPLETION_CHARS_MAX]
