"""An example of every operation: what must be there before it, and a payload that it takes.

The tests that hold for all operations (who may call them, that surfaces agree, that events suffice) are
written once, over this table. An operation without an example fails them.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, update

from harness import Mesh, Speaker
from repomesh.domains.changes.tables import changes, landings
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.transaction import Transaction
from repositories import Scratch, at_home

Payload = dict[str, Any]


@dataclass
class World:
    """A running mesh with two agents. Whatever an example needs besides, it makes as `alice`."""

    mesh: Mesh
    alice: Speaker
    bob: Speaker
    landed: list[Payload] = field(default_factory=list)
    """The paths of the changes that have landed."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    async def of(cls, mesh: Mesh) -> World:
        """A world on `mesh`."""
        return cls(mesh, await mesh.agent("alice"), await mesh.agent("bob"))

    def word(self, stem: str) -> str:
        """A name that nothing has yet."""
        return f"{stem}-{next(self._numbers)}"

    async def newcomer(self) -> Speaker:
        """An agent that nobody else speaks for."""
        return await self.mesh.agent(self.word("agent"))

    async def lock(self) -> Payload:
        """A lock that alice holds."""
        answer: Payload = await self.alice.post("/v1/locks/acquire", resources=[self.word("src/file")])
        return answer

    async def task(self, **fields: Any) -> Payload:
        """An open task."""
        answer: Payload = await self.alice.post("/v1/tasks", goal=self.word("Task"), **fields)
        return answer

    async def claim(self) -> Payload:
        """The path and token of a task that alice holds."""
        task = await self.task()
        answer = await self.alice.post(f"/v1/tasks/{task['id']}/claim")
        return {"task_id": task["id"], "fencing_token": answer["fencing_token"]}

    async def message(self, **fields: Any) -> Payload:
        """A message from alice to bob."""
        body = {"to": ["bob"], "subject": "Hello", "body": "A word."} | fields
        answer: Payload = await self.alice.post("/v1/messages", **body)
        return answer

    async def to_alice(self, **fields: Any) -> Payload:
        """A message from bob to alice."""
        body = {"to": ["alice"], "subject": "Hello", "body": "A word."} | fields
        answer: Payload = await self.bob.post("/v1/messages", **body)
        return answer

    async def review(self) -> Payload:
        """The path of a review that alice asks bob for."""
        body = {"title": "Login", "commit_range": "main..login", "reviewers": ["bob"]}
        return {"review_id": (await self.alice.post("/v1/reviews", **body))["id"]}

    def repository(self) -> Scratch:
        """The workspace's repository. Its main branch, which is not checked out, has one commit."""
        path = self.mesh.server.settings.data.parent / "repository"
        at_home(self.mesh, path)
        if path.exists():
            return Scratch.at(path)
        made = Scratch(path)
        made.commit({"app.py": "print(1)\n"})
        made.git("checkout", "-q", "--detach")
        return made

    def branch(self) -> str:
        """A branch with a commit that nobody has submitted. It needs a person's approval to land."""
        repository, name = self.repository(), self.word("branch")
        files = {f"{name}/CODEOWNERS": f"* @pat  # {new_id()}\n"}  # unlike those of worlds before this one
        repository.commit(files, on=repository.git("rev-parse", "main"), branch=name)
        return name

    async def change(self, author: Speaker | None = None, **fields: Any) -> Payload:
        """The path of a change that waits for approval: of alice's, or of another author."""
        body = {"summary": "A change", "branch": self.branch()} | fields
        return {"change_id": (await (author or self.alice).post("/v1/changes", **body))["id"]}

    async def request(self, **fields: Any) -> Payload:
        """The path of a request of alice's that names no files, and so waits for a person."""
        self.repository()
        made = await self.alice.post("/v1/requests", **({"text": "Add rate limiting"} | fields))
        return {"request_id": made["id"]}

    async def landed_change(self) -> Payload:
        """The path of a change of alice's that has landed."""
        name, repository = self.branch(), self.repository()
        path = await self.change(branch=name)
        base, commit = repository.git("rev-parse", "main", name).split()
        repository.git("update-ref", "refs/heads/main", commit)
        workspace = (await self.mesh.get("/v1/workspace"))["id"]
        now = datetime.now(UTC)
        how = {"merged_by": "ort", "landed_commit": commit, "landed_base": base, "landed_at": now}
        step = {"change_id": path["change_id"], "commit": commit, "parent": base, "merged_by": "ort"}
        landing = {"workspace_id": workspace, "id": new_id(), "target": "main", "old_commit": base}
        landing |= {"new_commit": commit, "commits": [step], "outcome": "landed", "at": now, "ended_at": now}

        def land(tx: Transaction) -> None:
            tx.execute(update(changes).where(changes.c.id == path["change_id"]).values(state="landed", **how))
            tx.execute(insert(landings).values(landing))

        self.mesh.server.store.write_now(system_caller(""), land)
        self.landed.append(path)
        return path

    async def idle_session(self) -> str:
        """A session of alice's CLI which waits, and a message for it."""
        session_id = self.word("session")
        body = {"session_id": session_id, "cwd": "/nowhere"}
        sent = await self.alice.request("POST", "/v1/hooks/claude/SessionStart", json=body)
        assert sent.status_code < 300, sent.text
        await self.mesh.settled()
        await self.to_alice()
        return session_id

    async def question(self) -> str:
        """A question of alice's to some person."""
        return str((await self.alice.post("/v1/questions", question="Which port?"))["id"])

    async def question_to_alice(self) -> str:
        """A question of bob's that came to alice, since nobody else answered in time."""
        asked = await self.bob.post(
            "/v1/questions",
            question="Which port?",
            options=["80", "8080"],
            deadline_s=1.0,
            escalate_to="alice",
        )
        self.mesh.clock.advance(2.0)
        await self.mesh.sweep()
        return str(asked["id"])

    async def channel(self) -> Payload:
        """A channel that alice is in."""
        answer: Payload = await self.alice.post("/v1/channels", name=self.word("channel"))
        return answer

    async def session(self) -> Payload:
        """The path of an active session of alice's."""
        made = await self.alice.post("/v1/sessions", session_id=self.word("session"))
        return {"session_id": made["id"]}

    async def memory(self) -> Payload:
        """The path of a memory of the whole workspace."""
        made = await self.alice.post("/v1/memories", key=self.word("memory"), content="Good to know.")
        return {"memory_id": made["id"]}

    async def artifact(self) -> Payload:
        """The path of an artifact in a session of alice's."""
        made = await self.session()
        body = {"title": "app.py", "artifact_id": "app", "type": "code", "content": "print(1)"}
        await self.alice.post(f"/v1/sessions/{made['session_id']}/artifacts", **body)
        return made | {"artifact_id": "app"}

    async def webhook(self) -> Payload:
        """The path of a webhook whose receiver never answers."""
        made = await self.mesh.post("/v1/webhooks", url="https://receiver.invalid/hook", types=["task"])
        return {"webhook_id": made["webhook"]["id"]}

    async def meeting(self, *, voting: bool = False, **fields: Any) -> Payload:
        """The path of a meeting that alice called and leads, in which it is her turn to speak, or to vote."""
        other = await self.newcomer()
        body = {"topic": self.word("Topic"), "participant_ids": ["alice", other.name], "start": True}
        made = await self.alice.post("/v1/meetings", **body | fields)
        path = {"meeting_id": made["id"]}
        if voting:
            for speaker in (self.alice, other):
                await speaker.post(f"/v1/meetings/{made['id']}/speak", content="Fine.", kind="proposal")
            await other.post(f"/v1/meetings/{made['id']}/vote", choice="agree", reason="It is simple.")
        return path

    async def decision(self) -> str:
        """A decision that the owner recorded."""
        body = {"topic": self.word("Port"), "decision": "We take 8787."}
        return str((await self.mesh.post("/v1/decisions", **body))["id"])


