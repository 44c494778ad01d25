"""How the path of a message looks to people: for each recipient what happened, in order, with times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from repomesh.cli import output

_ROUTES = {
    "session_start": "handed out as its session began",
    "compacted": "handed out after its context was compacted",
    "prompt": "handed out with a prompt",
    "after_tool": "handed out after a tool call",
    "turn_end": "held back the end of its turn",
    "wake": "woke it",
    "mcp": "returned by a tool",
}
_TIMES = {
    "stored_at": "stored",
    "offered_at": "offered",
    "injected_at": "injected: before its model",
    "read_at": "read",
    "acked_at": "acknowledged",
}


def say(trace: Mapping[str, Any]) -> None:
    """Print a trace."""
    count = trace["recipient_count"]
    output.say(
        f"{trace['message_id']} from {output.clean(trace['sender_name'])}, {trace['created_at']}, "
        f"to {count} {'recipient' if count == 1 else 'recipients'}"
    )
    for recipient in trace["recipients"]:
        output.say(f"\n{recipient['agent_name']} ({recipient['agent_status']}): {recipient['status']}")
        for at, what in sorted(_steps(recipient)):
            output.say(f"  {at}  {what}")
        if recipient["reason"]:
            output.say(f"  not before its model: {recipient['reason']}")
    for notice in trace["notices"]:
        output.say(f"\n{notice['created_at']}  the sender was told: {output.clean(notice['subject'])}")
    if trace.get("next_cursor"):
        output.note(f"there is more: --cursor {trace['next_cursor']}")


def _steps(recipient: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, what in _TIMES.items():
        if recipient[name]:
            yield recipient[name], what
    for one in recipient["deliveries"]:
        whose = f" ({one['cli']} {one['session_id']})" if one["cli"] else ""
        yield one["at"], f"{_ROUTES.get(one['route'], one['route'])}{whose}"
        if one["failed_at"]:
            yield one["failed_at"], f"that came to nothing: {output.clean(one['failure'])}"
        elif one["confirmed_at"]:
            yield one["confirmed_at"], "seen in its model's context"
