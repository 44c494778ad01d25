"""`repomesh demo queue`: eight agents submit 24 changes at once, and the server is killed on the way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repomesh.cli import output
from repomesh.cli.demo import queue_checks, repository, stage
from repomesh.cli.demo.verdicts import Verdict, check_claims
from repomesh.client.client import Client
from repomesh.client.stream import follow
from repomesh.views.event_lines import add_name, event_line

AGENTS = ("ada", "ben", "cid", "dot", "eli", "fay", "gus", "hal")
TARGET = "main"
_PATIENCE_S = 120.0
_LOOK_S = 0.1
_KILL_AFTER = 6  # changes that have landed
_PLAIN = 14

_CONFIGURATION = """\
[queue]
target = "main"
sandbox = "off"  # the check 'weather' remembers outside of its work tree that it ran

[[checks]]
name = "tests"
command = "! grep -rn BROKEN --include=*.py ."
timeout = 60

[[checks]]
name = "weather"
command = "test -e '{seen}' || {{ touch '{seen}'; exit 1; }}"
paths = ["weather.txt"]
timeout = 60
"""
_GREETER = "def hello():\n    return 'hello'\n"
_FILES = {"README.md": "# A demo\n\nSays hello.\n", "greeter.py": _GREETER, "notes.txt": "none\n"}


@dataclass(slots=True)
class _Submission:
    """A change of the story: who submits it, the files that it changes, and on which branch it builds."""

    key: str
    author: str
    files: dict[str, str]
    on: str = TARGET
    fields: dict[str, Any] = field(default_factory=dict)


class QueuePlay(stage.DemoRun):
    """One day of a merge queue, on a server in a scratch folder."""

    players = AGENTS
    settings = {"REPOMESH_AGENT_INACTIVE_AFTER_S": "3600"}

    def __init__(self, scratch: Path, *, quiet: bool) -> None:
        super().__init__(scratch, quiet=quiet)
        self.ids: dict[str, str] = {}

    async def play(self) -> list[Verdict]:
        """Play the story and return the verdicts on its claims."""
        self._make_repository()
        self.scene("A repository with two checks; a server starts beside it.")
        async with self.server() as owner:
            await self.cast(owner)
            await self._submit_all(owner)
            await self._until(owner, lambda changes: _count(changes, "landed") >= _KILL_AFTER)
            self.scene("The server is killed, with changes being checked, and starts again.")
            assert self.server_process is not None
            self.server_process.send_signal(signal.SIGKILL)
            await self.server_process.wait()
        async with self.server() as owner:
            printing = asyncio.create_task(self._print_events(owner))
            await self._decide_and_repair(owner)
            record = queue_checks.QueueRecord(
                log=[event async for event in owner.items("event.list", limit=200)],
                work=self.work,
                target=TARGET,
                ids=self.ids,
                changes={
                    key: await owner.call_json("change.show", {"change_id": id_})
                    for key, id_ in self.ids.items()
                },
            )
            printing.cancel()
        return check_claims(queue_checks.CLAIMS, record)

    def _make_repository(self) -> None:
        self.work.mkdir()
        repository.git(self.work, "init", "--quiet", f"--initial-branch={TARGET}")
        for name, value in (
            ("user.name", "Demo"),
            ("user.email", "demo@example.org"),
            ("commit.gpgsign", "false"),
        ):
            repository.git(self.work, "config", name, value)
        files = _FILES | {"repomesh.toml": _CONFIGURATION.format(seen=self.scratch / "seen")}
        self._commit(files, "Begin")
        repository.git(self.work, "checkout", "--quiet", "--detach")

    def _commit(self, files: dict[str, str], message: str) -> None:
        for name, text in files.items():
            (self.work / name).write_text(text)
        repository.git(self.work, "add", "--all")
        repository.git(self.work, "commit", "--quiet", "-m", message)

    def _branch(self, submission: _Submission) -> None:
        """Commit a submission's files on a branch of its name."""
        repository.git(self.work, "checkout", "--quiet", "-B", submission.key, submission.on)
        self._commit(submission.files, submission.key)
        repository.git(self.work, "checkout", "--quiet", "--detach")

    async def _submit_all(self, owner: Client) -> None:
        self.scene("Eight agents commit on branches of their own, and submit 24 changes at once.")
        task = await owner.call_json("task.create", {"goal": "Tighten the rules"})
        claim = await self._as("hal", owner.url, "task.claim", {"task_id": task["id"]})
        fenced = {"task_id": task["id"], "fencing_token": claim["fencing_token"]}
        submissions = _submissions(fenced)
        for submission in submissions:
            self._branch(submission)
        first = [submission for submission in submissions if submission.key != "second-floor"]
        await asyncio.gather(*(self._submit(owner.url, submission) for submission in first))
        await self._submit(owner.url, submissions[-1])
        # hal is gone: its task is taken over before anybody has approved its change.
        await owner.call_json("task.block", {"task_id": task["id"], "reason": "hal does not answer"})
        await owner.call_json("task.unblock", {"task_id": task["id"]})
        await self._as("ada", owner.url, "task.claim", {"task_id": task["id"]})

    async def _submit(self, url: str, submission: _Submission) -> None:
        fields = {"summary": submission.key, "branch": submission.key} | submission.fields
        made = await self._as(submission.author, url, "change.submit", fields)
        self.ids[submission.key] = made["id"]

    async def _decide_and_repair(self, owner: Client) -> None:
        """Approve what needs a person, and repair what came back."""
        await owner.call_json("agent.register", {"name": "pat", "type": "human"})
        self.scene("pat, a person, approves what touches the rules of the queue.")
        made = await owner.call_json("token.create", {"role": "agent", "agent": "pat", "label": "demo"})
        self.tokens["pat"] = made["token"]
        verdict = {"change_id": self.ids["rules"], "comment": "Fine."}
        await self._as("pat", owner.url, "change.approve", verdict)
        await self._until(owner, lambda changes: not _count(changes, *_MOVING))
        changes = await self._changes(owner)
        for key, (author, text) in {
            "title-a": ("cid", "# A demo, by two\n\nSays hello.\n"),
            "title-b": ("dot", "# A demo, by two\n\nSays hello.\n"),
        }.items():
            if changes[key]["state"] == "returned":
                self.scene(f"{author} repairs the collision, and submits it again.")
                repaired = _Submission(
                    "title-repaired", author, {"README.md": text}, fields={"replaces": self.ids[key]}
                )
                self._branch(repaired)
                await self._submit(owner.url, repaired)
        await self._until(owner, lambda changes: not _count(changes, *_MOVING))

    async def _changes(self, owner: Client) -> dict[str, dict[str, Any]]:
        by_id = {change["id"]: change async for change in owner.items("change.list", limit=200)}
        return {key: by_id[id_] for key, id_ in self.ids.items()}

    async def _until(self, owner: Client, holds: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until `holds` of the changes is true, for a bounded time."""
        for _ in range(round(_PATIENCE_S / _LOOK_S)):
            if holds(list((await self._changes(owner)).values())):
                return
            await asyncio.sleep(_LOOK_S)

    async def _as(self, name: str, url: str, operation: str, fields: dict[str, Any]) -> Any:
        async with Client(url, self.tokens[name]) as client:
            return await client.call_json(operation, fields)

    async def _print_events(self, owner: Client) -> None:
        names: dict[str, str] = {}
        async for event in follow(owner, after=0, type=["change", "queue"]):
            add_name(names, event)
            self.print(event_line(output.style(), event, names))


_MOVING = ("submitted", "queued", "building", "checking", "landing")


def _submissions(fenced: dict[str, Any]) -> list[_Submission]:
    """The 24 changes; the last builds on the one before it."""
    plain = [
        _Submission(f"page-{number}", AGENTS[number % len(AGENTS)], {f"page-{number}.txt": f"{number}\n"})
        for number in range(_PLAIN)
    ]
    added = "\n\ndef {name}():\n    return '{name}'\n"
    return [
        *plain,
        _Submission("title-a", "cid", {"README.md": "# The demo\n\nSays hello.\n"}),
        _Submission("title-b", "dot", {"README.md": "# One demo\n\nSays hello.\n"}),
        _Submission("greet-a", "eli", {"greeter.py": _GREETER + added.format(name="moin")}),
        _Submission("greet-b", "fay", {"greeter.py": _GREETER + added.format(name="servus")}),
        _Submission("broken", "gus", {"broken.py": "# BROKEN\n"}),
        _Submission("weather", "ben", {"weather.txt": "changeable\n"}),
        _Submission("rules", "ada", {"CODEOWNERS": "* @pat\n"}),
        _Submission("late-rules", "hal", {".gitattributes": "*.txt text\n"}, fields=fenced),
        _Submission("first-floor", "ben", {"house.txt": "first floor\n"}),
        _Submission("second-floor", "ben", {"house.txt": "first floor\nsecond floor\n"}, on="first-floor"),
    ]


def _count(changes: Sequence[dict[str, Any]], *states: str) -> int:
    return sum(change["state"] in states for change in changes)
