"""The events suffice: whoever knew the state before and applies them knows the state after.

For every command: fetch everything, run it, fetch everything again; the first state with the events applied
is the second. (The idea is Zulip's `verify_action`.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from examples import EXAMPLES, Payload, World
from harness import Mesh, Speaker
from repomesh.domains.agents.models import AGENT_RENAMED
from repomesh.domains.changes.tables import changes
from repomesh.kernel.event_types import EVENT_TYPES
from repomesh.kernel.identity import system_caller
from repomesh.kernel.operation import Kind, Operation
from repomesh.kernel.reactions import EmittedEvent, EventReaction, Reactions
from repomesh.operations import reactions, registry
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio

State = dict[str, dict[Any, Any]]
Apply = Callable[[State, dict[str, Any]], None]

COMMANDS = [op for op in registry if op.kind is Kind.COMMAND and op.http is not None]

# A sign of life changes these without an event, by design.
SILENT = {"last_seen_at", "resources", "started_at"}


async def everything(owner: Speaker) -> State:
    """What there is, as the owner can fetch it."""

    async def whole(path: str, **criteria: Any) -> list[dict[str, Any]]:
        items, cursor = [], None
        while True:
            page = await owner.get(path, **criteria, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    channels = [*await whole("/v1/channels"), *await whole("/v1/channels", archived=True)]
    messages = await whole("/v1/messages")
    state: State = {
        "workspaces": {item["id"]: item for item in await whole("/v1/workspaces")},
        "tokens": {item["id"]: item for item in await whole("/v1/tokens")},
        "agents": {item["id"]: item for item in await whole("/v1/agents")},
        "locks": {item["id"]: item for item in await whole("/v1/locks")},
        "tasks": {item["id"]: item for item in await whole("/v1/tasks")},
        "channels": {item["id"]: item for item in channels},
        "messages": {item["id"]: item for item in messages},
        "members": {},
        "receipts": {},
        "reactions": {},
        "reviews": {item["id"]: item for item in await whole("/v1/reviews")},
        "questions": {item["id"]: item for item in await whole("/v1/questions")},
        "meetings": {item["id"]: item for item in await whole("/v1/meetings")},
        "decisions": {item["id"]: item for item in await whole("/v1/decisions")},
        "meeting_templates": {item["name"]: item for item in await whole("/v1/meeting-templates")},
        "opinions": {},
        "proposals": {},
        "votes": {},
        "texts": {},
        "remarks": {},
        "memories": {item["id"]: item for item in await _memories(whole)},
        "sessions": {},
        "chunks": {},
        "artifacts": {},
        "session_tasks": {},
        "webhooks": {item["id"]: item for item in await whole("/v1/webhooks")},
        "changes": {item["id"]: item for item in await whole("/v1/changes")},
        "requests": {item["id"]: item for item in await whole("/v1/requests")},
        "request_documents": {},
        "lanes": {lane["target"]: lane["paused_reason"] for lane in (await owner.get("/v1/queue"))["lanes"]},
    }
    for request_id in state["requests"]:
        shown = await owner.get(f"/v1/requests/{request_id}")
        state["request_documents"][request_id] = [shown["brief"], shown["plan"]]
    for meeting_id in state["meetings"]:
        for one in (await owner.get(f"/v1/meetings/{meeting_id}"))["rounds"]:
            for opinion in one["opinions"]:
                state["opinions"][meeting_id, opinion["sequence"]] = opinion
            for vote in one["votes"]:
                state["votes"][meeting_id, one["number"], vote["agent_id"]] = vote
            if one["proposal"] is not None:
                state["proposals"][meeting_id, one["number"]] = one["proposal"]
    for session in await whole("/v1/sessions"):
        path = f"/v1/sessions/{session['id']}"
        state["sessions"][session["id"]] = await owner.get(path)
        del state["sessions"][session["id"]]["counts"]  # they follow from what is counted
        for chunk in await whole(f"{path}/chunks"):
            state["chunks"][session["id"], chunk["id"]] = chunk
        for artifact in await whole(f"{path}/artifacts"):
            state["artifacts"][session["id"], artifact["id"]] = artifact
        for task in await whole(f"{path}/tasks"):
            state["session_tasks"][session["id"], task["task"]["id"]] = task["key"]
    for review_id in state["reviews"]:
        path = f"/v1/reviews/{review_id}"
        state["texts"][review_id] = (await owner.get(path))["texts"]
        for remark in await whole(path):
            if remark["revision"] is not None:
                state["remarks"][remark["message_id"]] = remark
    for channel in channels:
        for member in await whole(f"/v1/channels/{channel['id']}/members"):
            state["members"][channel["id"], member["agent_id"]] = True
    for message in messages:
        path = f"/v1/messages/{message['id']}"
        for receipt in await whole(f"{path}/receipts"):
            if receipt["status"] != "stored":
                state["receipts"][message["id"], receipt["agent_id"]] = receipt["status"]
        for reaction in await whole(f"{path}/reactions"):
            state["reactions"][message["id"], reaction["agent_id"], reaction["reaction"]] = True
    return state


async def _memories(whole: Any) -> list[dict[str, Any]]:
    """Whatever became of them."""
    statuses = ("current", "superseded", "retracted")
    return [item for status in statuses for item in await whole("/v1/memories", status=status)]


def keep(collection: str, member: str) -> Apply:
    """The event carries the whole thing as it is now."""

    def apply(state: State, data: dict[str, Any]) -> None:
        state[collection][data[member]["id"]] = data[member]

    return apply


def _token_created(state: State, data: dict[str, Any]) -> None:
    state["tokens"][data["token_id"]] = {"id": data["token_id"]} | data


def _token_revoked(state: State, data: dict[str, Any]) -> None:
    state["tokens"].pop(data["token_id"], None)


def _workspace_removed(state: State, data: dict[str, Any]) -> None:
    del state["workspaces"][data["workspace"]["id"]]


def _channel_joined(state: State, data: dict[str, Any]) -> None:
    state["channels"][data["channel"]["id"]] = data["channel"]
    state["members"][data["channel"]["id"], data["agent_id"]] = True


def _channel_left(state: State, data: dict[str, Any]) -> None:
    state["channels"][data["channel"]["id"]] = data["channel"]
    del state["members"][data["channel"]["id"], data["agent_id"]]


def _message_sent(state: State, data: dict[str, Any]) -> None:
    state["messages"][data["id"]] = data


def _message_seen(state: State, data: dict[str, Any]) -> None:
    for message_id in data["message_ids"]:
        state["receipts"][message_id, data["agent_id"]] = data["status"]


def _message_undelivered(state: State, data: dict[str, Any]) -> None:
    state["messages"][data["message_id"]]["undelivered_at"] = data["at"]


def _reaction_added(state: State, data: dict[str, Any]) -> None:
    state["reactions"][data["message_id"], data["agent_id"], data["reaction"]] = True


def _reaction_removed(state: State, data: dict[str, Any]) -> None:
    del state["reactions"][data["message_id"], data["agent_id"], data["reaction"]]


def _change_moved(state: State, data: dict[str, Any]) -> None:
    state["changes"][data["change"]["id"]] = data["change"]
    state["lanes"].setdefault(data["change"]["target"], None)


def _request_moved(state: State, data: dict[str, Any]) -> None:
    request_id = data["request"]["id"]
    state["requests"][request_id] = data["request"]
    documents = state["request_documents"].setdefault(request_id, [None, None])
    for place, type_ in enumerate(("brief", "plan")):
        if data.get(type_) is not None:
            documents[place] = data[type_]


def _lane_paused(state: State, data: dict[str, Any]) -> None:
    state["lanes"][data["target"]] = data["reason"]


def _lane_resumed(state: State, data: dict[str, Any]) -> None:
    state["lanes"][data["target"]] = None


def _review_changed(state: State, data: dict[str, Any]) -> None:
    state["reviews"][data["review"]["id"]] = data["review"]
    if data["texts"] is not None:
        state["texts"][data["review"]["id"]] = data["texts"]
    if data["remark"] is not None:
        state["remarks"][data["remark"]["message_id"]] = data["remark"]


def _leases_held(state: State, data: dict[str, Any]) -> None:
    for lease in data["leases"]:
        if lease["resource_type"] != "task":
            state["locks"][lease["id"]] = lease


def _leases_ended(state: State, data: dict[str, Any]) -> None:
    for lease in data["leases"]:
        state["locks"].pop(lease["id"], None)


def _chunks_added(state: State, data: dict[str, Any]) -> None:
    for chunk in data["chunks"]:
        state["chunks"][data["session_id"], chunk["id"]] = chunk


def _artifact_added(state: State, data: dict[str, Any]) -> None:
    state["artifacts"][data["artifact"]["session_id"], data["artifact"]["id"]] = data["artifact"]


def _task_delegated(state: State, data: dict[str, Any]) -> None:
    state["session_tasks"][data["session_id"], data["task_id"]] = data["key"]


def _session_deleted(state: State, data: dict[str, Any]) -> None:
    gone = data["session_id"]
    del state["sessions"][gone]
    for collection in ("chunks", "artifacts", "session_tasks"):
        state[collection] = {key: item for key, item in state[collection].items() if key[0] != gone}
    memories = state["memories"].items()
    state["memories"] = {key: item for key, item in memories if item["session_id"] != gone}


def _webhook_deleted(state: State, data: dict[str, Any]) -> None:
    del state["webhooks"][data["webhook"]["id"]]


def _meeting_changed(state: State, data: dict[str, Any]) -> None:
    meeting_id = data["meeting"]["id"]
    state["meetings"][meeting_id] = data["meeting"]
    if "opinion" in data:
        state["opinions"][meeting_id, data["opinion"]["sequence"]] = data["opinion"]
    if "vote" in data:
        state["votes"][meeting_id, data["vote"]["round"], data["vote"]["agent_id"]] = data["vote"]
    if "proposal" in data:
        state["proposals"][meeting_id, data["proposal"]["round"]] = data["proposal"]


def _template_created(state: State, data: dict[str, Any]) -> None:
    state["meeting_templates"][data["template"]["name"]] = data["template"]


def _template_deleted(state: State, data: dict[str, Any]) -> None:
    del state["meeting_templates"][data["template"]["name"]]


RUNNING = {
    "requests": {"received", "clarifying", "briefed", "planning", "planned", "working"},
    "tasks": {"open", "claimed", "blocked"},
    "questions": {"open"},
    "reviews": {"requested", "changes_requested"},
    "meetings": {"pending", "in_progress"},
    "changes": {
        "submitted",
        "waiting",
        "queued",
        "building",
        "checking",
        "landing",
        "returned",
        "quarantined",
    },
}


def _agent_renamed(state: State, data: dict[str, Any]) -> None:
    """What is held or awaited bears the new name; what is over, or was said, keeps that of its time."""
    agent = data["agent"]
    state["agents"][agent["id"]] = agent
    for collection in ("tokens", "locks", *RUNNING):
        for key, item in state[collection].items():
            if item.get("status", item.get("state")) in RUNNING.get(collection, {None}):
                state[collection][key] = _renamed(item, agent["id"], agent["name"])
                if collection == "meetings" and state[collection][key] != item:
                    state[collection][key]["version"] += 1


def _renamed(item: Any, agent_id: str, name: str) -> Any:
    """The same with another name wherever an `…_id` beside an `…_name` is that of the agent."""
    if isinstance(item, list):
        return [_renamed(one, agent_id, name) for one in item]
    if not isinstance(item, dict):
        return item
    return {
        field: name
        if field.endswith("_name") and item.get(f"{field.removesuffix('_name')}_id") == agent_id
        else _renamed(value, agent_id, name)
        for field, value in item.items()
    }


def _nothing(_state: State, _data: dict[str, Any]) -> None:
    """Tells of something that no list shows, or that another event of the same command carries."""


APPLY: dict[str, Apply] = {
    "workspace.added": keep("workspaces", "workspace"),
    "workspace.removed": _workspace_removed,
    "token.created": _token_created,
    "token.revoked": _token_revoked,
    "channel.created": keep("channels", "channel"),
    "channel.archived": keep("channels", "channel"),
    "channel.joined": _channel_joined,
    "channel.left": _channel_left,
    "message.sent": _message_sent,
    "message.offered": _message_seen,
    "message.injected": _message_seen,
    "message.read": _message_seen,
    "message.acked": _message_seen,
    "message.undelivered": _message_undelivered,
    "message.reaction_added": _reaction_added,
    "message.reaction_removed": _reaction_removed,
    "lease.acquired": _leases_held,
    "lease.renewed": _leases_held,
    "lease.released": _leases_ended,
    "lease.expired": _leases_ended,
    "lease.reclaimed": _leases_ended,
    "lock.wait_started": _nothing,
    "lock.wait_granted": _nothing,
    "lock.wait_abandoned": _nothing,
    "log.pruned": _nothing,
    "plan.updated": _nothing,
}
APPLY |= {type_: _review_changed for type_ in EVENT_TYPES if type_.startswith("review.")}
APPLY |= {type_: keep("agents", "agent") for type_ in EVENT_TYPES if type_.startswith("agent.")}
APPLY["agent.permission_requested"] = _nothing
APPLY["agent.renamed"] = _agent_renamed
APPLY |= {type_: _nothing for type_ in EVENT_TYPES if type_.startswith("cli_session.")}
APPLY |= {type_: keep("questions", "question") for type_ in EVENT_TYPES if type_.startswith("question.")}
APPLY |= {type_: keep("tasks", "task") for type_ in EVENT_TYPES if type_.startswith("task.")}
APPLY |= {type_: keep("sessions", "session") for type_ in EVENT_TYPES if type_.startswith("session.")}
APPLY |= {type_: keep("memories", "memory") for type_ in EVENT_TYPES if type_.startswith("memory.")}
APPLY |= {
    "session.chunks_added": _chunks_added,
    "session.task_delegated": _task_delegated,
    "session.deleted": _session_deleted,
    "artifact.added": _artifact_added,
}
APPLY |= {type_: _meeting_changed for type_ in EVENT_TYPES if type_.startswith("meeting.")}
APPLY |= {type_: keep("decisions", "decision") for type_ in EVENT_TYPES if type_.startswith("decision.")}
APPLY["meeting_template.created"] = _template_created
APPLY["meeting_template.deleted"] = _template_deleted
APPLY |= {type_: _change_moved for type_ in EVENT_TYPES if type_.startswith("change.")}
APPLY |= {type_: _request_moved for type_ in EVENT_TYPES if type_.startswith("request.")}
APPLY |= {"queue.paused": _lane_paused, "queue.resumed": _lane_resumed, "queue.stalled": _nothing}
APPLY |= {type_: keep("webhooks", "webhook") for type_ in EVENT_TYPES if type_.startswith("webhook.")}
APPLY |= dict.fromkeys(
    ("webhook.tested", "webhook.dead_lettered", "webhook.replayed", "webhook.missed"), _nothing
)
APPLY["webhook.deleted"] = _webhook_deleted


def told(state: State) -> State:
    """The state without what changes silently."""
    return {
        collection: {
            key: {name: value for name, value in item.items() if name not in SILENT}
            if isinstance(item, dict)
            else item
            for key, item in items.items()
        }
        for collection, items in state.items()
    }


def assert_same(applied: State, fetched: State, operation: str) -> None:
    """Both hold the same things, with the same values wherever both say something."""
    for collection in fetched:
        assert applied[collection].keys() == fetched[collection].keys(), (operation, collection)
        for key, item in fetched[collection].items():
            known = applied[collection][key]
            if isinstance(item, dict):
                shared = item.keys() & known.keys()
                assert {n: known[n] for n in shared} == {n: item[n] for n in shared}, (operation, collection)
            else:
                assert known == item, (operation, collection, key)


def test_every_event_type_is_understood() -> None:
    assert set(EVENT_TYPES) <= set(APPLY)


async def a_claim_lapsed(world: World) -> Payload:
    """An example of `recovery.reconcile` that finds something: a claim whose lease is over."""
    await world.mesh.server.sweeper.stop()  # it would be first
    agent = await world.newcomer()
    await agent.post(f"/v1/tasks/{(await world.task())['id']}/claim", ttl_s=1.0)
    world.mesh.clock.advance(2.0)
    return {}


async def a_change_is_reviewed(world: World) -> Payload:
    """An example of `review.decide` with a change that waits for nothing else."""
    made = (await world.change(world.bob))["change_id"]
    await world.mesh.post("/v1/queue/pause", reason="Else its worker is faster.")
    needed = {"people": 0, "reviewers": 1, "owners": False}
    statement = update(changes).where(changes.c.id == made).values(needed=needed)
    world.mesh.server.store.write_now(system_caller(""), lambda tx: tx.execute(statement))
    head = (await world.mesh.get(f"/v1/changes/{made}"))["head_commit"]
    body = {"title": "Logout", "commit_range": head, "reviewers": ["alice"]}
    review = await world.bob.post("/v1/reviews", **body)
    return {"review_id": review["id"], "verdict": "approved", "summary": "Fine."}


async def a_request_is_worked_on(world: World, **changes: Any) -> Payload:
    """The task of a request of alice's, which she holds; `changes` are made to it before."""
    path = await world.request()
    task = {"key": "only", "goal": "Add it", "files": ["app.py"], "acceptance": ["It works."]}
    await world.alice.post(f"/v1/requests/{path['request_id']}/edit", plan={"tasks": [task]})
    [link] = (await world.alice.get(f"/v1/requests/{path['request_id']}"))["tasks"]
    if changes:
        await world.alice.patch(f"/v1/tasks/{link['task_id']}", **changes)
    claimed = await world.alice.post(f"/v1/tasks/{link['task_id']}/claim", ttl_s=1.0)
    return {"task_id": link["task_id"], "fencing_token": claimed["fencing_token"]}


