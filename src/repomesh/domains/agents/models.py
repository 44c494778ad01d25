"""Models of agents, of the instances that speak for them, and of tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, MaxChars, Name, PageLimit, Scope, Tag, Tags
from repomesh.kernel.identity import Role
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import (
    HOOK_PROCESSES_MAX,
    NAME_CHARS_MAX,
    PAGE_ITEMS_DEFAULT,
    PROCESS_ID_CHARS_MAX,
    PROCESS_NUMBER_MAX,
    TOKEN_LIFE_S_MAX,
    TOKEN_LIFE_S_MIN,
    TOKEN_SCOPES_MAX,
)
from repomesh.kernel.operation import Model
from repomesh.kernel.unicode_text import normalize

AgentStatus = Literal["active", "inactive", "retired"]

InstanceId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", min_length=1, max_length=NAME_CHARS_MAX)
]

_KNOWN_TYPES = frozenset({"ai", "human", "service"})


def _known_type(type_: str) -> str:
    """The type; one that only looks different from a known one, such as 'Human ', is that one."""
    folded = normalize("NFKC", type_).casefold().strip()
    return folded if folded in _KNOWN_TYPES else type_


AgentType = Annotated[Tag, AfterValidator(_known_type)]
"""What an agent is: 'ai', 'human', 'service' or a word of one's own."""


PROCESS_PATTERN = r"[0-9]{1,10}(\.[0-9]{1,20})?(@[A-Za-z0-9._-]+)?"


def is_process(name: str) -> bool:
    """Whether the number in a well-formed process id can be a process's."""
    return 0 < int(name.partition("@")[0].partition(".")[0]) <= PROCESS_NUMBER_MAX


def _require_process(name: str) -> str:
    if not is_process(name):
        raise ValueError(f"is no process: its number must be 1 to {PROCESS_NUMBER_MAX}")
    return name


ProcessId = Annotated[
    str,
    StringConstraints(pattern=f"^{PROCESS_PATTERN}$", max_length=PROCESS_ID_CHARS_MAX),
    AfterValidator(_require_process),
]
"""A process by its number, with '.' and the clock tick in which it began where that is known (numbers are
given again), and with '@' and the machine where programs of several speak to one server."""

Resources = Annotated[dict[Tag, float], Field(max_length=32)]

AgentRef = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", min_length=1, max_length=NAME_CHARS_MAX),
]
"""An agent's name or id."""


class Agent(Model):
    """A participant: a model behind a CLI, a program, or a person."""

    id: Id
    name: str
    type: str = Field(description="What it is: 'ai', 'human', 'service' or a word of your own.")
    program: str = Field(description="The program behind it, such as 'claude-code'.")
    model: str = Field(description="The language model behind it, if any.")
    capabilities: list[str]
    status: AgentStatus
    status_text: str = Field(description="What the agent reports that it is doing.")
    resources: dict[str, float] = Field(
        description="Figures that the agent reported, such as 'context_left'."
    )
    created_at: Timestamp
    last_seen_at: Timestamp
    version: int = Field(description="Grows with each change; the ETag.")


class AgentDetail(Agent):
    """An agent, and the names that it had before."""

    former_names: list[str] = Field(description="Names that lead to it, too, oldest first.")


class RegisterAgent(Model):
    """Join the workspace, or join again as an agent that is known."""

    name: Name | None = Field(
        None, description="Stable name; without one a free name is made from `program`."
    )
    type: AgentType = Field("ai", description="'ai', 'human', 'service' or a word of your own.")
    program: Label = Field("", description="The program, such as 'claude-code'.")
    model: Label = Field("", description="The language model, if any.")
    capabilities: Tags = Field((), description="What it can do, for finding it and for matching tasks.")
    instance_id: InstanceId | None = Field(None, description="This run of it; one is made when absent.")
    process_id: ProcessId | None = Field(
        None, description="The agent's process; hooks use it to find the agent."
    )
    reuse_existing: bool = Field(True, description="Join as the agent that has this name already.")
    takeover_if_stale: bool = Field(True, description="Take over from an instance that went silent.")
    force: bool = Field(False, description="Take over even from a live instance.")
    next_if_active: bool = Field(
        False, description="Join as 'name-2', 'name-3' … while a live instance speaks for the name."
    )


class FindAgentOfProcess(Model):
    """A process whose agent to find."""

    processes: Annotated[tuple[ProcessId, ...], Field(max_length=HOOK_PROCESSES_MAX)] = Field(
        description="Its ancestors, nearest first."
    )


class FoundAgent(Model):
    """The agent, or nothing when no agent's CLI is among the processes."""

    agent: Agent | None


