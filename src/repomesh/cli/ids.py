"""Resolves ids as people type them: the beginning or end of an id, or a name, in place of the whole id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from repomesh.cli import spelling
from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import InvalidRequest, NotFound
from repomesh.kernel.limits import ID_CHARS, ID_END_CHARS, ID_PART_CHARS_MIN
from repomesh.views.terminal_text import counted

if TYPE_CHECKING:
    from repomesh.client.client import Client

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_HEX: Final = re.compile(r"[0-9a-f-]+")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AGENTS: Final = (
    "agent",
    "agent_id",
    "asked",
    "author",
    "chair",
    "escalate_to",
    "member",
    "participant",
    "participant_ids",
    "recipient",
    "recipient_id",
    "requester",
    "reviewer",
    "reviewers",
    "sender",
)
KINDS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(_AGENTS, ("agent",)),
    "change_id": ("change",),
    "change_ids": ("change",),
    "correlation_id": (),
    "decision_id": ("decision",),
    "dependencies": ("task",),
    "depends_on": ("change",),
    "meeting_id": ("meeting",),
    "memory_id": ("memory",),
    "message_id": ("message",),
    "parent_message_id": ("message",),
    "question_id": ("question",),
    "related_message_ids": ("message",),
    "replaces": ("change",),
    "related_task_ids": ("task",),
    "request_id": ("request",),
    "review_id": ("review",),
    "supersedes": ("decision",),
    "task_id": ("task",),
    "thread_id": ("message",),
}
"""By field: the kinds of objects that its id may name; empty means any kind."""

_OF_OPERATION: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("decision.supersede", "by"): ("decision",),
    ("message.wait", "after"): ("message",),
}
NAMES: Final = frozenset(
    {("session.delegate", "task_id"), ("change.approve", "patch_id"), ("change.reject", "patch_id")}
)
"""Fields whose name looks like an id and that hold names."""

_LISTED: Final[dict[str, tuple[str, str]]] = {
    "token_id": ("token.list", "label"),
    "webhook_id": ("webhook.list", "url"),
    "workspace_id": ("workspace.list", "name"),
}
"""By field of objects that are few and compared here: the operation that lists them, and a naming field."""


_NAMED_BY: Final[dict[str, tuple[str, str]]] = {
    "change": ("change.list", "summary"),
    "decision": ("decision.list", "topic"),
    "meeting": ("meeting.list", "topic"),
    "memory": ("memory.list", "key"),
    "request": ("request.list", "title"),
    "review": ("review.list", "title"),
    "task": ("task.list", "goal"),
}
"""By kind: the operation that lists it, and the field whose text names an object."""

_IN_SESSION: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "artifact_id": ("artifact.list", ("artifact_id", "title")),
    "chunk_id": ("chunk.list", ("chunk_id",)),
}
"""By field of objects named within a session: the operation that lists them, and the fields with names."""

_OWN_LIST: Final = (
    "agent",
    "change",
    "decision",
    "meeting",
    "memory",
    "question",
    "request",
    "review",
    "task",
)
LISTINGS: Final = {
    **{kind: f"{kind} list" for kind in _OWN_LIST},
    "message": "message inbox",
    "token": "token list",
    "webhook": "webhook list",
    "workspace": "workspace list",
}
"""By kind: the command that prints its ids."""

_NOT_NAMED: Final = frozenset({"artifact_not_found", "chunk_not_found", "invalid_request"})
_LISTED_MAX: Final = 1_000  # newest objects compared with a name


class AmbiguousId(InvalidRequest):
    """The text is part of several ids, or the name of several things; `candidates` lists them."""

    code = "ambiguous_id"


class IdNotFound(NotFound):
    """No id that the caller may see begins or ends with this text."""

    code = "id_not_found"
    hint = "Give the id as a list command prints it, such as 'repomesh task list', or the whole id."


_NEXT: Final = "next"  # what 'task claim' takes in place of an id


async def resolve(client: Client, operation: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an operation with whole ids in place of parts and names.

    Raises AmbiguousId with the candidates, IdNotFound, and InvalidRequest for a part that is too short.
    """
    resolved = dict(fields)
    for name, value in fields.items():
        kinds = kinds_of(operation, name)
        if name in _LISTED and isinstance(value, str):
            resolved[name] = await _find_in_list(client, name, value)
        elif (operation, name) == ("memory.supersede", "by"):
            resolved[name] = await _find_memory_key(client, str(value))
        elif kinds is not None and isinstance(value, str):
            if operation == "task.claim" and (value == _NEXT or spelling.similar_words(value, [_NEXT])):
                resolved[name] = await _task_or_next(client, value)
            else:
                resolved[name] = await find(client, value, *kinds)
        elif kinds is not None and isinstance(value, list):
            resolved[name] = await asyncio.gather(*(find(client, str(part), *kinds) for part in value))
    return resolved


