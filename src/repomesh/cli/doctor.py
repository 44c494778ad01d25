"""`repomesh doctor`: finds problems, and prints the command that fixes each."""

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
    """Check this machine, the data folder, the database and the server, and print the fix for each failure.

    Fails when a required check fails; a server that does not run is no failure.
    """
    settings = read_settings({} if data is None else {"data": data})
    checks = list(_run_checks(settings, url or os.environ.get("REPOMESH_URL")))
    if as_json:
        output.print_json([asdict(check) | {"fix": "" if check.fine else check.fix} for check in checks])
    else:
        for check in checks:
            _show(check)
    if any(check.required and not check.fine for check in checks):
        raise typer.Exit(1)


def _run_checks(settings: Settings, url: str | None) -> Iterator[doctor_checks.DoctorCheck]:
    """Run all checks; of a server given by `url` only those on its answers."""
    yield from doctor_checks.check_machine()
    if url is None:
        trust_failure = doctor_checks.check_trust(settings)
        if trust_failure is not None:  # nothing else in it is checked
            yield trust_failure
            return
        yield from doctor_checks.check_data_folder(settings)
        yield from doctor_checks.check_database(settings)
        yield from doctor_checks.check_process(settings)
        yield from doctor_checks.check_guard(Path.cwd())
    try:
        address = discovery.find(url=url, data=settings.data)
    except ServerNotFound:
        return
    except UntrustedFolder as error:  # a server given by URL, without a token
        yield doctor_checks.refused_folder(error)
        return
    yield from doctor_checks.check_server(address)


def _show(check: doctor_checks.DoctorCheck) -> None:
    mark, colour = ("ok", "32") if check.fine else ("FAIL", "1;31") if check.required else ("note", "33")
    label = f"\x1b[{colour}m{mark:<4}\x1b[0m" if output.wants_style() else f"{mark:<4}"
    print(f"{label}  {check.name:<12} {clean(check.detail)}")
    if not check.fine and check.fix:
        print(f"      {'':<12} fix: {clean(command.replace_program_name(check.fix))}")
