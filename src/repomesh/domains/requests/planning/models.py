"""The plan of a request: tasks that own their files, and the limits of a task.

These models bound sizes only, so that a plan from a model can be read at all; `rules` decides whether a plan
is acceptable and gives a reason for each violation.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.kernel import limits
from repomesh.kernel.operation import Model

PLAN_VERSION = 1
"""The version of the plan document that this code writes and reads."""

PlanText = Annotated[str, StringConstraints(max_length=limits.PLAN_TEXT_CHARS_MAX)]
PlanPath = Annotated[str, StringConstraints(max_length=limits.PATTERN_CHARS_MAX)]
TaskKey = Annotated[str, StringConstraints(max_length=limits.LABEL_CHARS_MAX)]
PlanTexts = Annotated[tuple[PlanText, ...], Field(max_length=limits.PLAN_TEXTS_MAX)]
_Bound = Annotated[int, Field(ge=1, le=limits.PLAN_TASK_LIMIT_MAX)]

TokenMethod = Literal["characters/4", "tiktoken/o200k_base"]
"""How tokens were counted; see `tokens`."""

SharedMode = Literal["append_only", "one_task"]


class TaskLimits(Model):
    """What one task may hold at most."""

    files_max: _Bound = Field(limits.PLAN_TASK_FILES_MAX, description="Files, existing and new.")
    lines_max: _Bound = Field(limits.PLAN_TASK_LINES_MAX, description="Lines of its existing files.")
    tokens_max: _Bound = Field(limits.PLAN_TASK_TOKENS_MAX, description="Tokens of its existing files.")
    tasks_max: Annotated[int, Field(ge=1, le=limits.PLAN_TASKS_MAX)] = Field(
        limits.PLAN_TASKS_MAX, description="Tasks of one plan."
    )


class TaskSize(Model):
    """How much the files of a task hold on the base commit. New files count as files, without lines."""

    files: int = Field(0, ge=0)
    lines: int = Field(0, ge=0)
    tokens: int = Field(0, ge=0, description="Counted as the plan's `token_method` says.")


class PlannedTask(Model):
    """One task of a plan: the only owner of its files."""

    key: TaskKey = Field(description="Unique in the plan, such as 'cli-doctor'.")
    goal: PlanText = Field(description="What the task achieves, in one or two sentences.")
    files: Annotated[tuple[PlanPath, ...], Field(max_length=limits.PLAN_TASK_PATTERNS_MAX)] = Field(
        (), description="Existing files that the task owns: paths or patterns as for locks."
    )
    new_files: Annotated[tuple[PlanPath, ...], Field(max_length=limits.PLAN_TASK_PATTERNS_MAX)] = Field(
        (), description="Files that the task creates and owns: paths or patterns."
    )
    dependencies: Annotated[tuple[TaskKey, ...], Field(max_length=limits.PLAN_DEPENDENCIES_MAX)] = Field(
        (), description="Keys of tasks that must land before this one."
    )
    acceptance: PlanTexts = Field((), description="What must be true when the task is done.")
    checks: PlanTexts = Field((), description="Commands that show it.")
    read_only_context: Annotated[tuple[PlanPath, ...], Field(max_length=limits.PLAN_CONTEXT_FILES_MAX)] = (
        Field((), description="Files that the task reads and does not change.")
    )
    size: TaskSize = Field(TaskSize(), description="Size of its files on the base commit.")

    @property
    def owned(self) -> tuple[str, ...]:
        """All paths and patterns that the task owns: `files`, then `new_files`."""
        return self.files + self.new_files


class SharedFile(Model):
    """A file that work of several tasks commonly touches. It still has exactly one owner."""

    path: PlanPath
    task: TaskKey = Field(description="The task that owns it.")
    mode: SharedMode = Field(
        description="'append_only': other tasks may add lines or definitions, which the merge queue joins. "
        "'one_task': only the owner changes it; others ask the owner."
    )
    reason: PlanText = Field("", description="Why it counts as shared, such as 'changelog'.")


class Plan(Model):
    """How a request is divided into tasks."""

    version: Literal[1] = Field(1, description="Version of this document.")
    tasks: tuple[PlannedTask, ...] = ()
    independence: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the tasks that own no path of another task, depend on no task, and that no "
        "task depends on; 1.0 for a plan without tasks. `rules.measure_independence` computes it.",
    )
    shared: Annotated[tuple[SharedFile, ...], Field(max_length=limits.PLAN_PATTERNS_MAX)] = ()
    notes: Annotated[tuple[PlanText, ...], Field(max_length=limits.PLAN_NOTES_MAX)] = Field(
        (), description="What was not analysed, and limits that could not be kept."
    )
    token_method: TokenMethod = "characters/4"
    task_limits: TaskLimits = TaskLimits()


class PlanViolation(Model):
    """A rule that a proposed plan breaks."""

    rule: str = Field(description="Name of the rule, such as 'overlap'.")
    task: str | None = Field(None, description="Key of the task; None for the whole plan.")
    message: str = Field(description="What is wrong, with the names of the tasks and files.")
    fix: str = Field(description="What to change in the plan.")
