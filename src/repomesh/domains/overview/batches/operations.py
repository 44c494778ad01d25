"""Several commands in one transaction: all of them, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import pydantic_core
from pydantic import BaseModel, Field, JsonValue, PrivateAttr

from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.operation import Kind, Model, Operation, command, query, registry
from repomesh.kernel.preparation import Preparation
from repomesh.store.transaction import Transaction


class BatchStep(Model):
    """One operation of a batch, and its request as JSON."""

    operation: str
    request: dict[str, JsonValue]
    _parsed: BaseModel | None = PrivateAttr(None)

    def parsed(self) -> BaseModel:
        """Return the operation's request, parsed once, or as it was prepared; raises InvalidRequest."""
        if self._parsed is None:
            self._parsed = registry[self.operation].parse(pydantic_core.to_json(self.request))
        return self._parsed

    async def prepare(self, preparation: Preparation) -> None:
        """Prepare a command. A query is not prepared, so that a batch asks no model.

        Raises whatever the command's own `prepare` raises.
        """
        operation = registry[self.operation]
        if operation.prepare is not None and operation.kind is Kind.COMMAND:
            self._parsed = await operation.prepare(self.parsed(), preparation)


class RunBatch(Model):
    """The operations to run, in order."""

    steps: Annotated[tuple[BatchStep, ...], Field(min_length=1, max_length=limits.BATCH_STEPS_MAX)]


class BatchDone(Model):
    """The result of each step."""

    results: list[JsonValue]


@contextmanager
def _note_step(step: int) -> Iterator[None]:
    """Add the number of the step to the details of any error raised in it."""
    try:
        yield
    except RepomeshError as error:
        error.details["step"] = step
        raise


def _parse_steps(request: RunBatch) -> None:
    for number, step in enumerate(request.steps):
        if registry[step.operation].prepare is not None:
            with _note_step(number):
                step.parsed()


async def _prepare_steps(request: RunBatch, preparation: Preparation) -> RunBatch:
    """Prepare each command in order. Requests are parsed on a thread: a batch may have 20 MiB."""
    await asyncio.to_thread(_parse_steps, request)
    for number, step in enumerate(request.steps):
        with _note_step(number):
            await step.prepare(replace(preparation, in_batch=True))
    return request


@command("batch.run", scope="sessions:write", prepare=_prepare_steps)
def run_batch(tx: Transaction, request: RunBatch) -> BatchDone:
    """Run operations in order. The first refusal undoes all of them; `step` names the refused one.

    For surfaces, which choose the operations: a caller can't name operations.
    """
    return BatchDone(results=[_run_step(tx, number, step) for number, step in enumerate(request.steps)])


@query("batch.read", scope="sessions:read")
def read_batch(tx: Transaction, request: RunBatch) -> BatchDone:
    """Run queries in order, on one state of the store, for callers that may only read."""
    assert all(registry[step.operation].kind is Kind.QUERY for step in request.steps)
    return BatchDone(results=[_run_step(tx, number, step) for number, step in enumerate(request.steps)])


def _run_step(tx: Transaction, number: int, step: BatchStep) -> JsonValue:
    operation: Operation = registry[step.operation]
    assert operation.kind is not Kind.SUBSCRIPTION
    assert operation.blocking is None
    with _note_step(number):
        tx.caller.require(operation.scope)
        if operation.needs_agent:
            tx.caller.acting_agent()
        result = operation.function(tx, step.parsed())
        tx.react()
    answer: JsonValue = result.model_dump(mode="json")
    return answer