Make = Callable[[World], Awaitable[Payload]]

LATER_PROMPTS = "later prompts"
"""Of `Example.budget_of`: the budget is for what the caller will be asked later, not for this answer."""


@dataclass(frozen=True, slots=True)
class Example:
    """A payload that an operation takes, and what the tests of all operations must know besides.

    `foreign` is the status for another agent where alice alone may act on what the example made; None where
    every agent may. `people_only`: agents are refused whatever their token says. `self_only`: an agent may
    only name itself, and the example names a newcomer. `budget_of` is the field of the answer that
    `max_chars` bounds; None where it bounds the whole answer. `of_speaker` returns the fields of the payload
    that depend on the speaker.
    """

    make: Make
    foreign: int | None = None
    people_only: bool = False
    self_only: bool = False
    budget_of: str | None = None
    of_speaker: Callable[[World, Speaker], Payload] | None = None

    async def __call__(self, world: World, speaker: Speaker | None = None) -> Payload:
        """Make in `world` what must be there before, and return the payload for `speaker`, else for alice."""
        payload = await self.make(world)
        if self.of_speaker is not None:
            payload = payload | self.of_speaker(world, speaker or world.alice)
        return payload


EXAMPLES: dict[str, Example] = {}


def example(name: str, **needs: Any) -> Callable[[Make], Make]:
    """Enter an example under its operation's name; `needs` are fields of `Example`."""

    def enter(make: Make) -> Make:
        EXAMPLES[name] = Example(make, **needs)
        return make

    return enter


