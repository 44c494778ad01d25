"""Asks the user's git about the repository around a folder, within a time limit."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.limits import GIT_S


class RepositoryUnreadable(InvalidRequest):
    """Git finds a repository here but refuses to read it, or does not answer."""

    code = "repository_unreadable"
    hint = "Do what git says, or name the data folder with --data or REPOMESH_DATA."


_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_CONTROLS = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))
_NO_REPOSITORY = ("not a git repository", "must be run in a work tree")


def answer(start: Path, *arguments: str, ignore_environment: bool = False) -> list[str] | None:
    """The lines that git prints; None when there is no repository, or no git.

    With `ignore_environment` the repository is that of the folder, whatever a git hook's environment names.
    Raises RepositoryUnreadable, also when git takes longer than GIT_S.
    """
    environment = dict(os.environ)
    if ignore_environment:
        kept_prefixes = ("GIT_CONFIG", "GIT_CEILING", "GIT_EXEC")
        environment = {
            name: value
            for name, value in environment.items()
            if not name.startswith("GIT_") or name.startswith(kept_prefixes)
        }
    try:
        process = subprocess.run(  # noqa: S603 - our own arguments
            ["git", "-C", str(start), "-c", "core.fsmonitor=false", *arguments],  # noqa: S607 - the user's git
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env=environment | {"LC_ALL": "C"},
            timeout=GIT_S,
            check=False,
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        raise RepositoryUnreadable(f"git did not answer within {GIT_S:.0f} s in {start}") from None
    if process.returncode == 0:
        return process.stdout.splitlines()
    error_text = process.stderr.strip()
    if any(phrase in error_text for phrase in _NO_REPOSITORY):
        return None
    raise RepositoryUnreadable(error_text.partition("\n")[0] or f"git refused to look into {start}")


def unquote_path(path: bytes) -> bytes:
    """A path as it is that git printed in quotes, with escapes of C (`core.quotePath`); others unchanged."""
    if len(path) < 2 or path[:1] != b'"' or path[-1:] != b'"':
        return path
    return _ESCAPE.sub(_unescape, path[1:-1])


def _unescape(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    code = int(escaped, 8) & 0xFF if len(escaped) > 1 else _CONTROLS.get(escaped[0], escaped[0])
    return bytes([code])
