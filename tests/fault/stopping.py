"""Does one thing to a data folder again and again, killed at each step of it that touches the disk.

`python stopping.py NAME TEMPLATE PLACE SOURCE`, with `stops.c` preloaded, prints what each kill left.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import backups, drafts, folder, migrate, opening, restoring
from repomesh.store.open import open_store

_STEPS_MAX = 500


def restore(data: Path, source: Path) -> None:
    restoring.restore(data, source)


def backup(data: Path, source: Path) -> None:
    (data / "made").mkdir(exist_ok=True)
    backups.make(data / folder.DATABASE, data / "made" / "kept.db")


def upgrade(data: Path, source: Path) -> None:
    store = open_store(Settings(data=data), Metrics())
    migrate.upgrade(store)
    store.close()


def killed(act: Callable[[Path, Path], None], data: Path, source: Path, step: int) -> bool:
    """Do it in a process of its own that is killed before this step; False when it has no such step."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).stop_at(step, str(data).encode())
        act(data, source)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def left(data: Path) -> dict[str, Any]:
    """What the next start finds, and what it says."""
    notes = opening.prepare_file(data)
    made = data / "made" / "kept.db"
    drafts.sweep(data / "made")
    database = data / folder.DATABASE
    found: dict[str, Any] = {"notes": notes, "texts": None, "revision": None}
    with closing(sqlite3.connect(database)) as connection, suppress(sqlite3.DatabaseError):
        found["texts"] = sorted(text for (text,) in connection.execute("SELECT text FROM test_notes"))
        found["revision"] = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    files = {path.name for place in (data, made.parent) if place.is_dir() for path in place.iterdir()}
    return found | {
        "problems": backups.quick_check(database).problems,
        "backup": backups.check(made) if made.exists() else None,
        "unfinished": sorted(name for name in files if ".draft" in name or name.startswith("restore.")),
    }


def main(name: str, template: str, place: str, source: str) -> None:
    done = []
    for step in range(1, _STEPS_MAX):
        data = Path(place) / str(step)
        shutil.copytree(template, data)
        if not killed(globals()[name], data, Path(source), step):
            break
        done.append(left(data))
        shutil.rmtree(data)
    print(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
