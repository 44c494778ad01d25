"""Operations on agents: register, list, rename, leave, retire, and sweep the silent ones."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, Select, Text, and_, or_, select, type_coerce, update

from repomesh.domains.agents import rows, rules
from repomesh.domains.agents.cli_sessions import rows as session_rows
from repomesh.domains.agents.cli_sessions import rules as session_rules
from repomesh.domains.agents.cli_sessions.models import CLI_SESSION_CHANGED
from repomesh.domains.agents.errors import (
    AgentNameReserved,
    AgentNameTaken,
    AgentNotFound,
    NotYourAgent,
    TooManyFormerNames,
)
from repomesh.domains.agents.models import (
    AGENT_LEFT,
    AGENT_REGISTERED,
    AGENT_RENAMED,
    AGENT_RETIRED,
    AGENT_STATUS_CHANGED,
    AGENT_TAKEN_OVER,
    Agent,
    AgentDetail,
    AgentRenamed,
    CloseInstance,
    ListAgents,
    RegisterAgent,
    Registration,
    RenameAgent,
    RetireAgent,
    ShowAgent,
)
from repomesh.domains.agents.rows import as_agent as as_agent
from repomesh.domains.agents.tables import ACTIVE, agents, instances
from repomesh.domains.workspaces import tokens
from repomesh.domains.workspaces.server_downtime import silent_before
from repomesh.domains.workspaces.tables import tokens as token_rows
from repomesh.kernel import limits
from repomesh.kernel.clis import PROGRAMS, cli_of
from repomesh.kernel.fields import Page
from repomesh.kernel.identity import Role
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.operation import Get, Post, Tool, command, query
from repomesh.kernel.settings import Settings
from repomesh.store.damage import apply_to_each
from repomesh.store.due import before, due_at, span
from repomesh.store.listing import Listing, equals
from repomesh.store.log import NewEvent
from repomesh.store.tables import counters
from repomesh.store.transaction import Transaction

HEARTBEATS_PER_LIMIT = 3  # two may be lost before an agent counts as inactive
TAKEN_OVER = "taken over"
SESSION_OVER = "session ended"
LEFT = "left"


def register_agent(tx: Transaction, request: RegisterAgent) -> Registration:
    """Join the workspace as an agent, as the operation `agent.register` does; see there."""
    hook_session = _find_hook_session(tx, request)
    name = _choose_name(tx, request, hook_session)
    rules.require_person(request.type, tx.caller)
    if tx.caller.instance_id is not None and request.instance_id in (None, tx.caller.instance_id):
        return _register_again(tx, request, tx.caller.instance_id)
    instance_id = request.instance_id or tx.new_id()
    row = rows.find_by_name(tx, name)
    if row is None:
        agent, took_over = rows.create(tx, name, request), False
    else:
        agent, took_over = _rejoin(
            tx, row, request, instance_id, hook_session.instance_id if hook_session else None
        )
    token_id, secret = tokens.issue(
        tx, tx.workspace_id, Role.AGENT, f"instance of {name}", agent_id=agent.id, instance_id=instance_id
    )
    rows.open_instance(tx, agent.id, instance_id, token_id, request.process_id)
    if hook_session is not None:
        _rebind_session(tx, hook_session, agent, instance_id)
    type_ = AGENT_TAKEN_OVER if took_over else AGENT_REGISTERED
    rows.emit_changed(tx, type_, agent, instance_id=instance_id)
    registration = _registration(tx, agent, instance_id, token_id, secret, took_over=took_over)
    return registration.model_copy(update={"name_not_given": rows.other_name(tx, request.name, agent.id)})


def _offers(_tx: Transaction, capability: str) -> ColumnElement[bool]:
    quoted = orjson.dumps(capability).decode()  # as it stands in the stored list
    return type_coerce(agents.c.capabilities, Text).contains(quoted, autoescape=True)


_LISTING = Listing(
    Page[Agent],
    as_agent,
    keys=(agents.c.name,),
    filters={
        "name_prefix": lambda _tx, prefix: agents.c.name_key.startswith(
            rules.name_key(prefix), autoescape=True
        ),
        "type": equals(agents.c.type),
        "status": equals(agents.c.status),
        "capability": _offers,
    },
)


@query(
    "agent.list",
    http=Get("/v1/agents"),
    tool=Tool(
        "list_agents",
        "Who is here, by name prefix, status or capability.",
        fields=("name_prefix", "status", "capability", "max_chars"),
        read_only=True,
    ),
    scope="agents:read",
)
def list_agents(tx: Transaction, request: ListAgents) -> Page[Agent]:
    """List agents by name."""
    return _LISTING.read(tx, select(agents).where(agents.c.workspace_id == tx.workspace_id), request)


@query("agent.show", http=Get("/v1/agents/{agent_id}"), scope="agents:read", errors=(AgentNotFound,))
def show_agent(tx: Transaction, request: ShowAgent) -> AgentDetail:
    """Show one agent, by name (also a former one) or id."""
    agent = find_agent(tx, request.agent_id)
    return AgentDetail(**agent.model_dump(), former_names=rows.names_before(tx, agent.id))


@command(
    "agent.rename",
    http=Post("/v1/agents/{agent_id}/rename"),
    scope="agents:write",
    errors=(AgentNotFound, NotYourAgent, AgentNameTaken, AgentNameReserved, TooManyFormerNames),
    changes_access=True,
)
def rename_agent(tx: Transaction, request: RenameAgent) -> Agent:
    """Rename an agent. Its leases, and whatever waits for it, use the new name from now on.

    Its earlier messages and other records keep the old name. The old name still leads to the agent, also for
    programs that it runs, and no other agent can take it.
    """
    agent = find_agent(tx, request.agent_id)
    require_self(tx, agent)
    if agent.name == request.name:
        return agent
    renamed = rows.rename(tx, agent, request.name)
    tx.emit(
        NewEvent(
            AGENT_RENAMED,
            f"agent/{agent.id}",
            AgentRenamed(agent=renamed, former_name=agent.name),
            actor=agent.id,
        )
    )
    return renamed


@command(
    "agent.retire",
    http=Post("/v1/agents/{agent_id}/retire"),
    scope="agents:admin",
    errors=(AgentNotFound,),
    changes_access=True,
)
def retire_agent(tx: Transaction, request: RetireAgent) -> Agent:
    """Take an agent out of service: its tokens are revoked and what it held is released.

    Its name and history stay. Registering under the name again returns the agent to service.
    """
    agent = find_agent(tx, request.agent_id)
    if agent.status == "retired":
        return agent
    rows.close_instances(tx, agent.id, "retired")
    live_token_ids = select(token_rows.c.id).where(
        token_rows.c.workspace_id == tx.workspace_id,
        token_rows.c.agent_id == agent.id,
        token_rows.c.revoked_at.is_(None),
    )
    for token_id in tx.execute(live_token_ids).scalars().all():
        tokens.revoke(tx, token_id, agent.id, "agent retired")
    retired = rows.change(tx, agent, status="retired")
    rows.emit_changed(tx, AGENT_RETIRED, retired)
    return retired


@command(
    "agent.leave",
    http=Post("/v1/agents/{agent_id}/leave"),
    scope="agents:write",
    errors=(AgentNotFound, NotYourAgent),
    changes_access=True,
)
def leave(tx: Transaction, request: CloseInstance) -> Agent:
    """End the agent's open instance: its token is revoked and its leases are released.

    A program that a CLI started also leaves when the CLI crashed. Until the CLI's hooks report the end of the
    session, the agent stays for as long as an agent may be silent, since the CLI may restart the program or
    go on.
    """
    agent = find_agent(tx, request.agent_id)
    require_self(tx, agent)
    if session_rows.is_kept_by_hooks(tx, agent.id, tx.caller.instance_id):
        return agent
    return depart(tx, agent, LEFT)


def depart(tx: Transaction, agent: Agent, reason: str) -> Agent:
    """Close the agent's open instance and set the agent inactive; the sweeper then releases its leases."""
    rows.close_instances(tx, agent.id, reason)
    if agent.status != "active":
        return agent
    inactive = rows.change(tx, agent, status="inactive")
    rows.emit_changed(tx, AGENT_LEFT, inactive, reason=reason)
    return inactive


