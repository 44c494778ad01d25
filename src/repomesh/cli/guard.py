"""`repomesh guard`: makes git refuse commits and pushes that touch paths which others have locked."""

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

_NAME_SHOWN_CHARS = 100  # of a path that is too long to be checked
# Names that the agent header may hold.
_AGENT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS_MAX - 1}}}")
_NOBODY = frozenset({"agent_not_found", "agent_retired", "forbidden"})
# No server of this user, or one too old for the check.
_UNANSWERED = frozenset({401, 403, 404, 429, 502, 503, 504})
_SHOWN_MAX = 20  # conflicts printed; the rest is counted

app = typer.Typer(
    help="Make git refuse changes to paths that others have locked.",
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
    """Install git hooks that check commits and pushes; existing hooks go on working.

    The hooks are put where git looks for them, 'core.hooksPath' included, for each work tree. Files that git
    tracks are never edited. Without a server the hooks warn and let git go on.
    """
    if dry_run:
        steps = guard.plan(Path.cwd(), shared=shared)
        if as_json:
            output.print_json({"steps": [{"path": str(step.path), "action": step.action} for step in steps]})
        for step in [] if as_json else steps:
            output.print_line(f"{step.path}: would be {step.action}")
        return
    changed = guard.install(Path.cwd(), shared=shared)
    _report(changed, "installed", "installed already", as_json=as_json)


@app.command()
def uninstall(*, as_json: AsJson = False) -> None:
    """Remove the git hooks, and restore those that were there before."""
    changed = guard.uninstall(Path.cwd())
    _report(changed, "removed", "not installed", as_json=as_json)


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """List the git hooks of repomesh, and those that were there before."""
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
    """Check whether others have locked paths: those given, else what the next commit changes.

    Exits with 4 if so. The check is made as the acting agent, else as the agent whose CLI started this
    process, else as a person, who holds nothing.
    """
    try:
        result = asyncio.run(_check(given or [], hook, url, agent))
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
        output.print_json({"free": not result.conflicts, "conflicts": result.conflicts})
    else:
        _print_conflicts(result)
        if hook is None and not result.conflicts:
            output.print_line(_free_message(result))
    if result.conflicts:
        raise typer.Exit(guard.REFUSED)


def _paths_to_check(arguments: Sequence[str], hook: str | None) -> list[str]:
    """Return the paths to check, from the root of the repository; given folders end with '/'."""
    root = data_folder.work_tree(Path.cwd())
    if hook == "pre-push":
        remote, url = (*arguments, "", "")[:2]
        lines = os.fsdecode(sys.stdin.buffer.read()).splitlines()
        return touched_files.files_of_push(root, remote, url, lines)
    if hook is not None or not arguments:
        return touched_files.files_of_commit(root)
    return [_resolve_path(path, root) for path in arguments]


def _resolve_path(path: str, root: Path) -> str:
    """Return a typed path as git names it; raises OutsideRepository."""
    resolved = posixpath.normpath(pathspecs.resolve_path(path, root, exact=True))
    if resolved == ".." or resolved.startswith("../"):
        raise OutsideRepository(f"{clean(path)} lies outside of {root}")
    return f"{resolved}/" if path.endswith("/") or (root / resolved).is_dir() else resolved


def _skip(error: RepomeshError | RemoteError) -> None:
    """Note that git goes on unchecked; without a note in a repository that never had a server."""
    if not isinstance(error, ServerNotFound) or data_folder.data_folder(Path.cwd()).exists():
        message = error.message if isinstance(error, RepomeshError) else str(error)
        output.print_note(f"repomesh guard: locks were not checked: {message}")
        if isinstance(error, UntrustedFolder):
            output.print_note(f"hint: {error.hint}")


def _refuse(error: Exception) -> None:
    is_known = isinstance(error, (RepomeshError, RemoteError))
    message = str(error) if is_known else f"{type(error).__name__}: {error}"
    output.print_note(f"repomesh guard: refused, since it could not be checked: {message}")
    hint = error.hint if isinstance(error, RepomeshError) else ""
    output.print_note(f"hint: {hint or 'report this'}; --no-verify passes by the guard.")


@dataclass(frozen=True, slots=True)
class _CheckResult:
    """Locks of others on the checked paths; `agent` is None for a person."""

    conflicts: list[dict[str, Any]]
    path_count: int
    agent: str | None


async def _check(
    arguments: Sequence[str], hook: str | None, url: str | None, agent: str | None
) -> _CheckResult:
    """Find the locks of others on the paths, each lock once, and the paths that can't be checked.

    The server is called first: without one git goes on, whatever its paths are.
    """
    from repomesh.client.client import Client

    # The agent of the environment may not exist; `_act_as` handles that.
    address = discovery.find(url=url, acts=False)
    async with Client(address.url, address.token, served_url=address.served_url) as client:
        acting_agent = agent or os.environ.get("REPOMESH_AGENT") or await _agent_of_process(client)
        await _act_as(client, acting_agent)
        paths = _paths_to_check(arguments, hook)
        conflicts: dict[str, dict[str, Any]] = {}
        for start in range(0, len(paths), LIST_ITEMS_MAX):
            for conflict in await _find_conflicts(client, paths[start : start + LIST_ITEMS_MAX]):
                conflicts.setdefault(str(conflict["resource"]) + str(conflict["holder"]), conflict)
        return _CheckResult(list(conflicts.values()), len(paths), acting_agent)


async def _act_as(client: Client, agent: str | None) -> None:
    """Make the client act as the agent; an agent that does not exist holds no locks, which is noted."""
    if agent is None:
        return
    suggestion = ""
    try:
        if _AGENT.fullmatch(agent) is not None:
            client.act_as(agent)
            match = await client.call_json("agent.show", {"agent_id": agent})
            if agent in (match["name"], match["id"], *match["former_names"]):  # the server ignores case
                return
            suggestion = f" (did you mean '{match['name']}'?)"
    except RemoteError as error:
        if error.code not in _NOBODY:
            raise
    client.act_as(None)
    await client.call_json("workspace.show", {})
    output.print_note(
        f"repomesh guard: there is no agent '{clean(agent)}' here{suggestion}, or it is retired: who"
        " commits holds nothing; look at REPOMESH_AGENT, or at --as"
    )


async def _find_conflicts(client: Client, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return the exclusive locks of others on `paths`, and an entry for each path that can't be checked."""
    names: dict[str, list[str]] = {"paths": [], "folders": []}
    unchecked = []
    for path in paths:
        try:
            name = file_names.encode(path.rstrip("/") if path != "./" else "")
        except ValueError as error:
            unchecked.append(_unchecked_entry(path, str(error)))
        else:
            names["folders" if path.endswith("/") else "paths"].append(name)
    if not names["paths"] and not names["folders"]:
        return unchecked
    answer = await client.call_json("lock.check_paths", {**names, "mode": "shared"})
    return [*unchecked, *answer["conflicts"]]


def _unchecked_entry(path: str, reason: str) -> dict[str, Any]:
    beginning = file_names.shown(path[:_NAME_SHOWN_CHARS])
    return {"resource": f"{beginning}…", "holder": "", "holder_name": "", "unchecked": reason}


async def _agent_of_process(client: Client) -> str | None:
    process_names = [processes.name_of(number) for number in hook_main.ancestors()][:HOOK_PROCESSES_MAX]
    answer = await client.call_json("agent.of_process", {"processes": process_names})
    return answer["agent"]["name"] if answer["agent"] is not None else None


def _free_message(result: _CheckResult) -> str:
    if not result.path_count:
        return "nothing is staged: nothing to check"
    return f"{counted(result.path_count, 'path')} checked: free"


def _print_conflicts(result: _CheckResult) -> None:
    conflicts = result.conflicts
    for conflict in conflicts[:_SHOWN_MAX]:
        output.print_note(f"repomesh guard: {_sentence(conflict)}")
    if len(conflicts) > _SHOWN_MAX:
        output.print_note(f"repomesh guard: and {len(conflicts) - _SHOWN_MAX} more")
    holder = next((conflict["holder_name"] for conflict in conflicts if conflict["holder_name"]), None)
    if result.agent is None and holder is not None:
        output.print_note(f"hint: if you are {holder}, set REPOMESH_AGENT={holder}. Otherwise:")
    if conflicts:
        output.print_note("hint: ask the holder ('repomesh message send'), wait, or leave these paths out.")


def _sentence(conflict: dict[str, Any]) -> str:
    if "unchecked" in conflict:
        return f"{clean(conflict['resource'])} can't be checked: {conflict['unchecked']}"
    note = f" ({conflict['note']})" if conflict["note"] else ""
    expires = ago(conflict["expires_at"], datetime.now(UTC))
    return f"{conflict['holder_name']} has locked {conflict['resource']}; that ends {expires}{note}"


def _report(changed: Sequence[Path], change: str, no_change: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"changed": [str(path) for path in changed]})
        return
    for path in changed:
        output.print_line(f"{path}: {change}")
    if not changed:
        output.print_line(f"The guard is {no_change}.")
