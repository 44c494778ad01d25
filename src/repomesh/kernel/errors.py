"""Errors: one class per failure, each with a code, a message and a hint that a person can act on.

Operations raise these and know nothing of HTTP or exit codes; `FAILURES` is the one table that maps
a failure class to what each surface answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar


class Failure(StrEnum):
    """The class of a failure: what a caller can do about it."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TIMED_OUT = "timed_out"
    CONFLICT = "conflict"
    GONE = "gone"
    STALE = "stale"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    RATE_LIMITED = "rate_limited"
    HEADERS_TOO_LARGE = "headers_too_large"
    UNAVAILABLE = "unavailable"
    MISDIRECTED = "misdirected"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class SurfaceCodes:
    """What a failure class is called on each surface: HTTP status, gRPC status, process exit code."""

    http: int
    grpc: str
    exit: int


FAILURES: dict[Failure, SurfaceCodes] = {
    Failure.MALFORMED: SurfaceCodes(400, "INVALID_ARGUMENT", 2),
    Failure.INVALID: SurfaceCodes(422, "INVALID_ARGUMENT", 2),
    Failure.UNAUTHENTICATED: SurfaceCodes(401, "UNAUTHENTICATED", 5),
    Failure.FORBIDDEN: SurfaceCodes(403, "PERMISSION_DENIED", 5),
    Failure.NOT_FOUND: SurfaceCodes(404, "NOT_FOUND", 3),
    Failure.METHOD_NOT_ALLOWED: SurfaceCodes(405, "UNIMPLEMENTED", 2),
    Failure.TIMED_OUT: SurfaceCodes(408, "DEADLINE_EXCEEDED", 6),
    Failure.CONFLICT: SurfaceCodes(409, "ABORTED", 4),
    Failure.GONE: SurfaceCodes(410, "OUT_OF_RANGE", 3),
    Failure.STALE: SurfaceCodes(412, "FAILED_PRECONDITION", 4),
    Failure.TOO_LARGE: SurfaceCodes(413, "RESOURCE_EXHAUSTED", 2),
    Failure.UNSUPPORTED: SurfaceCodes(415, "INVALID_ARGUMENT", 2),
    Failure.MISDIRECTED: SurfaceCodes(421, "PERMISSION_DENIED", 5),
    Failure.RATE_LIMITED: SurfaceCodes(429, "RESOURCE_EXHAUSTED", 6),
    Failure.HEADERS_TOO_LARGE: SurfaceCodes(431, "RESOURCE_EXHAUSTED", 2),
    Failure.INTERNAL: SurfaceCodes(500, "INTERNAL", 1),
    Failure.UNAVAILABLE: SurfaceCodes(503, "UNAVAILABLE", 6),
}


class RepomeshError(Exception):
    """Base of every error that a caller may see.

    Subclasses set `code` (stable, snake_case), `failure` and a default `hint`. `details` holds what a
    program needs to act: plain JSON values only.
    """

    code: ClassVar[str] = "internal"
    failure: ClassVar[Failure] = Failure.INTERNAL
    hint: str = "This is a fault of the server. Look in its log for the trace id and report it."

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        if hint is not None:
            self.hint = hint


class InternalError(RepomeshError):
    """Something failed that the caller could not have avoided."""


class ReactionsTooDeep(RepomeshError):
    """Events caused each other through reactions in too long a chain; `chain` holds their types in order."""

    code = "reactions_too_deep"
    hint = (
        "Nothing was changed. This is a fault of the server: reactions cause each other. Report it with the "
        "event types in 'chain'."
    )


class DamagedRecord(RepomeshError):
    """A stored record holds what can't be read; `record` holds the ids that the request named it by."""

    code = "damaged_record"
    hint = (
        "Other records are not affected, and lists leave this one out. 'repomesh doctor' says whether the "
        "database is damaged; 'repomesh restore FILE' puts back a backup that still has it."
    )


class InvalidRequest(RepomeshError):
    """The request does not have the shape that the operation takes; `errors` names each field."""

    code = "invalid_request"
    failure = Failure.INVALID
    hint = "Correct the fields that 'errors' names, and send it again. Nothing was changed."


class Unauthenticated(RepomeshError):
    """No valid token came with the request."""

    code = "unauthenticated"
    failure = Failure.UNAUTHENTICATED
    hint = "Send 'Authorization: Bearer TOKEN'. The owner's token is in the data folder's file 'token'."


class TokenRevoked(Unauthenticated):
    """The token was valid once and has been revoked."""

    code = "token_revoked"
    hint = "If another instance took over this agent, stop; otherwise register again with register_agent."


class TokenExpired(Unauthenticated):
    """The token was made for a time that is over."""

    code = "token_expired"
    hint = "Ask the workspace's owner for a new one: 'repomesh token create' makes it."


class Forbidden(RepomeshError):
    """The token is valid but does not allow this."""

    code = "forbidden"
    failure = Failure.FORBIDDEN
    hint = "Use a token whose role allows it: 'repomesh token create --role …' makes one."


