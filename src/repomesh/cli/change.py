"""`repomesh change`: changes for the merge queue, submitted from the work tree that one stands in."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import change_watching
from repomesh.cli.command_overrides import CommandOverride
from repomesh.cli.generic import Invocation, add_command, make_option, noun_group
from repomesh.cli.options import file_option
from repomesh.cli.pathspecs import find_root
from repomesh.client.catalogue import operation
from repomesh.kernel import git
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

app = noun_group("change", "Hand work to the merge queue: submit, list, approve.")
app.command("watch")(change_watching.watch)

_SOURCES = ("branch", "commit", "patch", "bundle")


async def _fill_in(client: Client, fields: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the work tree says where the options say nothing: the commit, its branch, its subject."""
    await client.call_json("workspace.show", {})  # what is wrong with the server is said first
    patch: Path | None = options["patch_file"]
    if patch is not None:
        return await asyncio.to_thread(_with_patch, fields, patch, options["base"])
    if any(fields.get(source) is not None for source in _SOURCES):
        return fields if "summary" in fields else fields | {"summary": _subject(fields)}
    return await asyncio.to_thread(_from_work_tree, fields)


def _watch(change: Mapping[str, Any], options: Mapping[str, Any], invocation: Invocation) -> None:
    """Follow the change that was submitted, if '--watch' asks for it."""
    if options["watch"]:
        change_watching.watch(
            change["id"], as_json=invocation.as_json, url=invocation.url, acting_agent=invocation.agent
        )


def _with_patch(fields: dict[str, Any], file: Path, base: str | None) -> dict[str, Any]:
    form = (
        "unified"
        if file.suffix in (".diff", ".patch")
        else "files"
        if file.suffix == ".json"
        else "search_replace"
    )
    base = base or _one_line("rev-parse", "--verify", "HEAD")
    if base is None:
        raise InvalidRequest("a patch needs the commit that it was made from", hint="Name it with '--base'.")
    patch = {"format": form, "base_commit": base, "text": file.read_text()}
    return {"summary": file.stem} | fields | {"patch": patch}


def _from_work_tree(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the commit that is checked out here. A copy of the repository sends it as a bundle."""
    head = _one_line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head is None:
        raise InvalidRequest(
            "there is no commit here to submit",
            hint="Commit your work first, or name '--branch', '--commit' or '--patch-file'.",
        )
    if git.answer(Path.cwd(), "status", "--porcelain", "--untracked-files=no"):
        typer.echo("note: edits that are not committed are not part of the change", err=True)
    branch = _one_line("symbolic-ref", "--quiet", "--short", "HEAD")
    filled: dict[str, Any] = {"summary": _subject({"commit": head})} | fields
    if find_root(None) is not None:
        return filled | ({"branch": branch} if branch is not None else {"commit": head})
    return filled | {"bundle": _bundle(branch or "HEAD")}


def _bundle(branch: str) -> str:
    with tempfile.TemporaryDirectory(prefix="repomesh-") as folder:
        file = Path(folder) / "change.bundle"
        git.answer(Path.cwd(), "bundle", "create", "--quiet", str(file), branch, "--not", "--remotes")
        return base64.b64encode(file.read_bytes()).decode()


def _subject(fields: Mapping[str, Any]) -> str:
    """The subject of the last commit of what is submitted."""
    name = fields.get("branch") or fields.get("commit") or "HEAD"
    return (_one_line("log", "-1", "--format=%s", str(name), "--") or f"Change {name}")[:200]


def _one_line(*arguments: str) -> str | None:
    try:
        lines = git.answer(Path.cwd(), *arguments)
    except git.RepositoryUnreadable:
        return None
    return lines[0] if lines else None


add_command(
    app,
    operation("change.submit"),
    CommandOverride(arguments=("summary",), optional=("summary",), left_out=("patch", "bundle")),
    options=[
        make_option(
            "patch_file",
            file_option(
                "Submit a patch: .diff or .patch, .json of whole files, else search and replace blocks."
            ),
        ),
        make_option(
            "base",
            Annotated[str | None, typer.Option("--base", help="The commit that the patch was made from.")],
        ),
        make_option(
            "watch",
            Annotated[bool, typer.Option("--watch", help="Follow it until it lands or ends.")],
            False,
        ),
    ],
    prepare=_fill_in,
    finish=_watch,
)
