"""The only way in: who may, once or again, what is told of failures, what runs behind answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

import pytest
import structlog
from pydantic import Field
from sqlalchemy import select

from notebook import Notebook
from repomesh.adapters.llm.completions import EndpointCompletions
from repomesh.adapters.llm.embeddings import EndpointEmbedder
from repomesh.domains.agents.authentication import verify
from repomesh.domains.workspaces import tokens
from repomesh.kernel import limits
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import (
    AgentRequired,
    ConditionIgnored,
    Conflict,
    Forbidden,
    IdempotencyConflict,
    InternalError,
    InvalidRequest,
    RateLimited,
    RepomeshError,
    Stale,
    TooManyWaits,
    Unauthenticated,
)
from repomesh.kernel.identity import Caller, RequestContext, Role
from repomesh.kernel.operation import Kind, Model, Operation, Registry, WaitRule
from repomesh.kernel.preparation import Preparation
from repomesh.kernel.rates import RateLimiter
from repomesh.kernel.telemetry import Metrics
from repomesh.store.tables import metadata

pytestmark = pytest.mark.anyio


class Note(Model):
    text: Annotated[str, Field(max_length=50)]
    wait_s: float = 0.0


class Noted(Model):
    text: str
    done: bool = True
    token_id: str = ""
    token: str = ""


class Desk:
    """A dispatcher of operations made up by a test, over a real store."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.registry = Registry()
        self.bell = asyncio.Event()
        self.access_changes = 0
        self.metrics = Metrics()
        with_token = notebook.store.write_now(
            notebook.caller,
            lambda tx: tokens.issue(tx, tx.workspace_id, Role.OWNER, "desk"),
        )
        self.owner = Caller(notebook.caller.workspace_id, Role.OWNER, with_token[0])
        self.dispatch = Dispatcher(
            self.registry,
            notebook.store,
            self,
            RateLimiter({"notes": 3}),
            self.metrics,
            verify=verify,
            renew_secret=tokens.renew_secret,
            access_changed=self._changed,
            completions=EndpointCompletions(notebook.store.settings),
            embedder=EndpointEmbedder(notebook.store.settings),
        )

    def _changed(self) -> None:
        self.access_changes += 1

    @asynccontextmanager
    async def listen(self, caller: Caller, types: frozenset[str]) -> Any:
        yield self

    async def wait(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self.bell.wait(), timeout_s)
        except TimeoutError:
            return False
        self.bell.clear()
        return True

    def add(self, name: str, function: Callable[..., Any] | None = None, **options: Any) -> Operation:
        kind = options.pop("kind", Kind.COMMAND)
        made = Operation(
            name=name,
            kind=kind,
            function=function or self.note,
            request=Note,
            result=Noted,
            scope=options.pop("scope", "notes:write"),
            **options,
        )
        self.registry.add(made)
        return made

    def note(self, tx: Any, request: Note) -> Noted:
        self.notebook.work(request.text)(tx)
        return Noted(text=request.text)

    async def __call__(
        self, operation: Operation, text: str, caller: Caller | None = None, **context: Any
    ) -> Any:
        told = RequestContext(trace_id="t" * 32, **context)
        return await self.dispatch(operation, caller or self.owner, {"text": text}, told)


@pytest.fixture
def desk(notebook: Notebook) -> Desk:
    return Desk(notebook)


async def test_the_same_key_and_request_are_done_once(desk: Desk) -> None:
    write = desk.add("note.write")
    answers = await asyncio.gather(*(desk(write, "hello", idempotency_key="k") for _ in range(10)))
    assert {answer.result.text for answer in answers} == {"hello"}
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    assert desk.notebook.texts() == {"hello"}
    assert desk.notebook.is_consistent()


