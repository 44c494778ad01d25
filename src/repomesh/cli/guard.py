"""`repomesh guard`: git refuses commits and pushes that touch paths which others have locked."""

from __future__ import annotations

import asyncio
import os
import posixpath
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import output, pathspecs
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.client import discovery
from repomesh.client.errors import RemoteError, ServerNotFound
from repomesh.connect import guard, hook_main, touched_files
from repomesh.connect.errors import OutsideRepository
from repomesh.kernel import data_folder, file_names, processes
from repomesh.kernel.errors import RepomeshError, Unavailable
from repomesh.kernel.limits import HOOK_PROCESSES_MAX, LIST_ITEMS_MAX, NAME_CHARS_MAX
from repomesh.kernel.trust import UntrustedFolder
from repomesh.views.terminal_text import ago, clean, counted

if TYPE_CHECKING:
    from repomesh.client.client import Client

_NAME_SHOWN_CHARS = 100  # of a name that is too long to be checked
_AGENT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS_MAX - 1}}}")  # what may stand in the header
_NOBODY = frozenset({"agent_not_found", "agent_retired", "forbidden"})
_UNANSWERED = frozenset({401, 403, 404, 429, 502, 503, 504})  # no server for us, or one too old to know
_SHOWN_MAX = 20  # conflicts shown; who sees these will see the rest

app = typer.Typer(
    help="Have git refuse what touches paths that others have locked.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def install(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="Also into a folder of hooks that other repositories use.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put git hooks in place that check commits and pushes; hooks that are there go on working.

    They stand where git looks for hooks, 'core.hooksPath' included, of each work tree. Files that git tracks
    are never edited. Without a server the hooks warn and let git go on.
    """
    if dry_run:
        steps = guard.plan(Path.cwd(), shared=shared)
        if as_json:
            output.print_json({"steps": [{"path": str(one.path), "action": one.action} for one in steps]})
        for step in [] if as_json else steps:
            output.print_line(f"{step.path}: would be {step.action}")
        return
    changed = guard.install(Path.cwd(), shared=shared)
    _report(changed, "installed", "installed already", as_json=as_json)


@app.command()
def uninstall(*, as_json: AsJson = False) -> None:
    """Take the git hooks out again, and put back those that were there before."""
    changed = guard.uninstall(Path.cwd())
    _report(changed, "removed", "not installed", as_json=as_json)


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Say which git hooks are ours, and which were there before."""
    rows = [
        {
            "hook": hook.name,
            "installed": hook.guards,
            "path": str(hook.path),
            "before": hook.kept and str(hook.kept),
        }
        for hook in guard.installed_hooks(Path.cwd())
    ]
    if as_json:
        output.print_json({"items": rows})
    else:
        output.print_table(rows, ("hook", "installed", "path", "before"))


@app.command()
def check(
    given: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help=f"Paths. {pathspecs.HELP}")
    ] = None,
    *,
    hook: Annotated[
        str | None, typer.Option(help="Check what this git hook is asked about.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    agent: ActingAgent = None,
) -> None:
    """Say whether others have locked paths: those given, else what the next commit changes.

    Ends with 4 when so. Who asks is the acting agent, else the agent whose CLI started this process, else a
    person, who holds nothing.
    """
    try:
        checked = asyncio.run(_checked(given or [], hook, url, agent))
    except (Unavailable, RemoteError, UntrustedFolder) as error:
        if hook is None:
            raise
        if isinstance(error, RemoteError) and error.status not in _UNANSWERED:
            _refuse(error)
            raise typer.Exit(guard.REFUSED) from None
        _skip(error)
        return
    except Exception as error:  # the edge of a hook: what could not be checked must not pass as checked
        if hook is None:
            raise
        _refuse(error)
        raise typer.Exit(guard.REFUSED) from None
    if as_json:
        output.print_json({"free": not checked.conflicts, "conflicts": checked.conflicts})
    else:
        _print_conflicts(checked)
        if hook is None and not checked.conflicts:
            output.print_line(_free(checked))
    if checked.conflicts:
        raise typer.Exit(guard.REFUSED)


def _paths(given: Sequence[str], hook: str | None) -> list[str]:
    """The exact names to check, from the root of the repository; those given end with '/' for folders."""
    root = data_folder.work_tree(Path.cwd())
    if hook == "pre-push":
        remote, url = (*given, "", "")[:2]
        lines = os.fsdecode(sys.stdin.buffer.read()).splitlines()
        return touched_files.files_of_push(root, remote, url, lines)
    if hook is not None or not given:
        return touched_files.files_of_commit(root)
    return [_from_root(path, root) for path in given]


def _from_root(path: str, root: Path) -> str:
    """A path given by hand, which may be spelled loosely, as git names it."""
    inside = posixpath.normpath(pathspecs.from_root(path, root, exact=True))
    if inside == ".." or inside.startswith("../"):
        raise OutsideRepository(f"{clean(path)} lies outside of {root}")
    return f"{inside}/" if path.endswith("/") or (root / inside).is_dir() else inside


def _skip(error: RepomeshError | RemoteError) -> None:
    """Git goes on; in a repository that never had a server nobody needs to be told."""
    if not isinstance(error, ServerNotFound) or data_folder.data_folder(Path.cwd()).exists():
        message = error.message if isinstance(error, RepomeshError) else str(error)
        output.print_note(f"repomesh guard: locks were not checked: {message}")
        if isinstance(error, UntrustedFolder):
            output.print_note(f"hint: {error.hint}")


def _refuse(error: Exception) -> None:
    known = isinstance(error, (RepomeshError, RemoteError))
    message = str(error) if known else f"{type(error).__name__}: {error}"
    output.print_note(f"repomesh guard: refused, since it could not be checked: {message}")
    hint = error.hint if isinstance(error, RepomeshError) else ""
    output.print_note(f"hint: {hint or 'report this'}; --no-verify passes by the guard.")


@dataclass(frozen=True, slots=True)
class _Checked:
    """What others hold of the paths that were checked, for the agent who asks; None is a person."""

    conflicts: list[dict[str, Any]]
    path_count: int
    agent: str | None


async def _checked(given: Sequence[str], hook: str | None, url: str | None, agent: str | None) -> _Checked:
    """What others hold of the paths in question, each lock once, and what can't be checked.

    The server is asked first: without one, nothing that git says stands against going on.
    """
    from repomesh.client.client import Client

    # Whoever the environment names may be nobody, who is looked at below.
    address = discovery.find(url=url, acts=False)
    async with Client(address.url, address.token, served_url=address.served_url) as client:
        acting = agent or os.environ.get("REPOMESH_AGENT") or await _own_agent(client)
        await _act(client, acting)
        paths = _paths(given, hook)
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(paths), LIST_ITEMS_MAX):
            for one in await _held(client, paths[start : start + LIST_ITEMS_MAX]):
                found.setdefault(str(one["resource"]) + str(one["holder"]), one)
        return _Checked(list(found.values()), len(paths), acting)


