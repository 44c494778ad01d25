"""Commands that wait: who waits for what is said, and a wait may be longer than one request's."""

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
    """What the operation answers; a wait for messages as long as `timeout_s` says, in several requests."""
    if described.name != "message.wait":
        return await ids.call(client, described.name, fields)
    usual = next(field.default for field in described.fields if field.name == "timeout_s")
    seconds = float(fields.get("timeout_s", usual))
    whom = agent or os.environ.get("REPOMESH_AGENT")
    if seconds > 0 and output.is_terminal():
        output.print_note(f"waiting{f' for messages to {whom}' if whom else ''}, {seconds:g} s …")
    end = time.monotonic() + seconds
    left = seconds
    while True:
        answer = await client.call_json(described.name, {**fields, "timeout_s": min(left, WAIT_S_MAX)})
        left = end - time.monotonic()
        if seconds <= WAIT_S_MAX or left <= 0 or answer["items"] or answer.get("omitted"):
            return answer
