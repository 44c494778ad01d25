"""`repomesh env`: the variables by which other programs find this server, for the shell to evaluate."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from repomesh.cli import output
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.client import discovery
from repomesh.client.errors import ServerNotFound
from repomesh.kernel import data_folder

app = typer.Typer(add_completion=False)


@app.command()
def env(
    *,
    shell: Annotated[
        Literal["sh", "fish"], typer.Option(help="The shell's syntax; 'sh' is also for bash.")
    ] = "sh",
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Print REPOMESH_URL, REPOMESH_TOKEN and REPOMESH_AGENT for a shell: eval "$(repomesh env)".

    The token is read from its file when the shell evaluates it, and is not printed.
    """
    address = discovery.find(url=url, agent=acting_agent)
    if address.token is None:
        raise ServerNotFound(f"no token is known for {address.url}", hint="Set REPOMESH_TOKEN.")
    file = address.data / data_folder.TOKEN if address.data is not None else None
    in_file = file is not None and data_folder.read_secret(file) == address.token
    if as_json:
        document = {"url": address.url, "token_file": str(file) if in_file else None, "agent": address.agent}
        output.print_json(document)
        return
    values = {"REPOMESH_URL": shlex.quote(address.url)}
    if in_file:
        command = f"cat {shlex.quote(str(file))}"
        values["REPOMESH_TOKEN"] = f'"$({command})"' if shell == "sh" else f"({command})"
    if address.agent is not None:
        values["REPOMESH_AGENT"] = shlex.quote(address.agent)
    for name, value in values.items():
        print(f"export {name}={value}" if shell == "sh" else f"set -gx {name} {value}")
