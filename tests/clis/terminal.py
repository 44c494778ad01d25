"""A CLI as a person starts it: in a pseudo-terminal. No keys are typed unless a test does."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clis.running import Desk, claude_environment, codex_words, installer

SIZE = (40, 120)
"""Lines and columns of the screen."""


class Terminal:
    """A process on a screen; `seen` is all that it has drawn."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self.seen = b""
        self.typed = 0
        self._screen = screen
        self._reader = threading.Thread(target=self._read, name="screen")
        self._reader.start()

    @property
    def shown(self) -> str:
        """What it has drawn, without what moves about and colours."""
        return re.sub(rb"\x1b\[[0-9;?>]*[a-zA-Z]|\x1b[>=<]", b" ", self.seen).decode(errors="replace")[-3000:]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        self.typed += len(keys)
        os.write(self._screen, keys)

    def close(self) -> None:
        """End the process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._screen)

    def _read(self) -> None:
        with suppress(OSError):  # Linux says EIO when nobody holds the other end any more
            while part := os.read(self._screen, 65536):
                self.seen += part


@contextmanager
def claude(desk: Desk, url: str, prompt: str, *words: str, **variables: str) -> Iterator[Terminal]:
    """Claude Code with its model at `url`; it works on `prompt` and is idle then, until the block ends."""
    options = ["--model", "scripted", "--permission-mode", "acceptEdits"]
    with _seated(desk, [*options, *words, prompt], claude_environment(url) | variables) as terminal:
        yield terminal


@contextmanager
def codex(desk: Desk, url: str, prompt: str, *words: str, **variables: str) -> Iterator[Terminal]:
    """Codex, likewise."""
    options = ["-m", "scripted", "--dangerously-bypass-approvals-and-sandbox", *codex_words(url)]
    with _seated(desk, [*options, *words, prompt], {"OPENAI_API_KEY": "x"} | variables) as terminal:
        yield terminal


@contextmanager
def _seated(desk: Desk, words: list[str], needed: dict[str, str]) -> Iterator[Terminal]:
    screen, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    process = subprocess.Popen(
        [*installer.command(desk.cli), *words],
        cwd=desk.folder,
        env=desk.environment(**needed, TERM="xterm-256color"),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    terminal = Terminal(process, screen)
    try:
        yield terminal
    finally:
        terminal.close()
