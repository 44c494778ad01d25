"""Runs one of our functions in a process of its own, where hostile input harms nobody else.

Parsers hold the interpreter's lock for seconds, and take memory by the gigabyte, for a file of a megabyte
that was written for it. In a process of its own such a file costs some time of one core, and memory up to a
limit. The child runs `isolated_child`; both sides speak JSON, so that a parser that was taken over can answer
nonsense, and no more.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from repomesh.kernel.own_program import own_module

_WAIT_FACTOR = 4  # wall time over CPU time: the machine may be busy
_SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class IsolationLimits:
    """What one call may take: bytes of address space, and seconds of CPU time."""

    memory_bytes: int
    cpu_s: int


class IsolatedCallFailed(Exception):
    """The function ended without an answer: it took too long or too much memory, or failed."""


def call_isolated(function: Callable[[Any], Any], argument: Any, limits: IsolationLimits) -> Any:
    """Return what a module's function of one JSON value returns, which is JSON as well.

    It blocks: call it on a thread. Raises IsolatedCallFailed with the reason.
    """
    words = own_module(
        "repomesh.kernel.isolated_child",
        *(function.__module__, function.__name__, str(limits.memory_bytes), str(limits.cpu_s)),
    )
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")}
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            words,
            input=orjson.dumps(argument),
            capture_output=True,
            timeout=limits.cpu_s * _WAIT_FACTOR,
            cwd="/",
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise IsolatedCallFailed(f"it took more than {limits.cpu_s * _WAIT_FACTOR} s") from None
    if done.returncode:
        raise IsolatedCallFailed(_describe(done, limits))
    return orjson.loads(done.stdout)


def _describe(done: subprocess.CompletedProcess[bytes], limits: IsolationLimits) -> str:
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:_SHOWN_CHARS]
    if done.returncode < 0 and not last:
        return f"it took more than {limits.cpu_s} s or {limits.memory_bytes // 1024**2} MB"
    if "MemoryError" in last:
        return f"it took more than {limits.memory_bytes // 1024**2} MB"
    return last or f"it ended with {done.returncode}"