async def test_a_key_used_for_another_request_is_a_conflict(desk: Desk) -> None:
    write = desk.add("note.write")
    await desk(write, "hello", idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await desk(write, "goodbye", idempotency_key="k")
    assert desk.notebook.texts() == {"hello"}


async def test_a_key_belongs_to_one_principal_one_agent_and_one_operation(desk: Desk) -> None:
    write, again = desk.add("note.write"), desk.add("note.write_again")
    other = desk.notebook.store.write_now(
        desk.notebook.caller, lambda tx: tokens.issue(tx, tx.workspace_id, Role.AGENT, "other")
    )
    callers = [
        desk.owner,
        replace(desk.owner, agent_id="0198d2a0-0000-7000-8000-000000000001"),
        replace(desk.owner, role=Role.AGENT, token_id=other[0]),
    ]
    for number, caller in enumerate(callers):
        assert not (await desk(write, f"note {number}", caller, idempotency_key="k")).replayed
    assert not (await desk(again, "note again", idempotency_key="k")).replayed


async def test_what_failed_may_be_tried_again_with_its_key(desk: Desk) -> None:
    failures = [Conflict("not yet")]

    def reluctant(tx: Any, request: Note) -> Noted:
        if failures:
            raise failures.pop()
        return desk.note(tx, request)

    write = desk.add("note.write", reluctant)
    with pytest.raises(Conflict):
        await desk(write, "hello", idempotency_key="k")
    assert not (await desk(write, "hello", idempotency_key="k")).replayed
    assert (await desk(write, "hello", idempotency_key="k")).replayed


async def test_a_revoked_token_writes_nothing_however_it_was_let_in(desk: Desk) -> None:
    write = desk.add("note.write")
    desk.notebook.store.write_now(
        desk.notebook.caller, lambda tx: tokens.revoke(tx, desk.owner.token_id, None, "lost")
    )
    for key in (None, "k"):
        with pytest.raises(Unauthenticated):
            await desk(write, "hello", idempotency_key=key)
    assert desk.notebook.texts() == set()


async def test_a_fault_is_told_by_its_trace_id_and_explained_in_the_log_alone(desk: Desk) -> None:
    def broken(tx: Any, request: Note) -> Noted:
        desk.notebook.work("lost")(tx)
        raise ZeroDivisionError("the inner workings")

    for kind in (Kind.COMMAND, Kind.QUERY):
        operation = desk.add(f"note.{kind}", broken if kind is Kind.COMMAND else _divide, kind=kind)
        with structlog.testing.capture_logs() as logged, pytest.raises(InternalError) as told:
            await desk(operation, "hello")
        assert "inner workings" not in told.value.message
        assert told.value.details == {}
        entry = next(line for line in logged if line["event"] == "operation failed")
        assert (entry["operation"], entry["trace_id"]) == (operation.name, "t" * 32)
        assert desk.metrics.operations.labels(operation.name, "internal")._value.get() == 1
    assert desk.notebook.texts() == set()


def _divide(tx: Any, request: Note) -> Noted:
    raise ZeroDivisionError("the inner workings")


async def test_a_refused_caller_reaches_nothing(desk: Desk) -> None:
    write = desk.add("note.write")
    asks = desk.add("note.sign", needs_agent=True)
    with pytest.raises(Forbidden):
        await desk(write, "hello", replace(desk.owner, role=Role.OBSERVER))
    with pytest.raises(AgentRequired):
        await desk(asks, "hello")
    with pytest.raises(InvalidRequest) as refused:
        await desk(write, "x" * 51)
    assert refused.value.details["errors"][0]["field"] == "text"
    assert desk.notebook.texts() == set()


async def test_a_rate_has_a_burst_and_says_when_to_come_back(desk: Desk) -> None:
    write = desk.add("note.write", rate="notes")
    for number in range(3):
        await desk(write, f"note {number}")
    with pytest.raises(RateLimited) as refused:
        await desk(write, "one too many")
    assert 0 < refused.value.details["retry_after_s"] <= 20
    other = replace(desk.owner, agent_id="0198d2a0-0000-7000-8000-000000000001")
    await desk(write, "another's", other)


async def test_if_match_is_honoured_or_refused_but_never_passed_over(desk: Desk) -> None:
    def versioned(tx: Any, request: Note) -> Noted:
        tx.check_version(3)
        return desk.note(tx, request)

    change, write = desk.add("note.change", versioned), desk.add("note.write")
    with pytest.raises(Stale) as stale:
        await desk(change, "late", if_match=2)
    assert stale.value.details == {"version": 3}
    await desk(change, "in time", if_match=3)
    with pytest.raises(ConditionIgnored):
        await desk(write, "unconditional", if_match=3)
    assert desk.notebook.texts() == {"in time"}


async def test_a_request_is_prepared_once_outside_of_its_transaction_and_known_by_how_it_came(
    desk: Desk,
) -> None:
    prepared: list[str] = []

    async def prepare(request: Note, preparation: Preparation) -> Note:
        texts = await preparation.read(lambda tx: tx.execute(select(metadata.tables["workspaces"])).all())
        made = await preparation.computing.run(lambda: f"{request.text} beside {len(texts)}, {len(prepared)}")
        prepared.append(threading.current_thread().name)
        return request.model_copy(update={"text": made})

    write = desk.add("note.write", prepare=prepare)
    first = await desk(write, "hello", idempotency_key="k")
    again = await desk(write, "hello", idempotency_key="k")
    assert (first.result.text, again.replayed) == ("hello beside 1, 0", True)
    assert again.result == first.result
    assert prepared == [threading.current_thread().name]
    with pytest.raises(IdempotencyConflict):
        await desk(write, "hello beside 1, 0", idempotency_key="k")
    await desk.dispatch.close()


async def test_a_refusal_while_preparing_leaves_nothing_behind(desk: Desk) -> None:
    async def prepare(request: Note, preparation: Preparation) -> Note:
        raise Conflict("not now")

    with pytest.raises(Conflict):
        await desk(desk.add("note.write", prepare=prepare), "hello")
    assert desk.notebook.texts() == set()


@pytest.mark.parametrize("kind", [Kind.COMMAND, Kind.QUERY])
async def test_what_is_looked_at_besides_comes_with_the_answer(desk: Desk, kind: Kind) -> None:
    def note(tx: Any, request: Note) -> Noted:
        return desk.note(tx, request) if kind is Kind.COMMAND else Noted(text=request.text)

    operation = desk.add("note.write", note, kind=kind)
    answer = await desk(operation, "hello", extra_query=lambda tx: tx.workspace_id)
    assert answer.extra_result == desk.owner.workspace_id
    assert (await desk(operation, "again")).extra_result is None


async def test_access_is_looked_up_again_after_what_changes_it(desk: Desk) -> None:
    change = desk.add("note.write", changes_access=True)
    await desk(change, "hello")
    assert desk.access_changes == 1
    with pytest.raises(InternalError):  # the same note twice: it may have been done, so look again
        await desk(change, "hello")
    assert desk.access_changes == 2


async def test_what_follows_an_answer_is_finished_before_the_end(desk: Desk) -> None:
    desk.add("note.follow")
    write = desk.add(
        "note.write", follow_up=lambda request, _result: ("note.follow", Note(text=request.text + " too"))
    )
    await asyncio.gather(*(desk(write, f"note {n}") for n in range(20)))
    await desk.dispatch.close()
    assert desk.notebook.texts() == {f"note {n}{too}" for n in range(20) for too in ("", " too")}


async def test_a_follow_up_that_fails_is_logged_and_fails_nobody(desk: Desk) -> None:
    desk.add("note.follow", _divide)
    write = desk.add("note.write", follow_up=lambda request, _result: ("note.follow", request))
    with structlog.testing.capture_logs() as logged:
        assert (await desk(write, "hello")).result.text == "hello"
        await desk.dispatch.close()
    assert "follow-up failed" in [line["event"] for line in logged]


def waiting(desk: Desk, **options: Any) -> tuple[Operation, list[str]]:
    """A command that is done when somebody wrote 'ready'; each attempt leaves its place in the request."""
    attempts: list[str] = []

    def attempt(tx: Any, request: Note) -> Noted:
        attempts.append(request.text)
        return Noted(text="done", done="ready" in attempts)

    blocking = WaitRule(
        seconds=lambda request: request.wait_s,
        events=frozenset({"test.note"}),
        done=lambda result: result.done,
        next_request=lambda request, result: request.model_copy(update={"text": request.text + "+"}),
        **options,
    )
    return desk.add("note.await", attempt, blocking=blocking), attempts


async def wait_for(desk: Desk, operation: Operation, text: str, wait_s: float, **context: Any) -> Any:
    return await desk.dispatch(
        operation, desk.owner, Note(text=text, wait_s=wait_s), RequestContext(**context)
    )


async def test_a_wait_ends_when_what_it_waits_for_happens(desk: Desk) -> None:
    operation, attempts = waiting(desk)
    task = asyncio.create_task(wait_for(desk, operation, "first", 30, idempotency_key="k"))
    while not attempts:  # noqa: ASYNC110 - the store's thread fills it
        await asyncio.sleep(0.005)
    attempts.append("ready")
    desk.bell.set()
    assert (await asyncio.wait_for(task, 10)).result.done
    assert attempts == ["first", "ready", "first+"]
    # The key covers the request as it came, though its last attempt looked different.
    assert (await wait_for(desk, operation, "first", 30, idempotency_key="k")).replayed


async def test_a_wait_that_runs_out_gives_up_and_may_be_tried_again(desk: Desk) -> None:
    gave_up: list[str] = []

    def give_up(tx: Any, request: Note) -> Noted:
        gave_up.append(request.text)
        return Noted(text="gave up", done=False)

    desk.add("note.give_up", give_up)
    operation, attempts = waiting(desk, give_up="note.give_up")
    for _ in range(2):
        answer = await wait_for(desk, operation, "first", 0.01, idempotency_key="k")
        assert (answer.result.text, answer.replayed) == ("gave up", False)
    assert len(gave_up) == 2
    attempts.append("ready")
    assert (await wait_for(desk, operation, "first", 0.01, idempotency_key="k")).result.done


async def test_one_caller_waits_in_a_bounded_number_of_calls(desk: Desk) -> None:
    operation, attempts = waiting(desk)
    tasks = [
        asyncio.create_task(wait_for(desk, operation, "first", 30))
        for _ in range(limits.CALLS_WAITING_PER_AGENT_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(TooManyWaits):
        await wait_for(desk, operation, "one more", 30)
    await wait_for(desk, operation, "at once", 0)  # which waits for nothing
    attempts.append("ready")
    desk.bell.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    await asyncio.wait_for(wait_for(desk, operation, "again", 30), 10)


async def test_a_wait_whose_caller_leaves_ends(desk: Desk) -> None:
    gave_up = asyncio.Event()
    loop = asyncio.get_running_loop()

    def give_up(tx: Any, request: Note) -> Noted:
        loop.call_soon_threadsafe(gave_up.set)
        return Noted(text="gave up", done=False)

    desk.add("note.give_up", give_up)
    operation, attempts = waiting(desk, give_up="note.give_up")
    task = asyncio.create_task(wait_for(desk, operation, "first", 30))
    while not attempts:  # noqa: ASYNC110 - the store's thread fills it
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(gave_up.wait(), 10)
    attempts.append("ready")
    desk.bell.set()
    await desk.dispatch.close()
    assert attempts == ["first", "ready"]


async def test_secrets_stand_in_no_file(desk: Desk, engine: str) -> None:
    """Neither the record of a replay nor the log nor anything else keeps the text of a token."""

    def issue(tx: Any, request: Note) -> Noted:
        token_id, secret = tokens.issue(tx, tx.workspace_id, Role.OBSERVER, request.text)
        return Noted(text=request.text, token_id=token_id, token=secret)

    operation = desk.add("note.issue", issue, secret_field="token")
    secrets = []
    for _ in range(2):
        secrets.append((await desk(operation, "new", idempotency_key="k")).result.token)
    assert len(set(secrets)) == 2
    store = desk.notebook.store
    for secret, valid in zip(secrets, (False, True), strict=True):
        try:
            store.read_now(desk.notebook.caller, lambda tx, secret=secret: tokens.find(tx, secret))
            found = True
        except RepomeshError:
            found = False
        assert found == valid
    if engine == "sqlite":
        store.close()
        for path in store.settings.data.rglob("*"):
            if path.is_file():
                assert not any(secret.encode() in path.read_bytes() for secret in secrets), path
    else:
        for table in metadata.sorted_tables:
            rows = store.read_now(
                desk.notebook.caller, lambda tx, table=table: tx.execute(select(table)).all()
            )
            assert not any(secret in str(row) for row in rows for secret in secrets), table.name
