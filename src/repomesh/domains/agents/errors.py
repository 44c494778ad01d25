"""What can go wrong when agents join."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound, TokenRevoked


class AgentNotFound(NotFound):
    """No agent of this workspace has that name or id."""

    code = "agent_not_found"
    hint = "List the agents with GET /v1/agents; an agent joins with register_agent."


class AgentNameTaken(Conflict):
    """The name is, or was, another agent's."""

    code = "agent_name_taken"
    hint = "Choose another name, or send reuse_existing=true to join as that agent."


class TooManyFormerNames(Conflict):
    """An agent was renamed as often as it may be; each name that it had is kept for it."""

    code = "too_many_former_names"
    hint = "Use one of its former names again, or register another agent with register_agent."


class AgentNameReserved(InvalidRequest):
    """The name is reserved for the server, the first person, or signed webhooks."""

    code = "agent_name_reserved"
    hint = "Send another 'name'."


class UnknownScope(InvalidRequest):
    """A token can't be narrowed to a scope that no operation uses."""

    code = "unknown_scope"
    hint = (
        "A scope is an area and a right, such as 'tasks:write'; '*:read' stands for everything "
        "that only reads."
    )


class AgentActiveElsewhere(Conflict):
    """A live instance already acts as this agent."""

    code = "agent_active_elsewhere"
    hint = "Send another 'name'; if the other instance is yours and lost, send 'force' true to take over."


class AgentStale(Conflict):
    """An instance that went silent still holds this agent, and the request does not take it over."""

    code = "agent_stale"
    hint = "Send takeover_if_stale=true to take over from the silent instance."


class NotYourAgent(Forbidden):
    """An agent's token acts as that agent only."""

    code = "not_your_agent"
    hint = "Leave 'agent_id' out, use your own agent's, or use the owner's token."


class AgentRetired(Forbidden):
    """The agent is retired and can't act."""

    code = "agent_retired"
    hint = "Register it again with register_agent, or name another agent."


class AgentNameMissing(InvalidRequest):
    """A token for an agent needs the agent's name."""

    code = "agent_name_missing"
    hint = "Send 'agent' with the name of the agent that the token is for."


class PersonReserved(Forbidden):
    """Only the owner's token can register a person: people's answers end loops and questions."""

    code = "person_reserved"
    hint = "Leave 'type' out, or register with the owner's token."


class CliSessionNotFound(NotFound):
    """No hook has reported such a CLI session."""

    code = "cli_session_not_found"
    hint = "List the sessions of CLIs with GET /v1/cli-sessions; one exists from its first hook on."


class InstanceEnded(TokenRevoked):
    """The CLI session that this instance belonged to has ended."""

    code = "instance_ended"
    hint = "Register again with register_agent if the CLI goes on."


class InstanceReplaced(TokenRevoked):
    """Another instance acts as this agent now, so this one must stop."""

    code = "instance_replaced"
    hint = "Stop this instance, or register with register_agent under another name."


class OnlyPeople(Forbidden):
    """Only people and the workspace's owner can do this."""

    code = "only_people"
    hint = "Ask a person with the tool ask_human; what agents decide, they propose with POST /v1/meetings."