def _fixed(name: str, /, needs: Payload | None = None, **payload: Any) -> None:
    """Enter an example that needs nothing to be there."""

    async def make(_world: World) -> Payload:
        return payload

    EXAMPLES[name] = Example(make, **needs or {})


# -- workspaces, tokens, agents --------------------------------------------------------------------

_fixed("workspace.list")
_fixed("workspace.show")
_fixed("token.create", role="observer", label="example")
_fixed("token.list")
_fixed("agent.list", status="active")
_fixed("cli_session.list", cli="claude")
_fixed("agent.briefing", {"budget_of": "text"}, max_chars=1000)
_fixed("agent.show", agent_id="alice")
_fixed("agent.of_process", processes=["4711", "1234@desk"])


@example("workspace.add")
async def _add_workspace(world: World) -> Payload:
    return {"name": world.word("workspace")}


@example("workspace.remove")
async def _remove_workspace(world: World) -> Payload:
    made = await world.mesh.post("/v1/workspaces", name=world.word("workspace"))
    return {"workspace_id": made["workspace"]["id"]}


@example("token.revoke")
async def _revoke_token(world: World) -> Payload:
    return {"token_id": (await world.mesh.post("/v1/tokens", role="observer"))["token_id"]}


def _of_registrant(world: World, speaker: Speaker) -> Payload:
    if speaker.registration is None:
        return {"name": world.word("new"), "instance_id": world.word("instance")}
    return {"instance_id": speaker.registration["instance_id"]}


@example("agent.register", budget_of="briefing", of_speaker=_of_registrant)
async def _register(_world: World) -> Payload:
    return {"capabilities": ["python"], "program": "tester"}


@example("agent.heartbeat", foreign=403)
async def _heartbeat(world: World) -> Payload:
    return {"agent_id": "alice", "status_text": world.word("thinking")}


@example("agent.rename", foreign=403)
async def _rename(world: World) -> Payload:
    """Alice holds a lock and a task, and something of every other sort bears her name, too."""
    await world.lock()
    await world.claim()
    await world.review()
    await world.question()
    await world.meeting()
    await world.change()
    await world.request()
    return {"agent_id": "alice", "name": world.word("alice")}


@example("agent.retire")
async def _retire(world: World) -> Payload:
    agent = await world.newcomer()
    await agent.post("/v1/locks/acquire", resources=[world.word("src/file")])
    await agent.post(f"/v1/tasks/{(await world.task())['id']}/claim")
    webhook = {"url": "https://receiver.invalid/hook", "types": ["task"]}
    await world.mesh.post("/v1/webhooks", headers={"X-Repomesh-Agent": agent.name}, **webhook)
    return {"agent_id": agent.name}


@example("agent.leave", foreign=403, self_only=True)
async def _leave(world: World) -> Payload:
    return {"agent_id": (await world.newcomer()).name}


# -- locks -----------------------------------------------------------------------------------------

_fixed("lock.list")
_fixed("lock.check", resources=["src/"])
_fixed("lock.check_paths", paths=["src/a%FF.py"], folders=["."])


@example("lock.acquire")
async def _acquire(world: World) -> Payload:
    return {"resources": [world.word("docs/page"), world.word("name:thing")], "ttl_s": 60.0}


@example("lock.renew", foreign=409)
async def _renew(world: World) -> Payload:
    return {"fencing_token": (await world.lock())["fencing_token"]}


@example("lock.release", foreign=409)
async def _release(world: World) -> Payload:
    return {"fencing_token": (await world.lock())["fencing_token"]}


