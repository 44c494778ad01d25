"""Several commands in one transaction: all of them, or none."""

from __future__ import annotations

from typing import Annotated

import orjson
from pydantic import Field, JsonValue

from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.operation import Kind, Model, Operation, command, query, registry
from repomesh.kernel.settings import Settings
from repomesh.store.transaction import Transaction


class BatchStep(Model):
    """One operation of a batch, and its request as JSON."""

    operation: str
    request: dict[str, JsonValue]


class RunBatch(Model):
    """What to do, in this order."""

    steps: Annotated[tuple[BatchStep, ...], Field(min_length=1, max_length=limits.BATCH_STEPS_MAX)]


class BatchDone(Model):
    """What each step answered."""

    results: list[JsonValue]


def _stage(request: RunBatch, settings: Settings) -> None:
    for step in request.steps:
        operation = registry[step.operation]
        if operation.stage is not None:
            operation.stage(operation.parse(orjson.dumps(step.request)), settings)


@command("batch.run", scope="sessions:write", stage=_stage)
def run_batch(tx: Transaction, request: RunBatch) -> BatchDone:
    """Run operations in their order; the first that is refused undoes all, and says in `step` which it was.

    For surfaces, which choose the operations: a caller names none of them by itself.
    """
    return BatchDone(results=[_run(tx, number, step) for number, step in enumerate(request.steps)])


@query("batch.read", scope="sessions:read")
def read_batch(tx: Transaction, request: RunBatch) -> BatchDone:
    """Run queries in their order, on one state of the store, for who may only read."""
    assert all(registry[step.operation].kind is Kind.QUERY for step in request.steps)
    return BatchDone(results=[_run(tx, number, step) for number, step in enumerate(request.steps)])


def _run(tx: Transaction, number: int, step: BatchStep) -> JsonValue:
    operation: Operation = registry[step.operation]
    assert operation.kind is not Kind.SUBSCRIPTION
    assert operation.blocking is None
    assert operation.compute is None
    try:
        tx.caller.require(operation.scope)
        if operation.needs_agent:
            tx.caller.acting_agent()
        result = operation.function(tx, operation.parse(orjson.dumps(step.request)))
    except RepomeshError as error:
        error.details["step"] = number
        raise
    answer: JsonValue = result.model_dump(mode="json")
    return answer
