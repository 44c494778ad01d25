"""What can go wrong with changes and the merge queue."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class ChangeNotFound(NotFound):
    """There is no such change in this workspace."""

    code = "change_not_found"
    hint = "List the changes with 'repomesh change list' or GET /v1/changes."


class NoSingleSource(InvalidRequest):
    """A change is submitted as exactly one of a branch, a commit, a patch and a bundle."""

    code = "change_source"
    hint = "Send exactly one of 'branch', 'commit', 'patch' and 'bundle'."


class ChangeEmpty(InvalidRequest):
    """A change that changes nothing: its tree is that of its base."""

    code = "change_empty"
    hint = "Commit your work first ('git status' shows what is not committed), then submit it."


class ChangeUnrelated(InvalidRequest):
    """The submitted commit has no ancestor in common with the target branch."""

    code = "change_unrelated"
    hint = "Base your branch on the target branch: 'git rebase --onto TARGET BASE BRANCH'."


class ChangeTooLarge(InvalidRequest):
    """A change touches more files, or a larger file, than the queue takes."""

    code = "change_too_large"
    hint = "Split it into smaller changes that name each other in 'depends_on'; put large files into Git LFS."


class ChangeDiffers(InvalidRequest):
    """A change touches what its author did not declare."""

    code = "change_differs"
    hint = "Take these files out of the change, or declare them in 'declared_scope'."


class BundleInvalid(InvalidRequest):
    """A git bundle can't be read, or needs commits that the repository does not have."""

    code = "bundle_invalid"
    hint = "Make it with 'git bundle create FILE TARGET..BRANCH' from a base that the repository has."


class TargetMissing(Conflict):
    """The target branch does not exist, so nothing can land on it."""

    code = "target_missing"
    hint = "Make the branch, or name another as 'queue.target' in repomesh.toml."


class ChangeStateConflict(Conflict):
    """The change's state does not allow this. `state` is what it is, `possible` what can be done now."""

    code = "change_state"
    hint = "'repomesh change show ID' says what state it is in, and what would move it."


class TooManyChanges(Conflict):
    """As many changes are under way in this workspace as the queue plans with."""

    code = "too_many_changes"
    hint = "Wait until some have landed, or withdraw those that nobody needs: 'repomesh change list'."


class NoLane(NotFound):
    """There is no merge queue for this branch."""

    code = "queue_not_found"
    hint = "'repomesh queue status' lists the branches that have one."


class PausedByPerson(Forbidden):
    """A person paused the merge queue, and an agent would resume it."""

    code = "paused_by_person"
    hint = "Ask the person to run 'repomesh queue resume' with the owner's token."


class DependencyUnknown(InvalidRequest):
    """`depends_on` names a change that does not exist, or that will never land."""

    code = "change_dependency"
    hint = "Name changes that are under way or landed, as 'repomesh change list' shows them."


class OwnChange(Forbidden):
    """Nobody approves a change of their own."""

    code = "own_change"
    hint = "Ask another agent or a person: 'repomesh change approve ID' as them."


class NotYourChange(Forbidden):
    """Only the author of a change, or the owner, does this to it."""

    code = "not_your_change"
    hint = "Ask the agent in 'author_name', or use the owner's token."


class PatchChanged(Conflict):
    """The approval names another patch than the change has now: it was rebuilt meanwhile."""

    code = "patch_changed"
    hint = "Look at it again with 'repomesh change diff ID', then approve its present 'patch_id'."


class RollbackNeedsOrder(Conflict):
    """Other landed changes build on those that are to be rolled back. `dependants` names them."""

    code = "rollback_dependants"
    hint = "Name the dependants in 'change_ids', too: 'repomesh rollback ID ID' takes all of them back."


class RollbackScope(InvalidRequest):
    """A rollback names some landed changes of one branch, or a commit of it, within the limits."""

    code = "rollback_scope"
    hint = (
        "Name 'change_ids', or 'to' for all that landed after a commit; 'repomesh queue report' lists both."
    )