async def _act(client: Client, agent: str | None) -> None:
    """Have the client act as the agent. One that the server does not know holds nothing, which is said."""
    if agent is None:
        return
    meant = ""
    try:
        if _AGENT.fullmatch(agent) is not None:
            client.act_as(agent)
            known = await client.call_json("agent.show", {"agent_id": agent})
            if agent in (known["name"], known["id"]):  # the server finds it in any case
                return
            meant = f" (did you mean '{known['name']}'?)"
    except RemoteError as error:
        if error.code not in _NOBODY:
            raise
    client.act_as(None)
    await client.call_json("workspace.show", {})
    output.print_note(
        f"repomesh guard: there is no agent '{clean(agent)}' here{meant}, or it is retired: who"
        " commits holds nothing; look at REPOMESH_AGENT, or at --as"
    )


async def _held(client: Client, paths: Sequence[str]) -> list[dict[str, Any]]:
    """The exclusive locks of others on `paths`, and an entry for each that is no name to be checked."""
    names: dict[str, list[str]] = {"paths": [], "folders": []}
    odd = []
    for path in paths:
        try:
            name = file_names.encode(path.rstrip("/") if path != "./" else "")
        except ValueError as error:
            odd.append(_unchecked(path, str(error)))
        else:
            names["folders" if path.endswith("/") else "paths"].append(name)
    if not names["paths"] and not names["folders"]:
        return odd
    answer = await client.call_json("lock.check_paths", {**names, "mode": "shared"})
    return [*odd, *answer["conflicts"]]


def _unchecked(path: str, reason: str) -> dict[str, Any]:
    shown = file_names.shown(path[:_NAME_SHOWN_CHARS])
    return {"resource": f"{shown}…", "holder": "", "holder_name": "", "unchecked": reason}


async def _own_agent(client: Client) -> str | None:
    above = [processes.named(number) for number in hook_main.ancestors()][:HOOK_PROCESSES_MAX]
    found = await client.call_json("agent.of_process", {"processes": above})
    return found["agent"]["name"] if found["agent"] is not None else None


def _free(checked: _Checked) -> str:
    if not checked.path_count:
        return "nothing is staged: nothing to check"
    return f"{counted(checked.path_count, 'path')} checked: free"


def _print_conflicts(checked: _Checked) -> None:
    conflicts = checked.conflicts
    for one in conflicts[:_SHOWN_MAX]:
        output.print_note(f"repomesh guard: {_sentence(one)}")
    if len(conflicts) > _SHOWN_MAX:
        output.print_note(f"repomesh guard: and {len(conflicts) - _SHOWN_MAX} more")
    holder = next((one["holder_name"] for one in conflicts if one["holder_name"]), None)
    if checked.agent is None and holder is not None:
        output.print_note(f"hint: if you are {holder}, set REPOMESH_AGENT={holder}. Otherwise:")
    if conflicts:
        output.print_note("hint: ask the holder ('repomesh message send'), wait, or leave these paths out.")


def _sentence(conflict: dict[str, Any]) -> str:
    if "unchecked" in conflict:
        return f"{clean(conflict['resource'])} can't be checked: {conflict['unchecked']}"
    note = f" ({conflict['note']})" if conflict["note"] else ""
    expires = ago(conflict["expires_at"], datetime.now(UTC))
    return f"{conflict['holder_name']} has locked {conflict['resource']}; that ends {expires}{note}"


def _report(changed: Sequence[Path], done: str, nothing: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"changed": [str(path) for path in changed]})
        return
    for path in changed:
        output.print_line(f"{path}: {done}")
    if not changed:
        output.print_line(f"The guard is {nothing}.")
