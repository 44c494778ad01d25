"""`repomesh connect` and `disconnect`: agent CLIs join the workspace of this repository, and leave it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from repomesh.cli import connect_http, connect_status, output
from repomesh.cli.options import AsJson, Url
from repomesh.connect import cli_registry, planning, records
from repomesh.connect.cli import TOKEN_VARIABLE, Cli, ConnectTarget
from repomesh.connect.files import settings_lock
from repomesh.connect.planning import ConnectPlan
from repomesh.daemon import background
from repomesh.kernel import data_folder, trust
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.store import folder
from repomesh.views.terminal_text import clean

app = typer.Typer(add_completion=False)
disconnect_app = typer.Typer(add_completion=False)

_AGENT = rf"[A-Za-z0-9][\w.-]{{0,{NAME_CHARS_MAX - 1}}}"  # as the server takes it

_Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[CLI]",
        help="claude, codex, gemini, copilot, qwen or opencode.",
        show_default=False,
        autocompletion=lambda incomplete: [name for name in cli_registry.CLIS if name.startswith(incomplete)],
    ),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]


@app.command()
def connect(
    cli: _Name = None,
    *,
    agent: Annotated[
        str | None, typer.Option(help="Agent that the CLI is to be; else a free name.", show_default=False)
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Use the HTTP endpoint with an agent's token, not the proxy.")
    ] = False,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    status: Annotated[
        bool, typer.Option("--status", help="Say what is installed, connected and alive.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make an agent CLI an agent of this repository, from its next start on; without a name all installed.

    Writes the CLI's MCP entry and hooks, in the narrowest scope that it honours. Shows the change first and
    asks; what else stands in those files stays as it is.
    """
    if status:
        connect_status.show(cli, as_json=as_json, url=url)
        return
    chosen = _chosen(cli, agent)
    data, place = _here()

    def planned(one: Cli) -> ConnectPlan:
        kept = records.read_marker(data, one.name)
        wanted = agent or (kept.agent if kept is not None else None)
        there = replace(place, http=connect_http.endpoint(data, one, url)) if http else place
        return planning.connect(one, there, data, wanted)

    for one in chosen:
        if shutil.which(one.name) is None:
            output.print_note(f"warning: {one.title} is not installed: there is no '{one.name}' on the PATH")
    plans = [planned(one) for one in chosen]
    if _agreed(plans, yes=yes, dry_run=dry_run, as_json=as_json):
        folder.prepare(data)
        for shown in plans:
            with settings_lock(place.home):
                # Planned again: what git is to ignore may hold another CLI's files by now.
                plan = planning.require_unchanged(shown, planned(shown.cli))
                (connect_http.prepare if http else connect_http.forget)(plan, url)
                planning.apply_plan(plan)
        background.start_if_absent(data)
    _report(plans, "connected", dry_run=dry_run, as_json=as_json)
    if not (as_json or dry_run):
        _afterwards([plan.cli for plan in plans if not plan.nothing], data, http=http)


@disconnect_app.command()
def disconnect(
    cli: _Name = None,
    *,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Take an agent CLI out again, its settings as they were; without a name all that are connected.

    What was edited by hand since stays. Settings that other repositories use, too, stay until the last of
    them disconnects.
    """
    data, place = _here()
    every = [one for one in cli_registry.CLIS.values() if records.read_marker(data, one.name) is not None]
    plans = [
        planning.disconnect(one, place, data) for one in ([cli_registry.find_cli(cli)] if cli else every)
    ]
    if _agreed(plans, yes=yes, dry_run=dry_run, as_json=as_json):
        for shown in plans:
            with settings_lock(place.home):
                plan = planning.disconnect(shown.cli, place, data)
                connect_http.forget(plan, url)
                planning.apply_plan(planning.require_unchanged(shown, plan))
    _report(plans, "disconnected", dry_run=dry_run, as_json=as_json)


def _chosen(cli: str | None, agent: str | None) -> list[Cli]:
    """The CLIs that are meant, and that `agent` can be one of them; raises InvalidRequest."""
    chosen = [cli_registry.find_cli(cli)] if cli else cli_registry.installed_clis()
    if agent is not None and len(chosen) != 1:
        raise InvalidRequest("--agent names one agent, and several CLIs are meant", hint="Name the CLI, too.")
    if agent is not None and re.fullmatch(_AGENT, agent, re.ASCII) is None:
        hint = f"Letters, digits, '.', '_' and '-', at most {NAME_CHARS_MAX}."
        raise InvalidRequest(f"no agent can be called {agent!r}", hint=hint)
    return chosen


def _here() -> tuple[Path, ConnectTarget]:
    """The data folder, and where one stands; raises UntrustedFolder."""
    start = Path.cwd()
    data = data_folder.data_folder(start)
    trust.require(data)
    root = data_folder.work_tree(start)
    if data_folder.repository(start) is None and data.name == data_folder.DATA:
        root = data.parent
    return data, ConnectTarget(root, Path.home(), os.environ)


def _agreed(plans: Sequence[ConnectPlan], *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Show what would change; answers whether to do it. Raises InvalidRequest when nobody can be asked."""
    changes = [change for plan in plans for change in plan.changes]
    if not as_json:
        for change in changes:
            _show(change.diff())
    if dry_run:
        return False
    if not changes or yes:
        return True
    output.confirm("Write this?", as_json=as_json, default=True)
    return True


def _show(diff: str) -> None:
    colours = {"+": "32", "-": "31", "@": "36"}
    for line in diff.splitlines():
        shown = clean(line.rstrip("\r"))
        colour = colours.get(line[:1]) if output.wants_style() else None
        print(f"\x1b[{colour}m{shown}\x1b[0m" if colour else shown)


def _report(plans: Sequence[ConnectPlan], done: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.print_json([_plan_as_json(plan, dry_run=dry_run) for plan in plans])
        return
    for plan in plans:
        if plan.nothing:
            output.print_line(f"{plan.cli.title}: {done} already")
        elif not dry_run:
            output.print_line(f"{plan.cli.title}: {done}")


def _plan_as_json(plan: ConnectPlan, *, dry_run: bool) -> dict[str, Any]:
    return {
        "cli": plan.cli.name,
        "changed": not plan.nothing and not dry_run,
        "files": [
            {"path": str(change.content.path), "diff": change.diff() if dry_run else None}
            for change in plan.changes
        ],
    }


def _afterwards(clis: Sequence[Cli], data: Path, *, http: bool) -> None:
    """What the person has to know or do."""
    for cli in clis:
        if cli.afterwards:
            output.print_note(cli.afterwards)
        if http and cli.name not in ("claude", "opencode"):
            token = connect_http.token_path(data, cli)
            output.print_note(
                f'{cli.title} takes the token from its environment: export {TOKEN_VARIABLE}="$(cat {token})"'
            )
    if clis and data_folder.read_server(data) is None:
        output.print_note("Start the server with 'repomesh up --detach', then the CLI.")