def silent_agents_due(settings: Settings) -> Select[Any]:
    """A due query: the workspaces with agents that `set_silent_agents_inactive` sets inactive, and when."""
    limit_s = settings.agent_inactive_after_s
    last_seen_at, server_times = agents.c.last_seen_at, counters.c
    limit_passed = or_(  # after an absence of the server a full limit has to pass, see `silent_before`
        server_times.returned_at.is_(None),
        server_times.returned_at < before(limit_s),
        last_seen_at < server_times.left_at.op("-")(span(limit_s)),
    )
    statement = due_at(agents.c.workspace_id, last_seen_at, ACTIVE, limit_passed, after_s=limit_s)
    return statement.join(counters, server_times.workspace_id == agents.c.workspace_id)


def set_silent_agents_inactive(tx: Transaction) -> list[str]:
    """Set agents inactive that were silent for longer than the setting allows; returns their ids.

    At most `AGENTS_SWEPT_MAX` in one transaction.
    """
    cutoff = silent_before(tx, tx.settings.agent_inactive_after_s)
    statement = select(agents).where(
        agents.c.workspace_id == tx.workspace_id,
        agents.c.status == "active",
        agents.c.last_seen_at < cutoff,
    )
    swept: list[str] = []

    def sweep(row: Row[Any]) -> None:
        inactive = rows.change(tx, as_agent(row), status="inactive")
        rows.emit_changed(tx, AGENT_STATUS_CHANGED, inactive, reason="no heartbeat")
        swept.append(inactive.id)

    silent_rows = tx.execute(statement.limit(limits.AGENTS_SWEPT_MAX)).all()
    apply_to_each(tx, silent_rows, sweep, lambda row: f"agent/{row.id}")
    return swept