def with_request(**fields: Any) -> Any:
    """An example of a command on the task of a request."""

    async def make(world: World) -> Payload:
        return await a_request_is_worked_on(world) | fields

    return make


async def a_task_of_a_request_is_blocked(world: World) -> Payload:
    task = await a_request_is_worked_on(world)
    await world.alice.post(
        f"/v1/tasks/{task['task_id']}/block", fencing_token=task["fencing_token"], reason="It waits."
    )
    return {"task_id": task["task_id"]}


async def a_task_of_a_request_is_cancelled(world: World) -> Payload:
    task = await a_request_is_worked_on(world)
    return {"task_id": task["task_id"], "reason": "Nobody needs it."}


async def a_task_of_a_request_lapsed(world: World) -> Payload:
    await world.mesh.server.sweeper.stop()  # it would be first
    await a_request_is_worked_on(world, max_attempts=1)
    world.mesh.clock.advance(2.0)
    return {}


async def a_change_is_all_that_is_left(world: World) -> Payload:
    """The change of a task of a request which is done already."""
    task = await a_request_is_worked_on(world)
    change = await world.change(**task)
    await world.alice.post(f"/v1/tasks/{task['task_id']}/complete", fencing_token=task["fencing_token"])
    return change


async def an_engineer_asks(world: World) -> Payload:
    """A question about the brief of a request, which alice writes."""
    repository = world.repository()
    roles = {"repomesh.toml": '[roles.engineer]\nagent = "alice"\n'}
    repository.commit(roles, on=repository.git("rev-parse", "main"), branch="main")
    await world.request()
    [task] = (await world.alice.get("/v1/tasks", ready=True))["items"]
    return {"question": "Per token or per agent?", "task_id": task["id"]}


