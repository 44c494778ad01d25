"""Every operation and reaction of repomesh, by importing the domains that register them, one by one."""

from __future__ import annotations

from repomesh.domains.agents import credentials as _credentials
from repomesh.domains.agents import operations as _agents
from repomesh.domains.agents import processes as _processes
from repomesh.domains.agents.cli_sessions import operations as _cli_sessions
from repomesh.domains.changes import deciding as _change_decisions
from repomesh.domains.changes import operations as _changes
from repomesh.domains.changes import reactions as _change_reactions
from repomesh.domains.changes import rolling_back as _rolling_back
from repomesh.domains.changes.queue import landing as _landing
from repomesh.domains.changes.queue import operations as _queue
from repomesh.domains.changes.queue import pins as _queue_pins
from repomesh.domains.changes.queue import processing as _queue_processing
from repomesh.domains.changes.queue import replaying as _replaying
from repomesh.domains.changes.queue import reports as _queue_reports
from repomesh.domains.changes.queue import stalls as _queue_stalls
from repomesh.domains.leases import lost_leases as _losses
from repomesh.domains.leases import operations as _leases
from repomesh.domains.leases import queries as _lock_queries
from repomesh.domains.leases import reactions as _lease_reactions
from repomesh.domains.meetings import model_proposals as _proposals
from repomesh.domains.meetings import operations as _meetings
from repomesh.domains.meetings import reactions as _meeting_reactions
from repomesh.domains.meetings import speaking as _speaking
from repomesh.domains.meetings.decisions import operations as _decisions
from repomesh.domains.meetings.minutes import operations as _minutes
from repomesh.domains.meetings.templates import operations as _meeting_templates
from repomesh.domains.meetings.topics import operations as _topics
from repomesh.domains.messaging.channels import operations as _channels
from repomesh.domains.messaging.delivery import operations as _deliveries
from repomesh.domains.messaging.delivery import reminding as _reminding
from repomesh.domains.messaging.delivery import tracing as _tracing
from repomesh.domains.messaging.delivery import undelivered as _undelivered
from repomesh.domains.messaging.events import operations as _events
from repomesh.domains.messaging.messages import operations as _messaging
from repomesh.domains.messaging.personal_inbox import operations as _inbox
from repomesh.domains.messaging.questions import operations as _questions
from repomesh.domains.messaging.questions import reactions as _question_reactions
from repomesh.domains.messaging.reviews import operations as _reviews
from repomesh.domains.messaging.reviews import reactions as _review_reactions
from repomesh.domains.messaging.waits import operations as _waits
from repomesh.domains.messaging.wakes import operations as _wakes
from repomesh.domains.overview.batches import operations as _batches
from repomesh.domains.overview.briefings import briefing as _briefing
from repomesh.domains.overview.briefings import joining as _joining
from repomesh.domains.overview.cli_hooks import operations as _hooks
from repomesh.domains.overview.id_lookup import operations as _lookup
from repomesh.domains.overview.liveness import heartbeat as _heartbeat
from repomesh.domains.overview.liveness import reconciling as _reconciling
from repomesh.domains.overview.searching import recall as _recall
from repomesh.domains.overview.searching import search as _search
from repomesh.domains.overview.task_context import operations as _task_context
from repomesh.domains.requests.lifecycle import documents as _request_documents
from repomesh.domains.requests.lifecycle import operations as _requests
from repomesh.domains.requests.lifecycle import planning_job as _request_planning
from repomesh.domains.requests.lifecycle import reactions as _request_reactions
from repomesh.domains.requests.lifecycle import reports as _request_reports
from repomesh.domains.sessions import artifacts as _artifacts
from repomesh.domains.sessions import chunks as _chunks
from repomesh.domains.sessions import delegating as _delegating
from repomesh.domains.sessions import exporting as _exporting
from repomesh.domains.sessions import importing as _importing
from repomesh.domains.sessions import memories as _memories
from repomesh.domains.sessions import operations as _sessions
from repomesh.domains.sessions import summary as _summary
from repomesh.domains.sessions import vectors as _vectors
from repomesh.domains.tasks import claims as _claims
from repomesh.domains.tasks import finishing as _finishing
from repomesh.domains.tasks import operations as _tasks
from repomesh.domains.tasks import reactions as _task_reactions
from repomesh.domains.webhooks import deliveries as _webhook_deliveries
from repomesh.domains.webhooks import delivery_queue as _webhook_sending
from repomesh.domains.webhooks import operations as _webhooks
from repomesh.domains.webhooks import reactions as _webhook_reactions
from repomesh.domains.workspaces import housekeeping as _housekeeping
from repomesh.domains.workspaces import operations as _workspaces
from repomesh.kernel.operation import registry
from repomesh.kernel.reactions import collect_reactions

# In the order of the layers: a domain calls only those before it.
DOMAINS = (
    _workspaces,
    _housekeeping,
    _agents,
    _credentials,
    _cli_sessions,
    _processes,
    _leases,
    _losses,
    _lock_queries,
    _messaging,
    _channels,
    _reviews,
    _questions,
    _waits,
    _inbox,
    _reminding,
    _events,
    _deliveries,
    _wakes,
    _tracing,
    _undelivered,
    _tasks,
    _claims,
    _finishing,
    _sessions,
    _chunks,
    _memories,
    _artifacts,
    _delegating,
    _summary,
    _vectors,
    _exporting,
    _importing,
    _topics,
    _meetings,
    _speaking,
    _proposals,
    _decisions,
    _meeting_templates,
    _minutes,
    _changes,
    _landing,
    _change_decisions,
    _rolling_back,
    _queue,
    _queue_processing,
    _queue_stalls,
    _queue_reports,
    _replaying,
    _queue_pins,
    _requests,
    _request_documents,
    _request_planning,
    _request_reports,
    _webhooks,
    _webhook_deliveries,
    _webhook_sending,
    _heartbeat,
    _reconciling,
    _lookup,
    _search,
    _recall,
    _batches,
    _task_context,
    _briefing,
    _joining,
    _hooks,
)

# In the order in which reactions run, which is that of the domains.
REACTIONS = (
    _lease_reactions,
    _review_reactions,
    _question_reactions,
    _task_reactions,
    _meeting_reactions,
    _change_reactions,
    _request_reactions,
    _webhook_reactions,
)
reactions = collect_reactions(REACTIONS)

__all__ = ["DOMAINS", "REACTIONS", "reactions", "registry"]
