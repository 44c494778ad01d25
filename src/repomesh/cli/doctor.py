"""`repomesh doctor`: what is wrong here, and the command that fixes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from repomesh.cli import command, doctor_checks, output
from repomesh.cli.options import AsJson, Url
from repomesh.cli.up import read_settings
from repomesh.client import discovery
from repomesh.client.errors import ServerNotFound
from repomesh.kernel.settings import Settings
from repomesh.kernel.trust import UntrustedFolder
from repomesh.views.terminal_text import clean

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Data folder. Default: .repomesh of this repository.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, the data folder, the database and the server; each failure names what mends it.

    Fails when something that is required does not hold; a server that does not run is no failure.
    """
    settings = read_settings({} if data is None else {"data": data})
    found = list(_checks(settings, url or os.environ.get("REPOMESH_URL")))
    if as_json:
        output.print_json([asdict(check) | {"fix": "" if check.fine else check.fix} for check in found])
    else:
        for check in found:
            _show(check)
    if any(check.required and not check.fine for check in found):
        raise typer.Exit(1)


def _checks(settings: Settings, url: str | None) -> Iterator[doctor_checks.DoctorCheck]:
    """Of a server elsewhere only what it answers can be looked at."""
    yield from doctor_checks.machine()
    if url is None:
        untrusted = doctor_checks.trusted(settings)
        if untrusted is not None:  # nothing in it is looked at
            yield untrusted
            return
        yield from doctor_checks.data(settings)
        yield from doctor_checks.database(settings)
        yield from doctor_checks.process(settings)
        yield from doctor_checks.guarded(Path.cwd())
    try:
        address = discovery.find(url=url, data=settings.data)
    except ServerNotFound:
        return
    except UntrustedFolder as error:  # of a server elsewhere, for which no token is named
        yield doctor_checks.refused(error)
        return
    yield from doctor_checks.answers(address)


def _show(check: doctor_checks.DoctorCheck) -> None:
    mark, colour = ("ok", "32") if check.fine else ("FAIL", "1;31") if check.required else ("note", "33")
    shown = f"\x1b[{colour}m{mark:<4}\x1b[0m" if output.wants_style() else f"{mark:<4}"
    print(f"{shown}  {check.name:<12} {clean(check.detail)}")
    if not check.fine and check.fix:
        print(f"      {'':<12} fix: {clean(command.as_typed(check.fix))}")
