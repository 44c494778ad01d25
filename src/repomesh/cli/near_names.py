"""For 'there is no X' errors: suggests similar names and the command that lists all."""

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
"""By kind of object: the operation that lists it, the field with its name, and the command."""
_NAMES_MAX: Final = 1_000  # compared with the missing name


async def suggest_names(client: Client, error: RemoteError) -> RemoteError:
    """Return a 'not found' error with similar names in its hint; any other error unchanged."""
    match = _MISSING.match(error.message)
    if match is None or not error.code.endswith("_not_found"):
        return error
    kind, missing_name, session = match.groups()
    operation, field, command = _LISTS[kind]
    client.act_as(None)  # the acting agent may be the missing one
    names = []
    try:
        async for item in client.items(operation, limit=200, **({"session_id": session} if session else {})):
            names.append(str(item[field]))
            if len(names) >= _NAMES_MAX:
                break
    except (RemoteError, ServerUnreachable):  # without the right to list it there are no suggestions
        return error
    listing = f"'repomesh {command.replace('SESSION_ID', session or '')}' lists the {kind}s."
    hint = f"{spelling.did_you_mean(spelling.similar_words(missing_name, names))}{listing}"
    return RemoteError(error.status, error.code, error.message, hint, error.details)
