"""Rows of reviews: find them, build the models from them, and write changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, func, insert, or_, select, update

from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.reviews.errors import ReviewNotFound
from repomesh.domains.messaging.reviews.models import Review, ReviewComment, Reviewer, ReviewTexts
from repomesh.domains.messaging.reviews.tables import review_remarks, review_reviewers, reviews
from repomesh.kernel.limits import REVIEW_DIFF_CHARS_MAX
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_TEXTS = ("description", "files", "diff")
SUMMARY = select(*(column for column in reviews.c if column.name not in _TEXTS))
"""Reviews without their long texts."""

_IN_WORKSPACE = reviews.c.workspace_id == bindparam("ws")
_BY_ID = PreparedStatement(SUMMARY.where(_IN_WORKSPACE, reviews.c.id == bindparam("id")))
_READ_TEXTS = PreparedStatement(
    select(
        reviews.c.description,
        reviews.c.files,
        func.substr(reviews.c.diff, 1, bindparam("chars")).label("diff"),
        reviews.c.diff_chars,
    ).where(_IN_WORKSPACE, reviews.c.id == bindparam("id"))
)
_APPROVED = PreparedStatement(
    select(reviews.c.id)
    .where(_IN_WORKSPACE, reviews.c.task_id == bindparam("task"), reviews.c.state == "approved")
    .limit(1)
)
_REVIEWERS = (
    select(review_reviewers)
    .where(
        review_reviewers.c.workspace_id == bindparam("ws"),
        review_reviewers.c.review_id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(review_reviewers.c.review_id, review_reviewers.c.place)
)
_IN_SERVICE = select(agents.c.id).where(
    agents.c.workspace_id == bindparam("ws"),
    agents.c.id.in_(bindparam("ids", expanding=True)),
    agents.c.status != "retired",
)
_INSERT_REVIEWER = PreparedStatement(insert(review_reviewers))
_INSERT_REMARK = PreparedStatement(insert(review_remarks))


def find_review(tx: Transaction, review_id: str) -> Review:
    """The review with this id; raises ReviewNotFound."""
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "id": review_id}).one_or_none()
    if row is None:
        raise ReviewNotFound(f"there is no review {review_id}")
    return with_reviewers(tx, [as_review(row)])[0]


def as_review(row: Row[Any]) -> Review:
    """The review in a row of `SUMMARY`, without its reviewers."""
    fields = row._asdict()
    del fields["workspace_id"]
    return Review(**fields, reviewers=[])


def with_reviewers(tx: Transaction, listed_reviews: Sequence[Review]) -> list[Review]:
    """The reviews with their reviewers."""
    reviewers_by_review = reviewers_of(tx, [review.id for review in listed_reviews])
    return [
        review.model_copy(update={"reviewers": reviewers_by_review[review.id]}) for review in listed_reviews
    ]


def reviewers_of(tx: Transaction, review_ids: Sequence[str]) -> dict[str, list[Reviewer]]:
    """The reviewers by review id, in the order in which they were named."""
    by_review: dict[str, list[Reviewer]] = defaultdict(list)
    for row in tx.execute(_REVIEWERS, {"ws": tx.workspace_id, "ids": list(review_ids)}):
        by_review[row.review_id].append(
            Reviewer(
                agent_id=row.agent_id,
                agent_name=row.agent_name,
                verdict=row.verdict,
                decided_at=row.decided_at,
            )
        )
    return by_review


def read_texts(tx: Transaction, review_id: str, chars: int = REVIEW_DIFF_CHARS_MAX) -> ReviewTexts:
    """Read the texts of a review, and at most the first `chars` characters of its diff."""
    row = tx.execute(_READ_TEXTS, {"ws": tx.workspace_id, "id": review_id, "chars": chars}).one()
    truncated = row.diff is not None and len(row.diff) < row.diff_chars
    return ReviewTexts(description=row.description, files=row.files, diff=row.diff, truncated=truncated)


def insert_review(tx: Transaction, review: Review, texts: ReviewTexts) -> None:
    """Write a new review."""
    fields = review.model_dump(exclude={"reviewers"}) | texts.model_dump(exclude={"truncated"})
    tx.execute(insert(reviews), fields | {"workspace_id": tx.workspace_id})
    _write_reviewers(tx, review)


def update_review(tx: Transaction, review: Review, texts: ReviewTexts | None = None) -> None:
    """Write how a review stands now, and its texts if they are new."""
    fields = review.model_dump(exclude={"id", "reviewers", "created_at"})
    if texts is not None:
        fields |= texts.model_dump(exclude={"truncated"})
    of_review = reviews.c.workspace_id == tx.workspace_id, reviews.c.id == review.id
    tx.execute(update(reviews).where(*of_review).values(**fields))
    table = review_reviewers.c
    tx.execute(
        delete(review_reviewers).where(table.workspace_id == tx.workspace_id, table.review_id == review.id)
    )
    _write_reviewers(tx, review)


def insert_remark(tx: Transaction, review: Review, remark: ReviewComment) -> None:
    """Record which file, line or verdict a message of the review's thread is about."""
    fields = remark.model_dump(include={"message_id", "file", "line", "verdict"})
    keys = {"workspace_id": tx.workspace_id, "review_id": review.id, "revision": review.revision}
    tx.execute(_INSERT_REMARK, fields | keys)


def select_remarks(tx: Transaction, review: Review) -> Select[Any]:
    """A select of the messages of the review's thread after its first, with their remarks.

    Whoever may see the review may see comments and verdicts; plain answers only their usual readers.
    """
    table = review_remarks.c
    statement = message_rows.selected(table.revision, table.file, table.line, table.verdict)
    of_message = (table.workspace_id == messages.c.workspace_id) & (table.message_id == messages.c.id)
    return statement.select_from(messages.outerjoin(review_remarks, of_message)).where(
        messages.c.workspace_id == tx.workspace_id,
        messages.c.thread_id == review.thread_id,
        messages.c.id != review.thread_id,
        or_(table.review_id.is_not(None), message_rows.visible(tx.caller)),
    )


def as_remark(row: Any) -> ReviewComment:
    """The remark in a row of `select_remarks`."""
    return ReviewComment(
        message_id=row.id,
        agent_id=row.sender_id,
        agent_name=row.sender_name,
        revision=row.revision,
        file=row.file,
        line=row.line,
        verdict=row.verdict,
        body=row.body,
        truncated=len(row.body) < row.body_chars,
        created_at=row.created_at,
    )


def filter_in_service(tx: Transaction, agent_ids: Collection[str]) -> list[str]:
    """Those of the agents that are not retired, in the same order."""
    present_ids = set(tx.execute(_IN_SERVICE, {"ws": tx.workspace_id, "ids": list(agent_ids)}).scalars())
    return [agent_id for agent_id in agent_ids if agent_id in present_ids]


def has_approved_review(tx: Transaction, task_id: str) -> bool:
    """Whether a review of this task is approved now, by all of its reviewers."""
    return tx.execute(_APPROVED, {"ws": tx.workspace_id, "task": task_id}).first() is not None


def _write_reviewers(tx: Transaction, review: Review) -> None:
    keys = {"workspace_id": tx.workspace_id, "review_id": review.id}
    tx.execute(
        _INSERT_REVIEWER,
        [reviewer.model_dump() | keys | {"place": place} for place, reviewer in enumerate(review.reviewers)],
    )
