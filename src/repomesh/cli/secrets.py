"""New tokens and secrets: shown once to a person, or written to a file, and never made for nobody."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from repomesh.cli import output
from repomesh.client.catalogue import OperationDescription
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

_FOR_ITS_SECRET: Final = frozenset({"token.create", "webhook.rotate_secret", "workspace.add"})
"""Operations whose result is of no use, or does harm, when nobody learns the secret.

An agent that is registered can be acted as with one's own token, and a webhook's secret can be made anew.
"""


def shown(described: OperationDescription, *, wanted: bool, as_json: bool) -> bool:
    """Whether a new secret is printed: when it is asked for, or to the person at a terminal.

    Raises InvalidRequest where nobody would learn it.
    """
    if wanted or described.name not in _FOR_ITS_SECRET:
        return wanted
    if output.is_terminal() and not as_json:
        return True
    hint = f"'--to-file FILE' keeps it for its user alone, '--show-{described.secret}' prints it."
    raise InvalidRequest(f"nobody would learn the new {described.secret}", hint=hint)


@contextmanager
def kept_file(
    path: Path | None, described: OperationDescription
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A new file for a secret that is about to be made, for its user alone, made before the secret is.

    Gives a function that writes an answer's secret to it. Raises FileExistsError and what else the system
    has against the file, before anything is asked; without a secret no file is left.
    """
    if path is None:
        yield lambda _answer: None
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    written = False

    def write(answer: Mapping[str, Any]) -> None:
        nonlocal written
        file.write(f"{answer[described.secret or '']}\n")
        file.flush()
        written = True
        output.print_note(f"wrote the {described.secret} to {path}")

    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield write
    finally:
        if not written:
            path.unlink(missing_ok=True)


async def take_back(client: Client, described: OperationDescription, answer: Mapping[str, Any]) -> None:
    """Undo what made a secret that could not be kept, where nobody else could use it either."""
    if described.name == "token.create":
        await client.call_json("token.revoke", {"token_id": answer["token_id"]})
    elif described.name == "workspace.add":
        await client.call_json("workspace.remove", {"workspace_id": answer["workspace"]["id"]})
