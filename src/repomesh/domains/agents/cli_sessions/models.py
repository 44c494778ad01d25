"""Models of CLI sessions: runs of an agent's CLI, as its hooks report them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from repomesh.domains.agents.models import AgentRef, ProcessId
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, PageLimit
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model, PartialResult

CliState = Literal["busy", "idle"]
"""Whether the CLI's model works, or waits for its person or a message."""

Cli = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=32)]

CliSessionId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", max_length=limits.CLI_SESSION_ID_CHARS_MAX)
]

FilePath = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=limits.FILE_PATH_CHARS_MAX),
]


class CliSession(Model):
    """A run of an agent's CLI, from its first hook to its last."""

    cli: str = Field(description="The CLI, such as 'claude'.")
    session_id: str = Field(
        description="The CLI's own id of it; that of a second run beside it has ':' and its process behind."
    )
    agent_id: Id
    agent_name: str
    instance_id: str
    state: CliState = Field(description="Whether its model works or waits.")
    cwd: str
    transcript_path: str | None
    started_at: Timestamp
    last_hook_at: Timestamp = Field(description="Time of a recent hook; not every hook is recorded.")
    ended_at: Timestamp | None
    ended_reason: str | None


class ListCliSessions(Model):
    """Which CLI sessions to list."""

    agent: AgentRef | None = None
    cli: Cli | None = None
    live: bool = Field(True, description="Only those that are not over.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class BeginCliSession(Model):
    """A hook reported a CLI session, for the first time or again."""

    cli: Cli
    session_id: CliSessionId
    wanted: AgentRef | None = Field(None, description="The agent name that it asks for.")
    processes: Annotated[tuple[ProcessId, ...], Field(max_length=limits.HOOK_PROCESSES_MAX)] = ()
    cwd: FilePath = ""
    transcript_path: FilePath | None = None
    state: CliState = "idle"


class BegunCliSession(Model):
    """A CLI session and whether it began now, or goes on."""

    session: CliSession
    new: bool
    name_not_given: str | None = Field(
        None, description="The requested name, if the session's agent has another."
    )


class SweepCliSessions(Model):
    """End the CLI sessions that no hook ended, but whose agent or instance is gone."""


class EndedCliSessions(PartialResult):
    """The CLI sessions that were found to be over."""

    session_ids: list[str]


class CliSessionKey(Model):
    """One CLI session."""

    cli: Cli
    session_id: CliSessionId


class NoteCliSession(CliSessionKey):
    """What changed about a CLI session; what is absent stays."""

    state: CliState | None = None
    transcript_path: FilePath | None = None
    briefing_due: bool | None = None
    turn_over: bool = Field(False, description="Whether a turn ended, so that the next turn is judged anew.")


class EndCliSession(CliSessionKey):
    """The end of a CLI session."""

    reason: Label = ""
    goes_on: bool = Field(False, description="Whether its process goes on with another session.")


class ReportPermission(CliSessionKey):
    """A CLI asks its person for a permission."""

    tool: Annotated[str, StringConstraints(max_length=limits.LABEL_CHARS_MAX)] = ""
    summary: Annotated[str, StringConstraints(max_length=limits.PERMISSION_SUMMARY_CHARS_MAX)] = ""


class CliSessionChanged(Model):
    """A CLI session began, began or ended a turn, or is over; `session` is its new state."""

    session: CliSession


CLI_SESSION_STARTED = event_type("cli_session.started", CliSessionChanged, "A session of an agent CLI began.")
CLI_SESSION_CHANGED = event_type(
    "cli_session.changed", CliSessionChanged, "A session of an agent CLI began or ended a turn."
)
CLI_SESSION_ENDED = event_type("cli_session.ended", CliSessionChanged, "A session of an agent CLI ended.")