def touch(tx: Transaction, agent: Agent, instance_id: str | None, **reported: Any) -> Agent:
    """Record a sign of life of `agent`, with the `status_text` and `resources` that it reported, if any.

    An event is emitted only when the status or its text changes. Returns the agent with its new state.
    """
    status = "active" if agent.status == "inactive" else agent.status
    status_text = reported.get("status_text", agent.status_text)
    resources = reported.get("resources", agent.resources)
    tx.execute(
        update(agents)
        .where(agents.c.id == agent.id)
        .values(last_seen_at=tx.now, status=status, status_text=status_text, resources=resources)
    )
    if instance_id is not None:
        of_instance = and_(
            instances.c.workspace_id == tx.workspace_id,
            instances.c.agent_id == agent.id,
            instances.c.id == instance_id,
        )
        tx.execute(update(instances).where(of_instance).values(last_seen_at=tx.now))
    values = {"status": status, "status_text": status_text, "resources": resources, "last_seen_at": tx.now}
    touched = agent.model_copy(update=values)
    if (status, status_text) == (agent.status, agent.status_text):
        return touched
    changed = rows.change(tx, touched)
    rows.emit_changed(tx, AGENT_STATUS_CHANGED, changed, instance_id=instance_id)
    return changed


def find_agent(tx: Transaction, name_or_id: str) -> Agent:
    """The agent of this workspace with this name, in whatever case, or id; raises AgentNotFound."""
    key = rules.name_key(name_or_id)
    matches_ref = or_(agents.c.name == name_or_id, agents.c.name_key == key, agents.c.id == name_or_id)
    statement = select(agents).where(agents.c.workspace_id == tx.workspace_id, matches_ref)
    # An agent may bear another's id as its name only on purpose; the id then wins. So does the exact name
    # over one in another case, where an older release let both in.
    matches = sorted(
        tx.execute(statement).all(), key=lambda row: (row.id != name_or_id, row.name != name_or_id)
    )
    agent = matches[0] if matches else rows.find_by_former_name(tx, name_or_id)
    if agent is None:
        raise AgentNotFound(f"there is no agent '{name_or_id}'")
    return as_agent(agent)


def require_self(tx: Transaction, agent: Agent) -> None:
    """Raise NotYourAgent unless the caller acts as `agent` or is the owner acting as nobody."""
    caller = tx.caller
    if caller.agent_id != agent.id and not (caller.is_admin and caller.agent_id is None):
        raise NotYourAgent(f"this token does not speak for '{agent.name}'")


def agents_in_service(tx: Transaction) -> list[Row[Any]]:
    """Rows of (id, name) of the agents that are not retired, by name: the recipients of a broadcast."""
    statement = select(agents.c.id, agents.c.name).where(
        agents.c.workspace_id == tx.workspace_id, agents.c.status != "retired"
    )
    return list(tx.execute(statement.order_by(agents.c.name)).all())


def ensure_agent(tx: Transaction, name: str, type_: str = "ai") -> Agent:
    """The agent `name`; an unknown one is made, inactive, so that it can be addressed before it joins."""
    row = rows.find_by_name(tx, name)
    if row is not None:
        return as_agent(row)
    agent = rows.create(tx, name, RegisterAgent(name=name, type=type_))
    agent = rows.change(tx, agent, status="inactive")
    rows.emit_changed(tx, AGENT_REGISTERED, agent)
    return agent


def _register_again(tx: Transaction, request: RegisterAgent, instance_id: str) -> Registration:
    """Update the agent of an instance that registers with its own token; it keeps that token."""
    agent = find_agent(tx, tx.caller.acting_agent())
    rules.decide_registration(
        request.model_copy(update={"instance_id": instance_id}), agent.name, instance_id, True
    )
    fields = _requested_fields(request)
    if agent.status != "active" or changed_values(fields, agent):
        agent = rows.change(tx, agent, status="active", last_seen_at=tx.now, **fields)
        rows.emit_changed(tx, AGENT_REGISTERED, agent, instance_id=instance_id)
    return _registration(tx, agent, instance_id, tx.caller.token_id, "", took_over=False)


