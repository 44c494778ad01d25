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
from repomesh.kernel.file_names import is_utf8
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.store import folder
from repomesh.views.terminal_text import clean

app = typer.Typer(add_completion=False)
disconnect_app = typer.Typer(add_completion=False)

_AGENT = rf"[A-Za-z0-9][\w.-]{{0,{NAME_CHARS_MAX - 1}}}"  # the server's form of an agent's name

_CliName = Annotated[
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
    cli: _CliName = None,
    *,
    agent: Annotated[
        str | None, typer.Option(help="Name of the CLI's agent; else a free name.", show_default=False)
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Use the HTTP endpoint with an agent's token, not the proxy.")
    ] = False,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show what is installed, connected and alive.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Connect agent CLIs to this repository, from their next start on; without a name all installed.

    Writes the CLI's MCP entry and hooks, in the narrowest scope that it honours. Shows the change and asks
    first; other content of those files stays as it is.
    """
    if status:
        connect_status.show(cli, as_json=as_json, url=url)
        return
    clis = _choose_clis(cli, agent)
    data, target = _locate()

    def make_plan(program: Cli) -> ConnectPlan:
        marker = records.read_marker(data, program.name)
        agent_name = agent or (marker.agent if marker is not None else None)
        cli_target = replace(target, http=connect_http.endpoint(data, program, url)) if http else target
        return planning.connect(program, cli_target, data, agent_name)

    for program in clis:
        if shutil.which(program.name) is None:
            name = program.name
            output.print_note(f"warning: {program.title} is not installed: there is no '{name}' on the PATH")
    plans = [make_plan(program) for program in clis]
    if _confirm(plans, yes=yes, dry_run=dry_run, as_json=as_json):
        folder.prepare(data)
        for shown_plan in plans:
            with settings_lock(target.home):
                # Planned again: git's ignored files may list another CLI's by now.
                plan = planning.require_unchanged(shown_plan, make_plan(shown_plan.cli))
                (connect_http.prepare if http else connect_http.forget)(plan, url)
                planning.apply_plan(plan)
        background.start_if_absent(data)
    _report(plans, "connected", dry_run=dry_run, as_json=as_json)
    if not (as_json or dry_run):
        _print_next_steps([plan.cli for plan in plans if not plan.nothing], data, http=http)


@disconnect_app.command()
def disconnect(
    cli: _CliName = None,
    *,
    yes: _Yes = False,
    dry_run: _DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Disconnect agent CLIs and restore their settings; without a name all that are connected.

    What was edited by hand since stays. Settings that other repositories use, too, stay until the last of
    them disconnects.
    """
    data, target = _locate()
    all_clis = cli_registry.CLIS.values()
    connected = [program for program in all_clis if records.read_marker(data, program.name) is not None]
    programs = [cli_registry.find_cli(cli)] if cli else connected
    plans = [planning.disconnect(program, target, data) for program in programs]
    if _confirm(plans, yes=yes, dry_run=dry_run, as_json=as_json):
        for shown_plan in plans:
            with settings_lock(target.home):
                plan = planning.disconnect(shown_plan.cli, target, data)
                connect_http.forget(plan, url)
                planning.apply_plan(planning.require_unchanged(shown_plan, plan))
    _report(plans, "disconnected", dry_run=dry_run, as_json=as_json)


def _choose_clis(cli: str | None, agent: str | None) -> list[Cli]:
    """Return the named CLI, else all installed; raises InvalidRequest unless `agent` fits them."""
    clis = [cli_registry.find_cli(cli)] if cli else cli_registry.installed_clis()
    if agent is not None and len(clis) != 1:
        raise InvalidRequest("--agent names one agent, and several CLIs are meant", hint="Name the CLI, too.")
    if agent is not None and re.fullmatch(_AGENT, agent, re.ASCII) is None:
        hint = f"Letters, digits, '.', '_' and '-', at most {NAME_CHARS_MAX}."
        raise InvalidRequest(f"no agent can be called {agent!r}", hint=hint)
    return clis


def _locate() -> tuple[Path, ConnectTarget]:
    """Return the data folder, and the work tree, home and environment to connect.

    Raises UntrustedFolder; InvalidRequest for a folder whose name no CLI's settings can hold.
    """
    start = Path.cwd()
    data = data_folder.data_folder(start)
    if not is_utf8(data):
        raise InvalidRequest(f"the path {start} is no UTF-8", hint="Rename that folder.")
    trust.require(data)
    root = data_folder.work_tree(start)
    if data_folder.repository(start) is None and data.name == data_folder.DATA:
        root = data.parent
    return data, ConnectTarget(root, Path.home(), os.environ)


def _confirm(plans: Sequence[ConnectPlan], *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Show the changes and return whether to write them.

    Raises Abort for a no, and InvalidRequest when nobody can be asked.
    """
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
        text = clean(line.rstrip("\r"))
        colour = colours.get(line[:1]) if output.wants_style() else None
        print(f"\x1b[{colour}m{text}\x1b[0m" if colour else text)


def _report(plans: Sequence[ConnectPlan], result: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.print_json([_plan_as_json(plan, dry_run=dry_run) for plan in plans])
        return
    for plan in plans:
        if plan.nothing:
            output.print_line(f"{plan.cli.title}: {result} already")
        elif not dry_run:
            output.print_line(f"{plan.cli.title}: {result}")


def _plan_as_json(plan: ConnectPlan, *, dry_run: bool) -> dict[str, Any]:
    return {
        "cli": plan.cli.name,
        "changed": not plan.nothing and not dry_run,
        "files": [
            {"path": str(change.content.path), "diff": change.diff() if dry_run else None}
            for change in plan.changes
        ],
    }


def _print_next_steps(clis: Sequence[Cli], data: Path, *, http: bool) -> None:
    """Print what the person has to know or do next."""
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
