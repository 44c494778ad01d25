"""Operations on code reviews: ask, look, comment, decide, revise, withdraw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, select

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages.errors import RecipientRetired
from repomesh.domains.messaging.messages.models import Message, SendMessage
from repomesh.domains.messaging.messages.sending import send
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.reviews import rows, rules
from repomesh.domains.messaging.reviews.errors import (
    LineWithoutFile,
    NotAReviewer,
    NothingToReview,
    NotInReview,
    NotTheAuthor,
    OwnReviewer,
    ReviewNotFound,
    ReviewWithdrawn,
    StaleRevision,
)
from repomesh.domains.messaging.reviews.models import (
    REVIEW_APPROVED,
    REVIEW_CHANGES_REQUESTED,
    REVIEW_COMMENTED,
    REVIEW_REQUESTED,
    REVIEW_REVISED,
    REVIEW_WITHDRAWN,
    CommentReview,
    DecideReview,
    ListReviews,
    RequestReview,
    Review,
    ReviewChanged,
    ReviewComment,
    Reviewer,
    ReviewTexts,
    ReviseReview,
    ShownReview,
    ShowReview,
    WithdrawReview,
)
from repomesh.domains.messaging.reviews.tables import review_reviewers, reviews
from repomesh.kernel import limits
from repomesh.kernel.budget import budget, fit
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.store.listing import Listing, equals
from repomesh.store.log import NewEvent
from repomesh.store.paging import read_items
from repomesh.store.transaction import Transaction

_TAGS = ("review",)
_TEXTS_CUT = "the review's own texts are cut, raise max_chars"
_VERDICTS = {
    "approved": (REVIEW_APPROVED, "Approved"),
    "changes_requested": (REVIEW_CHANGES_REQUESTED, "Changes requested"),
}


@command(
    "review.request",
    http=Post("/v1/reviews", status=201, body_bytes_max=limits.TEXT_BODY_BYTES_MAX),
    scope="reviews:write",
    errors=(NothingToReview, OwnReviewer, AgentNotFound, RecipientRetired),
    rate="messages",
    needs_agent=True,
)
def request_review(tx: Transaction, request: RequestReview) -> Review:
    """Request a review of a change by the acting agent.

    Each reviewer gets a message to acknowledge, which opens the review's thread. The review is approved when
    all of them approve the same revision.
    """
    author_id = tx.caller.acting_agent()
    rules.require_subject(request.commit_range, request.diff)
    review = Review(
        id=tx.new_id(),
        title=request.title,
        state="requested",
        revision=1,
        author_id=author_id,
        author_name=str(tx.caller.agent_name),
        reviewers=_new_reviewers(tx, request.reviewers, author_id),
        task_id=request.task_id,
        thread_id=author_id,  # both replaced by the message that asks
        message_id=author_id,
        commit_range=request.commit_range,
        file_count=len(request.files),
        diff_chars=len(request.diff or ""),
        comment_count=0,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )
    texts = ReviewTexts(description=request.description, files=list(request.files), diff=request.diff)
    invitation = send(
        tx,
        SendMessage(
            to=tuple(reviewer.agent_id for reviewer in review.reviewers),
            subject=rules.subject("Review", review.title),
            body=rules.invitation(review, texts, request.description),
            task_id=request.task_id,
            tags=_TAGS,
            ack_required=True,
        ),
    )
    review = review.model_copy(update={"thread_id": invitation.id, "message_id": invitation.id})
    rows.insert_review(tx, review, texts)
    _emit_changed(tx, REVIEW_REQUESTED, review, texts=texts)
    return review


def _has_reviewer(tx: Transaction, agent: str) -> ColumnElement[bool]:
    reviewer = review_reviewers.c
    of_agent = reviewer.workspace_id == tx.workspace_id, reviewer.agent_id == find_agent(tx, agent).id
    return reviews.c.id.in_(select(reviewer.review_id).where(*of_agent))


_LISTING = Listing(
    Page[Review],
    rows.as_review,
    keys=(reviews.c.id,),
    descending=True,
    filters={
        "state": equals(reviews.c.state),
        "task_id": equals(reviews.c.task_id),
        "author": lambda tx, agent: reviews.c.author_id == find_agent(tx, agent).id,
        "reviewer": _has_reviewer,
    },
)


@query("review.list", http=Get("/v1/reviews"), scope="reviews:read", errors=(AgentNotFound,))
def list_reviews(tx: Transaction, request: ListReviews) -> Page[Review]:
    """List reviews, newest first."""
    in_workspace = reviews.c.workspace_id == tx.workspace_id
    read = _LISTING.read_items(tx, rows.SUMMARY.where(in_workspace), request)
    return _LISTING.build_page(tx, replace(read, items=rows.with_reviewers(tx, read.items)), request)


@query("review.show", http=Get("/v1/reviews/{review_id}"), scope="reviews:read", errors=(ReviewNotFound,))
def show_review(tx: Transaction, request: ShowReview) -> ShownReview:
    """Show a review: its texts, and its comments, verdicts and answers, oldest first.

    `max_chars` limits the texts to one half, and comments, verdicts and answers to the rest. The state of the
    review is always shown.
    """
    review = rows.find_review(tx, request.review_id)
    max_chars = budget(request.max_chars)
    texts = rows.read_texts(tx, review.id, max_chars)
    if request.max_chars is not None:
        texts = rules.shorten(texts, max_chars // 2)
    statement = rows.select_remarks(tx, review)
    read = read_items(tx, statement, request, [messages.c.id], rows.as_remark)
    items = message_rows.read_on(tx, read.items, max_chars, "message_id")
    shown = ShownReview(
        items=items, next_cursor=read.next_cursor, review=review, texts=texts, version=review.version
    )
    if not texts.truncated:
        return fit(shown, max_chars, read.cursor_after, "body")
    fitted = fit(shown, max_chars - len(_TEXTS_CUT) - 4, read.cursor_after, "body")
    omitted = "; ".join(part for part in (_TEXTS_CUT, fitted.omitted) if part)
    return fitted.model_copy(update={"omitted": omitted})


@command(
    "review.comment",
    http=Post("/v1/reviews/{review_id}/comments", status=201),
    scope="reviews:write",
    errors=(ReviewNotFound, ReviewWithdrawn, NotInReview, LineWithoutFile, Stale),
    rate="messages",
    needs_agent=True,
)
def comment_review(tx: Transaction, request: CommentReview) -> ReviewComment:
    """Comment on a review, on a file or on a line. The others in the review get it as a message."""
    review = _open_review(tx, request.review_id)
    rules.require_participant(review, tx.caller.acting_agent())
    rules.require_anchor(request.file, request.line)
    message = _send_comment(tx, review, rules.describe_anchor(request.file, request.line), request.body)
    return _record_remark(tx, REVIEW_COMMENTED, review, message, file=request.file, line=request.line)[1]


@command(
    "review.decide",
    http=Post("/v1/reviews/{review_id}/verdict"),
    scope="reviews:write",
    errors=(ReviewNotFound, ReviewWithdrawn, NotAReviewer, StaleRevision, Stale),
    rate="messages",
    needs_agent=True,
)
def decide_review(tx: Transaction, request: DecideReview) -> Review:
    """Approve the current revision, or request changes, as one of its reviewers.

    Name the `revision` that you looked at, so that a verdict never counts for a later one.
    """
    review = _open_review(tx, request.review_id)
    agent_id = tx.caller.acting_agent()
    current = next((reviewer for reviewer in review.reviewers if reviewer.agent_id == agent_id), None)
    if current is None:
        raise NotAReviewer(f"'{tx.caller.agent_name}' was not asked to review this")
    rules.require_revision(review, request.revision)
    if current.verdict == request.verdict and not request.summary:
        return review
    type_, word = _VERDICTS[request.verdict]
    message = _send_comment(tx, review, word, request.summary or f"{word} (revision {review.revision}).")
    updated = current.model_copy(update={"verdict": request.verdict, "decided_at": tx.now})
    reviewers = [updated if reviewer.agent_id == agent_id else reviewer for reviewer in review.reviewers]
    state = rules.state_of(reviewer.verdict for reviewer in reviewers)
    review = review.model_copy(update={"reviewers": reviewers, "state": state})
    return _record_remark(tx, type_, review, message, verdict=request.verdict)[0]


@command(
    "review.revise",
    http=Post("/v1/reviews/{review_id}/revise", body_bytes_max=limits.TEXT_BODY_BYTES_MAX),
    scope="reviews:write",
    errors=(
        ReviewNotFound,
        ReviewWithdrawn,
        NotTheAuthor,
        OwnReviewer,
        AgentNotFound,
        RecipientRetired,
        Stale,
    ),
    rate="messages",
    needs_agent=True,
)
def revise_review(tx: Transaction, request: ReviseReview) -> Review:
    """Request the review of a new revision. Verdicts on earlier revisions no longer count."""
    review = _open_review(tx, request.review_id)
    rules.require_author(review, tx.caller.acting_agent())
    previous = rows.read_texts(tx, review.id)
    texts = ReviewTexts(
        description=previous.description,
        files=previous.files if request.files is None else list(request.files),
        diff=previous.diff if request.diff is None else request.diff,
    )
    reviewer_refs = request.reviewers or tuple(reviewer.agent_id for reviewer in review.reviewers)
    review = review.model_copy(
        update={
            "state": "requested",
            "revision": review.revision + 1,
            "reviewers": _new_reviewers(tx, reviewer_refs, review.author_id),
            "commit_range": request.commit_range or review.commit_range,
            "file_count": len(texts.files),
            "diff_chars": len(texts.diff or ""),
        }
    )
    invitation = send(
        tx,
        SendMessage(
            to=tuple(reviewer.agent_id for reviewer in review.reviewers),
            subject=rules.subject(f"Review, revision {review.revision}", review.title),
            body=rules.invitation(review, texts, request.summary),
            parent_message_id=review.thread_id,
            tags=_TAGS,
            ack_required=True,
        ),
    )
    review = _save_changed(tx, review.model_copy(update={"message_id": invitation.id}), texts)
    _emit_changed(tx, REVIEW_REVISED, review, texts=texts)
    return review


@command(
    "review.withdraw",
    http=Post("/v1/reviews/{review_id}/withdraw"),
    scope="reviews:write",
    errors=(ReviewNotFound, NotTheAuthor, Stale),
    rate="messages",
    needs_agent=True,
)
def withdraw_review(tx: Transaction, request: WithdrawReview) -> Review:
    """Withdraw a review as its author. The reviewers are notified."""
    review = rows.find_review(tx, request.review_id)
    tx.check_version(review.version)
    rules.require_author(review, tx.caller.acting_agent())
    if review.state == "withdrawn":
        return review
    message = _send_comment(tx, review, "Withdrawn", request.reason or "This review is withdrawn.")
    return _record_remark(tx, REVIEW_WITHDRAWN, review.model_copy(update={"state": "withdrawn"}), message)[0]


def _open_review(tx: Transaction, review_id: str) -> Review:
    review = rows.find_review(tx, review_id)
    tx.check_version(review.version)
    rules.require_open(review)
    return review


def _new_reviewers(tx: Transaction, refs: tuple[str, ...], author_id: str) -> list[Reviewer]:
    """The reviewers with these names or ids, each once and without a verdict."""
    names_by_id = {agent.id: agent.name for agent in (find_agent(tx, ref) for ref in refs)}
    rules.require_others(author_id, names_by_id)
    return [
        Reviewer(agent_id=agent_id, agent_name=name, verdict=None, decided_at=None)
        for agent_id, name in names_by_id.items()
    ]


def _send_comment(tx: Transaction, review: Review, subject_prefix: str, body: str) -> Message:
    """Answer the message that asks for the present revision, to everybody else in the review.

    Retired agents are left out. When nobody else remains, the sender is the recipient, so that it is stored.
    """
    sender_id = tx.caller.acting_agent()
    participant_ids = dict.fromkeys([review.author_id, *(reviewer.agent_id for reviewer in review.reviewers)])
    recipient_ids = [
        agent_id for agent_id in rows.filter_in_service(tx, participant_ids) if agent_id != sender_id
    ]
    return send(
        tx,
        SendMessage(
            to=tuple(recipient_ids) or (sender_id,),
            subject=rules.subject(subject_prefix, review.title),
            body=body,
            parent_message_id=review.message_id,
            tags=_TAGS,
        ),
    )


def _record_remark(
    tx: Transaction, type_: str, review: Review, message: Message, **details: Any
) -> tuple[Review, ReviewComment]:
    """Store a message as a remark on the review, save the changed review, and emit `type_`."""
    remark = ReviewComment(
        message_id=message.id,
        agent_id=message.sender_id,
        agent_name=message.sender_name,
        revision=review.revision,
        file=details.get("file"),
        line=details.get("line"),
        verdict=details.get("verdict"),
        body=message.body,
        created_at=message.created_at,
    )
    rows.insert_remark(tx, review, remark)
    review = _save_changed(tx, review.model_copy(update={"comment_count": review.comment_count + 1}))
    _emit_changed(tx, type_, review, remark=remark)
    return review, remark


def _save_changed(tx: Transaction, review: Review, texts: ReviewTexts | None = None) -> Review:
    changed = review.model_copy(update={"version": review.version + 1, "updated_at": tx.now})
    rows.update_review(tx, changed, texts)
    return changed


def _emit_changed(
    tx: Transaction,
    type_: str,
    review: Review,
    *,
    texts: ReviewTexts | None = None,
    remark: ReviewComment | None = None,
) -> None:
    if texts is not None:
        texts = rules.shorten(texts, limits.EVENT_BODY_CHARS_MAX)
    data = ReviewChanged(review=review, texts=texts, remark=remark)
    event = NewEvent(
        type_,
        f"review/{review.id}",
        data,
        task_id=review.task_id,
        correlation_id=review.thread_id,
    )
    tx.emit(event)