@example("lock.force_release")
async def _force_release(world: World) -> Payload:
    return {"fencing_token": (await world.lock())["fencing_token"], "reason": "an example"}


# -- messages --------------------------------------------------------------------------------------

_fixed("message.inbox", unread=True)
_fixed("inbox.show", limit=5)
_fixed("message.outbox", limit=5)
_fixed("message.list", text="parser")
_fixed("message.wait", timeout_s=0)


@example("message.send")
async def _send(world: World) -> Payload:
    return {"to": [(await world.newcomer()).name], "subject": "Hello", "body": "The parser is done."}


@example("message.show")
async def _show_message(world: World) -> Payload:
    return {"message_id": (await world.message())["id"]}


@example("message.trace")
async def _trace_message(world: World) -> Payload:
    return {"message_id": (await world.message())["id"]}


@example("message.thread")
async def _thread(world: World) -> Payload:
    return {"message_id": (await world.message())["id"]}


@example("message.read", foreign=403)
async def _read(world: World) -> Payload:
    return {"message_id": (await world.to_alice())["id"]}


@example("message.ack", foreign=403)
async def _ack(world: World) -> Payload:
    return {"message_id": (await world.to_alice(ack_required=True))["id"]}


@example("message.receipts")
async def _receipts(world: World) -> Payload:
    return {"message_id": (await world.message())["id"]}


@example("message.react")
async def _react(world: World) -> Payload:
    return {"message_id": (await world.message())["id"], "reaction": "+1"}


@example("message.unreact")
async def _unreact(world: World) -> Payload:
    message = await world.message()
    for speaker in (world.alice, world.bob):
        await speaker.post(f"/v1/messages/{message['id']}/reactions", reaction="+1")
    return {"message_id": message["id"], "reaction": "+1"}


@example("message.reactions")
async def _reactions(world: World) -> Payload:
    return {"message_id": (await world.message())["id"]}


# -- questions -------------------------------------------------------------------------------------

_fixed("question.list", status="open")


@example("question.ask")
async def _ask(world: World) -> Payload:
    return {"question": "Which port?", "options": ["80", "8080"], "default": "8080", "deadline_s": 600.0}


@example("question.show", foreign=404)
async def _show_question(world: World) -> Payload:
    return {"question_id": await world.question()}


@example("question.answer", foreign=403)
async def _answer(world: World) -> Payload:
    return {"question_id": await world.question_to_alice(), "answer": "2"}


@example("question.withdraw", foreign=404)
async def _withdraw_question(world: World) -> Payload:
    return {"question_id": await world.question()}


# -- waking ----------------------------------------------------------------------------------------

_fixed("wake.due", cli=["claude"])


@example("wake.take")
async def _take_wake(world: World) -> Payload:
    return {"cli": "claude", "session_id": await world.idle_session()}


@example("wake.done")
async def _wake_done(world: World) -> Payload:
    key = {"cli": "claude", "session_id": await world.idle_session()}
    taken = await world.mesh.post("/v1/wakes", **key)
    return {"boundary": taken["boundary"], "agent_id": world.alice.id, "failure": "its inbox is gone"}


# -- channels --------------------------------------------------------------------------------------

_fixed("channel.list", archived=False)


@example("channel.create")
async def _create_channel(world: World) -> Payload:
    return {"name": world.word("channel"), "description": "About the parser"}


@example("channel.show")
async def _show_channel(world: World) -> Payload:
    return {"channel": (await world.channel())["name"]}


@example("channel.archive", foreign=403)
async def _archive(world: World) -> Payload:
    return {"channel": (await world.channel())["name"]}


@example("channel.join")
async def _join(world: World) -> Payload:
    return {"channel": world.word("channel")}


@example("channel.leave")
async def _leave_channel(world: World) -> Payload:
    return {"channel": (await world.channel())["name"]}


@example("channel.members")
async def _members(world: World) -> Payload:
    return {"channel": (await world.channel())["name"]}


@example("channel.messages", foreign=403)
async def _channel_messages(world: World) -> Payload:
    return {"channel": (await world.channel())["name"]}


# -- reviews ---------------------------------------------------------------------------------------

_fixed("review.list", state="requested")


