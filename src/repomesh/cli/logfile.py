"""The server's log: JSON lines in the data folder, in two files of bounded size."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import TextIO, cast

import structlog

from repomesh.kernel.telemetry import configure_logging

LOG_BYTES_MAX = 10 * 1024 * 1024  # twice this is kept; enough to look back, too little to fill a disk
_LEVELS = {logging.WARNING: "warning", logging.ERROR: "error", logging.CRITICAL: "critical"}


class LogFile(io.TextIOBase):
    """A text stream into `path`; when it is full it becomes `path.1`, and a new one begins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def write(self, text: str) -> int:
        """Append whole lines; each reaches the file at once."""
        data = text.encode()
        if self._size + len(data) > LOG_BYTES_MAX:
            os.close(self._descriptor)
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._open()
        self._size += os.write(self._descriptor, data)
        return len(text)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._descriptor).st_size


class _Foreign(logging.Handler):
    """What libraries log, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        level = _LEVELS.get(record.levelno, "error")
        log = structlog.get_logger(record.name)
        getattr(log, level)(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def log_to(path: Path, level: str) -> None:
    """Log to `path`: everything of ours from `level` on, and the warnings of libraries."""
    configure_logging(level, cast(TextIO, LogFile(path)))
    logging.basicConfig(handlers=[_Foreign()], level=logging.WARNING, force=True)


def tail(path: Path, lines: int) -> str:
    """The last lines of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
