"""`repomesh daemon`: wakes the agent CLIs of this repository that are idle when a message comes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from repomesh.cli import output
from repomesh.cli.options import AsJson, Url
from repomesh.client import discovery
from repomesh.kernel import data_folder, trust
from repomesh.kernel.errors import Unauthenticated
from repomesh.store import folder

app = typer.Typer(add_completion=False)


@app.command()
def daemon(
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it in the background.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the one that runs.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Wake idle agent CLIs when a message comes for them.

    The daemon keeps one connection to the server. It notifies Claude Code through its inbox and Codex through
    its queue, and never types into a terminal. 'repomesh up' starts it where such a CLI is connected, and
    'down' stops it.
    """
    from repomesh.daemon import background

    data = data_folder.data_folder(Path.cwd()).absolute()
    trust.require(data)
    if stop:
        pid = background.stop(data)
        _print_result(
            {"stopped": pid is not None, "pid": pid}, "Stopped." if pid else "None runs.", as_json=as_json
        )
    elif (running := background.holder(data)) is not None:
        _print_result(
            {"running": True, "pid": running}, f"It runs already (process {running}).", as_json=as_json
        )
    elif detach:
        pid = background.start(data)
        _print_result({"running": True, "pid": pid}, f"It runs (process {pid}).", as_json=as_json)
    else:
        _run(data, url)


def _run(data: Path, url: str | None) -> None:
    from repomesh.cli.logfile import log_to
    from repomesh.daemon.main import run

    address = discovery.find(url=url)
    if address.token is None:
        raise Unauthenticated(f"no token is known for {address.url}", hint="Set REPOMESH_TOKEN.")
    os.umask(0o077)  # what lies in the data folder is its owner's alone
    folder.prepare(data)
    log_to(data / data_folder.DAEMON_LOG, "info")
    run(data, address)


def _print_result(result: dict[str, object], line: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json(result)
    else:
        output.print_line(line)
