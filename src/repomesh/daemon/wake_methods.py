"""The ways to wake a CLI that is idle, each the CLI's own. Nothing is ever typed into a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from repomesh.daemon.background import is_alive
from repomesh.kernel.limits import HOOK_PROCESS_DEPTH
from repomesh.kernel.private_files import UnsafeFile, open_private
from repomesh.kernel.processes import number_of, was_replaced

WAKE_FOLDER: Final = "wake"
"""In the data folder: what hooks kept of the sessions that have an inbox."""
CONNECT_S: Final = 2.0
REFUSAL_S: Final = 0.5  # an inbox that does not take the token hangs up within this time
TAKEN_S: Final = 5.0  # for an inbox to hang up once it has the message
COMMAND_S: Final = 20.0  # for a CLI's own command, which starts slowly on a busy machine
SAID_CHARS_MAX: Final = 160  # of what a CLI says about a refusal
NOTE_BYTES_MAX: Final = 10_000
_HOMES: Final = ("HOME", "CODEX_HOME")


class WakeRefused(Exception):
    """A session can't be woken; the message says why, for the trace of what it should have been told."""


@dataclass(frozen=True, slots=True)
class WakeTarget:
    """A CLI session that is to be woken."""

    cli: str
    session_id: str
    cwd: str
    processes: tuple[str, ...] = ()


Way = Callable[[Path, WakeTarget, str], Awaitable[None]]
"""Of (data folder, session, text): tells the session, or raises Refused."""


async def claude(data: Path, session: WakeTarget, text: str) -> None:
    """Put a message into Claude Code's inbox socket, whose place and token a hook kept."""
    place = _kept(data / WAKE_FOLDER / f"{session.session_id}.json")
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_unix_connection(place["socket"])
    except (OSError, TimeoutError) as error:
        raise WakeRefused(f"its inbox does not answer: {_one_line(error)}") from None
    try:
        await _authenticated(reader, writer, place["token"])
        writer.write(_line({"type": "user", "message": {"role": "user", "content": text}}))
        writer.write_eof()
        await writer.drain()
        with suppress(TimeoutError):  # it has the message; some hang up late
            async with asyncio.timeout(TAKEN_S):
                await reader.read()
    except OSError as error:
        raise WakeRefused(f"its inbox broke off: {_one_line(error)}") from None
    finally:
        writer.close()


async def codex(_data: Path, session: WakeTarget, text: str) -> None:
    """Queue a message for a thread of Codex, which looks for it every few seconds."""
    if ":" in session.session_id:  # the id of a second run; Codex knows the thread that both have open
        raise WakeRefused("its thread is open in another process, which would take the message")
    if is_over(session.processes):
        raise WakeRefused("its process is over")  # the queue would take it, and nobody would look there
    program, variables = running_program("codex", session.processes)
    if program is None:
        raise WakeRefused("no 'codex' is on the path of the daemon")
    try:
        process = await _started(program, variables, session, text)
    except OSError as error:  # its folder is gone, say
        raise WakeRefused(f"'codex queue' can't be started: {_one_line(error)}") from None
    try:
        async with asyncio.timeout(COMMAND_S):
            _out, said = await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise WakeRefused(f"'codex queue' did not end within {COMMAND_S:.0f} s") from None
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise WakeRefused(f"'codex queue' ended with {process.returncode}: {last}"[:SAID_CHARS_MAX])


WAYS: Final[dict[str, Way]] = {"claude": claude, "codex": codex}
"""By CLI. The others wait by themselves: by an MCP task, or in a call of wait_for_messages."""


async def _started(
    program: str, variables: dict[str, str], session: WakeTarget, text: str
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(program, "queue", "--thread", session.session_id, "--message", text),
        cwd=session.cwd or None,
        env=os.environ | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # so that what it starts can be ended with it
    )


async def _authenticated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """Say who speaks. A right token is answered with silence, a wrong one by hanging up."""
    writer.write(_line({"type": "auth", "token": token}))
    await writer.drain()
    try:
        async with asyncio.timeout(REFUSAL_S):
            ended = await reader.read(1) == b""
    except TimeoutError:
        return
    if ended:
        raise WakeRefused("its inbox does not take the token that its hook kept")


def is_over(processes: Sequence[str]) -> bool:
    """Whether none of the processes nearest to a session's hooks lives, one of which is its CLI."""
    nearest = processes[:HOOK_PROCESS_DEPTH]
    return bool(nearest) and not any(map(_lives, nearest))


def _lives(process: str) -> bool:
    number = number_of(process)
    return number is not None and is_alive(number) and not was_replaced(process)


def running_program(name: str, processes: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """The program that a session runs, and where it keeps its things; else the one on the path.

    A session may have been started by another version, or with another home, than the daemon.
    """
    for process in processes:
        if was_replaced(process):
            continue
        try:
            running = psutil.Process(number_of(process))
            program, variables = running.exe(), running.environ()
        except (psutil.Error, OSError, ValueError):  # it is over, or another user's
            continue
        if Path(program).name == name:
            return program, {key: variables[key] for key in _HOMES if key in variables}
    return shutil.which(name), {}


def _kept(path: Path) -> dict[str, str]:
    """What a hook kept of a session; only a file of one's own counts."""
    try:
        with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
            about = os.fstat(file.fileno())
            if about.st_mode & 0o077 or about.st_size > NOTE_BYTES_MAX:
                raise WakeRefused("the note of its inbox is not its owner's alone")
            note: Any = json.loads(file.read(NOTE_BYTES_MAX + 1))
    except UnsafeFile:
        raise WakeRefused("the note of its inbox is not its owner's alone") from None
    except FileNotFoundError:
        raise WakeRefused("no hook of it told of an inbox") from None
    except (OSError, ValueError) as error:
        raise WakeRefused(f"the note of its inbox can't be read: {_one_line(error)}") from None
    if not isinstance(note, dict) or not all(isinstance(note.get(key), str) for key in ("socket", "token")):
        raise WakeRefused("the note of its inbox names none")
    return {"socket": note["socket"], "token": note["token"]}


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _one_line(error: Exception) -> str:
    """An error in one short line, without what a path may hold."""
    strerror = getattr(error, "strerror", None)
    return str(strerror or type(error).__name__)[:SAID_CHARS_MAX]
