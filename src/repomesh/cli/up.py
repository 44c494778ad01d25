"""`repomesh up`: prepares the data folder and the database, serves, and prints the address."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import structlog
import typer
from pydantic import ValidationError

from repomesh.cli import output
from repomesh.cli.failures import settings_error
from repomesh.cli.options import AsJson
from repomesh.cli.starting import DEFAULT, StartOptions, prepare_database
from repomesh.kernel import data_folder
from repomesh.kernel.identity import system_caller
from repomesh.kernel.operation import invalid_request
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.views.server_banner import StartedServer, banner_lines, exposure_warning

if TYPE_CHECKING:
    from repomesh.app import Server

app = typer.Typer(add_completion=False)
log = structlog.get_logger("repomesh.server")

_PATIENCE_S = 5.0  # for a command that works without a server


@app.command()
def up(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port; 0 takes any free one. Default: the last one, else 8787 or the next free."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="postgresql://…, to use PostgreSQL in place of the data folder.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="Address of a tunnel in front, for webhooks alone.")
    ] = None,
    new_database: Annotated[
        bool, typer.Option("--new-database", help="Begin with an empty database where one was lost.")
    ] = False,
    accept_damage: Annotated[
        bool, typer.Option("--accept-damage", help="Write to a database that is damaged.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it in the background.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when it is up.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the server of this repository.

    Further settings are read from REPOMESH_… variables.
    """
    options = {
        "host": host,
        "port": port,
        "data": data,
        "database_url": database_url,
        "public_url": public_url,
    }
    settings = read_settings({name: value for name, value in options.items() if value is not None})
    os.umask(0o077)  # what lies in the data folder is its owner's alone
    folder.prepare(settings.data)
    start_options = StartOptions(new_database=new_database, accept_damage=accept_damage)
    if settings.data.name == data_folder.DATA and data_folder.repository(settings.data.parent) is None:
        output.print_note(f"warning: {settings.data.parent} is not a git repository")
    if detach:
        from repomesh.cli.detach import start

        is_configured = any(
            options[name] is not None for name in ("host", "port", "database_url", "public_url")
        )
        started = None if is_configured else _already_running(settings)
        started = started or start(settings, start_options.as_options())
        _announce(started, as_json=as_json, quiet=quiet, detached=True)
        return
    with folder.hold(settings.data, _PATIENCE_S):
        _serve(settings, start_options, as_json=as_json, quiet=quiet)


def read_settings(given: dict[str, Any]) -> Settings:
    """Return the settings from `given` options, the environment and the repository, in this order.

    Raises InvalidRequest.
    """
    options = frozenset(given)
    if "data" not in given:
        given["data"] = data_folder.data_folder(Path.cwd())
    given["data"] = Path(given["data"]).absolute()
    try:
        return Settings(**given)
    except ValidationError as error:
        raise settings_error(invalid_request(error), options) from None


def _serve(settings: Settings, options: StartOptions, *, as_json: bool, quiet: bool) -> None:
    """Bind first, so that a busy port is reported at once; then open, migrate and serve."""
    from repomesh.cli.listening_port import listen, listen_near, url_of

    note = None
    if "port" in settings.model_fields_set:
        bound = listen(settings.host, settings.port)
    else:
        bound, note = listen_near(settings.host, folder.last_port(settings.data) or settings.port)
    from repomesh.cli.serving import serve
    from repomesh.daemon import background

    server, started = _open_for_start(settings, options, url_of(bound))
    if note is not None:
        started = replace(started, notes=(*started.notes, note))

    def on_started() -> None:
        folder.write_server(settings.data, started.pid, started.url, started.version)
        log.info("started", url=started.url, version=started.version, pid=started.pid, store=started.store)
        background.start_if_needed(settings.data)
        _announce(started, as_json=as_json, quiet=quiet, detached=False)

    try:
        serve(server, bound, on_started)
    finally:
        log.info("stopped", pid=os.getpid())
        folder.forget_server(settings.data)
        background.stop(settings.data)


