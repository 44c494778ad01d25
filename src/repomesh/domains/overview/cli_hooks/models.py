"""The words of hooks: what a CLI session should be told at each of its moments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.agents.cli_sessions.models import CliSession, CliSessionKey
from repomesh.domains.agents.models import AgentRef, ProcessId
from repomesh.domains.leases.models import LiteralPath, Mode
from repomesh.domains.messaging.delivery.models import Boundary, Route
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model


class LookAtSession(CliSessionKey):
    """A hook's check whether there is anything to do."""

    processes: Annotated[tuple[ProcessId, ...], Field(max_length=limits.HOOK_PROCESSES_MAX)] = ()
    deliver: bool = Field(False, description="Whether the hook's answer reaches the model.")


class SessionView(Model):
    """What a hook needs to know about its session before it does anything."""

    session: CliSession | None = Field(description="Null when the session is unknown or has ended.")
    binds: bool = Field(True, description="Whether it is a session of the caller's principal.")
    name_not_given: str | None = Field(None, description="The requested name that the session did not get.")
    agent_type: str = ""
    stop_blocks: int = 0
    briefing_due: bool = False
    noted_s: float = Field(0.0, description="Seconds since a hook of the session was recorded.")
    due: bool = Field(False, description="Whether there are messages to hand out, or a lease to warn of.")
    undecided: bool = Field(
        False, description="Whether it has deliveries that are neither confirmed nor failed."
    )


class Deliver(CliSessionKey):
    """Hand out what waits for the acting agent."""

    route: Route
    boundary: Boundary
    briefing: bool = Field(False, description="Whether to begin with the agent's identity and leases.")
    name_not_given: AgentRef | None = Field(
        None, description="The requested name that the agent did not get."
    )


class EndTurn(CliSessionKey):
    """The end of a turn."""

    boundary: Boundary
    loop_guard: bool | None = Field(
        None, description="Whether the turn continues only because its end was prevented."
    )


class HookText(Model):
    """Text to put before the model; nothing when `text` is empty."""

    text: str
    boundary: str | None = Field(None, description="The name of the delivery in the text, if there is one.")
    message_ids: list[Id] = Field([], description="The messages in it.")


GuardedPaths = Annotated[tuple[LiteralPath, ...], Field(max_length=limits.EDITED_PATHS_MAX)]
Globs = Annotated[
    tuple[Annotated[str, StringConstraints(max_length=limits.FILE_PATH_CHARS_MAX)], ...],
    Field(max_length=limits.EDITED_PATHS_MAX),
]


class GuardEdit(Model):
    """What the acting agent is about to write, from the root of the repository.

    `files` and `folders` are exact names, percent-encoded, and a folder means all that is below it ('.' is
    the root). `globs` are those of a shell. `unresolved` says why it may write anything in the repository:
    then any lock of somebody else stands against it.
    """

    files: GuardedPaths = ()
    folders: GuardedPaths = ()
    globs: Globs = ()
    unresolved: str = ""


class BlockingLock(Model):
    """A lock of somebody else on what would be written."""

    path: str = Field(description="The file, folder or glob, as it can be shown; '' is the root.")
    resource: str
    mode: Mode
    holder: Id
    holder_name: str
    expires_at: Timestamp


class GuardVerdict(Model):
    """Whether the files may be written."""

    verdict: Literal["free", "warned", "denied"]
    reason: str = Field(description="The text for the model: who holds what until when, and what to do.")
    hindrances: list[BlockingLock]


class ShowBriefing(Model):
    """What the acting agent should know when it begins."""

    max_chars: Annotated[int, Field(ge=limits.TEXT_CHARS_MIN, le=limits.BRIEFING_CHARS_MAX)] = Field(
        limits.BRIEFING_CHARS_MAX, description="Budget for the text."
    )


class Briefing(Model):
    """Who the agent is, what it holds until when, and what waits for it."""

    text: str
    agent_id: Id
    agent_name: str
    unread: int
    important: int
