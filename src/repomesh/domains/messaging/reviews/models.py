"""Models of code reviews: a thread about a change, which ends when every reviewer approves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, DetailChars, Label, MaxChars, Page, PageLimit
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model

ReviewState = Literal["requested", "changes_requested", "approved", "withdrawn"]

Verdict = Literal["approved", "changes_requested"]

Title = Annotated[Label, StringConstraints(min_length=1)]

CommitRange = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x20\x7f]+$", max_length=limits.LABEL_CHARS_MAX)
]
"""One commit or a range as git names it, such as 'main..fix-login'."""

Prose = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=limits.REVIEW_TEXT_CHARS_MAX)]
"""Markdown."""

Diff = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=limits.REVIEW_DIFF_CHARS_MAX)]

FilePath = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=limits.REVIEW_PATH_CHARS_MAX),
]
"""A path from the repository's root."""

FilePaths = Annotated[tuple[FilePath, ...], Field(max_length=limits.REVIEW_FILES_MAX)]

Reviewers = Annotated[tuple[AgentRef, ...], Field(min_length=1, max_length=limits.REVIEWERS_MAX)]

LineNumber = Annotated[int, Field(ge=1, le=100_000_000)]

Revision = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Reviewer(Model):
    """A requested reviewer and the verdict on the present revision."""

    agent_id: Id
    agent_name: str
    verdict: Verdict | None = Field(description="Null until this revision was judged.")
    decided_at: Timestamp | None


class Review(Model):
    """The state of a review; its long texts are in `ReviewTexts`."""

    id: Id
    title: str
    state: ReviewState = Field(description="'approved' when every reviewer approved the present revision.")
    revision: int = Field(description="Grows when the author changes what is reviewed.")
    author_id: Id
    author_name: str
    reviewers: list[Reviewer]
    task_id: Id | None
    thread_id: Id = Field(description="The review's thread: the id of its first message.")
    message_id: Id = Field(description="The message that asks for the present revision: answer that one.")
    commit_range: str | None
    file_count: int
    diff_chars: int = Field(description="Length of the diff, 0 without one.")
    comment_count: int = Field(description="Comments and verdicts so far.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int = Field(description="Grows with each change; the ETag.")


class ReviewTexts(Model):
    """The description, files and diff of the present revision."""

    description: str
    files: list[str]
    diff: str | None
    truncated: bool = Field(False, description="Whether these are only the beginnings.")


class ReviewComment(Model):
    """A comment, perhaps about a line, or a verdict; it is also a message of the thread."""

    message_id: Id
    agent_id: Id | None
    agent_name: str
    revision: int | None = Field(description="The revision it is about; null for a plain answer.")
    file: str | None
    line: int | None
    verdict: Verdict | None
    body: str
    truncated: bool = Field(False, description="Whether `body` is only the beginning.")
    created_at: Timestamp


class ShownReview(Page[ReviewComment]):
    """A review with its texts, and one page of its comments and verdicts, oldest first."""

    review: Review
    texts: ReviewTexts
    version: int


class RequestReview(Model):
    """Ask others to look at a change: a commit range, a diff, or both."""

    title: Title
    reviewers: Reviewers = Field(description="Agent names; all of them must approve.")
    commit_range: CommitRange | None = Field(
        None, description="Such as 'main..fix-login'; it or `diff` is needed."
    )
    diff: Diff | None = None
    files: FilePaths = Field((), description="The files it changes.")
    description: Prose = Field("", description="What and why, in Markdown.")
    task_id: Id | None = Field(None, description="The task it belongs to.")


class ListReviews(Model):
    """Which reviews to list."""

    state: ReviewState | None = None
    task_id: Id | None = None
    reviewer: AgentRef | None = Field(None, description="Asked of this agent.")
    author: AgentRef | None = Field(None, description="Requested by this agent.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ShowReview(Model):
    """One review."""

    review_id: Id
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: DetailChars | None = Field(None, description="Budget for the answer; texts are cut to fit.")


class CommentReview(Model):
    """A comment, anchored to a file and a line if it is about one."""

    review_id: Id
    body: Annotated[Prose, Field(min_length=1)]
    file: FilePath | None = None
    line: LineNumber | None = Field(None, description="Line of `file` in the revision under review.")


class DecideReview(Model):
    """A reviewer's verdict on the present revision. A later one replaces it."""

    review_id: Id
    verdict: Verdict
    summary: Prose = Field("", description="Why; what must change.")
    revision: Revision | None = Field(None, description="The revision that was looked at; refused if past.")


class WithdrawReview(Model):
    """Withdraw a review, as its author."""

    review_id: Id
    reason: Prose = ""


class ReviseReview(Model):
    """The author changed what is under review: everybody is asked again. Absent fields stay as they are."""

    review_id: Id
    summary: Prose = Field("", description="What changed.")
    commit_range: CommitRange | None = None
    diff: Diff | None = None
    files: FilePaths | None = None
    reviewers: Reviewers | None = Field(None, description="Others than before, if given.")


class ReviewChanged(Model):
    """A review as it is now, with its texts when they are new and the remark that changed it, if any."""

    review: Review
    texts: ReviewTexts | None = None
    remark: ReviewComment | None = None


REVIEW_REQUESTED = event_type("review.requested", ReviewChanged, "An author asked for a review.")
REVIEW_COMMENTED = event_type(
    "review.commented", ReviewChanged, "A reviewer or the author commented on a review."
)
REVIEW_APPROVED = event_type("review.approved", ReviewChanged, "A reviewer approved.")
REVIEW_CHANGES_REQUESTED = event_type(
    "review.changes_requested", ReviewChanged, "A reviewer asked for changes."
)
REVIEW_WITHDRAWN = event_type("review.withdrawn", ReviewChanged, "The author withdrew a review.")
REVIEW_REVISED = event_type(
    "review.revised", ReviewChanged, "The author revised what is reviewed; earlier verdicts no longer count."
)
