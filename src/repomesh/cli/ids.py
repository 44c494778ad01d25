"""Ids as people type them: the beginning or the end of one, as it is printed, in place of the whole."""

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
    "reviewer",
    "reviewers",
    "sender",
)
SORTS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(_AGENTS, ("agent",)),
    "correlation_id": (),
    "decision_id": ("decision",),
    "dependencies": ("task",),
    "meeting_id": ("meeting",),
    "memory_id": ("memory",),
    "message_id": ("message",),
    "parent_message_id": ("message",),
    "question_id": ("question",),
    "related_message_ids": ("message",),
    "related_task_ids": ("task",),
    "review_id": ("review",),
    "supersedes": ("decision",),
    "task_id": ("task",),
    "thread_id": ("message",),
}
"""What the id in a field stands for; nothing means any of them."""

_OF_OPERATION: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("decision.supersede", "by"): ("decision",),
    ("message.wait", "after"): ("message",),
}
NAMES: Final = frozenset({("session.delegate", "task_id")})
"""Fields that are called like ids and hold names."""

_LISTED: Final[dict[str, tuple[str, str]]] = {
    "token_id": ("token.list", "label"),
    "webhook_id": ("webhook.list", "url"),
    "workspace_id": ("workspace.list", "name"),
}
"""What there are few of is listed and looked at here: the operation, and the field that names one."""


_NAMED_BY: Final[dict[str, tuple[str, str]]] = {
    "decision": ("decision.list", "topic"),
    "meeting": ("meeting.list", "topic"),
    "memory": ("memory.list", "key"),
    "review": ("review.list", "title"),
    "task": ("task.list", "goal"),
}
"""By sort, the operation that lists it and the field by whose whole text one of them is meant, too."""

_IN_SESSION: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "artifact_id": ("artifact.list", ("artifact_id", "title")),
    "chunk_id": ("chunk.list", ("chunk_id",)),
}
"""By field of what has a name in its session, the operation that lists it and the fields that name one."""

_OWN_LIST: Final = ("agent", "decision", "meeting", "memory", "question", "review", "task")
LISTINGS: Final = {
    **{sort: f"{sort} list" for sort in _OWN_LIST},
    "message": "message inbox",
    "token": "token list",
    "webhook": "webhook list",
    "workspace": "workspace list",
}
"""By sort, the command that prints its ids."""

_NOT_NAMED: Final = frozenset({"artifact_not_found", "chunk_not_found", "invalid_request"})
_LISTED_MAX: Final = 1_000  # newest looked at for a name; who has more gives the id


class AmbiguousId(InvalidRequest):
    """What was given is part of several ids, or the name of several things; `candidates` holds them."""

    code = "ambiguous_id"


class IdNotFound(NotFound):
    """No id that the caller may see begins or ends so."""

    code = "id_not_found"
    hint = "Give the id as a list command prints it, such as 'repomesh task list', or the whole id."


_NEXT: Final = "next"  # what 'task claim' takes in place of an id


