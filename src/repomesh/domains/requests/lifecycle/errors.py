"""What can go wrong with requests."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, NotFound


class RequestNotFound(NotFound):
    """There is no such request in this workspace."""

    code = "request_not_found"
    hint = "List the requests with 'repomesh request list' or GET /v1/requests."


class RequestStateConflict(Conflict):
    """The request's state does not allow this. `possible` says what can be done now."""

    code = "request_state"
    hint = "'repomesh request show ID' says what state it is in, and what would move it."


class RequestStopped(Conflict):
    """The task is blocked since its request is stopped."""

    code = "request_stopped"
    hint = "Let the request go on first: 'repomesh request resume ID'."


class DocumentOutdated(Conflict):
    """The approval names another version of the brief or the plan than the present one."""

    code = "document_outdated"
    hint = "Look at the present one with 'repomesh request show ID', then approve its version."


class NotYourRequest(Forbidden):
    """The caller neither made the request nor has the role that writes this document."""

    code = "not_your_request"
    hint = "Ask the agent in 'requester_name' or a person; 'repomesh request show ID' names them."


class TooManyRequests(Conflict):
    """As many requests are under way in this workspace as people can follow."""

    code = "too_many_requests"
    hint = "Finish or cancel some of them first: 'repomesh request list --open'."
