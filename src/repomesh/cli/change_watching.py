"""`repomesh change watch`: follows a change through the merge queue until it has landed or ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from repomesh.cli import completing, ids, output
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.views import change_view

if TYPE_CHECKING:
    from repomesh.client.client import Client

NOT_LANDED: Final = 1
"""The exit code where the change ended without landing."""

_STATES: Final = (
    "submitted",
    "waiting",
    "queued",
    "building",
    "checking",
    "checked",
    "landing",
    "approved",
    *change_view.ENDED_STATES,
)
_Change = Annotated[
    str,
    typer.Argument(
        metavar="CHANGE_ID",
        help="Id of the change, or a part of it.",
        show_default=False,
        autocompletion=completing.completer("change"),
    ),
]


def watch(
    change_id: _Change, *, as_json: AsJson = False, url: Url = None, acting_agent: ActingAgent = None
) -> None:
    """Follow a change until it lands or ends; exits with 1 if it did not land."""
    change: Mapping[str, Any] = {}

    async def run(client: Client) -> None:
        nonlocal change
        change = await _follow(client, await ids.find(client, change_id, "change"), as_json=as_json)

    with suppress(KeyboardInterrupt, asyncio.CancelledError):  # Ctrl+C is how watching ends before
        run_with_client(run, url=url, agent=acting_agent)
    if change and change["state"] != "landed":
        raise typer.Exit(NOT_LANDED)


async def _follow(client: Client, change_id: str, *, as_json: bool) -> Mapping[str, Any]:
    """Print what becomes of a change; returns it as it is when it has ended."""
    from repomesh.client.stream import follow as events

    position = (await client.call_json("event.list", {"newest": True, "limit": 1}))["last_seq"]
    change: Mapping[str, Any] = await client.call_json("change.show", {"change_id": change_id})
    _print_state(change, as_json=as_json)
    if change["state"] in change_view.ENDED_STATES:
        return change
    types = [f"change.{state}" for state in _STATES]
    async with aclosing(events(client, after=position, type=types)) as stream:
        async for event in stream:
            if event["subject"] != f"change/{change_id}":
                continue
            change = event["data"]["change"]
            _print_state(change, as_json=as_json)
            if change["state"] in change_view.ENDED_STATES:
                break
    return change


def _print_state(change: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        keys = ("id", "state", "reason", "next_step", "landed_commit", "updated_at")
        print(output.as_json_text({key: change[key] for key in keys}), flush=True)
    else:
        print("\n".join(change_view.state_lines(output.style(), change)), flush=True)
