"""Operations on code reviews: ask, look, comment, decide, revise, withdraw."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, select

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
from repomesh.kernel.budget import PageEnds, fit
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.store.log import NewEvent
from repomesh.store.paging import page
from repomesh.store.transaction import Transaction

_TAGS = ("review",)
_FIRST_CURSOR = encode_cursor("0")  # before every id
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
    """Ask others to review a change of the acting agent's.

    Each reviewer gets a message to acknowledge, which opens the review's thread. The review is approved
    when all of them approve the same revision.
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
        reviewers=_asked(tx, request.reviewers, author_id),
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
    asking = send(
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
    review = review.model_copy(update={"thread_id": asking.id, "message_id": asking.id})
    rows.insert_review(tx, review, texts)
    _emit_changed(tx, REVIEW_REQUESTED, review, texts=texts)
    return review


@query("review.list", http=Get("/v1/reviews"), scope="reviews:read", errors=(AgentNotFound,))
def list_reviews(tx: Transaction, request: ListReviews) -> Page[Review]:
    """List reviews, newest first."""
    table = reviews.c
    statement = rows.SUMMARY.where(table.workspace_id == tx.workspace_id)
    if request.state is not None:
        statement = statement.where(table.state == request.state)
    if request.task_id is not None:
        statement = statement.where(table.task_id == request.task_id)
    if request.author is not None:
        statement = statement.where(table.author_id == find_agent(tx, request.author).id)
    if request.reviewer is not None:
        asked = review_reviewers.c
        mine = and_(
            asked.workspace_id == tx.workspace_id, asked.agent_id == find_agent(tx, request.reviewer).id
        )
        statement = statement.where(table.id.in_(select(asked.review_id).where(mine)))
    found, following = page(tx, statement, request, [table.id], lambda row: row, descending=True)
    listed = Page[Review](items=rows.as_reviews(tx, found), next_cursor=following)
    if request.max_chars is None:
        return listed
    start = request.cursor or encode_cursor("g")  # before the newest id
    positions = PageEnds(lambda index: encode_cursor(listed.items[index].id), start)
    return fit(listed, request.max_chars, positions)


@query("review.show", http=Get("/v1/reviews/{review_id}"), scope="reviews:read", errors=(ReviewNotFound,))
def show_review(tx: Transaction, request: ShowReview) -> ShownReview:
    """Show a review: its texts, and comments, verdicts and answers, oldest first.

    `max_chars` cuts the texts to a half and what was said to the rest; how the review stands is always shown.
    """
    review = rows.find_review(tx, request.review_id)
    max_chars = request.max_chars or limits.MAX_CHARS_MAX
    texts = rows.read_texts(tx, review.id, max_chars)
    if request.max_chars is not None:
        texts = rules.shortened(texts, max_chars // 2)
    statement = rows.remarks(tx, review)
    items, following = page(tx, statement, request, [messages.c.id], rows.as_remark)
    items = message_rows.read_on(tx, items, max_chars, "message_id")
    shown = ShownReview(
        items=items, next_cursor=following, review=review, texts=texts, version=review.version
    )
    positions = PageEnds(
        lambda index: encode_cursor(items[index].message_id), request.cursor or _FIRST_CURSOR
    )
    if not texts.truncated:
        return _fitted(shown, max_chars, positions)
    fitted = _fitted(shown, max_chars - len(_TEXTS_CUT) - 4, positions)
    said = "; ".join(part for part in (_TEXTS_CUT, fitted.omitted) if part)
    return fitted.model_copy(update={"omitted": said})


@command(
    "review.comment",
    http=Post("/v1/reviews/{review_id}/comments", status=201),
    scope="reviews:write",
    errors=(ReviewNotFound, ReviewWithdrawn, NotInReview, LineWithoutFile, Stale),
    rate="messages",
    needs_agent=True,
)
def comment_review(tx: Transaction, request: CommentReview) -> ReviewComment:
    """Comment on a review, on a file or on a line; the others in the review get it as a message."""
    review = _open_review(tx, request.review_id)
    rules.require_part(review, tx.caller.acting_agent())
    rules.require_anchor(request.file, request.line)
    said = _send_comment(tx, review, rules.place(request.file, request.line), request.body)
    return _remarked(tx, REVIEW_COMMENTED, review, said, file=request.file, line=request.line)[1]


@command(
    "review.decide",
    http=Post("/v1/reviews/{review_id}/verdict"),
    scope="reviews:write",
    errors=(ReviewNotFound, ReviewWithdrawn, NotAReviewer, StaleRevision, Stale),
    rate="messages",
    needs_agent=True,
)
def decide_review(tx: Transaction, request: DecideReview) -> Review:
    """Approve the present revision, or request changes, as one of its reviewers.

    Name the `revision` that was looked at, so that a verdict never counts for a later one.
    """
    review = _open_review(tx, request.review_id)
    agent_id = tx.caller.acting_agent()
    mine = next((one for one in review.reviewers if one.agent_id == agent_id), None)
    if mine is None:
        raise NotAReviewer(f"'{tx.caller.agent_name}' was not asked to review this")
    rules.require_revision(review, request.revision)
    if mine.verdict == request.verdict and not request.summary:
        return review
    type_, word = _VERDICTS[request.verdict]
    said = _send_comment(tx, review, word, request.summary or f"{word} (revision {review.revision}).")
    decided = mine.model_copy(update={"verdict": request.verdict, "decided_at": tx.now})
    reviewers = [decided if one.agent_id == agent_id else one for one in review.reviewers]
    state = rules.state_of(one.verdict for one in reviewers)
    review = review.model_copy(update={"reviewers": reviewers, "state": state})
    return _remarked(tx, type_, review, said, verdict=request.verdict)[0]


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
    """Ask again, about a new revision: every verdict so far was on an earlier one."""
    review = _open_review(tx, request.review_id)
    rules.require_author(review, tx.caller.acting_agent())
    before = rows.read_texts(tx, review.id)
    texts = ReviewTexts(
        description=before.description,
        files=before.files if request.files is None else list(request.files),
        diff=before.diff if request.diff is None else request.diff,
    )
    names = request.reviewers or tuple(one.agent_id for one in review.reviewers)
    review = review.model_copy(
        update={
            "state": "requested",
            "revision": review.revision + 1,
            "reviewers": _asked(tx, names, review.author_id),
            "commit_range": request.commit_range or review.commit_range,
            "file_count": len(texts.files),
            "diff_chars": len(texts.diff or ""),
        }
    )
    asking = send(
        tx,
        SendMessage(
            to=tuple(one.agent_id for one in review.reviewers),
            subject=rules.subject(f"Review, revision {review.revision}", review.title),
            body=rules.invitation(review, texts, request.summary),
            parent_message_id=review.thread_id,
            tags=_TAGS,
            ack_required=True,
        ),
    )
    review = _changed(tx, review.model_copy(update={"message_id": asking.id}), texts)
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
    """End a review that its author needs no more; the reviewers are told."""
    review = rows.find_review(tx, request.review_id)
    tx.check_version(review.version)
    rules.require_author(review, tx.caller.acting_agent())
    if review.state == "withdrawn":
        return review
    said = _send_comment(tx, review, "Withdrawn", request.reason or "This review is withdrawn.")
    return _remarked(tx, REVIEW_WITHDRAWN, review.model_copy(update={"state": "withdrawn"}), said)[0]


def _fitted(shown: ShownReview, max_chars: int, positions: PageEnds) -> ShownReview:
    fitted = fit(shown, max_chars, positions, "body")
    assert isinstance(fitted, ShownReview)
    return fitted


def _open_review(tx: Transaction, review_id: str) -> Review:
    review = rows.find_review(tx, review_id)
    tx.check_version(review.version)
    rules.require_open(review)
    return review


def _asked(tx: Transaction, names: tuple[str, ...], author_id: str) -> list[Reviewer]:
    """The reviewers of these names or ids, each once, who have not decided yet."""
    found = {agent.id: agent.name for agent in (find_agent(tx, name) for name in names)}
    rules.require_others(author_id, found)
    return [
        Reviewer(agent_id=agent_id, agent_name=name, verdict=None, decided_at=None)
        for agent_id, name in found.items()
    ]


def _send_comment(tx: Transaction, review: Review, what: str, body: str) -> Message:
    """Answer the message that asks for the present revision, to everybody else in the review.

    Who is out of service is left out; when nobody else is left, it is said to oneself and so kept.
    """
    speaker = tx.caller.acting_agent()
    part = dict.fromkeys([review.author_id, *(one.agent_id for one in review.reviewers)])
    others = [agent_id for agent_id in rows.present(tx, part) if agent_id != speaker]
    return send(
        tx,
        SendMessage(
            to=tuple(others) or (speaker,),
            subject=rules.subject(what, review.title),
            body=body,
            parent_message_id=review.message_id,
            tags=_TAGS,
        ),
    )


def _remarked(
    tx: Transaction, type_: str, review: Review, said: Message, **about: Any
) -> tuple[Review, ReviewComment]:
    """Keep what was said of the review, and how it stands after it."""
    remark = ReviewComment(
        message_id=said.id,
        agent_id=said.sender_id,
        agent_name=said.sender_name,
        revision=review.revision,
        file=about.get("file"),
        line=about.get("line"),
        verdict=about.get("verdict"),
        body=said.body,
        created_at=said.created_at,
    )
    rows.insert_remark(tx, review, remark)
    review = _changed(tx, review.model_copy(update={"comment_count": review.comment_count + 1}))
    _emit_changed(tx, type_, review, remark=remark)
    return review, remark


def _changed(tx: Transaction, review: Review, texts: ReviewTexts | None = None) -> Review:
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
        texts = rules.shortened(texts, limits.EVENT_BODY_CHARS_MAX)
    changed = ReviewChanged(review=review, texts=texts, remark=remark)
    event = NewEvent(
        type_,
        f"review/{review.id}",
        changed,
        task_id=review.task_id,
        correlation_id=review.thread_id,
    )
    tx.emit(event)