@example("review.request")
async def _request_review(world: World) -> Payload:
    reviewer = await world.newcomer()
    return {"title": "Login", "diff": "-1\n+2\n", "reviewers": [reviewer.name], "files": ["app.py"]}


@example("review.show")
async def _show_review(world: World) -> Payload:
    return await world.review()


@example("review.comment")
async def _comment_review(world: World) -> Payload:
    return await world.review() | {"body": "Why?", "file": "app.py", "line": 1}


@example("review.decide", foreign=403)
async def _decide_review(world: World) -> Payload:
    body = {"title": "Logout", "commit_range": "main..logout", "reviewers": ["alice"]}
    review = await world.bob.post("/v1/reviews", **body)
    return {"review_id": review["id"], "verdict": "approved", "summary": "Fine."}


@example("review.revise", foreign=403)
async def _revise_review(world: World) -> Payload:
    return await world.review() | {"commit_range": "main..login-2"}


@example("review.withdraw", foreign=403)
async def _withdraw_review(world: World) -> Payload:
    return await world.review()


# -- events ----------------------------------------------------------------------------------------

_fixed("event.post", type="plan.updated", data={"step": 1})
_fixed("event.list", type=["plan"])


@example("event.show")
async def _show_event(world: World) -> Payload:
    posted = await world.alice.post("/v1/events", type="plan.updated", data={"step": 2})
    return {"seq": posted["seq"]}


@example("log.prune")
async def _prune(_world: World) -> Payload:
    return {"before": (datetime.now(UTC) - timedelta(days=365)).isoformat()}


# -- tasks -----------------------------------------------------------------------------------------

_fixed("task.list", status="open")
_fixed("task.create", goal="Write the parser", scope=["src/parser/"], tags=["parser"])


@example("task.show")
async def _show_task(world: World) -> Payload:
    return {"task_id": (await world.task())["id"]}


@example("task.context")
async def _task_context(world: World) -> Payload:
    return {"task_id": (await world.task())["id"], "max_chars": 4_000}


@example("task.update")
async def _update_task(world: World) -> Payload:
    return {"task_id": (await world.task())["id"], "priority": 5}


@example("task.claim")
async def _claim(world: World) -> Payload:
    return {"task_id": (await world.task(scope=[world.word("src/scope")]))["id"], "take_locks": True}


@example("task.renew", foreign=409)
async def _renew_task(world: World) -> Payload:
    return await world.claim()


@example("task.progress", foreign=409)
async def _progress(world: World) -> Payload:
    return await world.claim() | {"note": "half of it", "percent": 50}


@example("task.complete", foreign=409)
async def _complete(world: World) -> Payload:
    return await world.claim() | {"result": "merged"}


@example("task.fail", foreign=409)
async def _fail(world: World) -> Payload:
    return await world.claim() | {"reason": "the tests need a key"}


@example("task.release", foreign=409)
async def _release_task(world: World) -> Payload:
    return await world.claim()


@example("task.finish", foreign=409)
async def _finish(world: World) -> Payload:
    return await world.claim() | {"outcome": "done", "result": "merged"}


@example("task.block")
async def _block(world: World) -> Payload:
    return {"task_id": (await world.task())["id"], "reason": "waiting for a decision"}


@example("task.unblock")
async def _unblock(world: World) -> Payload:
    held = await world.claim()
    await world.alice.post(f"/v1/tasks/{held['task_id']}/block", **_body(held, reason="waiting"))
    return {"task_id": held["task_id"]}


@example("task.cancel")
async def _cancel(world: World) -> Payload:
    return {"task_id": (await world.task())["id"], "reason": "not needed"}


_fixed("recovery.reconcile")


def _body(held: Payload, **further: Any) -> Payload:
    return {"fencing_token": held["fencing_token"], **further}


@example("id.find")
async def _find_id(world: World) -> Payload:
    return {"part": (await world.task())["id"][-8:], "what": ["task"]}


# -- topics of meetings ------------------------------------------------------------------------------


_fixed("meeting.suggest_topics", hours_back=12, limit=5)


# -- sessions --------------------------------------------------------------------------------------


_fixed("session.list", status="active")
_fixed("memory.list", type="decision")
_fixed("memory.store", key="port", content={"port": 8787}, type="decision", tags=["net"])


@example("session.create")
async def _create_session(world: World) -> Payload:
    return {"session_id": world.word("plan"), "title": "Plan", "participants": ["alice", "a phone"]}


