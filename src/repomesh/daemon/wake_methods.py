"""The methods to wake an idle CLI session, one for each CLI. Nothing is ever typed into a terminal."""

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
"""The folder, in the data folder, of the hooks' notes about sessions that have an inbox."""
CONNECT_S: Final = 2.0
REFUSAL_S: Final = 0.5  # an inbox that refuses the token hangs up within this time
HANG_UP_S: Final = 5.0  # for an inbox to hang up after the message
COMMAND_S: Final = 20.0  # for a CLI's own command, which starts slowly on a busy machine
REASON_CHARS_MAX: Final = 160  # of a CLI's error output
NOTE_BYTES_MAX: Final = 10_000
_HOMES: Final = ("HOME", "CODEX_HOME")


class WakeRefused(Exception):
    """A session can't be woken; the message is the reason, for the trace of the delivery."""


@dataclass(frozen=True, slots=True)
class WakeTarget:
    """A CLI session that is to be woken."""

    cli: str
    session_id: str
    cwd: str
    processes: tuple[str, ...] = ()


Way = Callable[[Path, WakeTarget, str], Awaitable[None]]
"""Called with (data folder, session, text); sends the text to the session, or raises WakeRefused."""


async def claude(data: Path, session: WakeTarget, text: str) -> None:
    """Send a message to Claude Code's inbox socket, whose path and token a hook noted; raises WakeRefused."""
    note = _read_note(data / WAKE_FOLDER / f"{session.session_id}.json")
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_unix_connection(note["socket"])
    except (OSError, TimeoutError) as error:
        raise WakeRefused(f"its inbox does not answer: {_one_line(error)}") from None
    try:
        await _authenticate(reader, writer, note["token"])
        writer.write(_json_line({"type": "user", "message": {"role": "user", "content": text}}))
        writer.write_eof()
        await writer.drain()
        with suppress(TimeoutError):  # it has the message; some inboxes hang up late
            async with asyncio.timeout(HANG_UP_S):
                await reader.read()
    except OSError as error:
        raise WakeRefused(f"its inbox broke off: {_one_line(error)}") from None
    finally:
        writer.close()


async def codex(_data: Path, session: WakeTarget, text: str) -> None:
    """Queue a message for a thread of Codex, which polls its queue; raises WakeRefused."""
    if ":" in session.session_id:  # the id of a second run; Codex knows the thread that both have open
        raise WakeRefused("its thread is open in another process, which would take the message")
    if is_over(session.processes):
        raise WakeRefused("its process is over")  # the queue would take the message, and nobody would read it
    program, variables = running_program("codex", session.processes)
    if program is None:
        raise WakeRefused("no 'codex' is on the path of the daemon")
    try:
        process = await _start_queue_command(program, variables, session, text)
    except OSError as error:  # for example, its folder is gone
        raise WakeRefused(f"'codex queue' can't be started: {_one_line(error)}") from None
    try:
        async with asyncio.timeout(COMMAND_S):
            _out, error_output = await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise WakeRefused(f"'codex queue' did not end within {COMMAND_S:.0f} s") from None
    if process.returncode != 0:
        last_line = error_output.decode(errors="replace").strip().rpartition("\n")[2]
        raise WakeRefused(f"'codex queue' ended with {process.returncode}: {last_line}"[:REASON_CHARS_MAX])


WAYS: Final[dict[str, Way]] = {"claude": claude, "codex": codex}
"""The wake method of each CLI. The others wait on their own: in an MCP task or in wait_for_messages."""


async def _start_queue_command(
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


async def _authenticate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """Send the token. The inbox hangs up on a wrong one, for which WakeRefused is raised."""
    writer.write(_json_line({"type": "auth", "token": token}))
    await writer.drain()
    try:
        async with asyncio.timeout(REFUSAL_S):
            is_closed = await reader.read(1) == b""
    except TimeoutError:
        return
    if is_closed:
        raise WakeRefused("its inbox does not take the token that its hook kept")


def is_over(processes: Sequence[str]) -> bool:
    """Whether none of the nearest processes of a session's hooks runs, one of which is its CLI."""
    nearest = processes[:HOOK_PROCESS_DEPTH]
    return bool(nearest) and not any(map(_is_running, nearest))


def _is_running(process: str) -> bool:
    number = number_of(process)
    return number is not None and is_alive(number) and not was_replaced(process)


def running_program(name: str, processes: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """The program that a session runs, and its home variables; else the program on the path, and none.

    A session may run another version, or with another home, than the daemon.
    """
    for process in processes:
        if was_replaced(process):
            continue
        try:
            running = psutil.Process(number_of(process))
            program, variables = running.exe(), running.environ()
        except (psutil.Error, OSError, ValueError):  # it has ended, or is another user's
            continue
        if Path(program).name == name:
            return program, {key: variables[key] for key in _HOMES if key in variables}
    return shutil.which(name), {}


def _read_note(path: Path) -> dict[str, str]:
    """Read `socket` and `token` from a hook's note; raises WakeRefused unless only its owner may read it."""
    try:
        with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
            file_stat = os.fstat(file.fileno())
            if file_stat.st_mode & 0o077 or file_stat.st_size > NOTE_BYTES_MAX:
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


def _json_line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _one_line(error: Exception) -> str:
    """An error in one short line, without paths."""
    strerror = getattr(error, "strerror", None)
    return str(strerror or type(error).__name__)[:REASON_CHARS_MAX]
