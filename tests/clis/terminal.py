"""A CLI as a person starts it: in a pseudo-terminal. No keys are typed unless a test does."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clis.running import Desk, claude_environment, installer

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
def claude(desk: Desk, url: str, prompt: str, *words: str) -> Iterator[Terminal]:
    """Claude Code with its model at `url`; it works on `prompt` and is idle then, until the block ends."""
    screen, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    command = [*installer.command("claude"), "--model", "scripted", "--permission-mode", "acceptEdits"]
    process = subprocess.Popen(
        [*command, *words, prompt],
        cwd=desk.folder,
        env=desk.environment(**claude_environment(url), TERM="xterm-256color"),
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
