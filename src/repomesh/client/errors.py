"""Errors of clients: the server refuses, does not answer, or is not found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from repomesh.kernel.errors import FAILURES, Failure, InvalidRequest, NotFound, Unavailable

if TYPE_CHECKING:
    import httpx

    from repomesh.client.local_http import LocalResponse

_BY_STATUS = {codes.http: failure for failure, codes in FAILURES.items()}


class RemoteError(Exception):
    """The server refused. `code` is stable, `hint` says what to do, `details` is what a program may need."""

    def __init__(
        self, status: int, code: str, message: str, hint: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.details = dict(details or {})

    @property
    def failure(self) -> Failure:
        """The class of the failure."""
        return _BY_STATUS.get(self.status, Failure.INTERNAL if self.status >= 500 else Failure.INVALID)

    @property
    def exit_code(self) -> int:
        """The exit code of a process that fails with this error."""
        return FAILURES[self.failure].exit

    @classmethod
    def from_response(cls, response: LocalResponse | httpx.Response) -> RemoteError:
        """The error in a response."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        return cls.from_problem(response.status_code, problem)

    @classmethod
    def not_repomesh(cls, status: int) -> RemoteError:
        """The error for an answer that no repomesh server of this release gives."""
        hint = (
            "Is this the address of a repomesh server of this release? Look at REPOMESH_URL and '--url'; "
            "'repomesh down' and 'repomesh up' start the one of this repository anew."
        )
        message = f"what answers there is no server of this release: {status} without what such a one says"
        return cls(FAILURES[Failure.UNAVAILABLE].http, "not_repomesh", message, hint)

    @classmethod
    def from_problem(cls, status: int, problem: object) -> RemoteError:
        """The error in a problem document; `not_repomesh` for anything else."""
        if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
            return cls.not_repomesh(status)
        standard_fields = {"type", "title", "status", "detail", "code", "hint"}
        details = {name: value for name, value in problem.items() if name not in standard_fields}
        return cls(status, problem["code"], problem.get("detail", ""), problem.get("hint", ""), details)


class NoAnswer(Exception):
    """A request got no response; the message is the reason."""


class ServerUnreachable(Unavailable):
    """Nothing answers at the server's address."""

    code = "server_unreachable"
    hint = "Start the server with 'repomesh up', or set REPOMESH_URL; 'repomesh doctor' says what is wrong."


class ServerFrozen(ServerUnreachable):
    """The server accepts connections but does not answer."""

    code = "server_frozen"
    hint = (
        "Its process is stopped or overloaded: 'repomesh logs' shows its last lines, 'repomesh down' ends it "
        "and 'repomesh up' starts it again; nothing that was acknowledged is lost."
    )


class UnusableAddress(InvalidRequest):
    """The server's URL, the token or the agent's name is malformed."""

    code = "unusable_address"
    hint = (
        "A URL looks like http://127.0.0.1:8787. Look at '--url' and '--as', REPOMESH_URL, REPOMESH_TOKEN "
        "and REPOMESH_AGENT."
    )


class ServerNotFound(Unavailable):
    """No server is known for this place."""

    code = "server_not_found"
    hint = "Start one with 'repomesh up' in the repository, or set REPOMESH_URL and REPOMESH_TOKEN."


class UnknownOperation(NotFound):
    """There is no operation of this name."""

    code = "unknown_operation"
    hint = "'repomesh api --list' names them all."


class MissingField(InvalidRequest):
    """A field in the operation's path was not given."""

    code = "missing_field"
    hint = "Send the named field; '--help' lists the fields."


class TextNotUtf8(InvalidRequest):
    """A text of the request holds bytes that are no UTF-8, as arguments and files may."""

    hint = "Convert it to UTF-8, as with 'iconv'; an artifact keeps any bytes, in 'content_base64'."
