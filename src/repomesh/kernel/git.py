"""Asks the user's git about the repository around a folder, within a time limit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.limits import GIT_S


class RepositoryUnreadable(InvalidRequest):
    """Git finds a repository here but refuses to read it, or does not answer."""

    code = "repository_unreadable"
    hint = "Do what git says, or name the data folder with --data or REPOMESH_DATA."


_NO_REPOSITORY = ("not a git repository", "must be run in a work tree")


def answer(start: Path, *words: str, of_place: bool = False) -> list[str] | None:
    """The lines that git answers; None when there is no repository, or no git.

    With `of_place` the folder alone says which repository is meant, not the environment of a git hook.
    Raises RepositoryUnreadable, also when git takes longer than GIT_S.
    """
    environment = dict(os.environ)
    if of_place:
        kept = ("GIT_CONFIG", "GIT_CEILING", "GIT_EXEC")
        environment = {
            name: value
            for name, value in environment.items()
            if not name.startswith("GIT_") or name.startswith(kept)
        }
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(start), "-c", "core.fsmonitor=false", *words],  # noqa: S607 - the user's git
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
    if done.returncode == 0:
        return done.stdout.splitlines()
    complaint = done.stderr.strip()
    if any(said in complaint for said in _NO_REPOSITORY):
        return None
    raise RepositoryUnreadable(complaint.partition("\n")[0] or f"git refused to look into {start}")
