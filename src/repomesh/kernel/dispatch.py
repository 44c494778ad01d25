"""The only way in: authorise, validate, run in one transaction, commit, answer."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from opentelemetry.trace import Status, StatusCode
from pydantic import BaseModel

from repomesh.kernel.completions import Completions
from repomesh.kernel.computing import Computing
from repomesh.kernel.embeddings import Embedder, EndpointEmbedder, Texts
from repomesh.kernel.errors import ConditionIgnored, InternalError, RepomeshError, Unavailable
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.operation import Blocking, Consulting, Kind, Operation, Payload, Registry
from repomesh.kernel.ports import Signals, Store
from repomesh.kernel.rates import RateLimiter
from repomesh.kernel.telemetry import Metrics, tracer

log = structlog.get_logger("repomesh.dispatch")

_FOLLOW_UPS_MAX = 10_000  # queued behind answers; beyond it they are dropped, and offered again later


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answered; `replayed` when an Idempotency-Key found an earlier result."""

    result: BaseModel
    replayed: bool = False


class Dispatcher:
    """Runs operations for callers.

    `verify` checks the caller's token again inside each writing transaction, so that a token revoked a
    moment ago can't write; `renew_secret` puts a secret into a replayed result, since no record holds
    one; `access_changed` is called after an operation that changes who may do what.
    Whoever `on_call` was given to hears of every caller that was let in.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        signals: Signals,
        limiter: RateLimiter,
        metrics: Metrics,
        verify: Callable[[Any], None],
        renew_secret: Callable[[Any, BaseModel], BaseModel],
        access_changed: Callable[[], None],
        completions: Completions | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self._registry = registry
        self._store = store
        self._signals = signals
        self._limiter = limiter
        self._metrics = metrics
        self._verify = verify
        self._renew_secret = renew_secret
        self._access_changed = access_changed
        self._completions = completions or Completions(store.settings)
        self._embedder = embedder or EndpointEmbedder(store.settings)
        self._follow_ups: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._interrupted = False
        self._computing = Computing(store.settings)
        self._on_call: list[Callable[[Caller], None]] = []

    async def __call__(
        self, operation: Operation, caller: Caller, payload: Payload, context: RequestContext
    ) -> Answer:
        """Answer `payload`, or raise the RepomeshError that says why not. Nothing else is raised."""
        started = time.perf_counter()
        code = "ok"
        with tracer.span(operation.name, context.trace_id, context.traceparent) as span:
            span.set_attribute("repomesh.workspace_id", caller.workspace_id)
            try:
                return await self._answer(operation, caller, payload, context)
            except RepomeshError as error:
                code = error.code
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

    def on_call(self, listener: Callable[[Caller], None]) -> None:
        """Have `listener` hear of every caller that was let in."""
        self._on_call.append(listener)

    def heard(self, caller: Caller) -> None:
        """Tell of a caller that gave a sign of life, here or on a surface that keeps its line open."""
        for listener in self._on_call:
            listener(caller)

    def interrupt(self) -> None:
        """End every wait at once, since the server stops. A place in a queue stays for who comes back."""
        self._interrupted = True
        for task in self._waiting:
            task.cancel()

    async def close(self) -> None:
        """Finish the commands queued behind answers, and ask no model any more."""
        await self._completions.close()
        self._computing.close()
        while self._follow_ups:
            await asyncio.gather(*self._follow_ups, return_exceptions=True)

    async def _answer(
        self, operation: Operation, caller: Caller, payload: Payload, context: RequestContext
    ) -> Answer:
        caller.require(operation.scope)
        if operation.needs_agent:
            caller.acting_agent()
        request = operation.parse(payload)
        self.heard(caller)
        if operation.rate is not None:
            self._limiter.take(operation.rate, caller)
        if operation.stage is not None:
            await asyncio.to_thread(operation.stage, request, self._store.settings)
        key = _key(operation, request, context)
        if operation.consults is not None:
            request = await self._consulted(operation.consults, caller, request)
        blocking = operation.blocking
        if blocking is not None and blocking.seconds(request) > 0:
            answer = await self._wait(operation, blocking, caller, request, context, key)
        else:
            answer = await self._run(operation, caller, request, context, key)
        self._queue_follow_up(operation, caller, request, answer.result)
        return answer

    async def _consulted(self, consults: Consulting, caller: Caller, request: BaseModel) -> BaseModel:
        """The request with what a model answered, if there is something to ask."""
        question = await self._store.read(caller, lambda tx: consults.question(tx, request))
        if question is None:
            return request
        if isinstance(question, Texts):
            return consults.answered(request, question, await self._embedder.embed(question))
        return consults.answered(request, question, await self._completions.complete(question))

    async def _wait(
        self,
        operation: Operation,
        blocking: Blocking,
        caller: Caller,
        request: BaseModel,
        context: RequestContext,
        key: _Key | None,
    ) -> Answer:
        deadline = time.monotonic() + blocking.seconds(request)
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            async with self._signals.listen(caller, blocking.events) as signal:
                while True:
                    answer = await self._run(operation, caller, request, context, key)
                    remaining_s = deadline - time.monotonic()
                    if blocking.done(answer.result):
                        return answer
                    if remaining_s <= 0:
                        break
                    request = blocking.again(request, answer.result)
                    await signal.wait(remaining_s)
        except asyncio.CancelledError:
            if self._interrupted:
                raise Unavailable("the server is stopping") from None
            if blocking.give_up is not None:  # nobody waits any more, so others come sooner
                self.queue(blocking.give_up, caller, request)
            raise
        finally:
            self._waiting.discard(task)
        if blocking.give_up is None:
            return answer
        answer = await self._run(self._registry[blocking.give_up], caller, request, context)
        if blocking.refusal is not None:
            raise blocking.refusal(answer.result)
        return answer

    async def _run(
        self,
        operation: Operation,
        caller: Caller,
        request: BaseModel,
        context: RequestContext,
        key: _Key | None = None,
    ) -> Answer:
        if operation.kind is not Kind.COMMAND:
            found = await self._store.read(caller, lambda tx: operation.function(tx, request))
            if operation.compute is not None:
                found = await self._computing.result(operation.compute, found, request)
            return Answer(found)
        try:
            return await self._store.write(
                caller, context, lambda tx: self._command(tx, operation, request, key)
            )
        finally:  # also when the caller is gone: what it asked for may have been done
            if operation.changes_access:
                self._access_changed()

    def _command(self, tx: Any, operation: Operation, request: BaseModel, key: _Key | None) -> Answer:
        self._verify(tx)
        if key is None:
            return Answer(self._apply(tx, operation, request))
        recorded = tx.recall(operation.name, key.text, key.fingerprint)
        if recorded is not None:
            result = operation.result.model_validate_json(recorded)
            return Answer(self._renew_secret(tx, result) if operation.secret else result, replayed=True)
        result = self._apply(tx, operation, request)
        if operation.blocking is None or operation.blocking.done(result):
            kept = result.model_copy(update={operation.secret: ""}) if operation.secret else result
            tx.remember(operation.name, key.text, key.fingerprint, kept.model_dump_json())
        return Answer(result)

    def _apply(self, tx: Any, operation: Operation, request: BaseModel) -> BaseModel:
        result: BaseModel = operation.function(tx, request)
        if tx.context.if_match is not None and not tx.version_checked:
            raise ConditionIgnored(f"{operation.name} changes nothing that has a version")
        return result

    def _queue_follow_up(
        self, operation: Operation, caller: Caller, request: BaseModel, result: BaseModel
    ) -> None:
        following = operation.follow_up and operation.follow_up(request, result)
        if following:
            self.queue(following[0], caller, following[1])

    def queue(self, name: str, caller: Caller, payload: BaseModel) -> None:
        """Run an internal command behind what was answered or pushed; what goes wrong with it is logged."""
        if len(self._follow_ups) >= _FOLLOW_UPS_MAX:
            return
        task = asyncio.create_task(self._follow(self._registry[name], caller, payload), name=name)
        self._follow_ups.add(task)
        task.add_done_callback(self._follow_ups.discard)

    async def _follow(self, operation: Operation, caller: Caller, payload: BaseModel) -> None:
        try:
            await self._run(operation, caller, payload, RequestContext())
        except RepomeshError as error:
            log.warning("follow-up refused", operation=operation.name, code=error.code, reason=error.message)
        except Exception:  # nobody waits for it, so nobody else would tell
            log.exception("follow-up failed", operation=operation.name)


@dataclass(frozen=True, slots=True)
class _Key:
    """An Idempotency-Key with the fingerprint of the request that it came with."""

    text: str
    fingerprint: str


def _key(operation: Operation, request: BaseModel, context: RequestContext) -> _Key | None:
    # Of the request as it came: each attempt of a blocking one may carry another place in the queue.
    if context.idempotency_key is None or operation.kind is not Kind.COMMAND:
        return None
    fingerprint = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
    return _Key(context.idempotency_key, fingerprint)
