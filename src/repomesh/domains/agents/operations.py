"""Operations on agents: join, list, leave, retire, and follow who is there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, Text, and_, or_, select, type_coerce, update

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
from repomesh.domains.workspaces.absence import silent_before
from repomesh.domains.workspaces.tables import tokens as token_rows
from repomesh.kernel import limits
from repomesh.kernel.budget import PageEnds, fit
from repomesh.kernel.clis import PROGRAMS, cli_of
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.identity import Role
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.operation import Get, Post, Tool, command, query
from repomesh.kernel.settings import Settings
from repomesh.store.damage import apply_to_each
from repomesh.store.due import before, due_at, span
from repomesh.store.log import NewEvent
from repomesh.store.paging import page
from repomesh.store.tables import counters
from repomesh.store.transaction import Transaction

HEARTBEATS_PER_LIMIT = 3  # two may be lost before an agent counts as inactive
TAKEN_OVER = "taken over"
SESSION_OVER = "session ended"
LEFT = "left"


def register_agent(tx: Transaction, request: RegisterAgent) -> Registration:
    """Join the workspace as an agent, as the operation `agent.register` does; see there."""
    hooked = _hooked(tx, request)
    name = _name_for(tx, request, hooked)
    rules.require_person(request.type, tx.caller)
    if tx.caller.instance_id is not None and request.instance_id in (None, tx.caller.instance_id):
        return _again(tx, request, tx.caller.instance_id)
    instance_id = request.instance_id or tx.new_id()
    row = rows.by_name(tx, name)
    if row is None:
        agent, took_over = rows.create(tx, name, request), False
    else:
        agent, took_over = _rejoin(tx, row, request, instance_id, hooked.instance_id if hooked else None)
    token_id, secret = tokens.issue(
        tx, tx.workspace_id, Role.AGENT, f"instance of {name}", agent_id=agent.id, instance_id=instance_id
    )
    rows.open_instance(tx, agent.id, instance_id, token_id, request.process_id)
    if hooked is not None:
        _take_session(tx, hooked, agent, instance_id)
    type_ = AGENT_TAKEN_OVER if took_over else AGENT_REGISTERED
    rows.emit_changed(tx, type_, agent, instance_id=instance_id)
    made = _registration(tx, agent, instance_id, token_id, secret, took_over=took_over)
    return made.model_copy(update={"name_not_given": rows.other_name(tx, request.name, agent.id)})


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
    statement = select(agents).where(agents.c.workspace_id == tx.workspace_id)
    if request.name_prefix is not None:
        prefix = rules.name_key(request.name_prefix)
        statement = statement.where(agents.c.name_key.startswith(prefix, autoescape=True))
    if request.type is not None:
        statement = statement.where(agents.c.type == request.type)
    if request.status is not None:
        statement = statement.where(agents.c.status == request.status)
    if request.capability is not None:
        quoted = f'"{request.capability}"'
        held = type_coerce(agents.c.capabilities, Text)
        statement = statement.where(held.contains(quoted, autoescape=True))
    items, next_cursor = page(tx, statement, request, [agents.c.name], as_agent)
    found = Page[Agent](items=items, next_cursor=next_cursor)
    if request.max_chars is None:
        return found
    start = request.cursor or encode_cursor("")
    return fit(found, request.max_chars, PageEnds(lambda index: encode_cursor(items[index].name), start))


@query("agent.show", http=Get("/v1/agents/{agent_id}"), scope="agents:read", errors=(AgentNotFound,))
def show_agent(tx: Transaction, request: ShowAgent) -> Agent:
    """Show one agent, by name or id."""
    return find_agent(tx, request.agent_id)


@command(
    "agent.rename",
    http=Post("/v1/agents/{agent_id}/rename"),
    scope="agents:write",
    errors=(AgentNotFound, NotYourAgent, AgentNameTaken, AgentNameReserved, TooManyFormerNames),
    changes_access=True,
)
def rename_agent(tx: Transaction, request: RenameAgent) -> Agent:
    """Give an agent another name, under which it holds and is awaited from now on.

    What it said keeps the name under which it was said. Its former name goes on leading to it, also for
    programs that it runs, and nobody else can take it.
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
    """Take an agent out of service: its tokens are revoked and what it held is given back.

    Its name and history stay; registering under the name again brings it back.
    """
    agent = find_agent(tx, request.agent_id)
    if agent.status == "retired":
        return agent
    rows.close_instances(tx, agent.id, "retired")
    live = select(token_rows.c.id).where(
        token_rows.c.workspace_id == tx.workspace_id,
        token_rows.c.agent_id == agent.id,
        token_rows.c.revoked_at.is_(None),
    )
    for token_id in tx.execute(live).scalars().all():
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
    """End the agent's open instance: its token is revoked and its leases are given back.

    A program that a CLI started leaves also when the CLI crashed. While the CLI's hooks have not said that
    its session is over, the agent stays, for the time that it may be silent: it may be restarted, or go on.
    """
    agent = find_agent(tx, request.agent_id)
    require_self(tx, agent)
    if session_rows.goes_on_without(tx, agent.id, tx.caller.instance_id):
        return agent
    return depart(tx, agent, LEFT)


