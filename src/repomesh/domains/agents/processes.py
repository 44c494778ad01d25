"""Find the agent whose CLI started a process, however many programs lie between."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from repomesh.domains.agents.cli_sessions import rules
from repomesh.domains.agents.models import FindAgentOfProcess, FoundAgent
from repomesh.domains.agents.rows import as_agent
from repomesh.domains.agents.tables import agents, cli_sessions, instances
from repomesh.kernel.operation import Post, query
from repomesh.store.transaction import Transaction

_OF_INSTANCES = select(instances.c.process_id, instances.c.agent_id, instances.c.claimed_by_agent).where(
    instances.c.workspace_id == bindparam("ws"),
    instances.c.closed_at.is_(None),
    instances.c.process_id.is_not(None),
)
_OF_SESSIONS = select(
    cli_sessions.c.processes, cli_sessions.c.agent_id, cli_sessions.c.claimed_by_agent
).where(cli_sessions.c.workspace_id == bindparam("ws"), cli_sessions.c.ended_at.is_(None))
_AGENT = select(agents).where(agents.c.workspace_id == bindparam("ws"), agents.c.id == bindparam("agent"))


@query("agent.of_process", http=Post("/v1/agents/of-process"), scope="agents:read")
def find_agent_of_process(tx: Transaction, request: FindAgentOfProcess) -> FoundAgent:
    """Find the agent whose CLI started a process, from the process's ancestors. There may be none.

    For programs that an agent runs, such as git, which do not know the agent. If several claims fit one
    process, the owner's counts first.
    """
    in_workspace = {"ws": tx.workspace_id}
    claims = [
        (row.claimed_by_agent, row.process_id, row.agent_id)
        for row in tx.execute(_OF_INSTANCES, in_workspace)
    ]
    for row in tx.execute(_OF_SESSIONS, in_workspace):
        cli = rules.cli_process(row.processes)
        claims += [(row.claimed_by_agent, cli, row.agent_id)] if cli is not None else []
    claims.sort(key=lambda claim: claim[0])
    ordered_claims = [(process, agent_id) for _, process, agent_id in claims]
    agent_id = rules.nearest_agent(request.processes, ordered_claims)
    if agent_id is None:
        return FoundAgent(agent=None)
    agent_row = tx.execute(_AGENT, in_workspace | {"agent": agent_id}).one()
    return FoundAgent(agent=as_agent(agent_row))
