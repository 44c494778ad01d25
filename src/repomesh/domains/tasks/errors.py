"""What can go wrong with tasks."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class TaskNotFound(NotFound):
    """No task of this workspace has that id."""

    code = "task_not_found"
    hint = "List the tasks to see their ids."


class NoTaskReady(NotFound):
    """No open task can be claimed by this agent now. `details` say what stands in the way."""

    code = "no_task_ready"
    hint = "Wait for a task.ready or task.created event, or finish or unblock what others wait for."


class TaskStatusConflict(Conflict):
    """The task's present status does not allow this; `possible` names what it does allow."""

    code = "task_status"
    hint = "Read the task; 'possible' names what can be done with it now."


class TaskAlreadyClaimed(Conflict):
    """Somebody holds the task; `holder`, `holder_name` and `expires_at` say who and until when."""

    code = "task_claimed"
    hint = "Claim another: task 'next' is the best that is free. Or ask the holder to release it."


class FencingTokenMissing(InvalidRequest):
    """The task is held, so its holder must send the fencing token of its claim."""

    code = "fencing_token_missing"
    hint = "Send the fencing_token that the claim was answered with."


class DependenciesUnmet(Conflict):
    """The task depends on tasks that are not done."""

    code = "dependencies_unmet"
    hint = "Do those first, or take them out of the task's dependencies."


class DependencyCycle(Conflict):
    """The dependencies would make tasks wait for each other for ever; `cycle` names them in order."""

    code = "dependency_cycle"
    hint = "Leave out one of the dependencies that 'cycle' names."


class DependencyNotFound(InvalidRequest):
    """A dependency is no task of this workspace."""

    code = "dependency_not_found"
    hint = "Create the tasks that others depend on first, and use the ids that were answered."


class DependenciesTooMany(Conflict):
    """More unfinished tasks stand before this one than the server is willing to follow."""

    code = "dependencies_too_many"
    hint = "Finish some of the tasks before it, or depend on fewer."


class CapabilitiesMissing(Conflict):
    """The task needs capabilities that the agent did not register with; `missing` names them."""

    code = "capabilities_missing"
    hint = "Leave it to an agent that has them, or register again with the capabilities you have."


class TaskAssigned(Conflict):
    """The task is meant for one agent alone; `assignee_name` says for whom."""

    code = "task_assigned"
    hint = "Leave it to that agent, or claim another."


class ReviewRequired(Conflict):
    """The task completes only with an approved review that is linked to it."""

    code = "review_required"
    hint = "Request a review with this task's id, and complete the task when it is approved."


class NotYourTask(Forbidden):
    """Somebody else holds the task, and the caller neither made it nor owns the workspace."""

    code = "not_your_task"
    hint = "Ask its holder or its creator, or use the owner's token."