@example("session.show")
async def _show_session(world: World) -> Payload:
    return await world.session()


@example("session.update")
async def _update_session(world: World) -> Payload:
    return await world.session() | {"title": "A better plan", "participants": ["bob"]}


@example("session.pause")
async def _pause_session(world: World) -> Payload:
    return await world.session() | {"reason": "lunch"}


@example("session.resume")
async def _resume_session(world: World) -> Payload:
    made = await world.session()
    await world.alice.post(f"/v1/sessions/{made['session_id']}/pause")
    return made


@example("session.complete")
async def _complete_session(world: World) -> Payload:
    return await world.session()


@example("session.import")
async def _import_session(world: World) -> Payload:
    return _piece(world) | {"done": True}


@example("session.import_progress")
async def _import_progress(world: World) -> Payload:
    piece = _piece(world)
    await world.mesh.post("/v1/imports", **piece)
    return {"import_id": piece["import_id"]}


@example("session.drop_import")
async def _drop_import(world: World) -> Payload:
    return await _import_progress(world)


def _piece(world: World) -> Payload:
    """The first piece of an import."""
    at = "2026-01-02T03:04:05.000006Z"
    session = {"what": "session", "title": "Plan", "created_at": at, "updated_at": at}
    return {
        "import_id": world.word("import"),
        "session_id": world.word("plan"),
        "after": 0,
        "items": [session],
    }


@example("session.delete", foreign=403)
async def _delete_session(world: World) -> Payload:
    artifact = await world.artifact()
    path = f"/v1/sessions/{artifact['session_id']}"
    await world.alice.post(f"{path}/chunks", content="What was said.")
    await world.alice.post(f"{path}/tasks", goal="Write it")
    await world.alice.post("/v1/memories", key="port", content=1, session_id=artifact["session_id"])
    return {"session_id": artifact["session_id"]}


@example("session.delegate")
async def _delegate(world: World) -> Payload:
    return await world.session() | {"goal": "Write the parser", "task_id": "parser", "agent": "bob"}


@example("session.tasks")
async def _session_tasks(world: World) -> Payload:
    return await world.session() | {"status": "open"}


@example("chunk.add")
async def _add_chunk(world: World) -> Payload:
    return await world.session() | {"content": "We take port 8787.", "speaker": "Ann", "format": "dialogue"}


@example("chunk.add_many")
async def _add_chunks(world: World) -> Payload:
    chunks = [{"content": "One."}, {"content": {"two": 2}, "format": "json", "tags": ["numbers"]}]
    return await world.session() | {"chunks": chunks}


@example("chunk.list")
async def _list_chunks(world: World) -> Payload:
    return await world.session() | {"limit": 5}


@example("chunk.read", budget_of="content")
async def _read_chunk(world: World) -> Payload:
    made = await world.session()
    await world.alice.post(f"/v1/sessions/{made['session_id']}/chunks", content="Hello.", chunk_id="first")
    return made | {"chunk_id": "first"}


@example("memory.show")
async def _show_memory(world: World) -> Payload:
    return await world.memory()


@example("memory.versions")
async def _memory_versions(world: World) -> Payload:
    return await world.memory()


@example("memory.restore")
async def _restore_memory(world: World) -> Payload:
    return await world.memory() | {"version": 1, "reason": "it was right"}


@example("memory.supersede")
async def _supersede_memory(world: World) -> Payload:
    other = await world.alice.post("/v1/memories", key=world.word("other"), content="Better.")
    return await world.memory() | {"by": other["key"], "reason": "it says more"}


@example("memory.retract")
async def _retract_memory(world: World) -> Payload:
    return await world.memory() | {"reason": "it was a guess"}


@example("artifact.add")
async def _add_artifact(world: World) -> Payload:
    return await world.session() | {"title": "app.py", "type": "code", "content": "print(1)\n"}


@example("artifact.list")
async def _list_artifacts(world: World) -> Payload:
    return await world.session() | {"type": "code"}


@example("artifact.show")
async def _show_artifact(world: World) -> Payload:
    return await world.artifact()


@example("artifact.versions")
async def _artifact_versions(world: World) -> Payload:
    return await world.artifact()


@example("artifact.read", budget_of="content")
async def _read_artifact(world: World) -> Payload:
    return await world.artifact()