async def resolved(client: Client, operation: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an operation with whole ids in place of their beginnings and ends.

    Raises AmbiguousId with the candidates, IdNotFound, and InvalidRequest for one that is too short.
    """
    whole = dict(fields)
    for name, value in fields.items():
        sorts = sorts_of(operation, name)
        if name in _LISTED and isinstance(value, str):
            whole[name] = await _listed(client, name, value)
        elif (operation, name) == ("memory.supersede", "by"):
            whole[name] = await _memory_key(client, str(value))
        elif sorts is not None and isinstance(value, str):
            if operation == "task.claim" and (value == _NEXT or spelling.near(value, [_NEXT])):
                whole[name] = await _task_or_next(client, value)
            else:
                whole[name] = await find(client, value, *sorts)
        elif sorts is not None and isinstance(value, list):
            whole[name] = await asyncio.gather(*(find(client, str(one), *sorts) for one in value))
    return whole


async def call(client: Client, operation: str, fields: Mapping[str, Any]) -> Any:
    """What the operation answers, also for an artifact or chunk that is called by its id or title."""
    try:
        return await client.call_json(operation, fields)
    except RemoteError as error:
        named = next((name for name in _IN_SESSION if name in fields), None)
        if named is None or operation.endswith(".add") or error.code not in _NOT_NAMED:
            raise
        found = await _in_session(client, named, fields)
        if found is None:
            raise
    return await client.call_json(operation, {**fields, named: found})


async def _in_session(client: Client, field: str, fields: Mapping[str, Any]) -> str | None:
    """The name in its session of what is called by its id, a part of that, or its title."""
    given = str(fields[field])
    listing, names = _IN_SESSION[field]
    seen, matches = 0, []
    async for one in client.items(listing, session_id=fields["session_id"], limit=200):
        # What was given no name is called by its id; behind an import that is the id in the first session.
        called = [one["id"], *([one[field]] if _UUID.fullmatch(one[field]) else [])]
        if any(fits(id_, given.lower()) for id_ in called) or any(str(one[name]) == given for name in names):
            what = {"what": field.removesuffix("_id"), "id": one["id"], "title": str(one[names[-1]])}
            matches.append(what | {"name": one[field]})
        seen += 1
        if seen >= _LISTED_MAX:
            break
    if len(matches) > 1:
        raise AmbiguousId(
            f"'{given}' fits {len(matches)} {field[:-3]}s", hint="Give the whole id.", candidates=matches
        )
    return str(matches[0]["name"]) if matches else None


def fits(id_: str, part: str) -> bool:
    """Whether `part` is an id, its beginning or its end, or the beginning of its end as it is printed."""
    if len(part) < ID_PART_CHARS_MIN:
        return False
    return id_.startswith(part) or id_.endswith(part) or id_[-ID_END_CHARS:].startswith(part)


def sorts_of(operation: str, name: str) -> tuple[str, ...] | None:
    """What the id in a field of an operation stands for: nothing means anything, None that it is no id."""
    if (operation, name) in NAMES:
        return None
    return _OF_OPERATION.get((operation, name), SORTS.get(name))


async def find(client: Client, given: str, *sorts: str) -> str:
    """The whole id of one of `sorts`, of any without them; what is no part of an id stays as it is."""
    part = given.lower()
    if _HEX.fullmatch(part) is None and len(sorts) == 1 and sorts[0] in _NAMED_BY:
        return await _by_name(client, given, sorts[0])
    if len(part) >= ID_CHARS or _HEX.fullmatch(part) is None:
        return given
    is_name = sorts == ("agent",)
    if len(part) < ID_PART_CHARS_MIN:
        if is_name:
            return given
        if len(sorts) == 1 and sorts[0] in _NAMED_BY:
            return await _short_name(client, given, sorts[0])
        raise _too_short(given)
    found = await client.call_json("id.find", {"part": part, "what": list(sorts)})
    matches = found["items"]
    if is_name and not matches:
        return given
    if not matches and len(sorts) == 1 and sorts[0] in _NAMED_BY:
        with suppress(IdNotFound):  # a name such as 'facade'
            return await _by_name(client, given, sorts[0])
    return _only(given, matches, sorts, complete=found["complete"])


async def _short_name(client: Client, given: str, sort: str) -> str:
    """The id of the one thing whose name is, or begins with, a word that may be a part of an id, too."""
    try:
        return await _by_name(client, given, sort)
    except IdNotFound:
        raise _too_short(given) from None


async def _memory_key(client: Client, given: str) -> str:
    """The key of a memory that is named by it, or by its id or a part of that."""
    if _HEX.fullmatch(given.lower()) is None or len(given) < ID_PART_CHARS_MIN:
        return given
    try:
        found = await find(client, given, "memory")
        shown = await client.call_json("memory.show", {"memory_id": found})
    except (IdNotFound, RemoteError):  # a key that looks like an id
        return given
    return str(shown["key"])


async def _task_or_next(client: Client, given: str) -> str:
    """The id of the task that is meant, or the word for the best one; raises IdNotFound."""
    if given == _NEXT:
        return given
    try:
        return await find(client, given, "task")
    except IdNotFound as error:
        raise IdNotFound(error.message, hint=f"{spelling.meant([_NEXT])}{error.hint}") from None


async def _by_name(client: Client, given: str, sort: str) -> str:
    """The id of the one thing of a sort that has this name; raises AmbiguousId and IdNotFound."""
    operation, field = _NAMED_BY[sort]
    named: list[tuple[str, str, str]] = []
    if sort == "memory" and _KEY.fullmatch(given):  # by its key also one that holds no more is listed
        found = await client.call_json(operation, {"key": given, "limit": 200})
        named = [(given, one["id"], _session(one)) for one in found["items"]]
    if not named:
        async for one in client.items(operation, limit=200):
            named.append((str(one[field]), one["id"], _session(one)))
            if len(named) >= _LISTED_MAX:
                break
    matches = _called(given, named, sort)
    if len(matches) > 1:
        hint = "Give the id of the one that you mean."
        message = f"'{given}' names {counted(len(matches), sort)}"
        raise AmbiguousId(message, hint=hint, candidates=matches)
    if not matches:
        near = spelling.near(given, [name for name, _, _ in named])
        hint = f"Give its {field}, or its id as 'repomesh {LISTINGS[sort]}' prints it."
        raise IdNotFound(f"there is no {sort} '{given}'", hint=f"{spelling.meant(near)}{hint}")
    return matches[0]["id"]


def _session(item: Mapping[str, Any]) -> str:
    return f" (session {item['session_id']})" if item.get("session_id") else ""


def _called(given: str, named: Sequence[tuple[str, str, str]], sort: str) -> list[dict[str, str]]:
    """Those of the things that have this name, in any case; else, but of keys, those whose name begins so."""
    key = given.casefold()
    whole = [one for one in named if one[0].casefold() == key]
    if not whole and sort != "memory":
        whole = [one for one in named if one[0].casefold().startswith(key)]
    return [{"what": sort, "id": id_, "title": f"{name}{session}"} for name, id_, session in whole]


async def _listed(client: Client, name: str, given: str) -> str:
    part = given.lower()
    if len(part) >= ID_CHARS or _HEX.fullmatch(part) is None:
        return given
    if len(part) < ID_PART_CHARS_MIN:
        raise _too_short(given)
    operation, label = _LISTED[name]
    paged = {} if operation == "workspace.list" else {"limit": 200}
    what = name.removesuffix("_id")
    matches = [
        {"what": what, "id": one["id"], "title": str(one[label])}
        async for one in client.items(operation, **paged)
        if fits(one["id"], part)
    ]
    return _only(given, matches, (what,), complete=True)


def _only(given: str, matches: list[dict[str, str]], sorts: tuple[str, ...], *, complete: bool) -> str:
    if len(matches) == 1:
        return matches[0]["id"]
    kind = f"{' or '.join(sorts)} " if sorts else ""
    if matches:
        count = f"{len(matches)}" if complete else f"{len(matches)} or more"
        raise AmbiguousId(
            f"'{given}' fits {count} {kind}ids",
            hint="Give more of it; the end of an id tells apart what was made together.",
            candidates=matches,
        )
    looked = "" if complete else "among the newest, "
    raise IdNotFound(f"{looked}no {kind}id begins or ends with '{given}'", hint=_listing(sorts))


def _listing(sorts: tuple[str, ...]) -> str:
    """Which commands print the ids."""
    commands = " and ".join(f"'repomesh {LISTINGS[sort]}'" for sort in sorts[:2])
    return f"Give the id as {commands or 'a list'} print{'' if len(sorts) == 2 else 's'} it, or whole."


def _too_short(given: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{given}' is too short to find an id by",
        hint=f"Give at least {ID_PART_CHARS_MIN} characters of what a list prints: its beginning or its end.",
    )
