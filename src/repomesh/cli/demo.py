"""`repomesh demo`: three agents play the main job on a real repository, and one of them is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from repomesh.cli import demo_checks, demo_repository, detach, lines, output
from repomesh.cli.demo_agent import INVENTORY, ROLES
from repomesh.cli.options import AsJson
from repomesh.client.client import Client
from repomesh.client.errors import RemoteError
from repomesh.client.stream import follow
from repomesh.kernel import places

app = typer.Typer(add_completion=False)

_INACTIVE_S = 4.0  # so that the dead agent is found out soon
_PATIENCE_S = 75.0
_COLOURS = {"ada": "36", "ben": "33", "cleo": "35"}


@app.command()
def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play the main job: three agents share the work on a clone of this repository, and one is killed.

    They speak MCP to a server of their own, in a scratch folder. At the end every claim of the story is
    looked up in the event log and in git; fails when one of them did not happen.
    """
    scratch = Path(tempfile.mkdtemp(prefix="repomesh-demo-"))
    try:
        found = asyncio.run(Play(scratch, quiet=as_json).run())
    finally:
        if not keep:
            shutil.rmtree(scratch, ignore_errors=True)
    if as_json:
        told = [{"claim": each.claim, "holds": each.holds, "why": each.why} for each in found]
        output.print_json({"claims": told, "scratch": str(scratch) if keep else None})
    elif keep:
        output.say(f"The repository and the server's data are in {scratch}.")
    if not all(each.holds for each in found):
        raise typer.Exit(1)


