"""The only way in: authorise, validate, run in one transaction, commit, answer."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from opentelemetry.trace import Status, StatusCode
from pydantic import BaseModel, ValidationError

from repomesh.kernel import limits
from repomesh.kernel.budget import keep_within
from repomesh.kernel.computing import CallerTurns, ComputeQueue, Computing, PlacesPerCaller
from repomesh.kernel.errors import (
    ConditionIgnored,
    DamagedRecord,
    Failure,
    InternalError,
    RepomeshError,
    TooManyWaits,
    Unavailable,
)
from repomesh.kernel.fields import Page
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.json_text import run_off_loop_if_large
from repomesh.kernel.json_values import canonical_json
from repomesh.kernel.operation import Kind, Operation, Payload, Registry, Shorten, WaitRule
from repomesh.kernel.ports import AbsenceClock, Completions, Embedder, EventSignals, ServerWasDown, StorePort
from repomesh.kernel.preparation import Preparation, prepare_threads
from repomesh.kernel.rates import RateLimiter
from repomesh.kernel.telemetry import Metrics, tracer

T = TypeVar("T")
log = structlog.get_logger("repomesh.dispatch")

_FOLLOW_UPS_MAX = 10_000  # queued behind answers; beyond it they are dropped, and offered again later


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What an operation answered; `replayed` when an Idempotency-Key found an earlier result.

    `json` is the result as JSON text, where it was made on the thread that read it: a long one would keep
    others waiting on the event loop. `extra_result` is what the context's `extra_query` returned.
    """

    result: BaseModel
    replayed: bool = False
    json: bytes | None = None
    extra_result: Any = None


