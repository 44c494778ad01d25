"""Whatever happens to changes, and in whatever order: the target branch and the store keep their promises.

Random histories of submit, approve, reject, lock, unlock, pause, resume, withdraw, retry, replace, roll back
and of workers that die, on a real repository with a check that fails for some files and is flaky for others.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from clocks import StillClock
from domains.changes.test_crashes import Died, bury, mortal, run_lanes
from repomesh.app import Server
from repomesh.domains.agents import operations as agents
from repomesh.domains.agents.models import RegisterAgent
from repomesh.domains.changes.rules import IN_WORK
from repomesh.domains.changes.tables import check_results
from repomesh.domains.workspaces import operations as workspaces
from repomesh.domains.workspaces.tables import workspaces as workspace_rows
from repomesh.jobs.merge_queue.worker import MergeQueue
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.operations import registry
from repositories import Scratch

HISTORIES = int(os.environ.get("REPOMESH_TEST_QUEUE_HISTORIES", "6"))
AUTHORS = ("ann", "ben", "cat")
PATHS = ("a.txt", "b.txt", "risky.txt")
LINES = 9
MARKER = "FAIL"
CONFIGURATION = """\
[queue]
target = "main"
attempts_max = 2
batch_max = 3
sandbox = "off"

[[checks]]
name = "words"
command = "sh {check}"

[[risk]]
name = "risky"
level = "high"
paths = ["risky.txt"]

