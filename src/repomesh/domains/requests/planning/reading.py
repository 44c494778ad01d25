"""Reads a proposed plan from JSON or from a mapping, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from repomesh.domains.requests.planning.models import Plan, PlanViolation
from repomesh.kernel import limits

_SHOWN_CHARS = 100  # of a key or a field's name that the plan brought


def read_plan(payload: bytes | Mapping[str, Any]) -> tuple[Plan | None, list[PlanViolation]]:
    """Return the plan in a payload, or None and the reasons why it can't be read.

    Refuses more than PLAN_BYTES_MAX bytes and more than PLAN_TASKS_MAX tasks before it looks at them.
    """
    if isinstance(payload, bytes) and len(payload) > limits.PLAN_BYTES_MAX:
        message = f"the plan has {len(payload):,} bytes, more than {limits.PLAN_BYTES_MAX:,}"
        return None, [PlanViolation(rule="size", message=message, fix="Name fewer files, or use patterns.")]
    tasks = payload.get("tasks") if isinstance(payload, Mapping) else None
    if isinstance(tasks, list | tuple) and len(tasks) > limits.PLAN_TASKS_MAX:
        return None, [too_many_tasks(len(tasks), limits.PLAN_TASKS_MAX)]
    try:
        if isinstance(payload, bytes):
            return Plan.model_validate_json(payload), []
        return Plan.model_validate(payload), []
    except ValidationError as error:
        return None, [_violation(payload, dict(first)) for first in error.errors(include_input=False)[:20]]
    except RecursionError:
        return None, [
            PlanViolation(rule="shape", message="the plan is nested too deep", fix="Send a plain plan.")
        ]


def too_many_tasks(count: int, tasks_max: int) -> PlanViolation:
    """Return the violation of the limit of tasks."""
    return PlanViolation(
        rule="tasks_max",
        message=f"the plan has {count:,} tasks, more than {tasks_max}",
        fix="Join tasks that touch the same folder, or divide the request.",
    )


def _violation(payload: bytes | Mapping[str, Any], error: Mapping[str, Any]) -> PlanViolation:
    location = tuple(error["loc"])
    name = ".".join(str(part) for part in location)[:_SHOWN_CHARS] or "plan"
    return PlanViolation(
        rule="shape",
        task=_key_at(payload, location),
        message=f"{name}: {str(error['msg'])[:_SHOWN_CHARS]}",
        fix="Correct this field; the schema of a plan names the fields and their bounds.",
    )


def _key_at(payload: bytes | Mapping[str, Any], location: tuple[int | str, ...]) -> str | None:
    """Return the key of the task at an error's location, where the payload is a mapping that has one."""
    if isinstance(payload, bytes) or len(location) < 2 or location[0] != "tasks":
        return None
    try:
        key = payload["tasks"][location[1]]["key"]
    except (KeyError, IndexError, TypeError):
        return None
    return key[:_SHOWN_CHARS] if isinstance(key, str) else None