def depart(tx: Transaction, agent: Agent, reason: str) -> Agent:
    """Close the agent's open instance; what it held is free as soon as the sweeper looks."""
    rows.close_instances(tx, agent.id, reason)
    if agent.status != "active":
        return agent
    gone = rows.change(tx, agent, status="inactive")
    rows.emit_changed(tx, AGENT_LEFT, gone, reason=reason)
    return gone


def silent(settings: Settings) -> Select[Any]:
    """The workspaces with agents that `sweep_agents` sets inactive, and when (a due query)."""
    limit_s = settings.agent_inactive_after_s
    heard, times = agents.c.last_seen_at, counters.c
    missed = or_(  # after an absence of the server a full limit has to pass, see `silent_before`
        times.returned_at.is_(None),
        times.returned_at < before(limit_s),
        heard < times.left_at.op("-")(span(limit_s)),
    )
    found = due_at(agents.c.workspace_id, heard, ACTIVE, missed, after_s=limit_s)
    return found.join(counters, times.workspace_id == agents.c.workspace_id)


def sweep_agents(tx: Transaction) -> list[str]:
    """Set agents inactive that were silent for longer than the setting allows; answers their ids.

    At most `AGENTS_SWEPT_MAX` in one transaction.
    """
    before = silent_before(tx, tx.settings.agent_inactive_after_s)
    silent = select(agents).where(
        agents.c.workspace_id == tx.workspace_id,
        agents.c.status == "active",
        agents.c.last_seen_at < before,
    )
    swept: list[str] = []

    def sweep(row: Row[Any]) -> None:
        gone = rows.change(tx, as_agent(row), status="inactive")
        rows.emit_changed(tx, AGENT_STATUS_CHANGED, gone, reason="no heartbeat")
        swept.append(gone.id)

    found = tx.execute(silent.limit(limits.AGENTS_SWEPT_MAX)).all()
    apply_to_each(tx, found, sweep, lambda row: f"agent/{row.id}")
    return swept


def touch(tx: Transaction, agent: Agent, instance_id: str | None, **figures: Any) -> Agent:
    """Note that `agent` was heard of, with the `status_text` and `resources` it may have told.

    An event is written only when the status or its text changes, never for a mere sign of life.
    """
    status = "active" if agent.status == "inactive" else agent.status
    status_text = figures.get("status_text", agent.status_text)
    resources = figures.get("resources", agent.resources)
    tx.execute(
        update(agents)
        .where(agents.c.id == agent.id)
        .values(last_seen_at=tx.now, status=status, status_text=status_text, resources=resources)
    )
    if instance_id is not None:
        mine = and_(
            instances.c.workspace_id == tx.workspace_id,
            instances.c.agent_id == agent.id,
            instances.c.id == instance_id,
        )
        tx.execute(update(instances).where(mine).values(last_seen_at=tx.now))
    told = {"status": status, "status_text": status_text, "resources": resources, "last_seen_at": tx.now}
    seen = agent.model_copy(update=told)
    if (status, status_text) == (agent.status, agent.status_text):
        return seen
    changed = rows.change(tx, seen)
    rows.emit_changed(tx, AGENT_STATUS_CHANGED, changed, instance_id=instance_id)
    return changed


def find_agent(tx: Transaction, name_or_id: str) -> Agent:
    """The agent of this workspace with this name, in whatever case, or id; raises AgentNotFound."""
    key = rules.name_key(name_or_id)
    named = or_(agents.c.name == name_or_id, agents.c.name_key == key, agents.c.id == name_or_id)
    statement = select(agents).where(agents.c.workspace_id == tx.workspace_id, named)
    # An agent may bear another's id as its name only on purpose; the id then wins. So does the exact name
    # over one in another case, where an older release let both in.
    found = sorted(
        tx.execute(statement).all(), key=lambda row: (row.id != name_or_id, row.name != name_or_id)
    )
    agent = found[0] if found else rows.by_former_name(tx, name_or_id)
    if agent is None:
        raise AgentNotFound(f"there is no agent '{name_or_id}'")
    return as_agent(agent)


def require_self(tx: Transaction, agent: Agent) -> None:
    """Raise NotYourAgent unless the caller acts as `agent` or is the owner acting as nobody."""
    caller = tx.caller
    if caller.agent_id != agent.id and not (caller.is_admin and caller.agent_id is None):
        raise NotYourAgent(f"this token does not speak for '{agent.name}'")


