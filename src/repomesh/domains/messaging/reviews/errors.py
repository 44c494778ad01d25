"""What can go wrong in a review."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class ReviewNotFound(NotFound):
    """There is no such review in this workspace."""

    code = "review_not_found"
    hint = "List the reviews with GET /v1/reviews."


class NothingToReview(InvalidRequest):
    """A review needs a commit range or a diff."""

    code = "nothing_to_review"
    hint = "Send 'commit_range', 'diff', or both."


class OwnReviewer(InvalidRequest):
    """An author can't review their own change."""

    code = "own_reviewer"
    hint = "Name other agents in 'reviewers'. List the agents with GET /v1/agents."


class LineWithoutFile(InvalidRequest):
    """A comment on a line must name the file."""

    code = "line_without_file"
    hint = "Send 'file', too, or leave 'line' out."


class ReviewWithdrawn(Conflict):
    """The author has withdrawn the review, and nothing can be added to it."""

    code = "review_withdrawn"
    hint = "Ask the author for a new one, with POST /v1/reviews."


class StaleRevision(Conflict):
    """The verdict is about a revision that the author has replaced since. `revision` is the current one."""

    code = "stale_revision"
    hint = "Read the current 'revision' with GET /v1/reviews/{review_id}, and decide again."


class NotAReviewer(Forbidden):
    """Only the requested reviewers can decide, and never the author."""

    code = "not_a_reviewer"
    hint = "Ask the author to add you to 'reviewers' with the next revision."


class NotTheAuthor(Forbidden):
    """Only the author revises or withdraws a review."""

    code = "not_the_author"
    hint = "Comment with POST /v1/reviews/{review_id}/comments, or ask the author."


class NotInReview(Forbidden):
    """Only the author and the reviewers comment on a review."""

    code = "not_in_review"
    hint = "Write to the author with send_message, or ask to be added to 'reviewers'."
