"""Translates texts of the server for the command line: routes and tools to commands, fields to options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from repomesh.cli import command
from repomesh.cli.command_overrides import SHAPES, CommandOverride
from repomesh.client.catalogue import operations
from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import AgentRequired, InvalidRequest, NotFound, RepomeshError, Stale

_ROUTE: Final = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/v1/[\w/{}-]+)")
_WORD: Final = re.compile(r"\b[a-z]+(?:(?:_[a-z]+)+\b(?:=true)?|=true)")
_NOUNS: Final = {"event": "events"}  # nouns whose group has another name


_HINTS: Final = {
    "agent_required": "Which agent are you? Add '--as NAME', or set REPOMESH_AGENT.",
    "invalid_request": "Correct it and try again.",
    "task_status": "'repomesh task show TASK_ID' shows its state.",  # the message says what is possible
    "fencing_token_missing": "Give --fencing-token, which the claim was answered with.",
    "lease_conflict": "The line above says who holds it and until when. Ask them, or wait.",
    "lock_conflict": "The line above says who holds it and until when. Ask them, or queue: '--wait-s 5m'.",
    "not_holder": "'repomesh lock list' shows who holds what.",
    "stale_version": "Somebody changed it meanwhile. Look at it, and do it again.",
    "not_found": "Check the id; the group's 'list' shows what there is.",
}
"""By error code: the hint at a prompt, in place of the default hint of the class."""


def hint_of(error: RepomeshError | RemoteError) -> str:
    """Return the hint of an error for a person who typed a command."""
    if error.code in ("unauthenticated", "token_revoked"):
        return _token_hint(error)
    if error.code == "not_found" and error.message.startswith("there is nothing at /"):
        return "Look at REPOMESH_URL and '--url': a server's URL has no path, as in http://127.0.0.1:8787."
    token = _TOKEN_AS_PATH.match(error.message) if error.code == "not_holder" else None
    if token is not None:
        return f"If {token[1]} is a fencing token: 'repomesh lock release --fencing-token {token[1]}'."
    default = _DEFAULTS.get(error.code)
    if error.code in _HINTS and (default is None or error.hint == default):
        return _HINTS[error.code]
    return error.hint.replace("X-Repomesh-Agent", "--as (or REPOMESH_AGENT)")


_TOKEN_AS_PATH: Final = re.compile(r"you hold no lock on '(?:[^']*/)?(\d+)'")
_DEFAULTS: Final = {
    "agent_required": AgentRequired.hint,
    "invalid_request": InvalidRequest.hint,
    "not_found": NotFound.hint,
    "stale_version": Stale.hint,
    "task_status": "Read the task; 'possible' names what can be done with it now.",
    "fencing_token_missing": "Send the fencing_token that the claim was answered with.",
    "not_holder": "Acquire it first. The answer has the fencing_token that proves it.",
}
"""Default hints of the classes: only these are replaced by _HINTS, a hint of the single error is not."""


def _token_hint(error: RepomeshError | RemoteError) -> str:
    if os.environ.get("REPOMESH_TOKEN"):
        state = "was revoked" if error.code == "token_revoked" else "is none of this server's"
        return f"REPOMESH_TOKEN is set and {state}. Unset it to use the repository's own, or set another."
    return "Run it in the server's repository, or set REPOMESH_TOKEN: 'repomesh token create' makes one."


def translate_hint(hint: str) -> str:
    """Return a hint with commands and options in place of routes, tools and fields."""
    if _ROUTE.search(hint) or _WORD.search(hint):
        hint = _ROUTE.sub(lambda match: _routes().get((match[1], match[2]), match[0]), hint)
        hint = _WORD.sub(lambda match: _translate_word(match[0]), hint)
    return command.replace_program_name(hint)


def _translate_word(word: str) -> str:
    name = word.removesuffix("=true")
    return _tools().get(name) or (f"--{name.replace('_', '-')}" if name in _fields() else word)


def _quote_command(name: str) -> str:
    """Return the command that calls an operation, in quotes."""
    noun, _, verb = name.partition(".")
    verb = SHAPES.get(name, CommandOverride()).name or verb.replace("_", "-").replace(".", "-")
    return f"'repomesh {_NOUNS.get(noun, noun)} {verb}'"


_CODE: Final = re.compile(r"`([^`]+)`")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_OF_HTTP: Final = re.compile(r"If-Match|ETag|/v1/|\bheader\b|Last-Event-ID|The body may have")


def translate_help(text: str, prompt_names: Mapping[str, str]) -> str:
    """Return the description of an operation or a field for the help of a command.

    Fields become the words of `prompt_names`, routes become commands; sentences about HTTP are left out.
    """
    text = _ROUTE.sub(lambda match: _routes().get((match[1], match[2]), match[0]), text)
    sentences = [sentence for sentence in _SENTENCE.split(text) if not _OF_HTTP.search(sentence)]
    return _CODE.sub(lambda match: _translate_code(match[1], prompt_names), " ".join(sentences))


def _translate_code(word: str, prompt_names: Mapping[str, str]) -> str:
    if word in prompt_names:
        return prompt_names[word]
    return word if " " in word else word.replace("_", " ")


@cache
def _routes() -> dict[tuple[str, str], str]:
    return {
        (described.method, described.path): _quote_command(name) for name, described in operations().items()
    }


@cache
def _tools() -> dict[str, str]:
    return {
        described.tool: _quote_command(name) for name, described in operations().items() if described.tool
    }


@cache
def _fields() -> frozenset[str]:
    return frozenset(field.name for described in operations().values() for field in described.fields)
