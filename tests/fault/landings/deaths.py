"""A repository with a remote, a work tree and a check, whose server dies while a change lands."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault.landings.authors import Line
from fault.running import HERE, Process
from repositories import Scratch

CONFIGURATION = """\
[queue]
push = "origin"
sandbox = "off"

[[checks]]
name = "exists"
command = "test -f begin.txt"
"""
PATIENCE_S = 120.0
_QUIET_S = 0.5
_KILLS = """\
#!/bin/sh
{passes}
if test -e '{folder}/{name}'; then rm '{folder}/{name}'; kill -9 "$(cat '{folder}/pid')"; sleep {pause_s}; fi
"""


@dataclass(frozen=True)
class Landed:
    """The steps that a server took for a change while it was armed, and whether it died at one of them."""

    steps: list[str]
    died: bool


class Deathbed:
    """A server that dies at one step of a change's way, and starts again; one change after another."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.scratch = Scratch(folder / "repository")
        self.remote = folder / "remote.git"
        self._make_repository()
        self.server = Process(
            folder / "data", database_url, work=self.scratch.path, agent_inactive_after_s=86_400
        )
        self.server._program = [sys.executable, HERE / "dying.py", folder]
        self.changes = 0
        self._start()
        owner = Line([self.server.url], self.server.token)
        made = owner.post("/v1/agents/register", "register", name="ada")
        self._line = Line([self.server.url], made["token"])
        self._owner = owner

    def close(self) -> None:
        """End the server."""
        self.server.stop()

    def land(self, *armed: str) -> Landed:
        """Submit a change to a server that dies where `armed` says, and check that it lands all the same."""
        self.changes += 1
        name = f"n{self.changes}"
        tip = self.scratch.git("rev-parse", "main")
        self.scratch.commit({f"{name}.txt": name, f"{name}.slow": name}, on=tip, branch=name)
        (self.folder / "steps").write_text("")
        (self.folder / armed[0]).write_text(" ".join((name, *armed[1:])))
        restarting = _Restarting(self, self.folder / armed[0])
        restarting.start()
        made = self._line.post("/v1/changes", f"key-{name}", summary=name, branch=name)
        self._wait(lambda: restarting.died.is_set() or self._is_done(made["id"]))
        restarting.over.set()
        restarting.join()
        (self.folder / armed[0]).unlink(missing_ok=True)
        self._wait(lambda: self._change(made["id"])["state"] == "landed")
        self._check(self._change(made["id"]), tip)
        return Landed(self._steps(), restarting.died.is_set())

    def _is_done(self, id_: str) -> bool:
        """Whether a change has landed, and no further step follows."""
        if self._change(id_)["state"] != "landed":
            return False
        before = self._steps()
        time.sleep(_QUIET_S)
        return before == self._steps()

    def _steps(self) -> list[str]:
        return (self.folder / "steps").read_text().splitlines()

    def _check(self, change: dict[str, Any], before: str) -> None:
        """It is on both branches, once, on what was there before, and in the work tree."""
        git = self.scratch.git
        tips = git("rev-parse", "main"), self.scratch.git("--git-dir", str(self.remote), "rev-parse", "main")
        assert tips == (change["landed_commit"],) * 2
        assert git("rev-parse", "main^") == before
        assert git("log", "--format=%B", "main").count(f"Repomesh-Change: {change['id']}") == 1
        assert git("status", "--porcelain") == ""
        assert git("rev-parse", f"refs/repomesh/changes/{change['id']}/1") == change["head_commit"]
        landed = self._owner.get("/v1/events?type=change.landed&limit=200&newest=true")["items"]
        assert [one["data"]["change"]["id"] for one in landed].count(change["id"]) == 1
        assert change["checks"][0]["outcome"] == "passed"

    def _change(self, id_: str) -> Any:
        return self._line.get(f"/v1/changes/{id_}")

    def _wait(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, self._owner.get("/v1/changes?limit=1")["items"]
            time.sleep(0.02)

    def _start(self) -> None:
        self.server.start()
        assert self.server._process is not None
        (self.folder / "pid").write_text(str(self.server._process.pid))

    def _make_repository(self) -> None:
        git = self.scratch.git
        self.scratch.commit(
            {"begin.txt": "begin\n", "repomesh.toml": CONFIGURATION, ".gitattributes": "*.slow filter=slow\n"}
        )
        git("init", "-q", "--bare", "-b", "main", str(self.remote))
        git("remote", "add", "origin", str(self.remote))
        git("push", "-q", "origin", "main")
        git("config", "filter.slow.smudge", str(self.folder / "filters" / "smudge"))
        git("config", "filter.slow.clean", "cat")
        for name, passes, place in (
            ("pre-receive", "", self.remote / "hooks"),
            ("post-receive", "", self.remote / "hooks"),
            ("smudge", "cat", self.folder / "filters"),
        ):
            place.mkdir(exist_ok=True)
            script = _KILLS.format(passes=passes, folder=self.folder, name=name, pause_s=0.3)
            (place / name).write_text(script)
            (place / name).chmod(0o755)


class _Restarting(threading.Thread):
    """Starts the server again when it has died, without the file that it was armed with."""

    def __init__(self, bed: Deathbed, armed: Path) -> None:
        super().__init__(name="restarting", daemon=True)
        self._bed, self._armed = bed, armed
        self.died = threading.Event()
        self.over = threading.Event()

    def run(self) -> None:
        process = self._bed.server._process
        assert process is not None
        while not self.over.wait(0.01):
            if process.poll() is not None:
                process.communicate()
                self._armed.unlink(missing_ok=True)
                self._bed._start()
                self.died.set()
                return
