"""What a model reads of a tool's result: its JSON with every text made neutral, and messages labelled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import pydantic_core
from pydantic import BaseModel

from repomesh.domains.messaging.messages.envelope import label, neutral_values, new_boundary
from repomesh.domains.messaging.messages.models import Message
from repomesh.domains.overview.models import TaskContext
from repomesh.domains.overview.search_models import RecallPage
from repomesh.kernel.dispatch import OperationResult
from repomesh.kernel.fields import Page
from repomesh.kernel.json_text import run_aside
from repomesh.kernel.operation import Operation

LOST: Final = "lost"
"""The first entry of an answer to an agent that lost leases, and was not told of it yet."""
ENVELOPE: Final = "envelope"
"""The first entry of a result that holds messages: a boundary and what they are."""

# Of most results nothing needs to be changed, and one look at their JSON says so.
_CONSPICUOUS: Final = re.compile(r"<|\\[ubfr]")


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a model reads of a call, and which messages stand in it, under which boundary."""

    text: str
    is_error: bool = False
    reminder: str = ""
    message_ids: tuple[str, ...] = ()
    boundary: str = ""


async def render(operation: Operation, answer: OperationResult) -> ToolOutput:
    """An answer as a model reads it. What stands in it was written by others, so no text gets past this.

    Long ones are read through on a thread: a million characters take a tenth of a second.
    """
    text = await run_aside(len(answer.json or b""), _text, operation, answer.result)
    return await run_aside(len(text), _labelled, answer.result, text)


def _text(operation: Operation, result: BaseModel) -> str:
    # A secret in a transcript is a secret no longer; a program that needs one has it from HTTP.
    hidden = {operation.secret} if operation.secret else None
    # What is as always, or not there, need not be read.
    return result.model_dump_json(exclude=hidden, exclude_defaults=True, exclude_none=True)


def _labelled(result: BaseModel, text: str) -> ToolOutput:
    message_ids = tuple(_messages(result))
    if not message_ids and not isinstance(result, RecallPage):
        return ToolOutput(neutral_json(text))
    boundary = new_boundary()
    value: Any = neutral_values(pydantic_core.from_json(text), boundary)
    return ToolOutput(_json({ENVELOPE: label(boundary)} | value), message_ids=message_ids, boundary=boundary)


def neutral_json(text: str) -> str:
    """JSON with every text in it made neutral; as it was where there is nothing to change."""
    if text.isascii() and text.isprintable() and _CONSPICUOUS.search(text) is None:
        return text
    return _json(neutral_values(pydantic_core.from_json(text), new_boundary()))


def with_losses(told: ToolOutput, lost: str) -> ToolOutput:
    """A result that begins with what its reader lost."""
    behind = told.text.removeprefix("{")  # every result is an object, and may be too long to parse once more
    return replace(told, text=f'{{"{LOST}":{_json(lost)}{"" if behind == "}" else ","}{behind}')


def labelled(value: dict[str, Any]) -> str:
    """Plain values as JSON, with every text made neutral and a label ahead that says what they are."""
    boundary = new_boundary()
    return _json({ENVELOPE: label(boundary)} | neutral_values(value, boundary))


def _messages(result: BaseModel) -> Iterable[str]:
    """The ids of the messages whose bodies stand in a result."""
    if isinstance(result, TaskContext):
        return (message.id for message in result.messages)
    if isinstance(result, Page):
        return (item.id for item in result.items if isinstance(item, Message))
    return ()


def _json(value: Any) -> str:
    return pydantic_core.to_json(value).decode()
