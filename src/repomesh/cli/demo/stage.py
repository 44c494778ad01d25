"""The frame of every demo: a server in a scratch folder, player processes, and the printed story."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from repomesh.cli import detach, output
from repomesh.cli.demo.verdicts import Verdict
from repomesh.client.client import Client
from repomesh.kernel import data_folder, trust
from repomesh.kernel.own_program import own_module, own_program

COLOURS = ("36", "33", "35", "32")
"""Of the players, in their order."""


class DemoRun:
    """A run of a demo in a scratch folder. A subclass sets the settings, the players and the story."""

    module = ""
    """The module that a player process runs, with the player's name as its argument."""
    players: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}
    """Settings of the server, by environment variable."""

    def __init__(self, scratch: Path, *, quiet: bool) -> None:
        self.scratch = scratch
        self.work = scratch / "work"
        self.data = scratch / "data"
        self.quiet = quiet
        self.screen: Status | None = None
        self.marks: dict[str, asyncio.Event] = {}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.tokens: dict[str, str] = {}
        self.server_process: asyncio.subprocess.Process | None = None

    async def run(self) -> list[Verdict]:
        """Play the story, print it with its verdicts, and return the verdicts."""
        with self.on_screen():
            started_at = time.monotonic()
            verdicts = await self.play()
            seconds = time.monotonic() - started_at
        self.conclude(verdicts, seconds)
        return verdicts

    async def play(self) -> list[Verdict]:
        """Play the story and return the verdicts on its claims."""
        raise NotImplementedError

    @property
    def exit_codes(self) -> dict[str, int | None]:
        """The exit code of each player's process, None while it runs."""
        return {name: process.returncode for name, process in self.processes.items()}

    async def cast(self, owner: Client) -> None:
        """Create a token for each player."""
        for name in self.players:
            created = await owner.call_json("token.create", {"role": "agent", "agent": name, "label": "demo"})
            self.tokens[name] = created["token"]

    def kill(self, name: str) -> None:
        """End a player's process group by SIGKILL, if it still runs."""
        process = self.processes.get(name)
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def watch(self, name: str, url: str, **variables: str) -> None:
        """Run one player to its end, print its lines and set its marks."""
        player_variables = {"REPOMESH_URL": url, "REPOMESH_TOKEN": self.tokens[name]} | variables
        self.processes[name] = process = await asyncio.create_subprocess_exec(
            *own_module(self.module, name),
            cwd=self.work,
            env=_environment() | player_variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            message = json.loads(line)
            self.print(f"        {self.coloured_name(name)} {message['text']}")
            if "mark" in message:
                self.marks[message["mark"]].set()
        if await process.wait() > 0:
            self.print(
                f"        {self.coloured_name(name)} failed: {(await errors).decode().strip()[-1_500:]}"
            )
            for mark in self.marks.values():  # end every wait for a mark that will not come
                mark.set()

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Client]:
        """Run a real server in a process of its own; yields a client of its owner."""
        variables = {"REPOMESH_DATA": str(self.data), "REPOMESH_SWEEP_EVERY_S": "0.5", **self.settings}
        words = own_program("up", "--quiet", "--port", "0")
        process = await asyncio.create_subprocess_exec(
            *words, cwd=self.work, env=_environment() | variables, start_new_session=True
        )
        self.server_process = process
        try:
            url = await self.ready(process)
            async with Client(url, data_folder.read_secret(self.data / data_folder.TOKEN)) as owner:
                yield owner
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def ready(self, process: asyncio.subprocess.Process) -> str:
        """Wait until the server answers and return its URL; raises StartFailed."""
        deadline = time.monotonic() + 30
        while process.returncode is None and time.monotonic() < deadline:
            note = data_folder.read_server(self.data)
            if note is not None and detach.is_ready(note["url"]):
                self.scene(f"It answers at {note['url']}.")
                return note["url"]
            await asyncio.sleep(0.05)
        raise detach.StartFailed("the demo's server did not start")

    def conclude(self, verdicts: list[Verdict], seconds: float) -> None:
        """Print the verdicts with their evidence."""
        self.scene(f"What happened, looked up after {seconds:.0f} s in what is left of it:")
        for verdict in verdicts:
            mark, colour = ("✓", "32") if verdict.holds else ("✗", "1;31")
            self.print(f"  {coloured(mark, colour)} {verdict.claim}")
            self.print(f"      {verdict.why}")
        failed = sum(not verdict.holds for verdict in verdicts)
        self.print("" if not failed else f"\n{failed} of {len(verdicts)} did not happen.")

    def scene(self, text: str) -> None:
        """Announce a part of the story."""
        self.print(f"\n{coloured(text, '1')}")
        if self.screen is not None:
            self.screen.update(text)

    def print(self, text: str) -> None:
        """Print a line of the story; on a terminal above the status line."""
        if self.quiet:
            return
        if self.screen is None:
            print(text, flush=True)
        else:
            self.screen.console.print(Text.from_ansi(text))

    @contextmanager
    def on_screen(self) -> Iterator[None]:
        """Show a status line at the bottom of a terminal."""
        if self.quiet or not output.is_terminal():
            yield
            return
        with Console(highlight=False).status("") as self.screen:
            yield
        self.screen = None

    def coloured_name(self, name: str) -> str:
        """Return a player's name in its colour."""
        return coloured(f"{name:<5}", COLOURS[self.players.index(name)])


def run_demo(demo_class: Callable[..., DemoRun], *, keep: bool, as_json: bool) -> None:
    """Play a demo and print it; exits with 1 if any claim fails."""
    scratch = Path(tempfile.mkdtemp(prefix="repomesh-demo-"))
    try:
        verdicts = asyncio.run(demo_class(scratch, quiet=as_json).run())
    finally:
        if not keep:
            trust.forget(scratch / "data")
            shutil.rmtree(scratch, ignore_errors=True)
    if as_json:
        claims = [
            {"claim": verdict.claim, "holds": verdict.holds, "why": verdict.why} for verdict in verdicts
        ]
        output.print_json({"claims": claims, "scratch": str(scratch) if keep else None})
    elif keep:
        output.print_line(f"What it worked on and the server's data are in {scratch}.")
    if not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(1)


def coloured(text: str, colour: str) -> str:
    """Return text in a colour, if standard output takes colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if output.wants_style() else text


def _environment() -> dict[str, str]:
    """Return the environment without REPOMESH_ variables, which may name another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}
