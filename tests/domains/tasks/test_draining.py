"""Many workers share out many tasks; the log shows that each claim was right when it was made."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WORKERS = 16
TASKS = {"sqlite": 2_000, "postgresql": 500}
SKILLS = ("python", "sql", "docs")


async def make_tasks(mesh: Mesh, count: int, chance: random.Random) -> list[str]:
    """Tasks of all priorities; a third need a skill, and half wait for others made before them."""
    ids: list[str] = []
    for number in range(count):
        waits = chance.sample(ids[-50:], min(len(ids), chance.randint(1, 3))) if chance.random() < 0.5 else []
        needs = [chance.choice(SKILLS)] if chance.random() < 0.34 else []
        made = await mesh.post(
            "/v1/tasks",
            goal=f"task {number}",
            priority=chance.randint(-5, 5),
            dependencies=waits,
            capabilities=needs,
            max_attempts=100,
        )
        ids.append(made["id"])
    return ids


async def work(agent: Speaker, left: set[str], chance: random.Random) -> None:
    """Claim the next and finish it, until all are done. Now and then a task is given back or fails."""
    while left:
        try:
            held = await agent.post("/v1/tasks/next/claim")
        except Refused as refused:
            if refused.code != "no_task_ready":
                raise
            await asyncio.sleep(0.002)
            continue
        task_id = held["task"]["id"]
        await asyncio.sleep(0)
        how, options = "complete", {"result": "done"}
        if chance.random() < 0.05:
            how, options = chance.choice([("release", {}), ("fail", {"reason": "bad luck", "retry": True})])
        await agent.post(f"/v1/tasks/{task_id}/{how}", fencing_token=held["fencing_token"], **options)
        if how == "complete":
            left.remove(task_id)


@dataclass
class Replay:
    """What the log says so far."""

    skills: dict[str, frozenset[str]]
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    completions: list[str] = field(default_factory=list)
    claims: int = 0

    def is_ready(self, task: dict[str, Any]) -> bool:
        return task["status"] == "open" and all(
            self.tasks[other]["status"] == "done" for other in task["dependencies"]
        )

    def can_do(self, agent_id: str, task: dict[str, Any]) -> bool:
        return self.skills[agent_id].issuperset(task["capabilities"])

    def apply(self, event: dict[str, Any]) -> None:
        after = event["data"]["task"]
        before = self.tasks.get(after["id"])
        if event["type"] == "task.claimed":
            assert before is not None
            self.check_claim(before, event["actor"])
        if event["type"] == "task.completed":
            assert before is not None
            assert before["agent_id"] == event["actor"]
            self.completions.append(after["id"])
        self.tasks[after["id"]] = after
        assert after["ready"] == self.is_ready(after), "the counter of unmet dependencies is wrong"

    def check_claim(self, task: dict[str, Any], agent_id: str) -> None:
        self.claims += 1
        assert self.is_ready(task), "claimed before its dependencies were done, or while held"
        assert self.can_do(agent_id, task)
        better = [
            other["id"]
            for other in self.tasks.values()
            if (-other["priority"], other["id"]) < (-task["priority"], task["id"])
            and self.is_ready(other)
            and self.can_do(agent_id, other)
        ]
        assert better == [], "a better task was free"


async def the_log(mesh: Mesh) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await mesh.get("/v1/events", type="task", limit=200, **cursor)
        events += page["items"]
        if page["next_cursor"] is None:
            return events
        cursor = {"cursor": page["next_cursor"]}


async def test_each_task_is_done_once_in_the_right_order(mesh: Mesh, engine: str) -> None:
    chance = random.Random(20)
    ids = await make_tasks(mesh, TASKS[engine], chance)
    left = set(ids)
    skills = {}
    workers = []
    for number in range(WORKERS):
        knows = SKILLS if number == 0 else tuple(chance.sample(SKILLS, chance.randint(0, 2)))
        agent = await mesh.agent(f"worker-{number}", capabilities=list(knows))
        skills[agent.id] = frozenset(knows)
        workers.append(agent)
    await asyncio.gather(*(work(agent, left, random.Random(number)) for number, agent in enumerate(workers)))

    replay = Replay(skills)
    for event in await the_log(mesh):
        replay.apply(event)
    assert sorted(replay.completions) == sorted(ids)
    assert {task["status"] for task in replay.tasks.values()} == {"done"}
    assert replay.claims > len(ids)