@example("search.find")
async def _search(world: World) -> Payload:
    return await world.session() | {"text": "parser", "what": ["chunk", "task"]}


_fixed("search.recall", text="Which port did we take?")


@example("session.summary")
async def _summarize(world: World) -> Payload:
    return await world.session() | {"max_chars": 2_000}


@example("session.export")
async def _export_session(world: World) -> Payload:
    return await world.session()


# -- webhooks --------------------------------------------------------------------------------------

_fixed("webhook.list")


@example("webhook.subscribe")
async def _subscribe(_world: World) -> Payload:
    return {"url": "https://receiver.invalid/hook", "types": ["task", "chat.*"], "description": "Chat room"}


@example("webhook.show")
async def _show_webhook(world: World) -> Payload:
    return await world.webhook()


@example("webhook.update")
async def _update_webhook(world: World) -> Payload:
    return await world.webhook() | {"types": ["message"], "status": "paused", "reason": "Moves house"}


@example("webhook.rotate_secret")
async def _rotate_secret(world: World) -> Payload:
    return await world.webhook()


@example("webhook.delete")
async def _delete_webhook(world: World) -> Payload:
    return await world.webhook()


@example("webhook.test")
async def _test_webhook(world: World) -> Payload:
    return await world.webhook()


@example("webhook.deliveries")
async def _list_webhook_deliveries(world: World) -> Payload:
    return await world.webhook() | {"status": "dead"}


@example("webhook.replay")
async def _replay_webhook(world: World) -> Payload:
    return await world.webhook()


# -- meetings and decisions ------------------------------------------------------------------------

_fixed("meeting.list", status="in_progress")
_fixed("decision.list", status="active")
_fixed("meeting_template.list")


@example("meeting.create")
async def _create_meeting(world: World) -> Payload:
    task, message = await world.task(), await world.message()
    return {
        "topic": "Which parser do we take?",
        "participant_ids": ["alice", (await world.newcomer()).name],
        "template": "design-decision",
        "related_task_ids": [task["id"]],
        "related_message_ids": [message["id"]],
        "start": True,
    }


@example("meeting.show")
async def _show_meeting(world: World) -> Payload:
    return await world.meeting(voting=True)


@example("meeting.join", budget_of=LATER_PROMPTS)
async def _join_meeting(world: World) -> Payload:
    body = {"topic": "Names", "participant_ids": [(await world.newcomer()).name]}
    return {"meeting_id": (await world.alice.post("/v1/meetings", **body))["id"]}


@example("meeting.leave", foreign=403)
async def _leave_meeting(world: World) -> Payload:
    return await world.meeting()


@example("meeting.start", foreign=403)
async def _start_meeting(world: World) -> Payload:
    return await world.meeting(start=False)


@example("meeting.cancel", foreign=403)
async def _cancel_meeting(world: World) -> Payload:
    return await world.meeting() | {"reason": "It settled itself."}


@example("meeting.speak", foreign=403)
async def _speak(world: World) -> Payload:
    tasks = [{"goal": "Write the parser", "agent": "alice"}]
    proposal = {"content": "It is small.", "proposal": "We write our own.", "tasks": tasks}
    return await world.meeting() | proposal


@example("meeting.vote", foreign=403)
async def _vote(world: World) -> Payload:
    return await world.meeting(voting=True) | {"choice": "agree", "reason": "It is simple."}


@example("meeting.request", foreign=403)
async def _meeting_request(world: World) -> Payload:
    return await world.meeting()


@example("meeting.minutes")
async def _minutes(world: World) -> Payload:
    return await world.meeting(voting=True) | {"format": "json"}


@example("meeting.replay")
async def _replay_meeting(world: World) -> Payload:
    return await world.meeting() | {"speed": 10.0}


@example("meeting_template.show")
async def _show_template(_world: World) -> Payload:
    return {"name": "retrospective"}


@example("meeting_template.create")
async def _create_template(world: World) -> Payload:
    return {"name": world.word("naming"), "agenda": ["Names"], "consensus": "quorum", "quorum": 2}


@example("meeting_template.delete")
async def _delete_template(world: World) -> Payload:
    made = await world.alice.post("/v1/meeting-templates", name=world.word("naming"))
    return {"name": made["name"]}


@example("decision.show")
async def _show_decision(world: World) -> Payload:
    return {"decision_id": await world.decision()}