RETIRING = ("agent.retire", EXAMPLES["agent.retire"])
_FOLLOW_TASK = "requests.lifecycle.reactions.follow_task"
_FOLLOW_CHANGE = "requests.lifecycle.reactions.follow_change"
BY_THE_QUEUE = {
    ("requests.lifecycle.reactions.follow_reopened_task", "task.reopened"),
    (_FOLLOW_CHANGE, "change.landed"),
    (_FOLLOW_CHANGE, "change.rejected"),
    (_FOLLOW_CHANGE, "change.superseded"),
}
"""Reactions to what the queue's worker does, or to one more way of the same; other tests cover them."""

RENAMING = ("agent.rename", EXAMPLES["agent.rename"])
TRIGGERS = {
    ("leases.reactions.rename_holder", "agent.renamed"): RENAMING,
    ("messaging.reviews.reactions.rename_in_reviews", "agent.renamed"): RENAMING,
    ("changes.reactions.rename_in_changes", "agent.renamed"): RENAMING,
    ("changes.reactions.place_reviewed_changes", "review.approved"): ("review.decide", a_change_is_reviewed),
    ("messaging.questions.reactions.rename_in_questions", "agent.renamed"): RENAMING,
    ("tasks.reactions.rename_in_tasks", "agent.renamed"): RENAMING,
    ("meetings.reactions.rename_in_meetings", "agent.renamed"): RENAMING,
    ("leases.reactions.end_leases_of_retired_agent", "agent.retired"): RETIRING,
    ("tasks.reactions.reclaim_tasks_of_ended_leases", "lease.expired"): (
        "recovery.reconcile",
        a_claim_lapsed,
    ),
    ("tasks.reactions.reclaim_tasks_of_ended_leases", "lease.reclaimed"): RETIRING,
    ("requests.lifecycle.reactions.rename_in_requests", "agent.renamed"): RENAMING,
    ("requests.lifecycle.reactions.note_question", "question.asked"): ("question.ask", an_engineer_asks),
    (_FOLLOW_TASK, "task.completed"): ("task.complete", with_request()),
    (_FOLLOW_TASK, "task.failed"): ("task.fail", with_request(reason="It can't be done.")),
    (_FOLLOW_TASK, "task.blocked"): ("task.block", with_request(reason="It waits.")),
    (_FOLLOW_TASK, "task.unblocked"): ("task.unblock", a_task_of_a_request_is_blocked),
    (_FOLLOW_TASK, "task.cancelled"): ("task.cancel", a_task_of_a_request_is_cancelled),
    ("requests.lifecycle.reactions.follow_reclaimed_task", "task.reclaimed"): (
        "recovery.reconcile",
        a_task_of_a_request_lapsed,
    ),
    (_FOLLOW_CHANGE, "change.withdrawn"): ("change.withdraw", a_change_is_all_that_is_left),
    ("webhooks.reactions.disable_webhooks_of_retired_agent", "agent.retired"): RETIRING,
}
"""By reaction and event type: a command, with an example of it, that has the reaction change something."""