async def call(client: Client, operation: str, fields: Mapping[str, Any]) -> Any:
    """Call an operation; an artifact or chunk that is not found by name is looked up by its id or title."""
    try:
        return await client.call_json(operation, fields)
    except RemoteError as error:
        field = next((name for name in _IN_SESSION if name in fields), None)
        if field is None or operation.endswith(".add") or error.code not in _NOT_NAMED:
            raise
        session_name = await _find_in_session(client, field, fields)
        if session_name is None:
            raise
    return await client.call_json(operation, {**fields, field: session_name})


async def _find_in_session(client: Client, field: str, fields: Mapping[str, Any]) -> str | None:
    """Return the name within its session of an object given by its id, a part of it, or its title.

    None if there is none; raises AmbiguousId for several.
    """
    text = str(fields[field])
    listing, name_fields = _IN_SESSION[field]
    compared, matches = 0, []
    async for item in client.items(listing, session_id=fields["session_id"], limit=200):
        # An item without a name of its own has its id as its name; after an import, the id of the original.
        item_ids = [item["id"], *([item[field]] if _UUID.fullmatch(item[field]) else [])]
        fits_id = any(matches_part(id_, text.lower()) for id_ in item_ids)
        if fits_id or any(str(item[name]) == text for name in name_fields):
            title = str(item[name_fields[-1]])
            candidate = {"what": field.removesuffix("_id"), "id": item["id"], "title": title}
            matches.append(candidate | {"name": item[field]})
        compared += 1
        if compared >= _LISTED_MAX:
            break
    if len(matches) > 1:
        raise AmbiguousId(
            f"'{text}' fits {len(matches)} {field[:-3]}s", hint="Give the whole id.", candidates=matches
        )
    return str(matches[0]["name"]) if matches else None


def matches_part(id_: str, part: str) -> bool:
    """Whether `part` is the id, its beginning, its end, or the beginning of its printed end."""
    if len(part) < ID_PART_CHARS_MIN:
        return False
    return id_.startswith(part) or id_.endswith(part) or id_[-ID_END_CHARS:].startswith(part)


def kinds_of(operation: str, name: str) -> tuple[str, ...] | None:
    """Return the kinds of objects that an id field may name, empty for any kind; None if it is no id."""
    if (operation, name) in NAMES:
        return None
    return _OF_OPERATION.get((operation, name), KINDS.get(name))


async def find(client: Client, text: str, *kinds: str) -> str:
    """Return the whole id of an object of `kinds` (any if empty); text that is no part of an id as it is.

    Raises AmbiguousId, IdNotFound, and InvalidRequest for a part that is too short.
    """
    part = text.lower()
    if _HEX.fullmatch(part) is None and len(kinds) == 1 and kinds[0] in _NAMED_BY:
        return await _find_by_name(client, text, kinds[0])
    if len(part) >= ID_CHARS or _HEX.fullmatch(part) is None:
        return text
    is_name = kinds == ("agent",)
    if len(part) < ID_PART_CHARS_MIN:
        if is_name:
            return text
        if len(kinds) == 1 and kinds[0] in _NAMED_BY:
            return await _find_by_short_name(client, text, kinds[0])
        raise _too_short_error(text)
    answer = await client.call_json("id.find", {"part": part, "what": list(kinds)})
    matches = answer["items"]
    if is_name and not matches:
        return text
    if not matches and len(kinds) == 1 and kinds[0] in _NAMED_BY:
        with suppress(IdNotFound):  # a name such as 'facade'
            return await _find_by_name(client, text, kinds[0])
    return _require_single(text, matches, kinds, complete=answer["complete"])


async def _find_by_short_name(client: Client, text: str, kind: str) -> str:
    """Return the id of the only object whose name is or begins with a text too short for a part of an id."""
    try:
        return await _find_by_name(client, text, kind)
    except IdNotFound:
        raise _too_short_error(text) from None


async def _find_memory_key(client: Client, text: str) -> str:
    """Return the key of a memory that is given by its key, its id or a part of its id."""
    if _HEX.fullmatch(text.lower()) is None or len(text) < ID_PART_CHARS_MIN:
        return text
    try:
        memory_id = await find(client, text, "memory")
        memory = await client.call_json("memory.show", {"memory_id": memory_id})
    except (IdNotFound, RemoteError):  # a key that looks like an id
        return text
    return str(memory["key"])


