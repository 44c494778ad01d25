"""`repomesh db`, `backup` and `restore`: care of the database, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from repomesh.cli import command, output
from repomesh.cli.options import AsJson
from repomesh.cli.starting import prepare_database
from repomesh.cli.up import migrate as migrate_after_backup
from repomesh.cli.up import read_settings, repository_of
from repomesh.kernel import trust
from repomesh.kernel.errors import Conflict, InvalidRequest
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.store.base import Store

Data = Annotated[Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="postgresql://…; else REPOMESH_DATABASE_URL.")]

db = typer.Typer(help="The database's schema.", no_args_is_help=True, add_completion=False)


class BackedUpElsewhere(InvalidRequest):
    """PostgreSQL databases are backed up with PostgreSQL's own tools."""

    code = "backed_up_elsewhere"


class RestoreInterrupted(Conflict):
    """A restore was interrupted; until it is finished it is not settled which database counts."""

    code = "restore_interrupted"
    hint = "Start the server with 'repomesh up', which finishes it, and try again."


@db.command()
def upgrade(*, data: Data = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Migrate the database to this release's schema, after a backup. The server must not run."""
    from repomesh.store import migrate, opening

    settings = _settings(data, database_url)
    folder.prepare(settings.data)
    with folder.hold(settings.data):
        _, notes = prepare_database(settings)
        with _store(settings) as store:
            notes += migrate_after_backup(store, settings)
            migrate.upgrade(store)  # a database that is empty
        if settings.database_url is None:
            opening.record_database(settings.data)
    _print_result(
        notes or [f"The database has schema {migrate.HEAD}."], {"schema": migrate.HEAD}, as_json=as_json
    )


@db.command()
def current(*, data: Data = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Print which schema the database has, and which this release needs."""
    from repomesh.store import migrate

    settings = _settings(data, database_url)
    _require_database(settings)
    with _store(settings) as store:
        revision = migrate.current(store)
    result = {"schema": revision, "needed": migrate.HEAD}
    _print_result(
        [f"The database has schema {revision or 'none'}; this release needs {migrate.HEAD}."],
        result,
        as_json=as_json,
    )


@db.command()
def check(*, data: Data = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Fail unless the database has exactly this release's schema."""
    from repomesh.store import migrate

    settings = _settings(data, database_url)
    _require_database(settings)
    with _store(settings) as store:
        revision = migrate.check(store)
    _print_result(
        [f"The database has this release's schema, {revision}."], {"schema": revision}, as_json=as_json
    )


def backup(
    file: Annotated[Path, typer.Argument(help="The new file.")],
    *,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database to a file, whole and checked. The server may run meanwhile."""
    from repomesh.store import backups, restoring

    settings = _settings(data, None)
    _refuse_postgres(settings, "pg_dump --format=custom --file={file} {url}", file)
    if restoring.is_pending(settings.data):
        raise RestoreInterrupted(f"a restore of {settings.data} was interrupted and is not finished")
    revision = backups.make(settings.data / folder.DATABASE, file.absolute())
    size = file.stat().st_size
    contents = backups.contents_of(file.absolute())
    result = {"file": str(file.absolute()), "bytes": size, "schema": revision}
    lines = [f"Wrote {file} ({size:,} bytes, schema {revision}). It holds everything: keep it to yourself."]
    if contents.exists():
        result |= {"contents": str(contents)}
        lines.append(f"The artifacts' contents over 1 MiB are in {contents}; it belongs to the backup.")
    _print_result(lines, result, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'repomesh backup' made.")],
    *,
    data: Data = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Restore another repository's backup without asking.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the database. The server must not run; the replaced one is kept.

    It asks before it puts another repository's backup in this one's place.
    """
    from repomesh.store import opening, restoring

    settings = _settings(data, None)
    _refuse_postgres(settings, "pg_restore --clean --if-exists --dbname={url} {file}", file)
    restoring.require_file(file)
    if not yes:
        _ask_about_other(file, settings.data, as_json=as_json)
    folder.prepare(settings.data)
    with folder.hold(settings.data):
        replaced = restoring.restore(settings.data, file).replaced
        opening.record_database(settings.data)
    lines = [f"Restored {file}. 'repomesh up' starts with it."]
    if replaced is not None:
        lines.append(f"The database that it replaced is {replaced}.")
    _print_result(
        lines, {"restored": str(file), "replaced": str(replaced) if replaced else None}, as_json=as_json
    )


def _ask_about_other(file: Path, data: Path, *, as_json: bool) -> None:
    """Ask before restoring another repository's backup; raises Abort for a no."""
    from repomesh.store import backups

    backup_home = backups.home_of(file)
    database = data / folder.DATABASE
    present_home = backups.home_of(database) if database.exists() else None
    root = str(repository_of(data))
    if backup_home is None:
        return
    if (
        backup_home.workspace_id == present_home.workspace_id
        if present_home is not None
        else backup_home.path in (None, root)
    ):
        return
    origin = f"'{backup_home.name}'" + (f" of {backup_home.path}" if backup_home.path else "")
    output.confirm(f"{file} is the backup of {origin}, and this is {root}. Restore it here?", as_json=as_json)


def _settings(data: Path | None, database_url: str | None) -> Settings:
    options = {"data": data, "database_url": database_url}
    settings = read_settings({name: value for name, value in options.items() if value is not None})
    if settings.database_url is None:
        trust.require(settings.data)
    return settings


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    from repomesh.kernel.telemetry import Metrics
    from repomesh.store.open import open_store

    store = open_store(settings, Metrics())
    try:
        yield store
    finally:
        store.close()


def _require_database(settings: Settings) -> None:
    """Raise NoDatabase if the database is missing; opening it would create an empty one."""
    from repomesh.store import backups

    if settings.database_url is None and not (settings.data / folder.DATABASE).exists():
        raise backups.NoDatabase(f"there is no database in {settings.data}")


def _refuse_postgres(settings: Settings, command: str, file: Path) -> None:
    if settings.database_url is not None:
        url = '"$REPOMESH_DATABASE_URL"'  # the URL holds a password, which must not be printed
        raise BackedUpElsewhere(
            "this server's data is in PostgreSQL",
            hint=f"Use its own tool: {command.format(file=file, url=url)}",
        )


def _print_result(lines: list[str], result: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        output.print_json(result)
        return
    for line in lines:
        output.print_line(command.replace_program_name(line))


backup_app = typer.Typer(add_completion=False)
backup_app.command()(backup)
restore_app = typer.Typer(add_completion=False)
restore_app.command()(restore)