class AgentRequired(RepomeshError):
    """The operation needs an acting agent, and the request names none."""

    code = "agent_required"
    failure = Failure.INVALID
    hint = "Use an agent's token, or name the acting agent with the header X-Repomesh-Agent."


class NotFound(RepomeshError):
    """What the request names does not exist in this workspace, or is not visible to the caller."""

    code = "not_found"
    failure = Failure.NOT_FOUND
    hint = "Check the id; GET on the same path without it lists what exists."


class MethodNotAllowed(RepomeshError):
    """The path exists, but not with this method."""

    code = "method_not_allowed"
    failure = Failure.METHOD_NOT_ALLOWED
    hint = "The Allow header names the methods of this path."


class Conflict(RepomeshError):
    """The request is well formed but the present state refuses it."""

    code = "conflict"
    failure = Failure.CONFLICT
    hint = "Read the current state and its ETag, then decide again."


class IdempotencyConflict(Conflict):
    """An Idempotency-Key was used again with another request."""

    code = "idempotency_conflict"
    hint = "Use a new Idempotency-Key for a new request."


class AnswerErased(Conflict):
    """This was done before under the same Idempotency-Key; its answer was deleted since."""

    code = "answer_erased"
    hint = "Nothing was done again. Read the current state, and use a new Idempotency-Key to go on."


class NoLongerAvailable(RepomeshError):
    """The requested data existed once and has been pruned."""

    code = "gone"
    failure = Failure.GONE
    hint = "Read from the oldest position that exists, which 'oldest_seq' names."


class Stale(RepomeshError):
    """If-Match named a version that is no longer the current one."""

    code = "stale_version"
    failure = Failure.STALE
    hint = "Read it again, apply your change to the current state, and send its new ETag in If-Match."


class ConditionIgnored(InvalidRequest):
    """The request does not support If-Match."""

    code = "condition_ignored"
    hint = "Send it without If-Match; only what changes a versioned object takes it. Nothing was changed."


class TooLarge(RepomeshError):
    """The request is larger than the server takes."""

    code = "too_large"
    failure = Failure.TOO_LARGE
    hint = (
        "Send a smaller body (see its Content-Length), or split it over several requests; the "
        "message names the limit."
    )


class HeadersTooLarge(RepomeshError):
    """The request line and the headers are larger, or more, than the server takes."""

    code = "headers_too_large"
    failure = Failure.HEADERS_TOO_LARGE
    hint = (
        "Send fewer or shorter headers; long values belong in the body. 'Authorization' and "
        "'X-Repomesh-Agent' suffice."
    )


class MalformedRequest(RepomeshError):
    """The request is no valid HTTP, or its end can be read in two ways."""

    code = "malformed_request"
    failure = Failure.MALFORMED
    hint = "Speak HTTP/1.1, and give a body's length with Content-Length or Transfer-Encoding."


class ChunksTooSmall(RepomeshError):
    """A body came in so many tiny chunks that reading it would keep others waiting."""

    code = "chunks_too_small"
    failure = Failure.MALFORMED
    hint = "Send the body with Content-Length, or in chunks of some kilobytes with Transfer-Encoding."


class RequestTimeout(RepomeshError):
    """The request was not complete in time."""

    code = "request_timeout"
    failure = Failure.TIMED_OUT
    hint = (
        "Send the whole request again without pauses; its Content-Length says how much is awaited. "
        "Nothing was changed."
    )


class UnsupportedMedia(RepomeshError):
    """The body is not JSON."""

    code = "unsupported_media_type"
    failure = Failure.UNSUPPORTED
    hint = "Send the body as JSON with 'Content-Type: application/json'."


class RateLimited(RepomeshError):
    """The caller exceeds its rate limit. `retry_after_s` says when to retry."""

    code = "rate_limited"
    failure = Failure.RATE_LIMITED
    hint = "Wait for the seconds in Retry-After, then send it again."


class TooManyWaits(RateLimited):
    """The agent has as many waiting calls as it may have at once."""

    code = "too_many_waits"
    hint = "End some of your waiting calls, or ask without waiting: with 'timeout_s' or 'wait_s' of 0."


class TooManyCalls(RateLimited):
    """As many calls of this caller wait for their turn as may."""

    code = "too_many_calls"
    hint = "Read the answers of your earlier calls before you send more, or wait as Retry-After says."


class Unavailable(RepomeshError):
    """The server can't do it now, but may in a moment."""

    code = "unavailable"
    failure = Failure.UNAVAILABLE
    hint = "Nothing was changed. Try again in a moment; 'repomesh doctor' says what is wrong."


class Misdirected(RepomeshError):
    """The Host or Origin header is not one that this server answers to."""

    code = "misdirected"
    failure = Failure.MISDIRECTED
    hint = (
        "Reach the server under the address it printed at start, or add the name to REPOMESH_ALLOWED_HOSTS."
    )


class ForeignOrigin(Forbidden):
    """A web page of another origin tried to reach the server."""

    code = "foreign_origin"
    hint = (
        "Browsers may reach the server only from its own pages; add an origin with REPOMESH_ALLOWED_ORIGINS."
    )
