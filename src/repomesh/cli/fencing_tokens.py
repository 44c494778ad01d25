"""The fencing token of a claim, for who types commands about a task and was shown the token only once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.catalogue import OperationDescription, RequestField
    from repomesh.client.client import Client

TOKEN: Final = "fencing_token"


def may_be_looked_up(described: OperationDescription, field: RequestField) -> bool:
    """Whether a field is the fencing token of a task's present claim, which the task itself tells."""
    return field.name == TOKEN and any(each.name == "task_id" for each in described.fields)


async def add_token(
    client: Client, described: OperationDescription, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of an operation on a claim, with the present claim's fencing token where none was given.

    The server still refuses whoever doesn't hold the claim. Raises InvalidRequest when nobody holds it.
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