def _registration(
    tx: Transaction, agent: Agent, instance_id: str, token_id: str, secret: str, *, took_over: bool
) -> Registration:
    limit_s = tx.settings.agent_inactive_after_s
    return Registration(
        agent=agent,
        instance_id=instance_id,
        token_id=token_id,
        token=secret,
        took_over=took_over,
        heartbeat_every_s=limit_s / HEARTBEATS_PER_LIMIT,
        inactive_after_s=limit_s,
    )


def _requested_fields(request: RegisterAgent) -> dict[str, Any]:
    """The fields of an agent that a registration sets; absent fields stay as they are."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in ("type", "program", "model", "capabilities")
        if name in request.model_fields_set and (value := getattr(request, name)) is not None
    }


def _choose_name(tx: Transaction, request: RegisterAgent, hook_session: Row[Any] | None) -> str:
    """The name to join under: that of the hooks of the same run, unless the request has another one.

    Raises NotYourAgent when the request names another agent than that of the caller's token.
    """
    caller = tx.caller
    if caller.role is Role.AGENT and request.name and not _has_name(tx, caller.agent_id, request.name):
        raise NotYourAgent(f"this token speaks for '{caller.agent_name}' only")
    if hook_session is not None:
        current_name: str = hook_session.agent_name
        requested_name = request.name
        if (
            requested_name is None
            or _has_name(tx, hook_session.agent_id, requested_name)
            or session_rules.is_numbered(current_name, requested_name)
        ):
            return current_name
    name = request.name or caller.agent_name
    cli = cli_of(request.program) if request.process_id else None
    if name is not None:
        if not request.next_if_active or caller.agent_name is not None:
            return name
        return session_rows.free_name(tx, name, cli or request.program, requested=True)
    if cli is not None:  # its hooks would look for the same name
        return session_rows.free_name(tx, PROGRAMS[cli], cli)
    return rules.free_name(request.program, rows.taken_names(tx))


def _has_name(tx: Transaction, agent_id: str | None, name: str) -> bool:
    """Whether a name, in any case, is a present or former name of this agent."""
    row = rows.find_by_name(tx, name)
    return row is not None and row.id == agent_id


def _find_hook_session(tx: Transaction, request: RegisterAgent) -> Row[Any] | None:
    """The live CLI session of the request's process, if hooks reported it already and it binds the caller."""
    if request.process_id is None or tx.caller.instance_id is not None:
        return None
    return session_rows.find_by_process(tx, request.process_id)


def _opened_by_own_hooks(tx: Transaction, open_instance: Row[Any]) -> bool:
    """Whether an instance was opened by hooks that use the caller's own agent token."""
    return bool(
        tx.caller.agent_id == open_instance.agent_id and open_instance.id.startswith(rows.HOOK_ID_PREFIX)
    )


def _rebind_session(tx: Transaction, hook_session: Row[Any], agent: Agent, instance_id: str) -> None:
    """Bind a CLI session to an agent and its instance; the agent that it was bound to departs."""
    if hook_session.agent_id != agent.id:  # it registers as another agent than its hooks did
        depart(tx, find_agent(tx, hook_session.agent_id), TAKEN_OVER)
    session_rows.change(tx, hook_session, CLI_SESSION_CHANGED, agent_id=agent.id, instance_id=instance_id)


def _rejoin(
    tx: Transaction, row: Row[Any], request: RegisterAgent, instance_id: str, own_instance_id: str | None
) -> tuple[Agent, bool]:
    """Join as the agent in a row; returns it and whether an instance was taken over.

    Replacing the caller's own instance `own_instance_id` is no takeover.
    """
    agent = as_agent(row)
    open_instance = rows.open_instance_of(tx, agent.id)
    if open_instance is not None and _opened_by_own_hooks(tx, open_instance):
        own_instance_id = open_instance.id
    is_live = open_instance is not None and session_rows.is_spoken_for(tx, agent.id, open_instance)
    other_id = open_instance.id if open_instance is not None and open_instance.id != own_instance_id else None
    kind = rules.decide_registration(request, agent.name, other_id, is_live)
    if open_instance is not None:
        rows.close_instances(tx, agent.id, TAKEN_OVER)
        if open_instance.id == own_instance_id:
            session_rows.rebind(tx, agent.id, open_instance.id, instance_id)
    joined = rows.change(tx, agent, status="active", last_seen_at=tx.now, **_requested_fields(request))
    return joined, kind is rules.RegistrationKind.TAKE_OVER
