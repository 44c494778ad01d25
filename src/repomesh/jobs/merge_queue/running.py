"""Runs a check's command in a work tree: in a process group of its own, for a bounded time and output."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from repomesh.adapters.git.check_trees import CheckTree
from repomesh.domains.changes.configuration import CheckSection, QueueSection
from repomesh.jobs.merge_queue import leftovers
from repomesh.jobs.merge_queue.cancelling import finish_even_if_cancelled
from repomesh.jobs.merge_queue.sandbox import SandboxInfo, SandboxPaths, bounded, sandboxed
from repomesh.jobs.merge_queue.usage import UsageWatch, default_check_memory
from repomesh.kernel import limits
from repomesh.kernel.ids import new_id

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SHELL", "USER", "LOGNAME")
_CHUNK = 65_536
_LAST_WORDS_S = 1.0  # for what is still in the pipe when the command has ended


@dataclass(frozen=True, slots=True)
class CheckEnd:
    """How a command ended: its exit code, None after a kill; and the end of what it wrote.

    `excess` says what of the memory it held was too much, if it was killed for that.
    """

    exit_code: int | None
    timed_out: bool
    seconds: float
    output: str
    excess: str | None = None

    @property
    def passed(self) -> bool:
        """Whether it ended with 0, in time."""
        return self.exit_code == 0 and not self.timed_out


async def run_check(
    check: CheckSection,
    tree: CheckTree,
    variables: Mapping[str, str],
    queue: QueueSection,
    secret: Sequence[Path] = (),
) -> CheckEnd:
    """Run a check in a work tree. Its processes are killed at its end, at a limit or at a cancellation.

    A sandbox shows nothing of the folders in `secret`.
    A command that can't be started ends with 127 or 126, as in a shell. Raises SandboxMissing.
    """
    began = time.monotonic()
    check_id = new_id()
    paths = SandboxPaths(tree.folder, tree.objects, secret)
    memory = check.memory_mb * 1024**2 if check.memory_mb else default_check_memory(queue.checks_at_once)
    with SandboxInfo() as info:
        command = await asyncio.to_thread(
            sandboxed, check.arguments, paths, queue.sandbox, memory // 2, info.write_end
        )
        start = asyncio.create_subprocess_exec(
            *bounded(command, check.memory_mb),
            cwd=tree.folder,
            env=_environment(check_id, variables),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[tree.lock, *info.inherited_by(command)],
        )
        starting = asyncio.ensure_future(start)
        tail = _Tail(limits.CHECK_OUTPUT_CHARS_MAX * 4)
        timed_out, excess = False, None
        try:
            process = await finish_even_if_cancelled(starting)
            watch = UsageWatch(process.pid, tree.folder, memory)
            async with asyncio.timeout(check.timeout):
                excess = await _follow(process, tail, watch)
        except TimeoutError:
            timed_out = True
        finally:
            if starting.exception() is None:
                await finish_even_if_cancelled(_end(starting.result(), check_id, info, tail))
    was_killed = timed_out or excess is not None or (process.returncode or 0) < 0
    code = None if was_killed else process.returncode
    return CheckEnd(code, timed_out, time.monotonic() - began, tail.text(), excess)


async def _follow(process: asyncio.subprocess.Process, tail: _Tail, watch: UsageWatch) -> str | None:
    """Wait until a check ends, or holds too much memory: returns what is too large then."""
    ending = asyncio.create_task(tail.follow(process))
    watching = asyncio.create_task(watch.wait_for_excess())
    try:
        await asyncio.wait((ending, watching), return_when=asyncio.FIRST_COMPLETED)
        return None if ending.done() else watching.result()
    finally:
        ending.cancel()
        watching.cancel()
        await finish_even_if_cancelled(asyncio.wait((ending, watching)))


def _environment(check_id: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a check: no secret of the server is in it."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return environment | {"CI": "true", "GIT_TERMINAL_PROMPT": "0", leftovers.VARIABLE: check_id, **variables}


async def _end(process: asyncio.subprocess.Process, check_id: str, info: SandboxInfo, tail: _Tail) -> None:
    """Kill what is left of a check, wait until all of it has ended, and read what it still wrote."""
    _kill_group(process.pid)
    await process.wait()
    await asyncio.to_thread(leftovers.end_leftovers, check_id)
    await asyncio.to_thread(info.wait_for_end)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_S):
            await tail.read_to_end()


def _kill_group(process_id: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._reading: asyncio.Task[None] | None = None

    async def follow(self, process: asyncio.subprocess.Process) -> None:
        """Begin to read what a process writes, and wait until it ends."""
        assert process.stdout is not None
        self._reading = asyncio.create_task(self._read(process.stdout))
        await process.wait()

    async def read_to_end(self) -> None:
        """Wait until everything is read; a cancellation ends the reading."""
        if self._reading is not None:
            await self._reading

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(_CHUNK):
            self._chunks.append(chunk)
            self._size += len(chunk)
            while self._size - len(self._chunks[0]) >= self._bytes_max:
                lost = self._chunks.popleft()
                self._size -= len(lost)
                self._lost += len(lost)

    def text(self) -> str:
        """The end of what was read, at most CHECK_OUTPUT_CHARS_MAX characters, without NUL."""
        text = b"".join(self._chunks).decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        if len(text) <= limits.CHECK_OUTPUT_CHARS_MAX and not self._lost:
            return text
        return f"[the beginning is left out]\n{text[-limits.CHECK_OUTPUT_CHARS_MAX :]}"