class Dispatcher:
    """Runs operations for callers.

    `verify` checks the caller's token again inside each writing transaction, so that a token revoked a
    moment ago can't write; `renew_secret` puts a secret into a replayed result, since no record holds
    one; `access_changed` is called after an operation that changes permissions.
    With `uptime`, the first operation after an absence of the server (stopped, asleep, restarted) waits until
    the deadlines of leases and agents were moved by that time.
    """

    def __init__(
        self,
        registry: Registry,
        store: StorePort,
        signals: EventSignals,
        limiter: RateLimiter,
        metrics: Metrics,
        verify: Callable[[Any], None],
        renew_secret: Callable[[Any, BaseModel], BaseModel],
        access_changed: Callable[[], None],
        completions: Completions,
        embedder: Embedder,
        uptime: AbsenceClock | None = None,
    ) -> None:
        self._registry = registry
        self._store = store
        self._signals = signals
        self._limiter = limiter
        self._metrics = metrics
        self._verify = verify
        self._renew_secret = renew_secret
        self._access_changed = access_changed
        self._uptime = uptime
        self._completions = completions
        self._embedder = embedder
        self._follow_ups: set[asyncio.Task[None]] = set()
        self._waiting_tasks: set[asyncio.Task[Any]] = set()
        self._waits: PlacesPerCaller[str] = PlacesPerCaller(
            limits.CALLS_WAITING_PER_AGENT_MAX,
            lambda count: TooManyWaits(f"{count} calls of yours wait already"),
        )
        self._interrupted = False
        self._searches = ComputeQueue(limits.SEARCHES_AT_ONCE, limits.SEARCHES_WAITING_MAX, "searches")
        self._reads = CallerTurns(limits.READS_PER_CALLER, limits.READS_WAITING_MAX, "reads")
        self._computing = Computing()
        self._prepare_threads = prepare_threads()
        self._on_call: list[Callable[[Caller], None]] = []
        self._refusal_logged_at: dict[str, float] = {}  # by code, of which there are few

    async def __call__(
        self, operation: Operation, caller: Caller, payload: Payload, context: RequestContext
    ) -> OperationResult:
        """Run `operation` and return its result. Raises RepomeshError, and nothing else, when it fails."""
        started = time.perf_counter()
        code = "ok"
        with tracer.span(operation.name, context.trace_id, context.traceparent) as span:
            span.set_attribute("repomesh.workspace_id", caller.workspace_id)
            try:
                return await self._authorise_and_run(operation, caller, payload, context)
            except RepomeshError as error:
                code = error.code
                if error.failure is Failure.UNAVAILABLE:
                    self._log_refusal(operation, error)
                raise
            except asyncio.CancelledError:
                code = "cancelled"
                raise
            except Exception as error:  # the edge of the process: nothing may reach a caller unexplained
                code = "internal"
                log.exception("operation failed", operation=operation.name, trace_id=context.trace_id)
                raise InternalError("the operation failed inside the server") from error
            finally:
                if code != "ok":
                    span.set_status(Status(StatusCode.ERROR, code))
                self._metrics.answered(operation.name, code, time.perf_counter() - started)

    def _log_refusal(self, operation: Operation, error: RepomeshError) -> None:
        """Log why the server is unavailable, such as a full disk: each code once in REFUSAL_LOG_S."""
        now = time.monotonic()
        if now - self._refusal_logged_at.get(error.code, -limits.REFUSAL_LOG_S) < limits.REFUSAL_LOG_S:
            return
        self._refusal_logged_at[error.code] = now
        log.warning("refused", operation=operation.name, code=error.code, reason=error.message)

    def on_call(self, listener: Callable[[Caller], None]) -> None:
        """Register a callback that runs after each authorised call. It must not block."""
        self._on_call.append(listener)

    def notify_called(self, caller: Caller) -> None:
        """Run the `on_call` callbacks for a caller that is alive: it called, or its connection is open."""
        for listener in self._on_call:
            listener(caller)

    def interrupt(self) -> None:
        """Cancel every wait, since the server stops. Callers keep their places in queues."""
        self._interrupted = True
        for task in self._waiting_tasks:
            task.cancel()

    async def close(self) -> None:
        """Close the connection to the model, and finish the commands queued behind answers."""
        await self._completions.close()
        self._computing.close()
        for threads in self._prepare_threads.values():
            threads.close()
        while self._follow_ups:
            await asyncio.gather(*self._follow_ups, return_exceptions=True)

    async def _authorise_and_run(
        self, operation: Operation, caller: Caller, payload: Payload, context: RequestContext
    ) -> OperationResult:
        caller.require(operation.scope)
        if operation.needs_agent:
            caller.acting_agent()
        size = len(payload) if isinstance(payload, bytes) else 0
        request = await run_off_loop_if_large(size, operation.parse, payload)
        self.notify_called(caller)
        try:
            if operation.rate is not None:
                self._limiter.take(operation.rate, caller)
            key = None if context.idempotency_key is None else _idempotency_key(operation, request, context)
            if operation.prepare is not None and not await self._is_recorded(operation, caller, key):
                request = await operation.prepare(request, self._preparation(operation, caller))
            if operation.blocking is not None and operation.blocking.seconds(request) > 0:
                answer = await self._wait(operation, operation.blocking, caller, request, context, key)
            else:
                answer = await self._run(operation, caller, request, context, key)
        except DamagedRecord as error:
            log.exception("damaged record", operation=operation.name, trace_id=context.trace_id)
            error.details.setdefault("record", _request_ids(request))
            raise
        except ValidationError as error:  # the request was checked: it is a record that a model refuses
            log.exception("damaged record", operation=operation.name, trace_id=context.trace_id)
            fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
            message = f"a stored {error.title} can't be read: {fields}"
            raise DamagedRecord(message, record=_request_ids(request)) from error
        follow_up = operation.follow_up and operation.follow_up(request, answer.result)
        if follow_up:
            self.queue(follow_up[0], caller, follow_up[1])
        return answer

    async def _is_recorded(self, operation: Operation, caller: Caller, key: _IdempotencyKey | None) -> bool:
        """Whether an answer is recorded under the key: it is given again, whatever has changed since.

        What `prepare` finds now, such as a branch that was deleted, says nothing about what was done then.
        """
        if key is None:
            return False
        find = partial(_find_recorded, operation.name, key)
        return await self._after_absence(lambda: self._store.read(caller, find)) is not None

    def _preparation(self, operation: Operation, caller: Caller) -> Preparation:
        async def read(work: Callable[[Any], Any]) -> Any:
            async with self._turn(operation, caller):
                return await self._after_absence(
                    lambda: self._store.read(caller, lambda tx: work(self._check_absence(tx)))
                )

        models = self._completions, self._embedder
        return Preparation(
            read, self._store, *models, self._computing, caller.actor_id, self._prepare_threads
        )

    async def _wait(
        self,
        operation: Operation,
        blocking: WaitRule,
        caller: Caller,
        request: BaseModel,
        context: RequestContext,
        key: _IdempotencyKey | None,
    ) -> OperationResult:
        deadline = time.monotonic() + blocking.seconds(request)
        task = asyncio.current_task()
        assert task is not None
        with self._waits.place(caller.actor_id):
            self._waiting_tasks.add(task)
            try:
                async with self._signals.listen(caller, blocking.events) as signal:
                    while True:
                        answer = await self._run(operation, caller, request, context, key)
                        remaining_s = deadline - time.monotonic()
                        if blocking.done(answer.result):
                            return answer
                        if remaining_s <= 0:
                            break
                        request = blocking.next_request(request, answer.result)
                        await signal.wait(remaining_s)
            except asyncio.CancelledError:
                if self._interrupted:
                    raise Unavailable("the server is stopping") from None
                if blocking.give_up is not None:  # nobody waits any more, so others come sooner
                    self.queue(blocking.give_up, caller, request)
                raise
            finally:
                self._waiting_tasks.discard(task)
        if blocking.give_up is None:
            return answer
        answer = await self._run(self._registry[blocking.give_up], caller, request, context)
        if blocking.timeout_error is not None:
            raise blocking.timeout_error(answer.result)
        return answer

    async def _run(
        self,
        operation: Operation,
        caller: Caller,
        request: BaseModel,
        context: RequestContext,
        key: _IdempotencyKey | None = None,
    ) -> OperationResult:
        if operation.kind is not Kind.COMMAND:
            async with self._turn(operation, caller):
                query = partial(self._run_query, operation, request, context.extra_query)
                return await self._after_absence(lambda: self._store.read(caller, query))
        try:
            command = partial(self._run_command, operation, request, key)
            return await self._after_absence(lambda: self._store.write(caller, context, command))
        finally:  # also when the caller is gone: what it asked for may have been done
            if operation.changes_access:
                self._access_changed()

    def _turn(self, operation: Operation, caller: Caller) -> AbstractAsyncContextManager[None]:
        """A turn of the caller's among its reads, or among those of everybody that read many long texts."""
        turns = self._searches if operation.expensive_read else self._reads
        return turns.turn(caller.actor_id)

    async def _after_absence(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what `attempt` returns; after an absence of the server, once deadlines were moved."""
        while True:
            try:
                return await attempt()
            except ServerWasDown:
                if self._uptime is None:
                    raise
                await self._uptime.extend_deadlines()

    def _check_absence(self, tx: Any) -> Any:
        """The transaction; raises ServerWasDown when the server was away before it."""
        if self._uptime is not None:
            self._uptime.check(tx)
        return tx

    def _run_query(
        self, operation: Operation, request: BaseModel, extra_query: Callable[[Any], Any] | None, tx: Any
    ) -> OperationResult:
        result = operation.function(self._check_absence(tx), request)
        if tx.damaged and isinstance(result, Page):  # which says which records it had to leave out
            result = result.model_copy(update={"damaged": tx.damaged})
        is_http_query = operation.http is not None and operation.kind is Kind.QUERY
        extra_result = extra_query and extra_query(tx)
        return (
            _fit_query_result(result, request, extra_result)
            if is_http_query
            else OperationResult(result, extra_result=extra_result)
        )

    def _run_command(
        self, operation: Operation, request: BaseModel, key: _IdempotencyKey | None, tx: Any
    ) -> OperationResult:
        self._verify(self._check_absence(tx))
        extra_query = tx.context.extra_query
        recorded = None if key is None else tx.recorded_answer(operation.name, key.text, key.fingerprint)
        if recorded is not None:
            result = operation.result.model_validate_json(recorded)
            full_result = self._renew_secret(tx, result) if operation.secret_field else result
            shown_result = (
                full_result
                if operation.shorten is None
                else _shorten_result(operation.shorten, full_result, request)
            )
            return OperationResult(shown_result, replayed=True, extra_result=extra_query and extra_query(tx))
        result = operation.function(tx, request)
        if tx.context.if_match is not None and not tx.version_checked:
            raise ConditionIgnored(f"{operation.name} changes nothing that has a version")
        if key is not None and (operation.blocking is None or operation.blocking.done(result)):
            recorded_result = (
                result.model_copy(update={operation.secret_field: ""}) if operation.secret_field else result
            )
            tx.record_answer(operation.name, key.text, key.fingerprint, recorded_result.model_dump_json())
        shown_result = (
            result if operation.shorten is None else _shorten_result(operation.shorten, result, request)
        )
        return OperationResult(shown_result, extra_result=extra_query and extra_query(tx))

    def queue(self, name: str, caller: Caller, payload: BaseModel) -> None:
        """Run an internal command in the background; its errors are logged.

        Beyond _FOLLOW_UPS_MAX queued commands it is dropped.
        """
        if len(self._follow_ups) >= _FOLLOW_UPS_MAX:
            return
        task = asyncio.create_task(self._run_follow_up(self._registry[name], caller, payload), name=name)
        self._follow_ups.add(task)
        task.add_done_callback(self._follow_ups.discard)

    async def _run_follow_up(self, operation: Operation, caller: Caller, payload: BaseModel) -> None:
        try:
            await self._run(operation, caller, payload, RequestContext())
        except RepomeshError as error:
            log.warning("follow-up refused", operation=operation.name, code=error.code, reason=error.message)
        except Exception:  # nobody awaits the task, so the error would be lost
            log.exception("follow-up failed", operation=operation.name)


def _find_recorded(operation: str, key: _IdempotencyKey, tx: Any) -> bytes | None:
    """The answer that is recorded under a key."""
    recorded: bytes | None = tx.recorded_answer(operation, key.text, key.fingerprint)
    return recorded


def _fit_query_result(result: BaseModel, request: BaseModel, extra_result: Any) -> OperationResult:
    """A query's result with its JSON, cut to the request's `max_chars` if it has one."""
    text = encode(result)
    max_chars = getattr(request, "max_chars", None)
    if max_chars is None or len(text) <= max_chars or len(text.decode()) <= max_chars:
        return OperationResult(result, json=text, extra_result=extra_result)
    fitted = keep_within(result, max_chars)
    return OperationResult(
        fitted, json=text if fitted is result else encode(fitted), extra_result=extra_result
    )


def _shorten_result(shorten: Shorten, result: BaseModel, request: BaseModel) -> BaseModel:
    """A command's result, cut to the request's `max_chars` if it has one."""
    max_chars = getattr(request, "max_chars", None)
    if max_chars is None:
        return result
    shortened: BaseModel = shorten(result, max_chars)
    return shortened if len(shortened.model_dump_json()) <= max_chars else keep_within(shortened, max_chars)


def encode(result: BaseModel) -> bytes:
    """A result as JSON text in UTF-8."""
    return result.__pydantic_serializer__.to_json(result)


def _request_ids(request: BaseModel) -> dict[str, Any]:
    """The ids by which a request names its record."""
    values = {name: getattr(request, name) for name in type(request).model_fields if name.endswith("_id")}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _IdempotencyKey:
    """An Idempotency-Key with the fingerprint of the request that it came with."""

    text: str
    fingerprint: str


def _idempotency_key(
    operation: Operation, request: BaseModel, context: RequestContext
) -> _IdempotencyKey | None:
    # Of the request as it came: before it is prepared, and not of an attempt's place in a queue.
    if context.idempotency_key is None or operation.kind is not Kind.COMMAND:
        return None
    if operation.shorten is not None:  # the record holds the whole result, from which any budget is served
        request = request.model_copy(update={"max_chars": None})
    fingerprint = hashlib.sha256(canonical_json(request.model_dump_json())).hexdigest()
    return _IdempotencyKey(context.idempotency_key, fingerprint)
