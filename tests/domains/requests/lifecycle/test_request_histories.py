"""Whatever people and agents do with requests, and in whatever order: states and tasks agree.

Random histories of create, edit, approve, plan, stop, resume and cancel, and of agents that claim, complete,
fail, release and block the tasks, on a real repository.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
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

from clocks import StillClock
from repomesh.app import Server
from repomesh.domains.agents import operations as agents
from repomesh.domains.agents.models import RegisterAgent
from repomesh.domains.requests.lifecycle.models import RequestDetail
from repomesh.domains.requests.lifecycle.rules import NOT_ENDED
from repomesh.domains.workspaces import operations as workspaces
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller, RequestContext, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.operations import registry
from repositories import Scratch

HISTORIES = int(os.environ.get("REPOMESH_TEST_REQUEST_HISTORIES", "5"))
FILES = ("a.py", "b.py", "c/d.py", ".github/workflows/ci.yml")
PEOPLE, AGENTS = ("pat",), ("ada", "ben")
STEPS = {
    None: {"received"},
    "received": {"received", "clarifying", "briefed"},
    "clarifying": {"clarifying", "briefed"},
    "briefed": {"clarifying", "briefed", "planning"},
    "planning": {"clarifying", "briefed", "planning", "planned"},
    "planned": {"clarifying", "briefed", "planned", "working"},
    "working": {"working", "done", "failed"},
}
_REFUSALS = frozenset(
    {
        "request_state", "request_stopped", "only_people", "not_your_request", "document_outdated",
        "task_status",
        "fencing_token_missing", "lease_expired", "not_holder", "stale_fencing_token", "not_your_task",
        "dependencies_unmet", "lock_conflict", "task_not_claimable", "no_task_ready", "task_claimed",
    }
)  # fmt: skip


class RequestHistories(RuleBasedStateMachine):
    """Each example plays in a workspace and a repository of its own."""

    def __init__(self, server: Server, clock: StillClock, runner: asyncio.Runner, folder: Path) -> None:
        super().__init__()
        self.server, self.clock, self.runner = server, clock, runner
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.workspace = new_id()
        self.owner = system_caller(self.workspace)
        self.callers: dict[str, Caller] = {}
        self.requests: list[str] = []
        self.tokens: dict[str, tuple[str, int]] = {}

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def call(self, who: str, operation: str, **fields: Any) -> Any:
        """The result of an operation; None where it was refused, as it may be."""
        model = registry[operation]
        caller = self.owner if who == "the server" else self.callers[who]
        try:
            return self.wait(
                self.server.dispatch(model, caller, model.parse(fields), RequestContext())
            ).result
        except RepomeshError as error:
            if error.code not in _REFUSALS:
                raise
            return None

    def show(self, request_id: str) -> RequestDetail:
        shown: RequestDetail = self.call("pat", "request.show", request_id=request_id)
        return shown

    def pick(self, number: int) -> str:
        return self.requests[number % len(self.requests)]

    @initialize(
        roles=st.sampled_from(["", '[roles.engineer]\nagent = "ada"\n[roles.orchestrator]\nagent = "ben"\n'])
    )
    def begin(self, roles: str) -> None:
        self.scratch = Scratch(self.folder / "repository")
        self.scratch.commit(dict.fromkeys(FILES, "x = 1\n") | ({"repomesh.toml": roles} if roles else {}))
        self.scratch.git("checkout", "-q", "--detach")
        path = str(self.scratch.path)
        self.server.store.write_now(
            self.owner,
            lambda tx: workspaces.create(tx, self.workspace, f"w{self.workspace}", path, home=False),
        )
        for name in (*PEOPLE, *AGENTS):
            self.callers[name] = self._register(name)

    def _register(self, name: str) -> Caller:
        kind = "human" if name in PEOPLE else "ai"
        request = RegisterAgent(name=name, type=kind, instance_id=new_id(), force=True)
        made = self.server.store.write_now(self.owner, lambda tx: agents.register_agent(tx, request))
        return Caller(self.workspace, Role.AGENT, made.token_id, made.agent.id, name, kind, made.instance_id)

    # What is asked for

    @rule(
        who=st.sampled_from(["pat", "ada", "ben"]),
        files=st.lists(st.sampled_from(FILES), max_size=3),
        approval=st.sampled_from([None, "always", "never"]),
    )
    def create(self, who: str, files: list[str], approval: str | None) -> None:
        made = self.call(who, "request.create", text="Do it", files=files, approval=approval)
        if made is not None:
            self.requests.append(made.id)

    @precondition(lambda self: self.requests)
    @rule(
        number=st.integers(0, 99),
        who=st.sampled_from(["pat", "ada"]),
        files=st.lists(st.sampled_from(FILES), max_size=3),
        asks=st.booleans(),
    )
    def send_brief(self, number: int, who: str, files: list[str], asks: bool) -> None:
        brief = {"goal": "Do it well", "files": files, "open_questions": ["How?"] if asks else []}
        self.call(who, "request.edit", request_id=self.pick(number), brief=brief)

    @precondition(lambda self: self.requests)
    @rule(
        number=st.integers(0, 99),
        who=st.sampled_from(["pat", "ben"]),
        first=st.sampled_from(FILES),
        second=st.sampled_from(FILES),
        waits=st.booleans(),
    )
    def send_plan(self, number: int, who: str, first: str, second: str, waits: bool) -> None:
        """Two tasks, which may own the same file: such a plan is not taken."""
        tasks = [
            {"key": key, "goal": f"Do {key}", "files": [path], "acceptance": ["It works"]}
            for key, path in (("one", first), ("two", second))
        ]
        if waits:
            tasks[0]["dependencies"] = ["two"]
        edited = self.call(who, "request.edit", request_id=self.pick(number), plan={"tasks": tasks})
        assert edited is None or edited.accepted == (first != second)

    @rule()
    def make_plans(self) -> None:
        """The server makes the plans that are due."""
        while not self.call("the server", "request.split").complete:
            pass

    @precondition(lambda self: self.requests)
    @rule(
        number=st.integers(0, 99),
        who=st.sampled_from(["pat", "pat", "ada"]),
        what=st.sampled_from(["approve", "approve", "approve", "stop", "resume", "resume", "cancel"]),
    )
    def decide(self, number: int, who: str, what: str) -> None:
        self.call(who, f"request.{what}", request_id=self.pick(number))

    # What agents do with the tasks

    @precondition(lambda self: self.requests)
    @rule(who=st.sampled_from(AGENTS))
    def claim(self, who: str) -> None:
        claimed = self.call(who, "task.claim", task_id="next")
        if claimed is not None:
            self.tokens[claimed.task.id] = who, claimed.fencing_token

    @precondition(lambda self: self.tokens)
    @rule(
        number=st.integers(0, 99),
        outcome=st.sampled_from(["done", "done", "done", "failed", "released", "blocked"]),
    )
    def finish(self, number: int, outcome: str) -> None:
        task_id = list(self.tokens)[number % len(self.tokens)]
        who, token = self.tokens.pop(task_id)
        fields = {"reason": "it is so"} if outcome in ("failed", "blocked") else {}
        self.call(who, "task.finish", task_id=task_id, fencing_token=token, outcome=outcome, **fields)

    @precondition(lambda self: self.requests)
    @rule(number=st.integers(0, 99))
    def unblock(self, number: int) -> None:
        for task in self.show(self.pick(number)).tasks:
            if task.status == "blocked":
                self.call("pat", "task.unblock", task_id=task.task_id)

    @rule()
    def pass_time(self) -> None:
        """Claims lapse, and their tasks are open again."""
        self.clock.advance(3_600)
        self.call("the server", "recovery.reconcile")

    # What must hold

    @invariant()
    def states_and_tasks_agree(self) -> None:
        for request_id in self.requests:
            self._require_agreement(self.show(request_id))

    def _require_agreement(self, request: RequestDetail) -> None:
        statuses = [task.status for task in request.tasks]
        if request.state in ("working", "done", "failed"):
            assert request.plan is not None
            assert sorted(task.key for task in request.tasks) == sorted(
                task.key for task in request.plan.document.tasks
            )
            assert request.approval != "always" or request.plan.approved_by is not None
            assert (
                request.approval == "never" or not request.plan.risks or request.plan.approved_by is not None
            )
        elif request.state != "cancelled":
            assert not request.tasks
        if request.state == "done":
            assert set(statuses) == {"done"}
        if request.state == "failed":
            assert {"failed", "cancelled"} & set(statuses)
            assert not {"open", "claimed"} & set(statuses)
        if request.state == "cancelled":
            assert not {"open", "claimed", "blocked"} & set(statuses)
        if request.state == "working":
            assert set(statuses) != {"done"}
            assert not request.stopped or not {"open", "claimed"} & set(statuses)
        assert (request.ended_at is None) == (request.state in NOT_ENDED)
        assert request.reason
        assert (request.waits_for is None) == (request.state not in NOT_ENDED), request
        assert request.next_step or request.state not in NOT_ENDED, request

    @invariant()
    def each_state_follows_from_the_one_before(self) -> None:
        if not self.callers:
            return
        page = self.call("pat", "event.list", type=["request.*"], limit=limits.PAGE_ITEMS_MAX)
        state: dict[str, str] = {}
        for event in page.items:
            request = event.data["request"]
            before = state.get(request["id"])
            if request["state"] != before:
                steps = STEPS.get(before, set()) | ({"cancelled"} if before in NOT_ENDED else set())
                assert request["state"] in steps, f"{before} → {request['state']}"
            state[request["id"]] = request["state"]

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def test_histories_of_requests_keep_states_and_tasks_together(
    quiet_server: Server, still_clock: StillClock, runner: asyncio.Runner, tmp_path: Path, engine: str
) -> None:
    run_state_machine_as_test(
        lambda: RequestHistories(quiet_server, still_clock, runner, tmp_path),
        settings=hypothesis_settings(
            max_examples=HISTORIES if engine == "sqlite" else max(2, HISTORIES // 6),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
