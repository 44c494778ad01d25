"""`repomesh plan`: divides the files that a request touches among tasks; it needs no server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from repomesh.cli import output, pathspecs
from repomesh.cli.failures import CommandLineError
from repomesh.cli.options import AsJson
from repomesh.connect.errors import NoRepository
from repomesh.kernel import data_folder, limits
from repomesh.views import plan_view

_LIST_HELP = (
    "File with one path or pattern a line, from the root of the repository; '-' reads standard input."
)

app = typer.Typer(add_completion=False)


@app.command()
def plan(
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help=f"Files that the request touches. {pathspecs.HELP}"),
    ] = None,
    *,
    files: Annotated[
        str | None, typer.Option("--files", metavar="LIST", help=_LIST_HELP, show_default=False)
    ] = None,
    files_max: Annotated[
        int, typer.Option(help="Files of one task.", min=1, max=limits.PLAN_TASK_LIMIT_MAX)
    ] = limits.PLAN_TASK_FILES_MAX,
    lines_max: Annotated[
        int, typer.Option(help="Lines of a task's files.", min=1, max=limits.PLAN_TASK_LIMIT_MAX)
    ] = limits.PLAN_TASK_LINES_MAX,
    tokens_max: Annotated[
        int, typer.Option(help="Tokens of a task's files.", min=1, max=limits.PLAN_TASK_LIMIT_MAX)
    ] = limits.PLAN_TASK_TOKENS_MAX,
    tasks_max: Annotated[
        int, typer.Option(help="Tasks of the plan.", min=1, max=limits.PLAN_TASKS_MAX)
    ] = limits.PLAN_TASKS_MAX,
    as_json: AsJson = False,
) -> None:
    """Divide the files that a request touches among tasks that can land independently.

    Name existing and new files, folders and patterns. Tasks own their files; files that use each other are in
    one task, or one of the tasks waits for the other. Neither a server nor a data folder is used.
    """
    requested = [*_typed_paths(given or []), *([] if files is None else _listed_paths(files))]
    if given is None and files is None:
        hint = "Name files, or a list: 'git diff --name-only main | repomesh plan --files -'."
        raise CommandLineError("the files of the request are missing", hint=hint)
    from repomesh.cli import plan_files  # what follows is loaded for no other command

    task_limits = {
        "files_max": files_max,
        "lines_max": lines_max,
        "tokens_max": tokens_max,
        "tasks_max": tasks_max,
    }
    document = plan_files.plan_repository(_repository_root(), requested, task_limits)
    if as_json:
        output.print_json(document)
        return
    output.print_table(plan_view.task_rows(document), plan_view.TASK_COLUMNS)
    for line in plan_view.summary_lines(document):
        output.print_note(line)


def _repository_root() -> Path:
    if data_folder.repository(Path.cwd()) is None:
        raise NoRepository(f"{Path.cwd()} is in no git repository")
    return data_folder.work_tree(Path.cwd())


def _typed_paths(texts: list[str]) -> list[str]:
    """Return typed paths from the root of the repository. Raises OutsideRepository."""
    return [pathspecs.resolve_path(text, _repository_root()) for text in texts]


def _listed_paths(source: str) -> list[str]:
    """Return the lines of a list without empty ones. Raises CommandLineError for one that can't be read."""
    from repomesh.cli.plan_files import read_list

    try:
        if source == "-":
            return read_list(sys.stdin.buffer.read(limits.PLAN_BYTES_MAX + 1))
        with Path(source).open("rb") as file:
            return read_list(file.read(limits.PLAN_BYTES_MAX + 1))
    except OSError as error:
        hint = "Name a file with one path a line, or '-' for standard input; check the path with 'ls'."
        raise CommandLineError(f"--files: {source}: {error.strerror or error}", hint=hint) from None
