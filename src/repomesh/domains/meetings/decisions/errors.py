"""What can go wrong with decisions."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound


class DecisionNotFound(NotFound):
    """No decision of this workspace has that id."""

    code = "decision_not_found"
    hint = "List the decisions with GET /v1/decisions."


class DecisionStatusConflict(Conflict):
    """The decision was superseded or overruled already; `decision_status` says which."""

    code = "decision_status"
    hint = "Read it with GET /v1/decisions/{decision_id}: it names the decision that is active instead."


class NotALaterDecision(InvalidRequest):
    """Only a later decision that is in force can supersede a decision."""

    code = "not_a_later_decision"
    hint = "Name a decision that was recorded after it and is active, or record one that says 'supersedes'."
