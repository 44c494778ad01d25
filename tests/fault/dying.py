"""`repomesh` that kills itself at one of the steps of a change's way: `python dying.py FOLDER WORD…`.

FOLDER/armed says at which: the number among the steps since that file was written, and whether before the
step or behind it. The names of these steps are written to FOLDER/steps.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from repomesh.adapters.git import landing
from repomesh.adapters.git.check_trees import CheckTree
from repomesh.adapters.git.repository import Repository
from repomesh.cli.main import main
from repomesh.jobs.merge_queue import checking
from repomesh.jobs.merge_queue.lane_commands import QueueCommands
from repomesh.kernel.dispatch import Dispatcher

STEPS: tuple[tuple[Any, str], ...] = (
    (Dispatcher, "_run_command"),
    (QueueCommands, "call"),
    (Repository, "pin"),
    (Repository, "merge"),
    (Repository, "merge_trees"),
    (Repository, "write_commit"),
    (Repository, "move_ref"),
    (CheckTree, "check_out"),
    (checking, "run_check"),
    (landing, "fetch"),
    (landing, "require_movable"),
    (landing, "push"),
    (landing, "move_branch"),
)
_OF_CHANGES = ("change.submit", "queue.")


class Steps:
    """Counts the steps since it was armed, and kills this process at one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._armed = ""
        self._count = 0

    def begin(self, name: str) -> int | None:
        """A step begins; returns its number, None while nothing is armed."""
        with self._lock:
            try:
                armed = (self._folder / "armed").read_text()
            except FileNotFoundError:
                return None
            if armed != self._armed:
                self._armed, self._count = armed, 0
            self._count += 1
            with (self._folder / "steps").open("a") as file:
                file.write(f"{self._count} {name}\n")
            self._die_at("before", self._count)
            return self._count

    def end(self, number: int | None) -> None:
        """A step has ended."""
        if number is not None:
            self._die_at("after", number)

    def _die_at(self, moment: str, number: int) -> None:
        if self._armed.split()[1:] == [moment, str(number)]:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    def watch(self, owner: Any, name: str) -> None:
        """Have a function be a step."""
        function = getattr(owner, name)
        watched = self._watched_async if inspect.iscoroutinefunction(function) else self._watched
        setattr(owner, name, watched(function))

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def step(*arguments: Any, **named: Any) -> Any:
            name = _name(function, arguments)
            number = None if name is None else self.begin(name)
            result = function(*arguments, **named)
            self.end(number)
            return result

        return step

    def _watched_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def step(*arguments: Any, **named: Any) -> Any:
            name = _name(function, arguments)
            number = None if name is None else self.begin(name)
            result = await function(*arguments, **named)
            self.end(number)
            return result

        return step


def _name(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str | None:
    """What a step is called; None for commands that have nothing to do with changes."""
    if function.__name__ == "call":  # of a worker: its command is committed at its end
        return f"commit {arguments[2]}"
    if function.__name__ != "_run_command":
        return function.__name__
    operation: str = arguments[1].name
    return f"run {operation}" if operation.startswith(_OF_CHANGES) else None


if __name__ == "__main__":
    program, folder, *words = sys.argv
    steps = Steps(Path(folder))
    for owner, name in STEPS:
        steps.watch(owner, name)
    sys.argv = [program, *words]
    main()
