"""For 'there is no X': the names near the one that was given, and the command that lists them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from repomesh.cli import spelling
from repomesh.client.errors import RemoteError, ServerUnreachable

if TYPE_CHECKING:
    from repomesh.client.client import Client

_MISSING: Final = re.compile(
    r"there is no (agent|channel|session|template|chunk|artifact) '#?([^']+)'(?: in session '([^']+)')?"
)
_LISTS: Final[dict[str, tuple[str, str, str]]] = {
    "agent": ("agent.list", "name", "agent list"),
    "artifact": ("artifact.list", "artifact_id", "artifact list SESSION_ID"),
    "channel": ("channel.list", "name", "channel list"),
    "chunk": ("chunk.list", "chunk_id", "chunk list SESSION_ID"),
    "session": ("session.list", "id", "session list"),
    "template": ("meeting_template.list", "name", "meeting templates"),
}
"""By what is missing: the operation that lists it, the field that names one, and the command."""
_NAMES_MAX: Final = 1_000  # looked at


async def named(client: Client, error: RemoteError) -> RemoteError:
    """The error with a hint that names what was meant; the same for any other error."""
    missing = _MISSING.match(error.message)
    if missing is None or not error.code.endswith("_not_found"):
        return error
    sort, given, session = missing.groups()
    operation, field, command = _LISTS[sort]
    client.act_as(None)  # the acting agent may be the one that there is not
    names = []
    try:
        async for one in client.items(operation, limit=200, **({"session_id": session} if session else {})):
            names.append(str(one[field]))
            if len(names) >= _NAMES_MAX:
                break
    except (RemoteError, ServerUnreachable):  # who may not list it is not told of it
        return error
    listing = f"'repomesh {command.replace('SESSION_ID', session or '')}' lists the {sort}s."
    hint = f"{spelling.meant(spelling.near(given, names))}{listing}"
    return RemoteError(error.status, error.code, error.message, hint, error.details)
