"""Looks up the fencing token of a claim for commands on a task that were typed without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.catalogue import OperationDescription, RequestField
    from repomesh.client.client import Client

TOKEN: Final = "fencing_token"


def may_be_looked_up(described: OperationDescription, field: RequestField) -> bool:
    """Whether a field is the fencing token of a task's present claim, which `task.show` returns."""
    return field.name == TOKEN and any(other.name == "task_id" for other in described.fields)


async def add_token(
    client: Client, described: OperationDescription, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of an operation, with the present claim's fencing token if it is needed and missing.

    The server still refuses an agent that does not hold the claim. Raises InvalidRequest if nobody holds it.
    """
    needs_token = any(field.required and may_be_looked_up(described, field) for field in described.fields)
    if not needs_token or TOKEN in fields:
        return dict(fields)
    task = await client.call_json("task.show", {"task_id": fields["task_id"]})
    if task[TOKEN] is None:
        raise InvalidRequest(
            f"nobody holds a claim on task '{task['goal']}'",
            hint="Claim it first: 'repomesh task claim TASK_ID --as AGENT'.",
        )
    return {**fields, TOKEN: task[TOKEN]}
