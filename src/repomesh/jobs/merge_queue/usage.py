"""Bounds what a check takes: memory, of its processes together, and room for files in its work tree."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psutil

from repomesh.adapters.git.check_trees import SHARED_MEMORY
from repomesh.kernel import limits

_CGROUP_MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")  # of cgroup v2: a container's share, or the word "max"
_MB = 1024 * 1024
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's own blocks are


def default_check_memory(checks_at_once: int) -> int:
    """The bytes that a check may hold without a `memory_mb` of its own: half of the machine is for checks."""
    return max(limits.CHECK_MEMORY_MIN, _machine_memory() // 2 // checks_at_once)


def _machine_memory() -> int:
    total: int = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        total = min(total, int(_CGROUP_MEMORY_MAX.read_text()))
    return total


class UsageWatch:
    """Looks every CHECK_USAGE_WATCHED_S at what a check takes; less often where a look takes long.

    It sees the first process and those below it. A daemon outside of a sandbox is not among them.
    """

    def __init__(self, process_id: int, tree: Path, bytes_max: int) -> None:
        self._process_id = process_id
        self._bytes_max = bytes_max
        self._tree = tree
        self._is_in_memory = SHARED_MEMORY in tree.parents
        self._free_at_start = shutil.disk_usage(tree).free

    async def wait_for_excess(self) -> str:
        """Wait until the check holds more than it may; returns what is too large."""
        pause_s = limits.CHECK_USAGE_WATCHED_S
        while True:
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            if (excess := await asyncio.to_thread(self._find_excess)) is not None:
                return excess
            took_s = time.monotonic() - began  # on a machine of thousands of processes
            pause_s = max(limits.CHECK_USAGE_WATCHED_S, took_s / limits.CHECK_USAGE_WATCHED_SHARE)

    def _find_excess(self) -> str | None:
        processes = self._processes()
        unnamed = _unnamed_files(processes)
        is_near = _estimate(processes) + unnamed > self._bytes_max
        if is_near and (held := _measure(processes) + unnamed) > self._bytes_max:
            return f"its processes held {held // _MB} MB of memory, and may hold {self._bytes_max // _MB}"
        free = shutil.disk_usage(self._tree).free
        written = self._free_at_start - free
        if self._is_in_memory and written > self._bytes_max:
            return f"{written // _MB} MB were written to memory in its work tree"
        if free < limits.CHECK_DISK_FREE_MIN and written > limits.CHECK_DISK_WRITTEN_MIN:
            return f"{written // _MB} MB were written to its disk, which has {free // _MB} MB left"
        return None

    def _processes(self) -> Sequence[psutil.Process]:
        try:
            first = psutil.Process(self._process_id)
            return [first, *first.children(recursive=True)]
        except psutil.Error:
            return []  # it has just ended


def _estimate(processes: Sequence[psutil.Process]) -> int:
    """At least the bytes that processes hold: what was written after a fork is not told from what was not."""
    held = 0
    for process in processes:
        with suppress(psutil.Error):
            memory = process.memory_info()
            held += memory.rss - getattr(memory, "shared", 0)
    return held


def _unnamed_files(processes: Sequence[psutil.Process]) -> int:
    """The bytes in memory of files that `memfd_create` made: they need not be part of any process's own.

    Pages of such a file that a process has mapped are counted twice.
    """
    sizes: dict[int, int] = {}  # by inode, since processes inherit them
    for process in processes:
        with suppress(OSError), os.scandir(f"/proc/{process.pid}/fd") as entries:
            for entry in islice(entries, limits.CHECK_DESCRIPTORS_MAX):
                with suppress(OSError):  # it was closed in between
                    descriptor = Path(entry.path)
                    if str(descriptor.readlink()).startswith("/memfd:"):
                        status = descriptor.stat()
                        sizes[status.st_ino] = status.st_blocks * _BLOCK_BYTES
    return sum(sizes.values())


def _measure(processes: Sequence[psutil.Process]) -> int:
    """The bytes that processes hold, each shared page in equal parts by those that share it; takes longer."""
    held = 0
    for process in processes:
        with suppress(psutil.Error):
            memory = process.memory_full_info()
            held += getattr(memory, "pss", memory.uss)
    return held
