"""Names and ids that the shell completes, as the server knows them at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from repomesh.cli import ids
from repomesh.client import discovery
from repomesh.views.terminal_text import ID_CHARS, clean

if TYPE_CHECKING:
    from repomesh.client.client import Client

WAIT_S: Final = 2.0
"""Time limit of a shell completion, in seconds: after a longer wait people press the key again."""
_LIMIT: Final = 200  # offered at most: a page of the server's

Complete = Callable[[str], list[tuple[str, str]]]
"""From the beginning of a word, the words that it may become, each with what it stands for."""

_LISTS: Final[dict[str, tuple[str, dict[str, Any], str, str]]] = {
    "agent": ("agent.list", {}, "name", "status"),
    "channel": ("channel.list", {}, "name", "description"),
    "session": ("session.list", {}, "id", "title"),
    "task": ("task.list", {}, "id", "goal"),
    "message": ("message.list", {}, "id", "subject"),
    "question": ("question.list", {}, "id", "question"),
    "review": ("review.list", {}, "id", "title"),
    "meeting": ("meeting.list", {}, "id", "topic"),
    "decision": ("decision.list", {}, "id", "topic"),
    "memory": ("memory.list", {}, "id", "key"),
    "token": ("token.list", {}, "id", "label"),
    "webhook": ("webhook.list", {}, "id", "url"),
}
"""By what is completed: the operation that lists it, its criteria, the field to type, and one about it."""

_CHANNELS: Final = frozenset({"channel"})
_SESSIONS: Final = frozenset({"session_id"})
_OWN_NAMES: Final = frozenset({("session.create", "session_id"), ("channel.create", "name")})


def of_field(operation: str, name: str) -> Complete | None:
    """Return the completion function of an operation's field; None when it has none."""
    if (operation, name) in _OWN_NAMES:
        return None
    if name in _CHANNELS:
        return of("channel")
    if name in _SESSIONS:
        return of("session")
    if name == "to":
        return of("agent", "channel")
    if name.removesuffix("_id") in ("token", "webhook"):
        return of(name.removesuffix("_id"))
    sorts = ids.sorts_of(operation, name)
    return of(*sorts) if sorts else None


def of(*sorts: str) -> Complete:
    """A completion by the names or ids of these sorts."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        try:
            offered = asyncio.run(_offered(sorts))
        except Exception:  # the edge of the shell: whatever is wrong, a completion prints nothing of it
            return []
        return [
            (word, about)
            for words, about in offered
            for word in words[: 1 if not incomplete else None]
            if word.startswith(incomplete)
        ]

    return complete


async def _offered(sorts: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """The words for each thing, the shortest first, and what it is."""
    from repomesh.client.client import Client

    address = discovery.find()
    async with asyncio.timeout(WAIT_S), Client(address.url, address.token, address.agent) as client:
        pages = await asyncio.gather(*(_page(client, sort) for sort in sorts))
    mark = "#" if len(sorts) > 1 else ""
    return [
        _words(item, sort, mark if sort == "channel" else "")
        for sort, page in zip(sorts, pages, strict=True)
        for item in page["items"]
    ]


async def _page(client: Client, sort: str) -> dict[str, Any]:
    operation, criteria, _, _ = _LISTS[sort]
    page: dict[str, Any] = await client.call_json(operation, criteria | {"limit": _LIMIT})
    return page


def _words(item: Mapping[str, Any], sort: str, mark: str) -> tuple[tuple[str, ...], str]:
    _, _, field, about = _LISTS[sort]
    word = f"{mark}{item[field]}"
    is_id = field == "id" and sort != "session"
    return (word[-ID_CHARS:], word) if is_id else (word,), " ".join(clean(str(item[about] or "")).split())[
        :60
    ]
