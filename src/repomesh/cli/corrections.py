"""Hints for refused commands: swapped arguments, names with blanks, meetings that have not begun."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from repomesh.client.errors import RemoteError
from repomesh.kernel.limits import ID_PART_CHARS_MIN

if TYPE_CHECKING:
    from repomesh.client.catalogue import OperationDescription
    from repomesh.client.client import Client

_ALL: Final = frozenset({"all", "everybody", "everyone"})
_ID: Final = re.compile(rf"[0-9a-f-]{{{ID_PART_CHARS_MIN},36}}")
_HOLDER: Final = re.compile(r"fencing token .*is (\S+)'s, not yours")
_PATTERN: Final = re.compile(r"String should match pattern '(.*)'", re.DOTALL)
_PERSON_ANSWERS: Final = "A person answers with 'repomesh inbox reply ID ANSWER', an agent with '--as NAME'."


def corrected(
    described: OperationDescription,
    positional: Sequence[str],
    values: Mapping[str, Any],
    error: RemoteError,
    meant: str,
) -> RemoteError:
    """Return the error with a hint about what was typed, which begins with what `meant` returned for it."""
    if not meant:
        error = _about_values(described, values, error)
    if positional and _wrong_field(error) == positional[0]:
        meant += swapped_id(described, positional, values)
    return _with(error, hint=f"{meant}{error.hint}".strip())


def _wrong_field(error: RemoteError) -> str:
    """The first field that a refused request has wrong; empty for any other error."""
    errors = error.details.get("errors") or [{"field": ""}]
    return str(errors[0]["field"])


def _about_values(
    described: OperationDescription, values: Mapping[str, Any], error: RemoteError
) -> RemoteError:
    """Return the error with a message and a hint about the values; itself where nothing is known."""
    if (described.name, error.code) == ("question.answer", "agent_required"):
        return _with(error, hint=_PERSON_ANSWERS)
    if error.code == "meeting_status" and error.details.get("meeting_status") == "pending":
        return _with(error, hint=f"'repomesh meeting start {values.get('meeting_id', 'ID')}' begins it.")
    holder = _HOLDER.search(error.message)
    if holder is not None and error.code == "not_holder" and "task_id" in values:
        show = f"'repomesh task show {values['task_id']}' shows the claim and when it ends."
        hint = f"{show} Ask {holder[1]} to release the task: 'repomesh message send {holder[1]} TEXT'."
        return _with(error, message=f"{holder[1]} has claimed this task", hint=hint)
    errors = error.details.get("errors")
    if isinstance(errors, list) and errors:
        name = _name_meant(described, values, errors[0])
        return error if name is None else _with(error, hint=name)
    return error


def _with(error: RemoteError, *, hint: str, message: str | None = None) -> RemoteError:
    return RemoteError(error.status, error.code, message or error.message, hint, error.details)


def _name_meant(
    described: OperationDescription, values: Mapping[str, Any], wrong: Mapping[str, Any]
) -> str | None:
    """For a text where a name belongs, the name that is made of it, and where the text belongs."""
    field, given = str(wrong["field"]), values.get(str(wrong["field"]))
    pattern = _PATTERN.search(str(wrong["message"]))
    if pattern is None or not isinstance(given, str):
        return None
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", given).strip("-._")
    fitting = next((one for one in (name, name.lower()) if _fits(pattern[1], one)), None)
    if fitting is None:
        return None
    if described.name == "session.create" and field == "session_id":
        title = given.replace('"', "'")
        return f"Did you mean 'repomesh session create {fitting} --title \"{title}\"'?"
    return f"Did you mean '{fitting}'?"


def _fits(pattern: str, name: str) -> bool:
    try:
        return name != "" and re.search(pattern, name) is not None
    except re.error:  # of a syntax that only the server's library knows
        return False


async def meant(
    client: Client,
    described: OperationDescription,
    positional: Sequence[str],
    fields: Mapping[str, Any],
    error: RemoteError,
) -> str:
    """Return what else the arguments may mean, where the server knows it; ends with a space, or is empty."""
    try:
        if described.name == "message.send" and error.code in ("agent_not_found", "recipient_not_found"):
            return await _recipient(client, described, positional, fields)
        if _is_about_session(error) and await _is_known(
            client, "session.show", session_id=_second(positional, fields)
        ):
            return order(described, positional, fields)
    except RemoteError:  # who may not look is told nothing
        return ""
    return ""


def _is_about_session(error: RemoteError) -> bool:
    return error.code == "session_not_found" or _wrong_field(error) == "session_id"


def swapped_id(described: OperationDescription, positional: Sequence[str], fields: Mapping[str, Any]) -> str:
    """The order of the arguments, where the second is an id and the first is none; else nothing."""
    if len(positional) != 2 or not positional[0].endswith("_id"):
        return ""
    first, second = (str(fields.get(name, "")) for name in positional)
    is_swapped = _ID.fullmatch(second) is not None and _ID.fullmatch(first) is None
    return order(described, positional, fields) if is_swapped else ""


async def _recipient(
    client: Client, described: OperationDescription, positional: Sequence[str], fields: Mapping[str, Any]
) -> str:
    to = fields.get("to") or []
    first = str(to[0] if isinstance(to, list) else to)
    if first.casefold() in _ALL:
        return "'*' sends a message to everybody. "
    if await _is_known(client, "channel.show", channel=first.removeprefix("#")):
        return f"Did you mean '#{first}'? A channel's name begins with '#'. "
    if await _is_known(client, "agent.show", agent_id=_second(positional, fields)):
        return order(described, positional, fields)
    return ""


def order(described: OperationDescription, positional: Sequence[str], fields: Mapping[str, Any]) -> str:
    """The command with its two arguments the other way round; ends with a space."""
    noun, _, verb = described.name.partition(".")
    first = fields[positional[0]]
    words = [str(fields[positional[1]]), str(first[0] if isinstance(first, list) else first)]
    names = " ".join(name.upper() for name in positional)
    return f"The order is {names}. Did you mean '{shlex.join(['repomesh', noun, verb, *words])}'? "


def _second(positional: Sequence[str], fields: Mapping[str, Any]) -> str:
    return str(fields.get(positional[1], "")) if len(positional) == 2 else ""


async def _is_known(client: Client, operation: str, **fields: str) -> bool:
    """Whether the server knows the thing of this name."""
    name = next(iter(fields.values()))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return False
    try:
        await client.call_json(operation, fields)
    except RemoteError:
        return False
    return True
