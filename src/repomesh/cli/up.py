"""`repomesh up`: prepares the data folder and the database, serves, and says how to reach it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from repomesh.cli import banner, output
from repomesh.cli.options import AsJson
from repomesh.kernel import places
from repomesh.kernel.identity import system_caller
from repomesh.kernel.operation import invalid_request
from repomesh.kernel.settings import Settings
from repomesh.store import folder

if TYPE_CHECKING:
    from repomesh.app import Server

app = typer.Typer(add_completion=False)

_PATIENCE_S = 5.0  # for a command that works without a server


@app.command()
def up(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. Default: 8787.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="postgresql://…, to use PostgreSQL in place of the data folder.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="Address of a tunnel in front, for webhooks alone.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it in the background.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when it is up.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the server of this repository.

    Further settings are read from REPOMESH_… variables.
    """
    given = {
        "host": host,
        "port": port,
        "data": data,
        "database_url": database_url,
        "public_url": public_url,
    }
    settings = read_settings({name: value for name, value in given.items() if value is not None})
    folder.prepare(settings.data)
    if detach:
        from repomesh.cli.detach import start

        started = start(settings)
        _announce(started, as_json=as_json, quiet=quiet, detached=True)
        return
    with folder.held(settings.data, _PATIENCE_S):
        _serve(settings, as_json=as_json, quiet=quiet)


def read_settings(given: dict[str, Any]) -> Settings:
    """Settings from the options given, the environment and the repository, in this order."""
    if "data" not in given:
        given["data"] = places.data_folder(Path.cwd())
    given["data"] = Path(given["data"]).absolute()
    try:
        return Settings(**given)
    except ValidationError as error:
        raise invalid_request(error) from None


def _serve(settings: Settings, *, as_json: bool, quiet: bool) -> None:
    """Bind first, so that a busy port is told at once; then open, migrate and serve."""
    from repomesh.cli.listen import listen, url_of

    bound = listen(settings.host, settings.port)
    from repomesh.cli.serving import serve
    from repomesh.daemon import background

    server, started = _to_announce(settings, url_of(bound))

    def on_started() -> None:
        folder.write_server(settings.data, started.pid, started.url, started.version)
        background.start_if_needed(settings.data)
        _announce(started, as_json=as_json, quiet=quiet, detached=False)

    try:
        serve(server, bound, on_started)
    finally:
        folder.forget_server(settings.data)
        background.stop(settings.data)


def opened(settings: Settings) -> tuple[Server, list[str]]:
    """A server whose database is up to date, not running yet, and what to tell of that."""
    from repomesh.app import VERSION, Server, prepare
    from repomesh.cli.logfile import log_to
    from repomesh.kernel.telemetry import configure_tracing

    log_to(settings.data / places.LOG, settings.log_level)
    configure_tracing(settings, VERSION)
    server = Server(settings)
    try:
        notes = migrate(server.store, settings)
        root = _root(settings.data)
        prepare(settings, server.store, settings.workspace or workspace_name(root), str(root))
    except BaseException:
        server.store.close()
        raise
    return server, notes


def _to_announce(settings: Settings, url: str) -> tuple[Server, banner.Started]:
    """The server, and what to say of it when it is up."""
    from repomesh.app import VERSION
    from repomesh.domains.workspaces.operations import home_workspace

    server, notes = opened(settings)
    try:
        home = server.store.read_now(system_caller(""), home_workspace)
        about = server.store.describe()
    except BaseException:
        server.store.close()
        raise
    return server, banner.Started(
        version=VERSION,
        pid=os.getpid(),
        url=url,
        host=settings.host,
        workspace=home.name if home else "",
        data=str(settings.data),
        store=f"{about['engine']} {about['version']}",
        notes=tuple(notes),
    )


def _root(data: Path) -> Path:
    """The folder that the workspace is about: around the data folder, unless that lies elsewhere."""
    if data.name == places.DATA:
        return data.parent
    return places.repository(Path.cwd()) or Path.cwd()


def migrate(store: Any, settings: Settings) -> list[str]:
    """Bring an older database up to date, after a backup; answers what to tell of it.

    Raises SchemaTooNew for one that a newer release wrote.
    """
    from repomesh.store import backups
    from repomesh.store import migrate as schema

    revision = schema.current(store)
    if revision in (None, schema.HEAD):
        return []
    schema.require_known(revision)
    kept = "Back it up with pg_dump before such an upgrade."
    if settings.database_url is None:
        name = f"schema-{revision}-{time.strftime('%Y%m%dT%H%M%S')}.db"
        target = settings.data / backups.BACKUPS / name
        backups.make(settings.data / folder.DATABASE, target)
        kept = f"The database as it was is in {target}."
    schema.upgrade(store)
    return [f"Migrated the database from schema {revision} to {schema.HEAD}. {kept}"]


def workspace_name(root: Path) -> str:
    """A workspace's name from its folder's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", root.name).lstrip("._-")[:64] or "workspace"


def _announce(started: banner.Started, *, as_json: bool, quiet: bool, detached: bool) -> None:
    if as_json:
        output.print_json(started.as_json())
    elif not quiet:
        banner.show(started, detached=detached)
