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


def add_correction(
    described: OperationDescription,
    positional: Sequence[str],
    values: Mapping[str, Any],
    error: RemoteError,
    suggestion: str,
) -> RemoteError:
    """Return the error with a hint about the typed values, after that of `suggest_alternative`."""
    if not suggestion:
        error = _explain_values(described, values, error)
    if positional and _wrong_field(error) == positional[0]:
        suggestion += suggest_swapped_id(described, positional, values)
    return _replace_hint(error, hint=f"{suggestion}{error.hint}".strip())


def _wrong_field(error: RemoteError) -> str:
    """Return the first invalid field of a refused request; empty for any other error."""
    errors = error.details.get("errors") or [{"field": ""}]
    return str(errors[0]["field"])


def _explain_values(
    described: OperationDescription, values: Mapping[str, Any], error: RemoteError
) -> RemoteError:
    """Return the error with a better message or hint about the values; unchanged if there is none."""
    if (described.name, error.code) == ("question.answer", "agent_required"):
        return _replace_hint(error, hint=_PERSON_ANSWERS)
    if error.code == "meeting_status" and error.details.get("meeting_status") == "pending":
        return _replace_hint(
            error, hint=f"'repomesh meeting start {values.get('meeting_id', 'ID')}' begins it."
        )
    holder = _HOLDER.search(error.message)
    if holder is not None and error.code == "not_holder" and "task_id" in values:
        show_hint = f"'repomesh task show {values['task_id']}' shows the claim and when it ends."
        hint = f"{show_hint} Ask {holder[1]} to release the task: 'repomesh message send {holder[1]} TEXT'."
        return _replace_hint(error, message=f"{holder[1]} has claimed this task", hint=hint)
    errors = error.details.get("errors")
    if isinstance(errors, list) and errors:
        suggestion = _suggest_name(described, values, errors[0])
        return error if suggestion is None else _replace_hint(error, hint=suggestion)
    return error


def _replace_hint(error: RemoteError, *, hint: str, message: str | None = None) -> RemoteError:
    return RemoteError(error.status, error.code, message or error.message, hint, error.details)


def _suggest_name(
    described: OperationDescription, values: Mapping[str, Any], field_error: Mapping[str, Any]
) -> str | None:
    """For a text in place of a name, return the question with a valid name made of it; else None."""
    field, value = str(field_error["field"]), values.get(str(field_error["field"]))
    pattern = _PATTERN.search(str(field_error["message"]))
    if pattern is None or not isinstance(value, str):
        return None
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-._")
    valid_name = next((candidate for candidate in (name, name.lower()) if _fits(pattern[1], candidate)), None)
    if valid_name is None:
        return None
    if described.name == "session.create" and field == "session_id":
        title = value.replace('"', "'")
        return f"Did you mean 'repomesh session create {valid_name} --title \"{title}\"'?"
    return f"Did you mean '{valid_name}'?"


def _fits(pattern: str, name: str) -> bool:
    try:
        return name != "" and re.search(pattern, name) is not None
    except re.error:  # a syntax that only the server's library supports
        return False


async def suggest_alternative(
    client: Client,
    described: OperationDescription,
    positional: Sequence[str],
    fields: Mapping[str, Any],
    error: RemoteError,
) -> str:
    """Return a question about another meaning of the arguments that the server knows.

    It ends with a space; empty if there is none.
    """
    try:
        if described.name == "message.send" and error.code in ("agent_not_found", "recipient_not_found"):
            return await _suggest_recipient(client, described, positional, fields)
        if _is_about_session(error) and await _is_known(
            client, "session.show", session_id=_second(positional, fields)
        ):
            return suggest_order(described, positional, fields)
    except RemoteError:  # without the right to look there is no suggestion
        return ""
    return ""


def _is_about_session(error: RemoteError) -> bool:
    return error.code == "session_not_found" or _wrong_field(error) == "session_id"


def suggest_swapped_id(
    described: OperationDescription, positional: Sequence[str], fields: Mapping[str, Any]
) -> str:
    """Return the swapped command if of two arguments only the second is an id; else empty."""
    if len(positional) != 2 or not positional[0].endswith("_id"):
        return ""
    first, second = (str(fields.get(name, "")) for name in positional)
    is_swapped = _ID.fullmatch(second) is not None and _ID.fullmatch(first) is None
    return suggest_order(described, positional, fields) if is_swapped else ""


async def _suggest_recipient(
    client: Client, described: OperationDescription, positional: Sequence[str], fields: Mapping[str, Any]
) -> str:
    to = fields.get("to") or []
    recipient = str(to[0] if isinstance(to, list) else to)
    if recipient.casefold() in _ALL:
        return "'*' sends a message to everybody. "
    if await _is_known(client, "channel.show", channel=recipient.removeprefix("#")):
        return f"Did you mean '#{recipient}'? A channel's name begins with '#'. "
    if await _is_known(client, "agent.show", agent_id=_second(positional, fields)):
        return suggest_order(described, positional, fields)
    return ""


def suggest_order(
    described: OperationDescription, positional: Sequence[str], fields: Mapping[str, Any]
) -> str:
    """Return a question with the two arguments of the command swapped; ends with a space."""
    noun, _, verb = described.name.partition(".")
    first_value = fields[positional[0]]
    words = [
        str(fields[positional[1]]),
        str(first_value[0] if isinstance(first_value, list) else first_value),
    ]
    names = " ".join(name.upper() for name in positional)
    return f"The order is {names}. Did you mean '{shlex.join(['repomesh', noun, verb, *words])}'? "


def _second(positional: Sequence[str], fields: Mapping[str, Any]) -> str:
    return str(fields.get(positional[1], "")) if len(positional) == 2 else ""


async def _is_known(client: Client, operation: str, **fields: str) -> bool:
    """Whether `operation` finds an object with the name in `fields`, a single field."""
    name = next(iter(fields.values()))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return False
    try:
        await client.call_json(operation, fields)
    except RemoteError:
        return False
    return True
