"""Prints the answer of an operation, for a person or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from repomesh.cli import output
from repomesh.views import answers
from repomesh.views.outcomes import outcome_line

if TYPE_CHECKING:
    from repomesh.client.catalogue import OperationDescription
    from repomesh.client.client import Client

_NAMES_PAGE = 200


def print_result(
    described: OperationDescription,
    value: Any,
    *,
    as_json: bool,
    looked_at: Sequence[str] = (),
    brief: bool = False,
) -> None:
    """Print the answer of an operation; with `brief` as one line about what the command did.

    `looked_at` are the kinds of objects that were searched, for the note on an empty list.
    """
    style = output.style()
    outcome = outcome_line(style, described.name, value) if brief and isinstance(value, dict) else None
    if as_json:
        output.print_json(value)
    elif outcome is not None:
        output.print_line(outcome)
        secret = value.get(described.secret or "")
        if secret and not secret.startswith("("):
            print(f"{described.secret}\t{secret}")
    else:
        drawing = answers.draw(style, described.item, value, looked_at)
        if drawing.text is not None:
            print(drawing.text)
        for note in drawing.notes:
            output.print_note(note)


def hide_secret(described: OperationDescription, value: Any) -> Any:
    """Return an answer with its secret replaced, so that it ends in no transcript."""
    field = described.secret
    if field and isinstance(value, dict) and value.get(field):
        return value | {field: f"(not shown; ask for it with --show-{field})"}
    return value


async def add_actor_names(client: Client, described: OperationDescription, value: Any) -> Any:
    """Add `actor_name` to the events of an answer; any other answer is returned unchanged."""
    if described.item != "Event" or not isinstance(value, dict):
        return value
    names = {agent["id"]: agent["name"] async for agent in client.items("agent.list", limit=_NAMES_PAGE)}
    items = value.get("items", [value])
    for event in items:
        event["actor_name"] = names.get(event["actor"] or "") or event["principal"].partition(":")[0]
    return value