[approval]
high = {{ people = 1 }}
"""
# A word that is flaky fails its first check only.
CHECK = """\
grep -q FAIL ./*.txt && exit 1
for word in $(grep -ho 'FLAKE[0-9]*' ./*.txt); do
    test -e '{seen}'/$word || {{ touch '{seen}'/$word; exit 1; }}
done
exit 0
"""
_REFUSALS = frozenset(
    {
        "change_state", "change_empty", "own_change", "change_dependency", "rollback_dependants",
        "lock_conflict",
    }
)  # fmt: skip
_ENDED = frozenset({"landed", "rejected", "withdrawn", "superseded"})


@dataclass
class Submitted:
    """A change of the model."""

    id: str
    author: str
    path: str
    line: int
    head: str
    approved: bool = False
    ended: str | None = None
    depends_on: Sequence[str] = field(default_factory=list)


class Histories(RuleBasedStateMachine):
    """Each example plays in a workspace and a repository of its own."""

    def __init__(self, server: Server, clock: StillClock, runner: asyncio.Runner, folder: Path) -> None:
        super().__init__()
        self.server, self.clock, self.runner = server, clock, runner
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.workspace = new_id()
        self.owner = system_caller(self.workspace)
        self.callers: dict[str, Caller] = {}
        self.changes: list[Submitted] = []
        self.tokens: dict[tuple[str, str], int] = {}
        self.history: list[str] = []
        self.paused = False
        self.count = 0

    # What there is

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def call(self, who: Caller, operation: str, **fields: Any) -> Any:
        """The result of an operation; None where it was refused, as it may be."""
        model = registry[operation]
        request = model.parse(fields)
        try:
            return self.wait(self.server.dispatch(model, who, request, RequestContext())).result
        except RepomeshError as error:
            if error.code not in _REFUSALS:
                raise
            return None

    def show(self, change: Submitted) -> Any:
        return self.call(self.owner, "change.show", change_id=change.id)

    def pick(self, number: int) -> Submitted:
        return self.changes[number % len(self.changes)]

    @initialize()
    def begin(self) -> None:
        seen = self.folder / "seen"
        seen.mkdir()
        check = self.folder / "check.sh"
        check.write_text(CHECK.format(seen=seen))
        self.scratch = Scratch(self.folder / "repository")
        text = "".join(f"{number} 0\n" for number in range(LINES))
        files = dict.fromkeys(PATHS, text) | {"repomesh.toml": CONFIGURATION.format(check=check)}
        self.scratch.commit(files)
        self.scratch.git("checkout", "-q", "--detach")
        self.history = [self.scratch.git("rev-parse", "main")]
        path = str(self.scratch.path)

        def create(tx: Any) -> None:
            workspaces.create(tx, self.workspace, f"w{self.workspace}", path, home=False)

        self.server.store.write_now(self.owner, create)
        for name in (*AUTHORS, "pat"):
            self.callers[name] = self._register(name)

    def _register(self, name: str) -> Caller:
        kind = "human" if name == "pat" else "ai"
        request = RegisterAgent(name=name, type=kind, instance_id=new_id(), force=True)
        made = self.server.store.write_now(self.owner, lambda tx: agents.register_agent(tx, request))
        return Caller(self.workspace, Role.AGENT, made.token_id, made.agent.id, name, kind, made.instance_id)

    # What authors do

    def _commit(self, path: str, line: int, word: str, on: str) -> str | None:
        """A commit of one edited line, on a branch of its own; None where `on` has no such file."""
        text = self.scratch.git("show", f"{on}:{path}", check=False)
        if not text:
            return None
        lines = text.split("\n")
        self.count += 1
        lines[line] = f"{line} {word}{self.count}"
        branch = f"work-{self.count}"
        self.scratch.commit({path: "".join(f"{one}\n" for one in lines)}, on=on, branch=branch)
        return branch

    def _submit(self, author: str, path: str, line: int, word: str, on: str, **fields: Any) -> Any:
        branch = self._commit(path, line, word, on)
        if branch is None:
            return None
        made = self.call(self.callers[author], "change.submit", summary=branch, branch=branch, **fields)
        if made is not None:
            self._note(made, author, path, line)
        return made

    def _note(self, made: Any, author: str, path: str, line: int) -> None:
        self.changes.append(
            Submitted(made.id, author, path, line, made.head_commit, depends_on=made.depends_on)
        )

    @rule(
        author=st.sampled_from(AUTHORS),
        path=st.sampled_from(PATHS),
        line=st.integers(0, LINES - 1),
        word=st.sampled_from(["ok", "ok", "ok", "ok", MARKER, "FLAKE"]),
        back=st.integers(0, 3),
    )
    def submit(self, author: str, path: str, line: int, word: str, back: int) -> None:
        """From the target as it is, or as it was."""
        self._submit(author, path, line, word, self.history[max(0, len(self.history) - 1 - back)])

    @precondition(lambda self: self.changes)
    @rule(number=st.integers(0, 1_000), path=st.sampled_from(PATHS), line=st.integers(0, LINES - 1))
    def stack(self, number: int, path: str, line: int) -> None:
        """On the commit of another change."""
        below = self.pick(number)
        self._submit(below.author, path, line, "ok", below.head)

    @precondition(lambda self: self.changes)
    @rule(number=st.integers(0, 1_000), author=st.sampled_from(AUTHORS), line=st.integers(0, LINES - 1))
    def depend(self, number: int, author: str, line: int) -> None:
        """After another change, whatever that is."""
        before = self.pick(number)
        self._submit(author, "b.txt", line, "ok", self.history[-1], depends_on=[before.id])

    @precondition(lambda self: self.changes)
    @rule(number=st.integers(0, 1_000), word=st.sampled_from(["ok", "ok", MARKER]))
    def replace(self, number: int, word: str) -> None:
        old = self.pick(number)
        self._submit(old.author, old.path, old.line, word, self.history[-1], replaces=old.id)

    @precondition(lambda self: self.changes)
    @rule(number=st.integers(0, 1_000), what=st.sampled_from(["withdraw", "retry"]))
    def withdraw_or_retry(self, number: int, what: str) -> None:
        change = self.pick(number)
        self.call(self.callers[change.author], f"change.{what}", change_id=change.id)

    @precondition(lambda self: self.changes)
    @rule(number=st.integers(0, 1_000))
    def roll_back(self, number: int) -> None:
        change = self.pick(number)
        made = self.call(self.callers[change.author], "change.roll_back", change_ids=[change.id])
        if made is not None:
            self._note(made, change.author, change.path, change.line)

    # What others do

    @precondition(lambda self: self.changes)
    @rule(number=st.integers(0, 1_000), what=st.sampled_from(["approve", "approve", "approve", "reject"]))
    def decide(self, number: int, what: str) -> None:
        change = self.pick(number)
        decided = self.call(self.callers["pat"], f"change.{what}", change_id=change.id)
        change.approved |= decided is not None and what == "approve"

    @rule(author=st.sampled_from(AUTHORS), path=st.sampled_from(PATHS))
    def lock_or_unlock(self, author: str, path: str) -> None:
        token = self.tokens.pop((author, path), None)
        if token is not None:
            self.call(self.callers[author], "lock.release", fencing_token=token)
            return
        held = self.call(self.callers[author], "lock.acquire", resources=[path], ttl_s=3_600)
        if held is not None:
            self.tokens[author, path] = held.fencing_token

    @rule()
    def pause_or_resume(self) -> None:
        if self.paused:
            self.call(self.owner, "queue.resume")
            self.paused = False
        else:
            self.paused = bool(self.call(self.owner, "queue.pause", reason="wait").lanes)

    # What the queue does

    @rule(steps=st.none() | st.integers(1, 40), after=st.booleans())
    def work(self, steps: int | None, after: bool) -> None:
        """A worker does all that is due, or dies at a step; then another one goes on later."""
        before = set(self._trailers())
        worker = MergeQueue(registry, self.server.dispatch, self.server.store, self.server.bus)
        if steps is not None:
            mortal(worker, steps, after=after)
        try:
            with suppress(Died):
                self.wait(run_lanes(worker, self.server.store, self.workspace))
        finally:
            self.wait(bury(worker))
        self.clock.advance(limits.QUEUE_CLAIM_S + 1)
        self._require_allowed(set(self._trailers()) - before)

    def _require_allowed(self, moved: set[str]) -> None:
        """What the branch got in a round may have been put there."""
        assert not (moved and self.paused)
        for change in self.changes:
            if change.id not in moved:
                continue
            others = [who for who, path in self.tokens if path == change.path and who != change.author]
            assert not others, f"{change} landed under the lock of {others}"
            assert change.path != "risky.txt" or change.approved

    # What must hold

    def _trailers(self) -> list[str]:
        only_ids = "--format=%(trailers:key=Repomesh-Change,valueonly,separator=)"
        return self.scratch.git("log", only_ids, "main").split()[::-1]

    @invariant()
    def the_target_only_moves_forward_by_checked_trees(self) -> None:
        if not self.callers:
            return
        now = self.scratch.git("log", "--first-parent", "--reverse", "--format=%H %T", "main").split("\n")
        commits = [line.split() for line in now]
        assert [commit for commit, _tree in commits[: len(self.history)]] == self.history
        statement = select(check_results.c.tree).where(
            check_results.c.workspace_id == self.workspace, check_results.c.outcome == "passed"
        )
        passed = set(self.server.store.read_now(self.owner, lambda tx: tx.execute(statement).scalars().all()))
        assert {tree for _commit, tree in commits[len(self.history) :]} <= passed
        self.history = [commit for commit, _tree in commits]

    @invariant()
    def each_change_lands_once_and_behind_those_that_it_depends_on(self) -> None:
        if not self.callers:
            return
        trailers = self._trailers()
        commits = int(self.scratch.git("rev-list", "--count", "main"))
        assert len(trailers) == len(set(trailers)) == commits - 1
        for change in self.changes:
            shown = self.show(change)
            assert change.ended in (None, shown.state), f"{change} became {shown.state}"
            change.ended = shown.state if shown.state in _ENDED else None
            on_branch = change.id in trailers
            assert on_branch == (shown.state == "landed") or shown.state == "landing", shown
            if on_branch:
                place = trailers.index(change.id)
                assert all(one in trailers[:place] for one in shown.depends_on), shown

    @invariant()
    def nobodys_work_is_unreachable(self) -> None:
        if not self.callers:
            return
        listed = self.scratch.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/repomesh/")
        pins = dict(line.split() for line in listed.splitlines())
        for change in self.changes:
            assert pins[f"refs/repomesh/changes/{change.id}/1"] == change.head

    def teardown(self) -> None:
        """With all obstacles gone, nothing is left under way that only the queue could move."""
        if self.callers:
            for author, path in list(self.tokens):
                self.lock_or_unlock(author, path)
            if self.paused:
                self.pause_or_resume()
            for _ in range(4):
                self.clock.advance(max(limits.QUEUE_RETRIES_S))
                self.work(None, False)
            for change in self.changes:
                shown = self.show(change)
                waits = shown.state == "waiting" and shown.waits_for in ("dependencies", "approval")
                assert waits or shown.state not in ("submitted", "waiting", "queued", *IN_WORK), shown
            self.the_target_only_moves_forward_by_checked_trees()
            self.each_change_lands_once_and_behind_those_that_it_depends_on()
            statement = update(workspace_rows).values(path=None)  # its lanes are not due any more
            self.server.store.write_now(self.owner, lambda tx: tx.execute(statement))
        shutil.rmtree(self.folder, ignore_errors=True)


def test_histories_of_changes_keep_what_the_queue_promises(
    quiet_server: Server, still_clock: StillClock, runner: asyncio.Runner, tmp_path: Path, engine: str
) -> None:
    run_state_machine_as_test(
        lambda: Histories(quiet_server, still_clock, runner, tmp_path),
        settings=hypothesis_settings(
            max_examples=HISTORIES if engine == "sqlite" else max(2, HISTORIES // 10),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
