"""`repomesh down`: stops the server of this repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repomesh.cli import output
from repomesh.cli.options import AsJson
from repomesh.kernel import data_folder, trust

app = typer.Typer(add_completion=False)


@app.command()
def down(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stop the server of this repository. Whatever was acknowledged stays."""
    from repomesh.cli.detach import stop
    from repomesh.daemon import background

    folder = (data or data_folder.data_folder(Path.cwd())).absolute()
    trust.require(folder)
    pid = stop(folder)
    background.stop(folder)  # a server stops its daemon itself, unless it was killed
    if as_json:
        output.print_json({"stopped": pid is not None, "pid": pid, "data": str(folder)})
    elif pid is None:
        output.print_line(f"No server runs for {folder}.")
    else:
        output.print_line(f"Stopped the server of {folder.parent} (process {pid}).")
