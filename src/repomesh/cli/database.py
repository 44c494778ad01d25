"""`repomesh db`, `backup` and `restore`: care of the database, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from repomesh.cli import output
from repomesh.cli.options import AsJson
from repomesh.cli.up import migrate as migrate_after_backup
from repomesh.cli.up import read_settings
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.store.base import Store

Data = Annotated[Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="postgresql://…; else REPOMESH_DATABASE_URL.")]

db = typer.Typer(help="The database's schema.", no_args_is_help=True, add_completion=False)


class BackedUpElsewhere(InvalidRequest):
    """PostgreSQL has its own tools for backups."""

    code = "backed_up_elsewhere"


@db.command()
def upgrade(*, data: Data = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Bring the database to this release's schema, after a backup. The server must not run."""
    from repomesh.store import migrate

    settings = _settings(data, database_url)
    folder.prepare(settings.data)
    with folder.held(settings.data), _store(settings) as store:
        notes = migrate_after_backup(store, settings)
        migrate.upgrade(store)  # a database that is empty
    _tell(notes or [f"The database has schema {migrate.HEAD}."], {"schema": migrate.HEAD}, as_json=as_json)


@db.command()
def current(*, data: Data = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Say which schema the database has, and which this release needs."""
    from repomesh.store import migrate

    settings = _settings(data, database_url)
    _require_database(settings)
    with _store(settings) as store:
        revision = migrate.current(store)
    found = {"schema": revision, "needed": migrate.HEAD}
    _tell(
        [f"The database has schema {revision or 'none'}; this release needs {migrate.HEAD}."],
        found,
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
    _tell([f"The database has this release's schema, {revision}."], {"schema": revision}, as_json=as_json)


def backup(
    file: Annotated[Path, typer.Argument(help="The new file.")],
    *,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database to a file, whole and checked. The server may run meanwhile."""
    from repomesh.store import backups

    settings = _settings(data, None)
    _refuse_postgres(settings, "pg_dump --format=custom --file={file} {url}", file)
    revision = backups.make(settings.data / folder.DATABASE, file.absolute())
    size = file.stat().st_size
    told = {"file": str(file.absolute()), "bytes": size, "schema": revision}
    _tell(
        [f"Wrote {file} ({size:,} bytes, schema {revision}). It holds everything: keep it to yourself."],
        told,
        as_json=as_json,
    )


def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'repomesh backup' made.")],
    *,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the database. The server must not run; the replaced one is kept."""
    from repomesh.store import backups

    settings = _settings(data, None)
    _refuse_postgres(settings, "pg_restore --clean --if-exists --dbname={url} {file}", file)
    folder.prepare(settings.data)
    with folder.held(settings.data):
        aside = backups.restore(settings.data, file)
    lines = [f"Restored {file}. 'repomesh up' starts with it."]
    if aside is not None:
        lines.append(f"The database that it replaced is {aside}.")
    _tell(lines, {"restored": str(file), "replaced": str(aside) if aside else None}, as_json=as_json)


def _settings(data: Path | None, database_url: str | None) -> Settings:
    given = {"data": data, "database_url": database_url}
    return read_settings({name: value for name, value in given.items() if value is not None})


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
    """Raise NoDatabase rather than make an empty one by looking."""
    from repomesh.store import backups

    if settings.database_url is None and not (settings.data / folder.DATABASE).exists():
        raise backups.NoDatabase(f"there is no database in {settings.data}")


def _refuse_postgres(settings: Settings, command: str, file: Path) -> None:
    if settings.database_url is not None:
        url = '"$REPOMESH_DATABASE_URL"'  # with its password it belongs on no screen
        raise BackedUpElsewhere(
            "this server's data is in PostgreSQL",
            hint=f"Use its own tool: {command.format(file=file, url=url)}",
        )


def _tell(lines: list[str], told: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        output.print_json(told)
        return
    for line in lines:
        output.say(line)


backup_app = typer.Typer(add_completion=False)
backup_app.command()(backup)
restore_app = typer.Typer(add_completion=False)
restore_app.command()(restore)
