"""Shell completion of names and ids, fetched from the server."""

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
_LIMIT: Final = 200  # completions: one page of the server

Complete = Callable[[str], list[tuple[str, str]]]
"""From the beginning of a word to its completions, each with a description."""

_LISTS: Final[dict[str, tuple[str, dict[str, Any], str, str]]] = {
    "agent": ("agent.list", {}, "name", "status"),
    "channel": ("channel.list", {}, "name", "description"),
    "session": ("session.list", {}, "id", "title"),
    "task": ("task.list", {}, "id", "goal"),
    "message": ("message.list", {}, "id", "subject"),
    "question": ("question.list", {}, "id", "question"),
    "review": ("review.list", {}, "id", "title"),
    "change": ("change.list", {}, "id", "summary"),
    "request": ("request.list", {}, "id", "title"),
    "meeting": ("meeting.list", {}, "id", "topic"),
    "decision": ("decision.list", {}, "id", "topic"),
    "memory": ("memory.list", {}, "id", "key"),
    "token": ("token.list", {}, "id", "label"),
    "webhook": ("webhook.list", {}, "id", "url"),
}
"""By kind: the operation that lists it, its criteria, the field to type, and the field that describes it."""

_CHANNELS: Final = frozenset({"channel"})
_SESSIONS: Final = frozenset({"session_id"})
_OWN_NAMES: Final = frozenset({("session.create", "session_id"), ("channel.create", "name")})


def field_completer(operation: str, name: str) -> Complete | None:
    """Return the completion function of an operation's field; None when it has none."""
    if (operation, name) in _OWN_NAMES:
        return None
    if name in _CHANNELS:
        return completer("channel")
    if name in _SESSIONS:
        return completer("session")
    if name == "to":
        return completer("agent", "channel")
    if name.removesuffix("_id") in ("token", "webhook"):
        return completer(name.removesuffix("_id"))
    kinds = ids.kinds_of(operation, name)
    return completer(*kinds) if kinds else None


def completer(*kinds: str) -> Complete:
    """Return a completion function for the names or ids of these kinds; without a server it finds none."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        try:
            completions = asyncio.run(_fetch_completions(kinds))
        except Exception:  # the edge of the process: a completion must not print errors into the prompt
            return []
        return [
            (word, description)
            for words, description in completions
            for word in words[: 1 if not incomplete else None]
            if word.startswith(incomplete)
        ]

    return complete


async def _fetch_completions(kinds: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """Return for each object the words that name it, the shortest first, and its description."""
    from repomesh.client.client import Client

    address = discovery.find()
    async with asyncio.timeout(WAIT_S), Client(address.url, address.token, address.agent) as client:
        pages = await asyncio.gather(*(_page(client, kind) for kind in kinds))
    mark = "#" if len(kinds) > 1 else ""
    return [
        _completion_words(item, kind, mark if kind == "channel" else "")
        for kind, page in zip(kinds, pages, strict=True)
        for item in page["items"]
    ]


async def _page(client: Client, kind: str) -> dict[str, Any]:
    operation, criteria, _, _ = _LISTS[kind]
    page: dict[str, Any] = await client.call_json(operation, criteria | {"limit": _LIMIT})
    return page


def _completion_words(item: Mapping[str, Any], kind: str, mark: str) -> tuple[tuple[str, ...], str]:
    _, _, field, about_field = _LISTS[kind]
    word = f"{mark}{item[field]}"
    is_id = field == "id" and kind != "session"
    return (word[-ID_CHARS:], word) if is_id else (word,), " ".join(
        clean(str(item[about_field] or "")).split()
    )[:60]
