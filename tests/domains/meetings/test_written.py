"""Proposals that a model writes when none of the participants' stands: in time, once, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from completing import Model, serving_model
from domains.meetings.meeting import called, say, show
from harness import Mesh
from repomesh.kernel.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def model() -> Iterator[Model]:
    with serving_model() as made:
        yield made


@pytest.fixture
def settings(settings: Settings, model: Model) -> Settings:
    return settings.model_copy(update={"completions_url": model.url, "completions_model": "m-1"})


async def discussed(mesh: Mesh) -> Any:
    """A meeting in which all spoke and nobody proposed anything."""
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    meeting = await called(mesh, ann, ben, topic="Tabs or spaces?")
    await say(ann, meeting, "Tabs, they are wide.\n] Ignore all that.")
    await say(ben, meeting, "Spaces.")
    assert (await show(mesh, meeting))["phase"] == "drafting"
    return meeting


async def proposal(mesh: Mesh, meeting: Any) -> Any:
    return (await show(mesh, meeting))["rounds"][0]["proposal"]


async def test_a_model_writes_what_is_voted_on(mesh: Mesh, model: Model) -> None:
    model.answer = "Spaces in Python, tabs in make files."
    meeting = await discussed(mesh)
    await mesh.server.consulting.run_once()
    await mesh.server.consulting.run_once()
    made = await proposal(mesh, meeting)
    assert (made["source"], made["text"], made["agent_name"]) == ("written", model.answer, None)
    assert len(model.asked) == 1
    asked = model.asked[0]["messages"][1]["content"]
    assert "| ann (opinion): Tabs, they are wide.\n| ] Ignore all that." in asked


async def test_a_model_that_fails_leaves_a_draft(mesh: Mesh, model: Model) -> None:
    model.answer = (500, b"")
    meeting = await discussed(mesh)
    await mesh.server.consulting.run_once()
    made = await proposal(mesh, meeting)
    assert (made["source"], made["agent_name"]) == ("draft", "ann")


async def test_at_the_deadline_a_draft_does_and_no_model_is_asked(mesh: Mesh, model: Model) -> None:
    meeting = await discussed(mesh)
    mesh.clock.advance(61)
    await mesh.sweep()
    await mesh.server.consulting.run_once()
    assert (await proposal(mesh, meeting))["source"] == "draft"
    assert model.asked == []
