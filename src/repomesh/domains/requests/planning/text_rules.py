"""Rules about a plan's texts: what must be there, control characters, and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from repomesh.domains.changes.building.secrets import find_secrets
from repomesh.domains.requests.planning.models import Plan, PlannedTask, PlanViolation
from repomesh.kernel import limits

# Control characters but tab and line feed, marks that turn the direction of text, and invisible ones.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]")


def check_texts(plan: Plan) -> Iterator[PlanViolation]:
    """Yield what is wrong with the texts of a plan."""
    for task in plan.tasks:
        yield from _missing(task)
        yield from _control_characters(task.key, _texts(task))
    yield from _control_characters(None, _plan_texts(plan))
    yield from _secrets(plan)


def has_control_characters(text: str) -> bool:
    """Whether a text has control, direction or invisible characters; tab and line feed are none."""
    return _CONTROL.search(text) is not None


def _texts(task: PlannedTask) -> list[tuple[str, str]]:
    """Return the texts of a task, each with the name of its field."""
    lists = {"acceptance": task.acceptance, "checks": task.checks, "dependencies": task.dependencies}
    lists |= {"files": task.files, "new_files": task.new_files, "read_only_context": task.read_only_context}
    items = [(name, text) for name, texts in lists.items() for text in texts]
    return [("key", task.key), ("goal", task.goal), *items]


def _plan_texts(plan: Plan) -> list[tuple[str, str]]:
    shared = [("shared", text) for item in plan.shared for text in (item.path, item.task, item.reason)]
    return [*shared, *(("notes", note) for note in plan.notes)]


def _missing(task: PlannedTask) -> Iterator[PlanViolation]:
    if not task.goal.strip():
        message = f"task {task.key!r} has no goal"
        yield PlanViolation(rule="goal", task=task.key, message=message, fix="Say what the task achieves.")
    if not any(criterion.strip() for criterion in task.acceptance):
        message = f"task {task.key!r} has no acceptance criterion"
        fix = "Say in 'acceptance' what must be true when the task is done."
        yield PlanViolation(rule="acceptance", task=task.key, message=message, fix=fix)


def _control_characters(key: str | None, texts: Sequence[tuple[str, str]]) -> Iterator[PlanViolation]:
    fields = sorted({name for name, text in texts if has_control_characters(text)})
    if fields:
        where = f"task {key!r}" if key is not None else "the plan"
        message = f"{where} has control or invisible characters in {', '.join(fields)}"
        fix = "Write printable characters only."
        yield PlanViolation(rule="control_characters", task=key, message=message, fix=fix)


def _secrets(plan: Plan) -> Iterator[PlanViolation]:
    """Yield a violation for each field that looks like it holds a secret, without repeating the secret."""
    owners = [(task.key, name, text) for task in plan.tasks for name, text in _texts(task)]
    owners += [("", name, text) for name, text in _plan_texts(plan)]
    lines = [(key, name, line) for key, name, text in owners for line in text.split("\n")]
    if len(lines) > limits.SECRET_LINES_MAX:
        message = f"the texts of the plan have more than {limits.SECRET_LINES_MAX:,} lines"
        yield PlanViolation(rule="secrets", message=message, fix="Write shorter texts, or name fewer files.")
        return
    try:
        places = find_secrets((str(index), 1, line) for index, (_key, _name, line) in enumerate(lines))
    except ImportError:
        message = "the texts can't be checked for secrets: the extra repomesh[queue] is not installed"
        yield PlanViolation(rule="secrets", message=message, fix="Run: pip install 'repomesh[queue]'")
        return
    for place in places:
        index, _, type_ = place.partition(":1 ")
        key, name, _line = lines[int(index)]
        where = f"task {key!r}" if key else "the plan"
        message = f"{where} has in {name} what looks like a secret {type_}"
        fix = "Remove it: name where the secret is kept, never the secret."
        yield PlanViolation(rule="secrets", task=key or None, message=message, fix=fix)
