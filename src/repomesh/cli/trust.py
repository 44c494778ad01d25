"""`repomesh trust`: adopts a data folder that was not made here, after a person has confirmed it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repomesh.cli import command, output
from repomesh.cli.options import AsJson
from repomesh.kernel import adoption, data_folder
from repomesh.kernel.adoption import AdoptableFolder

app = typer.Typer(add_completion=False)

_ORIGINS = {
    "trusted": "It is trusted already.",
    "moved": "It was made at {was_at}, and moved here. Its token and its connected CLIs stay.",
    "copied": "It is a copy of {was_at}. It gets an owner's token of its own; connect its CLIs again.",
    "unknown": "It has no record on this machine: it came from elsewhere, or an earlier version made it. "
    "It gets a new owner's token; connect its CLIs again.",
}


@app.command()
def trust(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Trust it without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Use a data folder that this user did not make here: an earlier version's, a moved one, or a copy.

    Say yes only to what you know: its database says which agents and webhooks get the messages.
    """
    candidate = adoption.inspect((data or data_folder.data_folder(Path.cwd())).absolute())
    if not as_json:
        _show(candidate)
    if candidate.origin != "trusted" and not yes:
        output.confirm("Is it yours?", as_json=as_json)
    adoption.adopt(candidate)
    if as_json:
        output.print_json(
            {
                "data": str(candidate.data),
                "origin": candidate.origin,
                "was_at": candidate.was_at,
                "token_kept": candidate.keeps_token,
            }
        )
    elif candidate.origin != "trusted":
        advice = "Trusted. After 'repomesh up' look at 'repomesh token list' and 'repomesh webhook list'."
        output.print_line(command.replace_program_name(advice))


def _show(candidate: AdoptableFolder) -> None:
    size = candidate.database_bytes
    content = "no database" if size is None else f"a database of {size:,} bytes"
    output.print_line(f"{candidate.data} holds {content}.")
    output.print_line(_ORIGINS[candidate.origin].format(was_at=candidate.was_at))