@example("decision.record", foreign=403, people_only=True)
async def _record_decision(world: World) -> Payload:
    return {
        "topic": "Port",
        "decision": "We take 8787.",
        "rationale": "It is free everywhere.",
        "supersedes": await world.decision(),
        "tasks": [{"goal": "Write it down"}],
    }


@example("decision.supersede", foreign=403, people_only=True)
async def _supersede_decision(world: World) -> Payload:
    earlier, later = await world.decision(), await world.decision()
    return {"decision_id": earlier, "by": later, "reason": "it says more"}


@example("decision.overrule", foreign=403, people_only=True)
async def _overrule_decision(world: World) -> Payload:
    return {"decision_id": await world.decision(), "reason": "The port is taken here."}


# -- changes ---------------------------------------------------------------------------------------

_fixed("change.list", open=True)
_fixed("queue.show")
_fixed("queue.stats", since="2026-01-01T00:00:00Z")
_fixed("queue.report", since="2026-01-01T00:00:00Z")


@example("change.submit")
async def _submit_change(world: World) -> Payload:
    return {
        "summary": "Set it up",
        "branch": world.branch(),
        "tests": [{"command": "pytest", "passed": True}],
    }


@example("change.show")
async def _show_change(world: World) -> Payload:
    return await world.change()


@example("change.diff")
async def _show_diff(world: World) -> Payload:
    return await world.change()


@example("change.approve", foreign=403)
async def _approve_change(world: World) -> Payload:
    return await world.change(world.bob) | {"comment": "Fine."}


@example("change.reject", foreign=403)
async def _reject_change(world: World) -> Payload:
    return await world.change(world.bob) | {"comment": "We keep what is there."}


@example("change.withdraw", foreign=403)
async def _withdraw_change(world: World) -> Payload:
    return await world.change() | {"reason": "It is not needed any more."}


@example("change.retry", foreign=403)
async def _retry_change(world: World) -> Payload:
    first = await world.change()
    second = await world.change(depends_on=[first["change_id"]])
    await world.alice.post(f"/v1/changes/{first['change_id']}/withdraw")
    return second


@example("queue.pause")
async def _pause_queue(world: World) -> Payload:
    await world.change()
    return {"reason": "We release today."}


@example("queue.resume")
async def _resume_queue(world: World) -> Payload:
    await world.change()
    await world.alice.post("/v1/queue/pause", reason="We release today.")
    return {}


@example("queue.config")
async def _queue_configuration(world: World) -> Payload:
    world.repository()
    return {}


@example("change.roll_back")
async def _roll_back_changes(world: World) -> Payload:
    return await _plan_rollback(world) | {"reason": "It broke the login."}


@example("change.plan_rollback")
async def _plan_rollback(world: World) -> Payload:
    return {"change_ids": [(await world.landed_change())["change_id"]]}


@example("queue.replay")
async def _replay_queue(world: World) -> Payload:
    if not world.landed:
        await world.landed_change()
    return {}


@example("request.create")
async def _create_request(world: World) -> Payload:
    world.repository()
    return {"text": "Add rate limiting\n\nTo every call.", "class": "feature"}


_fixed("request.list", open=True)


@example("request.show")
async def _show_request(world: World) -> Payload:
    return await world.request()


@example("request.report")
async def _report_request(world: World) -> Payload:
    return await world.request()


@example("request.edit", foreign=403)
async def _edit_request(world: World) -> Payload:
    brief = {"goal": "Limit each caller to 60 calls a minute.", "open_questions": ["Per token or per agent?"]}
    return await world.request() | {"brief": brief, "comment": "The limit was open."}


@example("request.approve", foreign=403, people_only=True)
async def _approve_request(world: World) -> Payload:
    return await world.request(approval="always") | {"comment": "Fine."}


@example("request.stop", foreign=403)
async def _stop_request(world: World) -> Payload:
    return await world.request() | {"reason": "It costs too much."}


@example("request.resume", foreign=403)
async def _resume_request(world: World) -> Payload:
    path = await world.request()
    await world.alice.post(f"/v1/requests/{path['request_id']}/stop", reason="We think about it.")
    return path


@example("request.cancel", foreign=403)
async def _cancel_request(world: World) -> Payload:
    return await world.request() | {"reason": "Nobody needs it any more."}
