"""Pure decisions about reviews."""

from __future__ import annotations

from collections.abc import Iterable

from repomesh.domains.messaging.reviews.errors import (
    LineWithoutFile,
    NothingToReview,
    NotInReview,
    NotTheAuthor,
    OwnReviewer,
    ReviewWithdrawn,
    StaleRevision,
)
from repomesh.domains.messaging.reviews.models import Review, ReviewState, ReviewTexts, Verdict
from repomesh.kernel.budget import cut, encoded_length
from repomesh.kernel.limits import LABEL_CHARS_MAX

_FILES_NAMED = 20  # in the message that asks for a review


def state_of(verdicts: Iterable[Verdict | None]) -> ReviewState:
    """The state that the reviewers' verdicts on the present revision make.

    | verdicts on this revision              | state             |
    |----------------------------------------|-------------------|
    | somebody requests changes              | changes_requested |
    | everybody approves                     | approved          |
    | otherwise: somebody has not decided    | requested         |
    """
    decisions = list(verdicts)
    if "changes_requested" in decisions:
        return "changes_requested"
    return "approved" if decisions and all(verdict == "approved" for verdict in decisions) else "requested"


def require_open(review: Review) -> None:
    """Raise ReviewWithdrawn if the review was withdrawn; in every other state it takes remarks."""
    if review.state == "withdrawn":
        raise ReviewWithdrawn(f"the review '{review.title}' was withdrawn")


def require_revision(review: Review, revision: int | None) -> None:
    """Raise StaleRevision when a verdict is about another revision than the present one."""
    if revision is not None and revision != review.revision:
        raise StaleRevision(
            f"the present revision is {review.revision}, not {revision}", revision=review.revision
        )


def require_author(review: Review, agent_id: str) -> None:
    """Raise NotTheAuthor unless the agent is the author."""
    if agent_id != review.author_id:
        raise NotTheAuthor(f"the review's author is '{review.author_name}'")


def require_participant(review: Review, agent_id: str) -> None:
    """Raise NotInReview unless the agent is the author or a reviewer."""
    if agent_id != review.author_id and all(agent_id != reviewer.agent_id for reviewer in review.reviewers):
        raise NotInReview("you are neither the author nor a reviewer")


def require_subject(commit_range: str | None, diff: str | None) -> None:
    """Raise NothingToReview when there is neither a commit range nor a diff."""
    if commit_range is None and not diff:
        raise NothingToReview("commit_range: neither a commit range nor a diff is given")


def require_others(author_id: str, reviewer_ids: Iterable[str]) -> None:
    """Raise OwnReviewer when the author is among the reviewers."""
    if author_id in reviewer_ids:
        raise OwnReviewer("reviewers: the author can't be a reviewer")


def require_anchor(file: str | None, line: int | None) -> None:
    """Raise LineWithoutFile when a line comes without its file."""
    if line is not None and file is None:
        raise LineWithoutFile("line: of which file?")


def subject(prefix: str, title: str) -> str:
    """The subject of a review's message."""
    return f"{prefix}: {title}"[:LABEL_CHARS_MAX]


def describe_anchor(file: str | None, line: int | None) -> str:
    """Describe the file and line that a comment is about, for the subject of its message."""
    if file is None:
        return "Comment"
    return f"Comment on {file}" if line is None else f"Comment on {file}:{line}"


def invitation(review: Review, texts: ReviewTexts, news: str) -> str:
    """The body of the message that asks for a review of the present revision."""
    files = ", ".join(texts.files[:_FILES_NAMED])
    more = len(texts.files) - _FILES_NAMED
    parts = [
        news,
        f"Commits: `{review.commit_range}`" if review.commit_range else "",
        f"Files: {files}{f' and {more} more' if more > 0 else ''}" if files else "",
        f"Look at it, diff and comments included: `repomesh review show {review.id}`, or review.show over "
        f"HTTP. Decide on revision {review.revision}: `repomesh review decide {review.id} --verdict approved`"
        f" (or changes_requested), or POST /v1/reviews/{review.id}/verdict.",
    ]
    return "\n\n".join(part for part in parts if part)


def shorten(texts: ReviewTexts, max_chars: int) -> ReviewTexts:
    """The texts cut to about `max_chars` characters of JSON: the diff gets what the others leave."""
    if len(texts.model_dump_json()) <= max_chars:
        return texts
    description = cut(texts.description, max_chars // 4)
    files: list[str] = []
    used = encoded_length(description)
    file_chars_left = max_chars // 4
    for file in texts.files:
        file_chars_left -= encoded_length(file) + 3
        if file_chars_left < 0:
            break
        files.append(file)
        used += encoded_length(file) + 3
    diff = None if texts.diff is None else cut(texts.diff, max(max_chars - used, 0))
    return ReviewTexts(description=description, files=files, diff=diff, truncated=True)
