"""Questions to a model's endpoint: bounded, once each, and never an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from completing import Model, serving_model
from repomesh.adapters.llm.completions import EndpointCompletions
from repomesh.kernel import limits
from repomesh.kernel.ports import NO_COMPLETIONS, Completion, ModelPrompt
from repomesh.kernel.settings import Settings

pytestmark = pytest.mark.anyio
ASKED = ModelPrompt("Sum up.", "| words")


@pytest.fixture
def model() -> Iterator[Model]:
    with serving_model() as made:
        yield made


def configured(model: Model, **further: object) -> EndpointCompletions:
    named = {"completions_url": f"{model.url}/", "completions_model": "m-1"}
    return EndpointCompletions(Settings(data=Path("data"), **named, **further))  # type: ignore[arg-type]


async def test_a_text_is_cut_at_its_limit(model: Model) -> None:
    model.answer = "x" * (limits.COMPLETION_CHARS_MAX + 1)
    answer = await configured(model).complete(ASKED)
    assert answer == Completion(text="x" * limits.COMPLETION_CHARS_MAX, model="m-1")
    assert model.asked[0]["messages"][1] == {"role": "user", "content": "| words"}


async def test_the_key_is_sent_and_never_shown(model: Model) -> None:
    key = SecretStr("sk-secret")
    settings = Settings(completions_url=model.url, completions_model="m-1", completions_key=key)
    assert "sk-secret" not in repr(settings)
    model.answer = (401, b"sk-secret is wrong")
    answer = await EndpointCompletions(settings).complete(ASKED)
    assert (model.keys, answer.text) == (["Bearer sk-secret"], "")
    assert answer.refusal == "the model's endpoint answered 401"


async def test_without_settings_nothing_is_asked() -> None:
    assert await EndpointCompletions(Settings()).complete(ASKED) == Completion(refusal=NO_COMPLETIONS)


async def test_a_server_that_stops_waits_for_no_model(model: Model) -> None:
    completions = configured(model)
    model.hold.clear()
    asked = asyncio.create_task(completions.complete(ASKED))
    await asyncio.to_thread(model.heard.wait, 20)
    await completions.close()
    assert (await asked).refusal == "the server is stopping"


async def test_who_leaves_takes_the_answer_from_nobody(model: Model) -> None:
    completions = configured(model)
    model.hold.clear()
    left, stayed = (asyncio.create_task(completions.complete(ASKED)) for _ in range(2))
    await asyncio.to_thread(model.heard.wait, 20)
    left.cancel()
    model.hold.set()
    assert (await stayed).text == "A summary."
    assert left.cancelled()
    assert len(model.asked) == 1
