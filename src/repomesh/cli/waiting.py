"""`message wait`: notes on the terminal that it waits, and spreads a long wait over several requests."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from repomesh.cli import ids, output
from repomesh.kernel.limits import WAIT_S_MAX

if TYPE_CHECKING:
    from repomesh.client.catalogue import OperationDescription
    from repomesh.client.client import Client


async def call(
    client: Client, described: OperationDescription, fields: Mapping[str, Any], agent: str | None
) -> Any:
    """Call the operation and return its answer; `message.wait` lasts `timeout_s` in several requests."""
    if described.name != "message.wait":
        return await ids.call(client, described.name, fields)
    default = next(field.default for field in described.fields if field.name == "timeout_s")
    timeout_s = float(fields.get("timeout_s", default))
    recipient = agent or os.environ.get("REPOMESH_AGENT")
    if timeout_s > 0 and output.is_terminal():
        output.print_note(f"waiting{f' for messages to {recipient}' if recipient else ''}, {timeout_s:g} s …")
    deadline = time.monotonic() + timeout_s
    remaining_s = timeout_s
    while True:
        answer = await client.call_json(described.name, {**fields, "timeout_s": min(remaining_s, WAIT_S_MAX)})
        remaining_s = deadline - time.monotonic()
        if timeout_s <= WAIT_S_MAX or remaining_s <= 0 or answer["items"] or answer.get("omitted"):
            return answer
