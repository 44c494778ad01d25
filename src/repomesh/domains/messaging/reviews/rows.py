"""Reviews as rows: found, shown and changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, or_, select, update

from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.reviews.errors import ReviewNotFound
from repomesh.domains.messaging.reviews.models import Review, ReviewComment, Reviewer, ReviewTexts
from repomesh.domains.messaging.reviews.tables import review_remarks, review_reviewers, reviews
from repomesh.kernel.limits import REVIEW_DIFF_CHARS_MAX
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_TEXTS = ("description", "files", "diff")
SUMMARY = select(*(column for column in reviews.c if column.name not in _TEXTS))
"""Reviews without their long texts."""

_HERE = reviews.c.workspace_id == bindparam("ws")
_BY_ID = Prepared(SUMMARY.where(_HERE, reviews.c.id == bindparam("id")))
_READ_TEXTS = Prepared(
    select(
        reviews.c.description,
        reviews.c.files,
        func.substr(reviews.c.diff, 1, bindparam("chars")).label("diff"),
        reviews.c.diff_chars,
    ).where(_HERE, reviews.c.id == bindparam("id"))
)
_APPROVED = Prepared(
    select(reviews.c.id)
    .where(_HERE, reviews.c.task_id == bindparam("task"), reviews.c.state == "approved")
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
_PRESENT = select(agents.c.id).where(
    agents.c.workspace_id == bindparam("ws"),
    agents.c.id.in_(bindparam("ids", expanding=True)),
    agents.c.status != "retired",
)
_INSERT_REVIEWER = Prepared(insert(review_reviewers))
_INSERT_REMARK = Prepared(insert(review_remarks))


def find_review(tx: Transaction, review_id: str) -> Review:
    """The review with this id; raises ReviewNotFound."""
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "id": review_id}).one_or_none()
    if row is None:
        raise ReviewNotFound(f"there is no review {review_id}")
    return as_reviews(tx, [row])[0]


def as_reviews(tx: Transaction, found: Sequence[Any]) -> list[Review]:
    """The reviews in rows of `SUMMARY`, with their reviewers."""
    asked = reviewers_of(tx, [row.id for row in found])
    return [_as_review(row, asked[row.id]) for row in found]


def reviewers_of(tx: Transaction, review_ids: Sequence[str]) -> dict[str, list[Reviewer]]:
    """The reviewers of several reviews, in the order in which they were named."""
    asked: dict[str, list[Reviewer]] = defaultdict(list)
    for row in tx.execute(_REVIEWERS, {"ws": tx.workspace_id, "ids": list(review_ids)}):
        asked[row.review_id].append(
            Reviewer(
                agent_id=row.agent_id,
                agent_name=row.agent_name,
                verdict=row.verdict,
                decided_at=row.decided_at,
            )
        )
    return asked


def read_texts(tx: Transaction, review_id: str, chars: int = REVIEW_DIFF_CHARS_MAX) -> ReviewTexts:
    """What there is to review; no more of the diff is read than `chars`."""
    row = tx.execute(_READ_TEXTS, {"ws": tx.workspace_id, "id": review_id, "chars": chars}).one()
    cut_short = row.diff is not None and len(row.diff) < row.diff_chars
    return ReviewTexts(description=row.description, files=row.files, diff=row.diff, truncated=cut_short)


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
    here = reviews.c.workspace_id == tx.workspace_id, reviews.c.id == review.id
    tx.execute(update(reviews).where(*here).values(**fields))
    table = review_reviewers.c
    tx.execute(
        delete(review_reviewers).where(table.workspace_id == tx.workspace_id, table.review_id == review.id)
    )
    _write_reviewers(tx, review)


def insert_remark(tx: Transaction, review: Review, remark: ReviewComment) -> None:
    """Note what a message of the thread is about."""
    fields = remark.model_dump(include={"message_id", "file", "line", "verdict"})
    about = {"workspace_id": tx.workspace_id, "review_id": review.id, "revision": review.revision}
    tx.execute(_INSERT_REMARK, fields | about)


def remarks(tx: Transaction, review: Review) -> Select[Any]:
    """The messages of the review's thread behind its first, with what they are about.

    Comments and verdicts are for everybody who may see the review; a plain answer for whom it was sent to.
    """
    table = review_remarks.c
    statement = message_rows.selected(table.revision, table.file, table.line, table.verdict)
    about = (table.workspace_id == messages.c.workspace_id) & (table.message_id == messages.c.id)
    return statement.select_from(messages.outerjoin(review_remarks, about)).where(
        messages.c.workspace_id == tx.workspace_id,
        messages.c.thread_id == review.thread_id,
        messages.c.id != review.thread_id,
        or_(table.review_id.is_not(None), message_rows.visible(tx.caller)),
    )


def as_remark(row: Any) -> ReviewComment:
    """The remark in a row of `remarks`."""
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


def present(tx: Transaction, agent_ids: Collection[str]) -> list[str]:
    """Those of the agents who are in service."""
    found = set(tx.execute(_PRESENT, {"ws": tx.workspace_id, "ids": list(agent_ids)}).scalars())
    return [agent_id for agent_id in agent_ids if agent_id in found]


def approved_review(tx: Transaction, task_id: str) -> bool:
    """Whether a review of this task is approved now, by all of its reviewers."""
    return tx.execute(_APPROVED, {"ws": tx.workspace_id, "task": task_id}).first() is not None


def _as_review(row: Any, asked: list[Reviewer]) -> Review:
    fields = row._asdict()
    del fields["workspace_id"]
    return Review(**fields, reviewers=asked)


def _write_reviewers(tx: Transaction, review: Review) -> None:
    about = {"workspace_id": tx.workspace_id, "review_id": review.id}
    tx.execute(
        _INSERT_REVIEWER,
        [reviewer.model_dump() | about | {"place": place} for place, reviewer in enumerate(review.reviewers)],
    )
