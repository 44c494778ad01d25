"""What `repomesh plan` reads: the list of requested paths, the repository's files and its configuration."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from repomesh.cli.failures import CommandLineError
from repomesh.connect.errors import NoRepository
from repomesh.domains.changes import configuration
from repomesh.domains.requests.planning.models import TaskLimits
from repomesh.domains.requests.planning.splitter import PlanOptions, propose_plan
from repomesh.domains.requests.planning.task_texts import configured_checks
from repomesh.kernel import git, limits


def plan_repository(root: Path, requested: Sequence[str], task_limits: Mapping[str, int]) -> dict[str, Any]:
    """Return the plan of a request on a work tree, as JSON values.

    Raises NoRepository, RequestedPathsInvalid and ConfigurationInvalid.
    """
    read = file_reader(root)
    settings = configuration.parse(read(configuration.FILE))
    options = PlanOptions(
        TaskLimits(**task_limits), settings.merge.append_only, configured_checks(settings.checks)
    )
    return propose_plan(list_files(root), read, requested, options).model_dump(mode="json")


def list_files(root: Path) -> list[str]:
    """Return the files of a work tree that git tracks or does not ignore. Raises NoRepository."""
    lines = git.answer(
        root, "-c", "core.quotePath=true", "ls-files", "--cached", "--others", "--exclude-standard"
    )
    if lines is None:
        raise NoRepository(f"{root} is no work tree of a git repository")
    return [os.fsdecode(git.unquote_path(os.fsencode(line))) for line in lines]


def file_reader(root: Path) -> Callable[[str], bytes | None]:
    """Return a function that reads a file of a work tree; None for what is no regular file."""

    def read(path: str) -> bytes | None:
        try:
            descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, ValueError):
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(limits.PLAN_READ_BYTES_MAX + 1) if _is_regular(file.fileno()) else None

    return read


def read_list(content: bytes) -> list[str]:
    """Return the paths in a list: one a line, as git prints them; empty lines do not count.

    Raises CommandLineError for a list of more than PLAN_BYTES_MAX bytes.
    """
    if len(content) > limits.PLAN_BYTES_MAX:
        raise CommandLineError(f"--files: the list has more than {limits.PLAN_BYTES_MAX:,} bytes")
    lines = (line.removesuffix(b"\r") for line in content.split(b"\n"))
    return [os.fsdecode(git.unquote_path(line)) for line in lines if line.strip()]


def _is_regular(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
