"""What can go wrong with tasks."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class TaskNotFound(NotFound):
    """No task of this workspace has that id."""

    code = "task_not_found"
    hint = "List the tasks with GET /v1/tasks."


class NoTaskReady(NotFound):
    """This agent can claim no open task now. `details` gives the reasons."""

    code = "no_task_ready"
    hint = (
        "No task can be claimed. See what blocks the open ones with GET /v1/tasks, or wait for a "
        "'task.ready' event."
    )


class TaskStatusConflict(Conflict):
    """The task's status does not allow this; `possible` lists what is allowed."""

    code = "task_status"
    hint = "Read the task; 'possible' names what can be done with it now."


class TaskAlreadyClaimed(Conflict):
    """The task is claimed; `holder`, `holder_name` and `expires_at` say by whom and until when."""

    code = "task_claimed"
    hint = "Claim another: task 'next' is the best that is free. Or ask the holder to release it."


class FencingTokenMissing(InvalidRequest):
    """The task is held, so its holder must send the fencing token of its claim."""

    code = "fencing_token_missing"
    hint = "Send the fencing_token that the claim was answered with."


class DependenciesUnmet(Conflict):
    """The task depends on tasks that are not done."""

    code = "dependencies_unmet"
    hint = "Complete those first, or remove them from 'dependencies'."


class DependencyCycle(Conflict):
    """The dependencies would make tasks wait for each other for ever; `cycle` names them in order."""

    code = "dependency_cycle"
    hint = "Leave out one of the dependencies that 'cycle' names."


class DependencyNotFound(InvalidRequest):
    """A dependency is no task of this workspace."""

    code = "dependency_not_found"
    hint = "Create the tasks in 'dependencies' first, and name them by the ids that were answered."


class DependenciesTooMany(Conflict):
    """The task depends, directly or indirectly, on more unfinished tasks than the server follows."""

    code = "dependencies_too_many"
    hint = "Complete some of 'dependencies' first, or name fewer."


class CapabilitiesMissing(Conflict):
    """The task needs capabilities that the agent did not register with; `missing` names them."""

    code = "capabilities_missing"
    hint = "Leave it to an agent that has them, or register again with these 'capabilities'."


class TaskAssigned(Conflict):
    """The task is assigned to one agent alone; `assignee_name` names it."""

    code = "task_assigned"
    hint = "Leave it to that agent, or claim another with claim_task."


class ReviewRequired(Conflict):
    """The task completes only with an approved review that is linked to it."""

    code = "review_required"
    hint = "Request a review with this 'task_id', and complete the task when it is approved."


class NotYourTask(Forbidden):
    """Somebody else holds the task, and the caller neither made it nor owns the workspace."""

    code = "not_your_task"
    hint = "Ask its holder or the agent in 'created_by', or use the owner's token."