class Registration(Model):
    """The agent that the caller joined as. The instance token is shown once; use it for all further calls."""

    agent: Agent
    instance_id: str
    token_id: Id
    token: str = Field(
        description="The instance's bearer token, revoked when another takes over; empty for one that has it."
    )
    took_over: bool = Field(description="Whether an earlier instance was replaced.")
    name_not_given: str | None = Field(
        None, description="The requested name, if the agent got another because others use it."
    )
    heartbeat_every_s: float
    inactive_after_s: float


class ListAgents(Model):
    """Which agents to list."""

    name_prefix: Label | None = None
    type: AgentType | None = None
    status: AgentStatus | None = None
    capability: Tag | None = None
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ShowAgent(Model):
    """One agent, by name or id."""

    agent_id: AgentRef


class RetireAgent(Model):
    """Take an agent out of service; its name stays known and may register again."""

    agent_id: AgentRef


class RenameAgent(Model):
    """The new name of an agent. Its present name still leads to it."""

    agent_id: AgentRef
    name: Name = Field(description="The new name.")


class CloseInstance(Model):
    """End the calling instance and its token."""

    agent_id: AgentRef


class Token(Model):
    """A token, without its secret."""

    id: Id
    role: Role
    label: str
    agent_id: Id | None
    agent_name: str | None = Field(
        description="The agent that the token acts as; null for a token of no agent."
    )
    instance_id: str | None
    created_at: Timestamp
    scopes: list[str] | None = Field(
        description="The scopes that the token is narrowed to; null for all of its role."
    )
    expires_at: Timestamp | None = Field(description="When the token expires; null for never.")


class CreateToken(Model):
    """A new token of this workspace."""

    role: Literal["owner", "agent", "observer"]
    label: Label = ""
    agent: Name | None = Field(None, description="For role 'agent': the agent's name; made if unknown.")
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=TOKEN_SCOPES_MAX)] | None = Field(
        None,
        description="Narrow the token to these scopes, such as 'messages:read', or '*:read' for all that"
        " only read. Without them it holds all of its role.",
    )
    expires_in_s: Annotated[int, Field(ge=TOKEN_LIFE_S_MIN, le=TOKEN_LIFE_S_MAX)] | None = Field(
        None, description="Seconds until the token expires; without it, never."
    )


class CreatedToken(Model):
    """The new token; the secret is shown once."""

    token_id: Id
    token: str
    role: Role
    agent_id: Id | None
    scopes: list[str] | None = None
    expires_at: Timestamp | None = None


class ListTokens(Model):
    """The live tokens of this workspace."""

    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class RevokeToken(Model):
    """End a token at once."""

    token_id: Id


class AgentChanged(Model):
    """An agent joined, changed or left; `agent` is its new state."""

    agent: Agent
    instance_id: str | None = None
    reason: str = ""


class AgentRenamed(Model):
    """An agent was renamed; `agent` is its new state."""

    agent: Agent
    former_name: str


class PermissionRequested(Model):
    """An agent's CLI asks its person whether a tool may run; the agent waits for the answer.

    Only the person at that CLI can answer it: nothing here grants anything.
    """

    agent_id: Id
    agent_name: str
    cli: str = Field(description="The agent's CLI, such as 'claude'.")
    session_id: str = Field(description="The CLI's own session.")
    tool: str = Field(description="The tool that waits; empty when the CLI did not say.")
    summary: str = Field(description="What the tool is to do, shortened.")
    at: Timestamp


AGENT_REGISTERED = event_type(
    "agent.registered", AgentChanged, "An agent joined the workspace for the first time."
)
AGENT_TAKEN_OVER = event_type(
    "agent.taken_over",
    AgentChanged,
    "A new instance of an agent replaced the one before it, whose token is revoked.",
)
AGENT_STATUS_CHANGED = event_type(
    "agent.status_changed",
    AgentChanged,
    "An agent became active, idle or inactive, or changed its own details.",
)
AGENT_LEFT = event_type(
    "agent.left", AgentChanged, "An agent's instance ended: it left, or was silent for too long."
)
AGENT_RETIRED = event_type(
    "agent.retired", AgentChanged, "An agent was taken out of service; it can no longer act or be addressed."
)
AGENT_RENAMED = event_type(
    "agent.renamed",
    AgentRenamed,
    (
        "An agent was renamed. Its leases, and whatever waits for it, have the new name; its "
        "earlier messages keep the old one, which still leads to the agent."
    ),
)
AGENT_PERMISSION_REQUESTED = event_type(
    "agent.permission_requested",
    PermissionRequested,
    "An agent's CLI asks its person whether a tool may run; the agent waits for the answer.",
)
