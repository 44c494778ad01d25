"""Renders a tool's result for a model: its JSON with every text made neutral, and messages labelled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import pydantic_core
from pydantic import BaseModel

from repomesh.domains.messaging.messages.envelope import label, neutral_values, new_boundary
from repomesh.domains.messaging.messages.models import Message
from repomesh.domains.overview.searching.models import RecallPage
from repomesh.domains.overview.task_context.models import TaskContext
from repomesh.kernel.dispatch import OperationResult
from repomesh.kernel.fields import Page
from repomesh.kernel.json_text import run_off_loop_if_large
from repomesh.kernel.operation import Operation

LOST: Final = "lost"
"""The first entry of an answer that reports lost leases to their agent."""
ENVELOPE: Final = "envelope"
"""The first entry of a result that holds messages: a boundary and what they are."""

# Most results need no change, and one search in their JSON shows it.
_NEEDS_ESCAPING: Final = re.compile(r"<|\\[ubfr]")


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The text that a model reads, the ids of the messages in it, and their boundary."""

    text: str
    is_error: bool = False
    reminder: str = ""
    message_ids: tuple[str, ...] = ()
    boundary: str = ""


async def render(operation: Operation, answer: OperationResult) -> ToolOutput:
    """Render an answer for a model, with every text made neutral, since others wrote it.

    Long ones are rendered on a thread: a million characters take a tenth of a second.
    """
    text = await run_off_loop_if_large(len(answer.json or b""), _text, operation, answer.result)
    return await run_off_loop_if_large(len(text), _neutral_output, answer.result, text)


def _text(operation: Operation, result: BaseModel) -> str:
    # A secret must not enter a transcript; a program that needs it gets it over HTTP.
    secret_fields = {operation.secret_field} if operation.secret_field else None
    # Defaults and nulls are left out: a model need not read them.
    return result.model_dump_json(exclude=secret_fields, exclude_defaults=True, exclude_none=True)


def _neutral_output(result: BaseModel, text: str) -> ToolOutput:
    message_ids = tuple(_message_ids(result))
    if not message_ids and not isinstance(result, RecallPage):
        return ToolOutput(escape_untrusted_json(text))
    boundary = new_boundary()
    value: Any = neutral_values(pydantic_core.from_json(text), boundary)
    return ToolOutput(_json({ENVELOPE: label(boundary)} | value), message_ids=message_ids, boundary=boundary)


def escape_untrusted_json(text: str) -> str:
    """JSON with every text in it made neutral; unchanged where there is nothing to change."""
    if text.isascii() and text.isprintable() and _NEEDS_ESCAPING.search(text) is None:
        return text
    return _json(neutral_values(pydantic_core.from_json(text), new_boundary()))


def add_losses(output: ToolOutput, losses_text: str) -> ToolOutput:
    """The output with the lost leases as the first entry of its object."""
    rest_of_object = output.text.removeprefix(
        "{"
    )  # every result is an object, and may be too long to parse once more
    return replace(
        output, text=f'{{"{LOST}":{_json(losses_text)}{"" if rest_of_object == "}" else ","}{rest_of_object}'
    )


def label_values(value: dict[str, Any]) -> str:
    """Plain values as JSON, with every text made neutral, behind a label that marks them as data."""
    boundary = new_boundary()
    return _json({ENVELOPE: label(boundary)} | neutral_values(value, boundary))


def _message_ids(result: BaseModel) -> Iterable[str]:
    """The ids of the messages whose bodies stand in a result."""
    if isinstance(result, TaskContext):
        return (message.id for message in result.messages)
    if isinstance(result, Page):
        return (item.id for item in result.items if isinstance(item, Message))
    return ()


def _json(value: Any) -> str:
    return pydantic_core.to_json(value).decode()
