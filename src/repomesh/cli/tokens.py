"""`repomesh token`: makes, lists and revokes tokens, and shows where the token in use comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from repomesh.cli import output
from repomesh.cli.generic import noun_group
from repomesh.cli.options import AsJson, Url
from repomesh.client import discovery
from repomesh.client.errors import ServerNotFound
from repomesh.kernel import data_folder

app = noun_group("token", "Make, list and revoke tokens.")


@app.command()
def show(
    *,
    show_token: Annotated[
        bool, typer.Option("--show-token", help="Print the token itself; mind who reads along.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show which token commands use here, and where it is stored."""
    address = discovery.find(url=url)
    if address.token is None:
        raise ServerNotFound(f"no token is known for {address.url}", hint="Set REPOMESH_TOKEN.")
    is_own = address.data is not None and address.token == data_folder.read_secret(
        address.data / data_folder.TOKEN
    )
    document = {
        "url": address.url,
        "from": str(address.data / data_folder.TOKEN) if is_own and address.data else "REPOMESH_TOKEN",
        "acting_as": address.agent,
    }
    if show_token:
        document["token"] = address.token
    if as_json:
        output.print_json(document)
    else:
        output.print_object(document)
