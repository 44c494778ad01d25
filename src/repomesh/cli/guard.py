"""`repomesh guard`: git refuses commits and pushes that touch paths which others have locked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import output
from repomesh.cli.calling import ask
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.client import discovery
from repomesh.client.errors import RemoteError, ServerNotFound
from repomesh.connect import guard, hook_main
from repomesh.connect.errors import GitRefused
from repomesh.kernel import places
from repomesh.kernel.errors import RepomeshError, Unavailable
from repomesh.kernel.limits import HOOK_PROCESSES_MAX, LIST_ITEMS_MAX

if TYPE_CHECKING:
    from repomesh.client.client import Client

_SHOWN_MAX = 20  # conflicts shown; who sees these will see the rest

app = typer.Typer(
    help="Have git refuse what touches paths that others have locked.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def install(*, as_json: AsJson = False) -> None:
    """Put git hooks in place that check commits and pushes; hooks that are there go on working.

    They stand where git looks for hooks, 'core.hooksPath' included, and hold for all linked work trees.
    Without a server they warn and let git go on.
    """
    changed = guard.install(Path.cwd())
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
            "installed": hook.ours,
            "path": str(hook.path),
            "before": hook.kept and str(hook.kept),
        }
        for hook in guard.look(Path.cwd())
    ]
    if as_json:
        output.print_json({"items": rows})
    else:
        output.print_table(rows, ("hook", "installed", "path", "before"))


@app.command()
def check(
    given: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Paths from the repository's root.")
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
        paths = _paths(given or [], hook)
        conflicts = _conflicts(paths, url, agent) if paths else []
    except (Unavailable, RemoteError, GitRefused) as error:
        if hook is None:
            raise
        _skip(error)
        return
    if as_json:
        output.print_json({"free": not conflicts, "conflicts": conflicts})
    else:
        _tell(conflicts)
    if conflicts:
        raise typer.Exit(guard.REFUSED)


def _paths(given: Sequence[str], hook: str | None) -> list[str]:
    root = places.work_tree(Path.cwd())
    if hook == "pre-push":
        return guard.of_push(root, given[0] if given else "", sys.stdin)
    return guard.of_commit(root) if hook is not None or not given else list(given)


def _skip(error: RepomeshError | RemoteError) -> None:
    """Git goes on; in a repository that never had a server nobody needs to be told."""
    if not isinstance(error, ServerNotFound) or places.data_folder(Path.cwd()).exists():
        message = error.message if isinstance(error, RepomeshError) else str(error)
        output.note(f"repomesh guard: locks were not checked: {message}")


def _conflicts(paths: Sequence[str], url: str | None, agent: str | None) -> list[dict[str, Any]]:
    """What others hold of `paths`, each lock once."""
    acting = agent or discovery.find(url=url).agent or ask(_own_agent, url=url)

    async def look(client: Client) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(paths), LIST_ITEMS_MAX):
            for one in await _held(client, paths[start : start + LIST_ITEMS_MAX]):
                found.setdefault(str(one["resource"]) + str(one["holder"]), one)
        return list(found.values())

    return ask(look, url=url, agent=acting)


async def _held(client: Client, paths: Sequence[str]) -> list[dict[str, Any]]:
    """The exclusive locks of others on `paths`. One that can't be a lock's path can't be locked either."""
    try:
        answer = await client.call_json("lock.check", {"resources": list(paths), "mode": "shared"})
    except RemoteError as error:
        if error.code not in ("invalid_resource", "invalid_request"):
            raise
        if len(paths) == 1:
            return []
        half = len(paths) // 2
        return [*await _held(client, paths[:half]), *await _held(client, paths[half:])]
    return [one for one in answer["conflicts"] if not one["waiting"]]


async def _own_agent(client: Client) -> str | None:
    processes = [str(process) for process in hook_main.ancestors()][:HOOK_PROCESSES_MAX]
    found = await client.call_json("agent.of_process", {"processes": processes})
    return found["agent"]["name"] if found["agent"] is not None else None


def _tell(conflicts: Sequence[dict[str, Any]]) -> None:
    for one in conflicts[:_SHOWN_MAX]:
        expires = output.ago(one["expires_at"])
        note = f" ({one['note']})" if one["note"] else ""
        output.note(
            f"repomesh guard: {one['holder_name']} has locked {one['resource']}; that ends {expires}{note}"
        )
    if len(conflicts) > _SHOWN_MAX:
        output.note(f"repomesh guard: and {len(conflicts) - _SHOWN_MAX} more")
    if conflicts:
        output.note("hint: ask the holder ('repomesh message send'), wait, or leave these paths out.")


def _report(changed: Sequence[Path], done: str, nothing: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"changed": [str(path) for path in changed]})
        return
    for path in changed:
        output.say(f"{path}: {done}")
    if not changed:
        output.say(f"The guard is {nothing}.")