class Play:
    """One performance in a scratch folder."""

    def __init__(self, scratch: Path, *, quiet: bool) -> None:
        self.work = scratch / "work"
        self.data = scratch / "data"
        self.quiet = quiet
        self.screen: Status | None = None
        self.marks: dict[str, asyncio.Event] = {"half-way": asyncio.Event(), "told no": asyncio.Event()}
        self.agents: dict[str, asyncio.subprocess.Process] = {}
        self.tokens: dict[str, str] = {}
        self.zombie = "nobody tried"

    async def run(self) -> list[demo_checks.Verdict]:
        """Play it, tell it, and look every claim up."""
        with self.on_screen():
            verdicts, seconds = await self.play()
        self.conclude(verdicts, seconds)
        return verdicts

    async def play(self) -> tuple[list[demo_checks.Verdict], float]:
        """The play itself; answers what is to be said of it, and how long it took."""
        begun = time.monotonic()
        origin = demo_repository.prepare(places.repository(Path.cwd()), self.work)
        base = demo_repository.git(self.work, "rev-parse", "HEAD").strip()
        self.scene(f"The repository is {origin}; a server starts beside it.")
        async with self.server() as owner:
            telling = asyncio.create_task(self.tell(owner))
            await self.perform(owner)
            seen = demo_checks.Evidence(
                log=[event async for event in owner.items("event.list", limit=200)],
                metrics=(await owner.http.get("/metrics")).text,
                work=self.work,
                base=base,
                exit_codes={name: process.returncode for name, process in self.agents.items()},
                zombie=self.zombie,
            )
            telling.cancel()
        return demo_checks.verdicts(seen), time.monotonic() - begun

    async def perform(self, owner: Client) -> None:
        """Start the agents, kill one at the worst moment, and wait for the others."""
        for name in ROLES:
            made = await owner.call_json("token.create", {"role": "agent", "agent": name, "label": "demo"})
            self.tokens[name] = made["token"]
        self.scene("Three agents start, each a process of its own, and meet.")
        watching = [asyncio.create_task(self.watch(name, owner.url)) for name in ROLES]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    for mark in self.marks.values():
                        await mark.wait()
                    self.scene(
                        f"ben is killed, with his task claimed and {INVENTORY} locked and half-written."
                    )
                    self.kill("ben")
                    await asyncio.wait(watching)
        finally:
            for name in self.agents:
                self.kill(name)
        await asyncio.gather(*watching)

    def kill(self, name: str) -> None:
        """End an agent's process as hard as can be, if it still runs."""
        process = self.agents.get(name)
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def watch(self, name: str, url: str) -> None:
        """Run one agent and pass on what it says."""
        self.agents[name] = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "repomesh.cli.demo_agent",
            name,
            cwd=self.work,
            env=_environment() | {"REPOMESH_URL": url, "REPOMESH_TOKEN": self.tokens[name]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            said = json.loads(line)
            self.print(f"        {_named(name)} {said['text']}")
            if "mark" in said:
                self.marks[said["mark"]].set()
        if await process.wait() > 0:
            self.print(f"        {_named(name)} failed: {(await complaints).decode().strip()[-1_500:]}")
            for mark in self.marks.values():  # nobody need wait for what will not come
                mark.set()

    async def write_as_the_dead(self, url: str, claimed: dict[str, Any]) -> None:
        """Note what the server answers when the killed agent's old fencing token is used again."""
        stale = {"task_id": claimed["task_id"], "fencing_token": claimed["data"]["fencing_token"]}
        async with Client(url, self.tokens["ben"]) as ghost:
            try:
                await ghost.call_json("task.complete", stale | {"result": "I was here first"})
                self.zombie = "the server took it"
            except RemoteError as refused:
                self.zombie = f"refused: {refused.code}, {refused.message}"

    async def tell(self, owner: Client) -> None:
        """Print the event log as it grows; when the dead agent's task is taken back, let its ghost write."""
        names: dict[str, str] = {}
        bens: dict[str, Any] = {}
        async for event in follow(owner, after=0):
            if event["type"] == "task.claimed" and names.get(event["actor"]) == "ben":
                bens = event
            if event["type"] == "task.reclaimed" and bens:
                await self.write_as_the_dead(owner.url, bens)
            lines.learn(names, event)
            if not event["type"].startswith(("token.", "workspace.", "message.offered", "message.injected")):
                self.print(lines.line(event, names))

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Client]:
        """A real server in a process of its own; answers a client of its owner."""
        variables = {
            "REPOMESH_DATA": str(self.data),
            "REPOMESH_AGENT_INACTIVE_AFTER_S": str(_INACTIVE_S),
            "REPOMESH_SWEEP_EVERY_S": "0.5",
        }
        words = [sys.executable, "-m", "repomesh.cli.main", "up", "--quiet", "--port", "0"]
        process = await asyncio.create_subprocess_exec(
            *words, cwd=self.work, env=_environment() | variables, start_new_session=True
        )
        try:
            url = await self.ready(process)
            async with Client(url, places.read_secret(self.data / places.TOKEN)) as owner:
                yield owner
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def ready(self, process: asyncio.subprocess.Process) -> str:
        """The URL of the server as soon as it answers."""
        deadline = time.monotonic() + 30
        while process.returncode is None and time.monotonic() < deadline:
            note = places.read_server(self.data)
            if note is not None and detach.is_ready(note["url"]):
                self.scene(f"It answers at {note['url']}.")
                return note["url"]
            await asyncio.sleep(0.05)
        raise detach.StartFailed("the demo's server did not start")

    def conclude(self, verdicts: list[demo_checks.Verdict], seconds: float) -> None:
        """Say what happened and where it is written."""
        self.scene(f"What happened, looked up in the event log and in git after {seconds:.0f} s:")
        for verdict in verdicts:
            mark, colour = ("✓", "32") if verdict.holds else ("✗", "1;31")
            self.print(f"  {_coloured(mark, colour)} {verdict.claim}")
            self.print(f"      {verdict.why}")
        failed = sum(not verdict.holds for verdict in verdicts)
        self.print("" if not failed else f"\n{failed} of {len(verdicts)} did not happen.")

    def scene(self, text: str) -> None:
        """Announce a part of the story."""
        self.print(f"\n{_coloured(text, '1')}")
        if self.screen is not None:
            self.screen.update(text)

    def print(self, text: str) -> None:
        """A line of the story; on a terminal above the line that says what is going on."""
        if self.quiet:
            return
        if self.screen is None:
            print(text, flush=True)
        else:
            self.screen.console.print(Text.from_ansi(text))

    @contextmanager
    def on_screen(self) -> Iterator[None]:
        """Show at the bottom of a terminal what is going on."""
        if self.quiet or not output.wants_colour():
            yield
            return
        with Console(highlight=False).status("") as self.screen:
            yield
        self.screen = None


def _named(name: str) -> str:
    return _coloured(f"{name:<5}", _COLOURS[name])


def _coloured(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if output.wants_colour() else text


def _environment() -> dict[str, str]:
    """The environment without what would lead to another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}
