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
"""Operations whose result is useless or harmful if nobody learns the secret.

Others are not: one's own token may act as a new agent, and a webhook's secret can be rotated.
"""


def should_show(described: OperationDescription, *, requested: bool, as_json: bool) -> bool:
    """Whether to print a new secret: on request, or at a terminal if the result is useless without it.

    Raises InvalidRequest if nobody would learn it.
    """
    if requested or described.name not in _FOR_ITS_SECRET:
        return requested
    if output.is_terminal() and not as_json:
        return True
    hint = f"'--to-file FILE' keeps it for its user alone, '--show-{described.secret}' prints it."
    raise InvalidRequest(f"nobody would learn the new {described.secret}", hint=hint)


@contextmanager
def secret_file(
    path: Path | None, described: OperationDescription
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Create a file (mode 0600) for a secret before the secret is made; yields a function that writes it.

    The function takes the operation's answer. The file is removed if no secret was written. Raises
    FileExistsError and other OSErrors before any request is sent.
    """
    if path is None:
        yield lambda _answer: None
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    is_written = False

    def write(answer: Mapping[str, Any]) -> None:
        nonlocal is_written
        file.write(f"{answer[described.secret or '']}\n")
        file.flush()
        is_written = True
        output.print_note(f"wrote the {described.secret} to {path}")

    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield write
    finally:
        if not is_written:
            path.unlink(missing_ok=True)


async def revoke_unsaved(client: Client, described: OperationDescription, answer: Mapping[str, Any]) -> None:
    """Undo the operation whose secret could not be written, if nobody can use its result without it."""
    if described.name == "token.create":
        await client.call_json("token.revoke", {"token_id": answer["token_id"]})
    elif described.name == "workspace.add":
        await client.call_json("workspace.remove", {"workspace_id": answer["workspace"]["id"]})