def live_agents(tx: Transaction) -> list[Row[Any]]:
    """(id, name) of every agent that is not retired, by name: whom a broadcast reaches."""
    statement = select(agents.c.id, agents.c.name).where(
        agents.c.workspace_id == tx.workspace_id, agents.c.status != "retired"
    )
    return list(tx.execute(statement.order_by(agents.c.name)).all())


def ensure_agent(tx: Transaction, name: str, type_: str = "ai") -> Agent:
    """The agent `name`, made if unknown: for who is spoken to before it first speaks."""
    row = rows.by_name(tx, name)
    if row is not None:
        return as_agent(row)
    agent = rows.create(tx, name, RegisterAgent(name=name, type=type_))
    agent = rows.change(tx, agent, status="inactive")
    rows.emit_changed(tx, AGENT_REGISTERED, agent)
    return agent


def _again(tx: Transaction, request: RegisterAgent, instance_id: str) -> Registration:
    agent = find_agent(tx, tx.caller.acting_agent())
    rules.joining(request.model_copy(update={"instance_id": instance_id}), agent.name, instance_id, True)
    told = _given_fields(request)
    if agent.status != "active" or changed_values(told, agent):
        agent = rows.change(tx, agent, status="active", last_seen_at=tx.now, **told)
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


def _given_fields(request: RegisterAgent) -> dict[str, Any]:
    """What a registration says of an agent; what it leaves out stays as it was."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in ("type", "program", "model", "capabilities")
        if name in request.model_fields_set and (value := getattr(request, name)) is not None
    }


def _name_for(tx: Transaction, request: RegisterAgent, hooked: Row[Any] | None) -> str:
    """The name to join under; what hooks of the same run are called already, unless another is asked for."""
    caller = tx.caller
    if caller.role is Role.AGENT and request.name and not _is_named(tx, caller.agent_id, request.name):
        raise NotYourAgent(f"this token speaks for '{caller.agent_name}' only")
    if hooked is not None:
        own: str = hooked.agent_name
        asked = request.name
        if asked is None or _is_named(tx, hooked.agent_id, asked) or session_rules.is_numbered(own, asked):
            return own
    name = request.name or caller.agent_name
    cli = cli_of(request.program) if request.process_id else None
    if name is not None:
        if not request.next_if_active or caller.agent_name is not None:
            return name
        return session_rows.free_name(tx, name, cli or request.program, wanted=True)
    if cli is not None:  # its hooks would look for the same name
        return session_rows.free_name(tx, PROGRAMS[cli], cli)
    return rules.free_name(request.program, rows.taken_names(tx))


def _is_named(tx: Transaction, agent_id: str | None, name: str) -> bool:
    """Whether a name is that of this agent, in whatever case."""
    row = rows.by_name(tx, name)
    return row is not None and row.id == agent_id


def _hooked(tx: Transaction, request: RegisterAgent) -> Row[Any] | None:
    """The live CLI session of the same process, whose hooks spoke first, if the caller may speak for it."""
    if request.process_id is None or tx.caller.instance_id is not None:
        return None
    return session_rows.of_process(tx, request.process_id)


def _opened_by_own_hooks(tx: Transaction, open_one: Row[Any]) -> bool:
    """Whether hooks opened an instance that speak with the caller's own token, an agent's."""
    return bool(tx.caller.agent_id == open_one.agent_id and open_one.id.startswith(rows.OF_HOOKS))


def _take_session(tx: Transaction, hooked: Row[Any], agent: Agent, instance_id: str) -> None:
    """Have the hooks of a CLI session speak as this instance from now on."""
    if hooked.agent_id != agent.id:  # it wants to be another one than its hooks took it for
        depart(tx, find_agent(tx, hooked.agent_id), TAKEN_OVER)
    session_rows.change(tx, hooked, CLI_SESSION_CHANGED, agent_id=agent.id, instance_id=instance_id)


def _rejoin(
    tx: Transaction, row: Row[Any], request: RegisterAgent, instance_id: str, own: str | None
) -> tuple[Agent, bool]:
    """Join as the agent in a row; the instance `own` gives way without being taken over."""
    agent = as_agent(row)
    open_one = rows.open_instance_of(tx, agent.id)
    if open_one is not None and _opened_by_own_hooks(tx, open_one):
        own = open_one.id
    live = open_one is not None and session_rows.is_spoken_for(tx, agent.id, open_one)
    other_id = open_one.id if open_one is not None and open_one.id != own else None
    how = rules.joining(request, agent.name, other_id, live)
    if open_one is not None:
        rows.close_instances(tx, agent.id, TAKEN_OVER)
        if open_one.id == own:
            session_rows.rebind(tx, agent.id, open_one.id, instance_id)
    joined = rows.change(tx, agent, status="active", last_seen_at=tx.now, **_given_fields(request))
    return joined, how is rules.RegistrationKind.TAKE_OVER