def test_every_reaction_has_an_example_that_triggers_it() -> None:
    assert {(reaction.name, reaction.event_type) for reaction in reactions} == set(TRIGGERS) | BY_THE_QUEUE


@pytest.mark.parametrize("operation", COMMANDS, ids=lambda operation: operation.name)
async def test_the_events_suffice(mesh: Mesh, operation: Operation) -> None:
    world = await World.of(mesh)
    await assert_events_suffice(world, operation, await EXAMPLES[operation.name](world))


@pytest.mark.parametrize(
    "reaction",
    [reaction for reaction in reactions if (reaction.name, reaction.event_type) not in BY_THE_QUEUE],
    ids=lambda reaction: f"{reaction.name}-{reaction.event_type}",
)
async def test_the_events_of_each_reaction_suffice(mesh: Mesh, reaction: EventReaction) -> None:
    name, example = TRIGGERS[reaction.name, reaction.event_type]
    operation = registry[name]
    emitted: list[int] = []

    def counted(tx: Transaction, event: EmittedEvent[Any]) -> None:
        before = tx.next_seq()
        reaction.function(tx, event)
        emitted.append(tx.next_seq() - before)

    world = await World.of(mesh)
    payload = await example(world)
    watched = replace(reaction, function=counted)
    mesh.server.store.reactions = Reactions([watched if one == reaction else one for one in reactions])
    if reaction.event_type == AGENT_RENAMED:  # its meaning says what follows, so without it others differ
        mesh.server.store.reactions = Reactions([one for one in reactions if one != reaction])
        with pytest.raises(AssertionError):
            await assert_events_suffice(world, operation, payload)
        return
    await assert_events_suffice(world, operation, payload)
    assert sum(emitted) > 0, f"the example of {name} gives {reaction.name} nothing to do"


