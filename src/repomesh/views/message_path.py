"""The path of a message: for each recipient what happened, in order, with times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from repomesh.views.terminal_text import TextStyle, clean, counted

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


def path_lines(style: TextStyle, trace: Mapping[str, Any]) -> list[str]:
    """Return the answer of message.trace: per recipient each step with its time, then the notices."""
    lines = [
        f"{style.short_id(trace['message_id'])} from {clean(trace['sender_name'])}, {trace['created_at']}, "
        f"to {counted(trace['recipient_count'], 'recipient')}"
    ]
    for recipient in trace["recipients"]:
        lines += ["", f"{recipient['agent_name']} ({recipient['agent_status']}): {recipient['status']}"]
        lines += [f"  {at}  {step}" for at, step in sorted(_steps(recipient))]
        lines += [f"  not before its model: {recipient['reason']}"] if recipient["reason"] else []
    for notice in trace["notices"]:
        lines += ["", f"{notice['created_at']}  the sender was told: {notice['subject']}"]
    return [clean(line) for line in lines]


def _steps(recipient: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, step in _TIMES.items():
        if recipient[name]:
            yield recipient[name], step
    for delivery in recipient["deliveries"]:
        session = f" ({delivery['cli']} {delivery['session_id']})" if delivery["cli"] else ""
        yield delivery["at"], f"{_ROUTES.get(delivery['route'], delivery['route'])}{session}"
        if delivery["failed_at"]:
            yield delivery["failed_at"], f"that came to nothing: {clean(delivery['failure'])}"
        elif delivery["confirmed_at"]:
            yield delivery["confirmed_at"], "seen in its model's context"