def open_server(
    settings: Settings, options: StartOptions = DEFAULT, *, check: bool = False
) -> tuple[Server, list[str]]:
    """Return a server with a migrated database that is not running yet, and notes to print.

    With `check` the database is checked first, and only read if it is damaged. Raises DatabaseDamaged, and
    the errors of `prepare_database` and `migrate`.
    """
    from repomesh.app import VERSION, Server, prepare
    from repomesh.cli.logfile import log_to
    from repomesh.kernel.telemetry import configure_tracing

    log_to(settings.data / data_folder.LOG, settings.log_level)
    configure_tracing(settings, VERSION)
    from repomesh.store import backups, opening
    from repomesh.store.base import DatabaseDamaged

    damage, notes = prepare_database(settings, options, check=check)
    server = Server(settings, damage=damage)
    try:
        notes += migrate(server.store, settings)
        root = repository_of(settings.data)
        prepare(settings, server.store, settings.workspace or workspace_name(root), str(root))
    except DatabaseDamaged as error:
        server.store.close()
        newest = backups.newest(settings.data) or "FILE"
        raise DatabaseDamaged(error.message, hint=f"Put back a backup: repomesh restore {newest}") from None
    except BaseException:
        server.store.close()
        raise
    if settings.database_url is None:
        opening.record_database(settings.data)
    return server, notes


def _open_for_start(settings: Settings, options: StartOptions, url: str) -> tuple[Server, StartedServer]:
    """Open the server; returns it with the description to print when it is up."""
    from repomesh.app import VERSION
    from repomesh.domains.workspaces.operations import home_workspace

    server, notes = open_server(settings, options, check=True)
    try:
        home = server.store.read_now(system_caller(""), home_workspace)
        store = server.store.describe()
    except BaseException:
        server.store.close()
        raise
    return server, StartedServer(
        version=VERSION,
        pid=os.getpid(),
        url=url,
        host=settings.host,
        workspace=home.name if home else "",
        data=str(settings.data),
        store=f"{store['engine']} {store['version']}",
        notes=tuple(notes),
    )


def repository_of(data: Path) -> Path:
    """Return the repository of a data folder: its parent, or the current one if the folder is elsewhere."""
    if data.name == data_folder.DATA:
        return data.parent
    return data_folder.repository(Path.cwd()) or Path.cwd()


def migrate(store: Any, settings: Settings) -> list[str]:
    """Migrate an older database, after a backup; returns notes to print.

    Raises SchemaTooNew for a database of a newer release.
    """
    from repomesh.store import backups
    from repomesh.store import migrate as schema

    revision = schema.current(store)
    if revision in (None, schema.HEAD):
        return []
    store.require_undamaged()
    schema.require_known(revision)
    backup_note = "Back it up with pg_dump before such an upgrade."
    if settings.database_url is None:
        name = f"schema-{revision}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.db"
        target = settings.data / backups.BACKUPS / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        backups.make(settings.data / folder.DATABASE, target)
        backup_note = f"The database as it was is in {target}."
    schema.upgrade(store)
    return [f"Migrated the database from schema {revision} to {schema.HEAD}. {backup_note}"]


def _already_running(settings: Settings) -> StartedServer | None:
    """Return the running server of the data folder; None if none answers."""
    from repomesh.cli.detach import is_ready

    note = data_folder.read_server(settings.data)
    if note is None or folder.holder(settings.data) != note["pid"] or not is_ready(note["url"]):
        return None
    return StartedServer(
        version=note["version"],
        pid=note["pid"],
        url=note["url"],
        host=urlsplit(note["url"]).hostname or settings.host,
        workspace=settings.workspace or workspace_name(repository_of(settings.data)),
        data=str(settings.data),
        store="sqlite" if settings.database_url is None else "postgresql",
        notes=("It is running already.",),
    )


def workspace_name(root: Path) -> str:
    """Return the name of a workspace, made of its folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", root.name).lstrip("._-")[:64] or "workspace"


def _announce(started: StartedServer, *, as_json: bool, quiet: bool, detached: bool) -> None:
    if as_json:
        output.print_json(started.as_json())
    elif not quiet:
        print("\n".join(banner_lines(output.style(), started, detached=detached)), flush=True)
        warning = exposure_warning(started.host)
        if warning:
            output.print_note(warning)
