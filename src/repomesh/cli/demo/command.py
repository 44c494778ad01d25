"""`repomesh demo`: three agents play the main job on a real repository, and one of them is killed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from repomesh.cli import output
from repomesh.cli.demo import checks, repository, stage
from repomesh.cli.demo.agent import INVENTORY, ROLES
from repomesh.cli.demo.verdicts import Verdict, check_claims
from repomesh.cli.options import AsJson
from repomesh.client.client import Client
from repomesh.client.errors import RemoteError
from repomesh.client.stream import follow
from repomesh.kernel import data_folder
from repomesh.views.event_lines import add_name, event_line

app = typer.Typer(add_completion=False, invoke_without_command=True)

Keep = Annotated[bool, typer.Option("--keep", help="Keep the scratch folder.")]

_INACTIVE_S = 4.0  # so that the killed agent is detected soon
_PATIENCE_S = 75.0


@app.callback()
def demo(ctx: typer.Context, *, keep: Keep = False, as_json: AsJson = False) -> None:
    """Run the demo: three agents share the work on a clone of this repository, and one is killed.

    The agents speak MCP to a server of their own, in a scratch folder. At the end every claim of the story is
    looked up in the event log and in git; the demo fails when one of them did not happen.
    """
    if ctx.invoked_subcommand is None:
        stage.run_demo(Demo, keep=keep, as_json=as_json)


@app.command()
def meeting(*, keep: Keep = False, as_json: AsJson = False) -> None:
    """Hold a meeting: four agents over MCP and WebSocket, one killed in its turn, one slow, one dissenting.

    They discuss for two rounds and decide; at the end the minutes are printed, and every claim of the story
    is looked up in the event log; fails when one of them did not happen.
    """
    from repomesh.cli.demo.meeting import MeetingPlay

    stage.run_demo(MeetingPlay, keep=keep, as_json=as_json)


@app.command()
def queue(*, keep: Keep = False, as_json: AsJson = False) -> None:
    """Land changes: eight agents submit 24 at once, some collide or fail, and the server is killed.

    At the end every claim of the story is looked up in git and in the event log; fails when one of them did
    not happen.
    """
    from repomesh.cli.demo.queue import QueuePlay

    stage.run_demo(QueuePlay, keep=keep, as_json=as_json)


class Demo(stage.DemoRun):
    """The demo of the main job."""

    module = "repomesh.cli.demo.agent"
    players = tuple(ROLES)
    settings = {"REPOMESH_AGENT_INACTIVE_AFTER_S": str(_INACTIVE_S)}

    def __init__(self, scratch: Path, *, quiet: bool) -> None:
        super().__init__(scratch, quiet=quiet)
        self.marks = {"half-way": asyncio.Event(), "told no": asyncio.Event()}
        self.zombie = "nobody tried"

    async def play(self) -> list[Verdict]:
        """Play the story and return the verdicts on its claims."""
        origin = repository.prepare(data_folder.repository(Path.cwd()), self.work)
        base = repository.git(self.work, "rev-parse", "HEAD").strip()
        self.scene(f"The repository is {origin}; a server starts beside it.")
        async with self.server() as owner:
            printing = asyncio.create_task(self.print_events(owner))
            await self.perform(owner)
            record = checks.DemoRecord(
                log=[event async for event in owner.items("event.list", limit=200)],
                metrics=(await owner.http.get("/metrics")).text,
                work=self.work,
                base=base,
                exit_codes=self.exit_codes,
                zombie=self.zombie,
            )
            printing.cancel()
        return check_claims(checks.CLAIMS, record)

    async def perform(self, owner: Client) -> None:
        """Start the agents, kill one at the worst moment, and wait for the others."""
        await self.cast(owner)
        self.scene("Three agents start, each a process of its own, and meet.")
        watchers = [asyncio.create_task(self.watch(name, owner.url)) for name in ROLES]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    for mark in self.marks.values():
                        await mark.wait()
                    self.scene(
                        f"ben is killed, with his task claimed and {INVENTORY} locked and half-written."
                    )
                    self.kill("ben")
                    await asyncio.wait(watchers)
        finally:
            for name in self.processes:
                self.kill(name)
        await asyncio.gather(*watchers)

    async def write_with_old_token(self, url: str, claimed: dict[str, Any]) -> None:
        """Use the killed agent's old fencing token and record the server's answer in `zombie`."""
        old_claim = {"task_id": claimed["task_id"], "fencing_token": claimed["data"]["fencing_token"]}
        async with Client(url, self.tokens["ben"]) as client:
            try:
                await client.call_json("task.complete", old_claim | {"result": "I was here first"})
                self.zombie = "the server took it"
            except RemoteError as refused:
                self.zombie = f"refused: {refused.code}, {refused.message}"

    async def print_events(self, owner: Client) -> None:
        """Print the event log as it grows; after the task is reclaimed, try the killed agent's old token."""
        names: dict[str, str] = {}
        bens_claim: dict[str, Any] = {}
        async for event in follow(owner, after=0):
            if event["type"] == "task.claimed" and names.get(event["actor"]) == "ben":
                bens_claim = event
            if event["type"] == "task.reclaimed" and bens_claim:
                await self.write_with_old_token(owner.url, bens_claim)
            add_name(names, event)
            if not event["type"].startswith(("token.", "workspace.", "message.offered", "message.injected")):
                self.print(event_line(output.style(), event, names))
