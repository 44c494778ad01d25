"""What can go wrong for who speaks to a server: it refuses, it is not there, or it is not found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from repomesh.kernel.errors import FAILURES, Failure, InvalidRequest, NotFound, Unavailable

if TYPE_CHECKING:
    import httpx

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
        """What a process that fails for this ends with."""
        return FAILURES[self.failure].exit

    @classmethod
    def from_response(cls, response: httpx.Response) -> RemoteError:
        """The error that a response is."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        return cls.from_problem(response.status_code, problem)

    @classmethod
    def from_problem(cls, status: int, problem: object) -> RemoteError:
        """The error in a problem document, or in whatever else was answered in its place."""
        if not isinstance(problem, dict) or "code" not in problem:
            hint = "Is this the address of a repomesh server? 'repomesh status' says where one is."
            return cls(
                status, "not_repomesh", f"something answered {status} that is no problem document", hint
            )
        told = {"type", "title", "status", "detail", "code", "hint"}
        details = {name: value for name, value in problem.items() if name not in told}
        return cls(status, problem["code"], problem.get("detail", ""), problem.get("hint", ""), details)


class ServerUnreachable(Unavailable):
    """Nothing answers at the server's address."""

    code = "server_unreachable"
    hint = "Start the server with 'repomesh up', or set REPOMESH_URL; 'repomesh doctor' says what is wrong."


class ServerNotFound(Unavailable):
    """No server is known for this place."""

    code = "server_not_found"
    hint = "Start one with 'repomesh up' in the repository, or set REPOMESH_URL and REPOMESH_TOKEN."


class UnknownOperation(NotFound):
    """There is no operation of this name."""

    code = "unknown_operation"
    hint = "'repomesh api --list' names them all."


class MissingField(InvalidRequest):
    """A field that stands in the operation's path was not given."""

    code = "missing_field"
    hint = "Give the named field."