async def _task_or_next(client: Client, text: str) -> str:
    """Return the id of a task, or 'next' unchanged; raises IdNotFound, which suggests 'next'."""
    if text == _NEXT:
        return text
    try:
        return await find(client, text, "task")
    except IdNotFound as error:
        raise IdNotFound(error.message, hint=f"{spelling.did_you_mean([_NEXT])}{error.hint}") from None


async def _find_by_name(client: Client, text: str, kind: str) -> str:
    """Return the id of the only object of a kind with this name; raises AmbiguousId and IdNotFound."""
    operation, field = _NAMED_BY[kind]
    entries: list[tuple[str, str, str]] = []
    # A search by key also lists memories that are no longer current.
    if kind == "memory" and _KEY.fullmatch(text):
        answer = await client.call_json(operation, {"key": text, "limit": 200})
        entries = [(text, item["id"], _session_suffix(item)) for item in answer["items"]]
    if not entries:
        async for item in client.items(operation, limit=200):
            entries.append((str(item[field]), item["id"], _session_suffix(item)))
            if len(entries) >= _LISTED_MAX:
                break
    matches = _match_names(text, entries, kind)
    if len(matches) > 1:
        hint = "Give the id of the one that you mean."
        message = f"'{text}' names {counted(len(matches), kind)}"
        raise AmbiguousId(message, hint=hint, candidates=matches)
    if not matches:
        suggestions = spelling.similar_words(text, [name for name, _, _ in entries])
        hint = f"Give its {field}, or its id as 'repomesh {LISTINGS[kind]}' prints it."
        raise IdNotFound(f"there is no {kind} '{text}'", hint=f"{spelling.did_you_mean(suggestions)}{hint}")
    return matches[0]["id"]


def _session_suffix(item: Mapping[str, Any]) -> str:
    return f" (session {item['session_id']})" if item.get("session_id") else ""


def _match_names(text: str, entries: Sequence[tuple[str, str, str]], kind: str) -> list[dict[str, str]]:
    """Return candidates with this name, ignoring case; without any, except for keys, names that begin so."""
    key = text.casefold()
    matches = [entry for entry in entries if entry[0].casefold() == key]
    if not matches and kind != "memory":
        matches = [entry for entry in entries if entry[0].casefold().startswith(key)]
    return [{"what": kind, "id": id_, "title": f"{name}{session}"} for name, id_, session in matches]


async def _find_in_list(client: Client, name: str, text: str) -> str:
    part = text.lower()
    if len(part) >= ID_CHARS or _HEX.fullmatch(part) is None:
        return text
    if len(part) < ID_PART_CHARS_MIN:
        raise _too_short_error(text)
    operation, label = _LISTED[name]
    criteria = {} if operation == "workspace.list" else {"limit": 200}
    kind = name.removesuffix("_id")
    matches = [
        {"what": kind, "id": item["id"], "title": str(item[label])}
        async for item in client.items(operation, **criteria)
        if matches_part(item["id"], part)
    ]
    return _require_single(text, matches, (kind,), complete=True)


def _require_single(
    text: str, matches: list[dict[str, str]], kinds: tuple[str, ...], *, complete: bool
) -> str:
    if len(matches) == 1:
        return matches[0]["id"]
    kind = f"{' or '.join(kinds)} " if kinds else ""
    if matches:
        count = f"{len(matches)}" if complete else f"{len(matches)} or more"
        raise AmbiguousId(
            f"'{text}' fits {count} {kind}ids",
            hint="Give more of it; the end of an id tells apart what was made together.",
            candidates=matches,
        )
    scope = "" if complete else "among the newest, "
    raise IdNotFound(f"{scope}no {kind}id begins or ends with '{text}'", hint=_listing_hint(kinds))


def _listing_hint(kinds: tuple[str, ...]) -> str:
    """Return the hint that names the commands which print the ids."""
    commands = " and ".join(f"'repomesh {LISTINGS[kind]}'" for kind in kinds[:2])
    return f"Give the id as {commands or 'a list'} print{'' if len(kinds) == 2 else 's'} it, or whole."


def _too_short_error(text: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{text}' is too short to find an id by",
        hint=f"Give at least {ID_PART_CHARS_MIN} characters of what a list prints: its beginning or its end.",
    )