async def assert_events_suffice(world: World, operation: Operation, payload: dict[str, Any]) -> None:
    """Run a command, and compare what its events say with what can be fetched after it."""
    mesh = world.mesh
    assert operation.http is not None
    administers = operation.scope.endswith(":admin") or EXAMPLES[operation.name].people_only
    speaker = mesh if administers else world.alice
    if EXAMPLES[operation.name].self_only:
        payload = {"agent_id": "alice"}
    # The first call of an agent is a heartbeat, which renews silently what it holds.
    for speaker_known in (world.alice, world.bob):
        await speaker_known.get("/v1/workspace")
    await mesh.server.implicit_heartbeats.stop()
    await mesh.server.dispatch.close()
    before = await everything(mesh)
    last = (await mesh.get("/v1/events", limit=1, newest=True))["last_seq"]

    rest = {name: value for name, value in payload.items() if name not in operation.http.path_fields}
    how = {"json": rest} if operation.http.has_body else {"params": rest}
    path = operation.http.path.format(**payload)
    answer = await speaker.request(operation.http.method, path, **how)
    assert answer.status_code < 300, answer.text

    state = told(before)
    for event in (await mesh.get("/v1/events", after=last, limit=200))["items"]:
        APPLY[event["type"]](state, event["data"])
    assert_same(told(state), told(await everything(mesh)), operation.name)
