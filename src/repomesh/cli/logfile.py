"""The server's log: JSON lines in the data folder, in two files of bounded size."""

from __future__ import annotations

import io
import json
import logging
import os
from io import FileIO, TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import structlog

from repomesh.kernel.private_files import open_private
from repomesh.kernel.telemetry import configure_logging

# Two files of this size are kept: enough to look back, too little to fill a disk.
LOG_BYTES_MAX = 10 * 1024 * 1024
CHUNK_BYTES = 64 * 1024  # of a log read at once
_LEVELS = {logging.WARNING: "warning", logging.ERROR: "error", logging.CRITICAL: "critical"}


class LogFile(io.TextIOBase):
    """A text stream into `path`, which is renamed to `path.1` when it is full."""

    def __init__(self, path: Path) -> None:
        self._handler = _PrivateFile(path, maxBytes=LOG_BYTES_MAX, backupCount=1, encoding="utf-8")

    def write(self, text: str) -> int:
        """Append one line, unbuffered; returns the number of characters."""
        self._handler.handle(logging.makeLogRecord({"msg": text.removesuffix("\n")}))
        return len(text)


class _PrivateFile(RotatingFileHandler):
    """A rotating file for its owner only, which counts lines that could not be written and goes on."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line and, after failures, how many lines were lost."""
        lost = self._lost
        super().emit(record)
        if lost and lost == self._lost:
            self._lost = 0
            note = json.dumps({"event": "lines of the log were lost", "count": lost})
            super().emit(logging.makeLogRecord({"msg": note}))

    def handleError(self, record: logging.LogRecord) -> None:
        """Count the lost line; a full disk must not stop the server."""
        self._lost += 1

    def _open(self) -> TextIOWrapper:
        descriptor = open_private(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        # Without a buffer: a line that could not be written is dropped, and not tried again with the next.
        return TextIOWrapper(FileIO(descriptor, "a"), encoding=self.encoding, write_through=True)


class _LibraryHandler(logging.Handler):
    """Writes the records of libraries as structured lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        level = _LEVELS.get(record.levelno, "error")
        log = structlog.get_logger(record.name)
        getattr(log, level)(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def log_to(path: Path, level: str) -> None:
    """Log to `path`: records of repomesh from `level` on, and warnings of libraries."""
    configure_logging(level, cast(TextIO, LogFile(path)))
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a log as one text; empty if there is no log."""
    try:
        return "\n".join(last_lines(path, lines)[0])
    except FileNotFoundError:
        return ""


def open_log(path: Path) -> BinaryIO:
    """Open a log for reading, unbuffered; raises FileNotFoundError where there is none."""
    return os.fdopen(open_private(path, os.O_RDONLY), "rb", buffering=0)


def last_lines(path: Path, lines: int) -> tuple[list[str], int]:
    """Return the last lines of a log, and its size in bytes when it was read."""
    with open_log(path) as file:
        size = start = os.fstat(file.fileno()).st_size
        content = b""
        while start > 0 and content.count(b"\n") <= lines:
            begin = max(0, start - CHUNK_BYTES)
            file.seek(begin)
            content = file.read(start - begin) + content
            start = begin
    tail_lines = content.decode(errors="replace").splitlines()
    return tail_lines[-lines:] if lines else [], size
