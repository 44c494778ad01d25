"""The way of a request: its brief, its plan, the approvals, and its tasks to their end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from queueing import landed, submit
from repomesh.kernel import limits
from repositories import Scratch

pytestmark = pytest.mark.anyio

Planned = Callable[..., Awaitable[dict[str, Any]]]
Configure = Callable[[str], None]
TWO = ["shop/cart.py", "shop/mail.py"]
ENGINEER = '[roles.engineer]\nagent = "ada"\n'


async def code(speaker: Speaker, path: str, **fields: Any) -> str:
    with pytest.raises(Refused) as refused:
        await speaker.post(path, **fields)
    return str(refused.value.code)


async def states(mesh: Mesh) -> list[str]:
    """The states that requests reached, in order."""
    events = await mesh.events(type="request.*")
    known = (
        "received",
        "clarifying",
        "briefed",
        "planning",
        "planned",
        "working",
        "done",
        "failed",
        "cancelled",
    )
    names = [event["type"].removeprefix("request.") for event in events]
    return [name for name in names if name in known]


async def claim_all(agent: Speaker, request: dict[str, Any]) -> dict[str, int]:
    """Claim every task of a request that is ready; its fencing tokens by the key in the plan."""
    tokens = {}
    for task in request["tasks"]:
        claimed = await agent.post(f"/v1/tasks/{task['task_id']}/claim", take_locks=True)
        tokens[task["key"]] = claimed["fencing_token"]
    return tokens


async def complete(agent: Speaker, request: dict[str, Any]) -> None:
    tokens = await claim_all(agent, request)
    for task in request["tasks"]:
        path = f"/v1/tasks/{task['task_id']}/complete"
        await agent.post(path, fencing_token=tokens[task["key"]], result="done")


async def test_without_roles_the_server_plans_a_request_and_its_tasks_end_it(
    shop: Mesh, planned: Planned, scratch: Scratch
) -> None:
    bob = await shop.agent("bob")
    request = await planned(text="Fix the cart\n\nIt adds up wrongly.", files=TWO)
    assert request["state"] == "working"
    assert (request["title"], request["class"], request["class_detected"]) == ("Fix the cart", "bugfix", True)
    assert request["brief"]["document"]["goal"] == "Fix the cart\n\nIt adds up wrongly."
    owned = [path for task in request["plan"]["document"]["tasks"] for path in task["files"]]
    assert sorted(owned) == TWO
    assert len(request["tasks"]) == len(request["plan"]["document"]["tasks"])
    tokens = await claim_all(bob, request)
    first = request["tasks"][0]
    scratch.commit({owned[0]: "X = 2\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    work = {"task_id": first["task_id"], "fencing_token": tokens[first["key"]]}
    made = await submit(bob, branch="one", **work)
    for task in request["tasks"]:
        path = f"/v1/tasks/{task['task_id']}/complete"
        await bob.post(path, fencing_token=tokens[task["key"]])
    waiting = await shop.get(f"/v1/requests/{request['id']}")
    assert (waiting["state"], waiting["changes"][0]["id"]) == ("working", made["id"])
    await landed(shop, made["id"])
    ended = await shop.get(f"/v1/requests/{request['id']}")
    assert (ended["state"], ended["changes"][0]["state"]) == ("done", "landed")
    assert ended["ended_at"] is not None
    expected = ["received", "briefed", "planning", "planned", "working", "working", "working", "done"]
    assert [state for state in await states(shop) if state != "working"] == [
        state for state in expected if state != "working"
    ]


async def test_a_task_says_what_it_is_part_of_and_owns_its_files(shop: Mesh, planned: Planned) -> None:
    request = await planned(text="Add a logo to mails", files=["shop/mail.py"], priority=7)
    [link] = request["tasks"]
    task = await shop.get(f"/v1/tasks/{link['task_id']}")
    assert (task["scope"], task["type"], task["priority"]) == (["shop/mail.py"], "feature", 7)
    assert "Add a logo to mails" in task["description"]
    assert "- shop/mail.py" in task["description"]


async def test_a_request_that_names_no_files_waits_for_a_person(shop: Mesh, planned: Planned) -> None:
    pat = await shop.agent("pat", type="human")
    request = await planned(text="Make it faster")
    assert request["state"] == "planning"
    assert "names no files" in request["reason"]
    assert [item["subject"] for item in (await pat.get("/v1/messages/inbox"))["items"]] == [
        "Plan needed: Make it faster"
    ]
    path = f"/v1/requests/{request['id']}/edit"
    await pat.post(path, brief={"goal": "Make the cart faster", "files": ["shop/cart.py"]})
    await shop.server.planning.run_once()
    assert (await shop.get(f"/v1/requests/{request['id']}"))["state"] == "working"


async def test_files_that_can_not_be_planned_are_explained(shop: Mesh, planned: Planned) -> None:
    request = await planned(text="Break out", files=["../etc/passwd"])
    assert request["state"] == "planning"
    assert "can't make a plan" in request["reason"]
    assert request["next_step"].startswith("a person names 'files'")


@pytest.mark.parametrize("policy", ["always", "risk"])
async def test_a_person_approves_what_the_policy_says(shop: Mesh, planned: Planned, policy: str) -> None:
    pat, bob = await shop.agent("pat", type="human"), await shop.agent("bob")
    request = await planned(text="Change CI", files=[".github/workflows/ci.yml"], approval=policy)
    approve = f"/v1/requests/{request['id']}/approve"
    if policy == "always":
        assert request["state"] == "briefed"
        assert await code(bob, approve) == "only_people"
        await pat.post(approve)
        await shop.server.planning.run_once()
        request = await shop.get(f"/v1/requests/{request['id']}")
    assert request["state"] == "planned"
    assert request["plan"]["risks"] == ["high: continuous integration: .github/workflows/ci.yml"]
    assert await code(bob, approve) == "only_people"
    assert await code(pat, approve, document_version=2) == "document_outdated"
    assert (await pat.post(approve, document_version=1))["state"] == "working"
    shown = await shop.get(f"/v1/requests/{request['id']}")
    assert shown["plan"]["approved_by"] == "pat"
    assert await code(pat, approve) == "request_state"


async def test_only_a_person_chooses_fewer_approvals_than_usual(shop: Mesh, planned: Planned) -> None:
    bob = await shop.agent("bob")
    assert await code(bob, "/v1/requests", text="Do it", approval="never") == "only_people"
    await bob.post("/v1/requests", text="Do it", approval="always")
    request = await planned(text="Change CI", files=[".github/workflows/ci.yml"], approval="never")
    assert request["state"] == "working"


async def test_the_brief_of_an_engineer_is_asked_for_by_a_task(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure(ENGINEER)
    ada, bob, pat = await shop.agent("ada"), await shop.agent("bob"), await shop.agent("pat", type="human")
    request = await planned(text="Add rate limits")
    assert (request["state"], request["next_step"]) == ("received", "ada sends the brief")
    claimed = await ada.post("/v1/tasks/next/claim")
    task_id = claimed["task"]["id"]
    question = await ada.post("/v1/questions", question="How many?", to="pat", task_id=task_id)
    assert (await shop.get(f"/v1/requests/{request['id']}"))["state"] == "clarifying"
    edit = f"/v1/requests/{request['id']}/edit"
    brief = {"goal": "Limit calls to 60 a minute", "files": ["shop/cart.py"]}
    assert await code(bob, edit, brief=brief) == "not_your_request"
    await pat.post(f"/v1/questions/{question['id']}/answer", answer="60")
    edited = await ada.post(edit, brief=brief)
    assert edited["request"]["state"] == "planning"
    await ada.post(f"/v1/tasks/{task_id}/complete", fencing_token=claimed["fencing_token"])
    await shop.server.planning.run_once()
    shown = await shop.get(f"/v1/requests/{request['id']}")
    assert (shown["state"], shown["brief"]["author_name"]) == ("working", "ada")


async def test_open_questions_of_a_brief_need_a_person(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure(ENGINEER)
    ada, pat = await shop.agent("ada"), await shop.agent("pat", type="human")
    request = await planned(text="Add rate limits", approval="never")
    brief = {"goal": "Limit calls", "files": ["shop/cart.py"], "open_questions": ["Per minute?"]}
    edit = f"/v1/requests/{request['id']}/edit"
    assert (await ada.post(edit, brief=brief))["request"]["state"] == "clarifying"
    assert (await pat.post(f"/v1/requests/{request['id']}/approve"))["state"] == "planning"


async def test_a_new_brief_ends_the_planning_of_the_one_before(shop: Mesh) -> None:
    made = await shop.post("/v1/requests", text="Change the cart", files=["shop/cart.py"])
    brief = {"goal": "Change the mails", "files": ["shop/mail.py"], "open_questions": ["Which?"]}
    await shop.post(f"/v1/requests/{made['id']}/edit", brief=brief)
    await shop.server.planning.run_once()
    shown = await shop.get(f"/v1/requests/{made['id']}")
    assert (shown["state"], shown["plan"], shown["tasks"]) == ("clarifying", None, [])


async def test_an_engineer_that_gives_up_leaves_the_brief_to_people(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure(ENGINEER)
    ada, pat = await shop.agent("ada"), await shop.agent("pat", type="human")
    request = await planned(text="Add rate limits")
    claimed = await ada.post("/v1/tasks/next/claim")
    fields = {"fencing_token": claimed["fencing_token"], "reason": "I can't read it"}
    await ada.post(f"/v1/tasks/{claimed['task']['id']}/fail", **fields)
    shown = await shop.get(f"/v1/requests/{request['id']}")
    assert (shown["state"], "I can't read it" in shown["reason"]) == ("received", True)
    assert (await pat.get("/v1/messages/inbox"))["items"][0]["subject"] == "Write the brief: Add rate limits"


async def test_a_plan_that_breaks_rules_goes_back_and_then_to_a_person(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure('[roles.orchestrator]\ncapability = "planning"\n')
    olga = await shop.agent("olga", capabilities=["planning"])
    pat = await shop.agent("pat", type="human")
    request = await planned(text="Change both", files=TWO)
    edit = f"/v1/requests/{request['id']}/edit"
    await olga.post("/v1/tasks/next/claim")
    twice = [{"key": key, "goal": f"Change {key}", "files": ["shop/cart.py"]} for key in ("a", "b")]
    for number in range(limits.REQUEST_ROUNDS_MAX):
        answer = await olga.post(edit, plan={"tasks": twice})
        assert not answer["accepted"]
        assert answer["violations"][0]["rule"] == "overlap"
        assert (await shop.get(f"/v1/requests/{request['id']}"))["rounds"] == number + 1
    assert len(await shop.events(type="request.plan_refused")) == limits.REQUEST_ROUNDS_MAX
    assert (await pat.get("/v1/messages/inbox"))["items"][0]["subject"] == "Plan needed: Change both"
    whole = [{"key": "a", "goal": "Change both", "files": TWO, "acceptance": ["It works"]}]
    answer = await pat.post(edit, plan={"tasks": whole})
    assert (answer["accepted"], answer["request"]["state"]) == (True, "working")


async def test_a_plan_can_be_edited_until_it_is_approved(shop: Mesh, planned: Planned) -> None:
    pat = await shop.agent("pat", type="human")
    request = await planned(text="Change CI", files=[".github/workflows/ci.yml"])
    tasks = request["plan"]["document"]["tasks"]
    tasks[0]["goal"] = "Change CI with care"
    edit = f"/v1/requests/{request['id']}/edit"
    edited = await pat.post(edit, plan={"tasks": tasks})
    assert (edited["request"]["state"], edited["request"]["plan_version"]) == ("planned", 2)
    assert await code(pat, f"/v1/requests/{request['id']}/approve", document_version=1) == "document_outdated"
    await pat.post(f"/v1/requests/{request['id']}/approve", document_version=2)
    [task] = (await shop.get(f"/v1/requests/{request['id']}"))["tasks"]
    assert task["goal"] == "Change CI with care"
    assert await code(pat, edit, plan={"tasks": tasks}) == "request_state"


async def test_dependencies_of_the_plan_are_those_of_its_tasks(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure('[roles.orchestrator]\nperson = true\n[roles.developer]\nagent = "dev"\n')
    dev, pat = await shop.agent("dev"), await shop.agent("pat", type="human")
    request = await planned(text="Change both", files=TWO)
    first = {"key": "z", "goal": "First", "files": ["shop/mail.py"], "acceptance": ["It works"]}
    second = first | {"key": "a", "goal": "Second", "files": ["shop/cart.py"], "dependencies": ["z"]}
    answer = await pat.post(f"/v1/requests/{request['id']}/edit", plan={"tasks": [second, first]})
    assert answer["accepted"], answer
    tasks = (await shop.get(f"/v1/requests/{request['id']}"))["tasks"]
    assert [task["key"] for task in tasks] == ["z", "a"]
    shown = await shop.get(f"/v1/tasks/{tasks[1]['task_id']}")
    assert (shown["unmet_dependencies"], shown["assignee_name"]) == ([tasks[0]["task_id"]], "dev")
    assert (await dev.get("/v1/messages/inbox"))["items"][0]["subject"] == "2 task(s): Change both"


async def test_a_request_fails_when_nothing_of_it_can_go_on(shop: Mesh, planned: Planned) -> None:
    bob = await shop.agent("bob")
    request = await planned(text="Do one thing", files=["shop/mail.py"])
    [token] = (await claim_all(bob, request)).values()
    path = f"/v1/tasks/{request['tasks'][0]['task_id']}/fail"
    await bob.post(path, fencing_token=token, reason="impossible")
    failed = await shop.get(f"/v1/requests/{request['id']}")
    assert (failed["state"], "impossible" in failed["reason"]) == ("failed", True)


async def test_a_stopped_request_has_blocked_tasks_until_it_is_resumed(shop: Mesh, planned: Planned) -> None:
    bob, pat = await shop.agent("bob"), await shop.agent("pat", type="human")
    request = await planned(text="Do one thing", files=["shop/mail.py"])
    [task] = request["tasks"]
    await claim_all(bob, request)
    path = f"/v1/requests/{request['id']}"
    assert await code(bob, f"{path}/stop") == "not_your_request"
    stopped = await pat.post(f"{path}/stop", reason="too dear")
    assert (stopped["stopped"], stopped["stopped_by"]) == (True, "pat")
    shown = await shop.get(f"/v1/tasks/{task['task_id']}")
    assert (shown["status"], shown["reason"]) == ("blocked", "request stopped: too dear")
    assert await code(pat, f"/v1/tasks/{task['task_id']}/unblock") == "request_stopped"
    resumed = await pat.post(f"{path}/resume")
    assert (resumed["stopped"], resumed["state"]) == (False, "working")
    assert (await shop.get(f"/v1/tasks/{task['task_id']}"))["status"] == "open"


async def test_what_a_person_stopped_only_a_person_resumes(shop: Mesh) -> None:
    bob, pat = await shop.agent("bob"), await shop.agent("pat", type="human")
    made = await bob.post("/v1/requests", text="Mine")
    path = f"/v1/requests/{made['id']}"
    await bob.post(f"{path}/stop")
    await bob.post(f"{path}/resume")
    await pat.post(f"{path}/stop")
    assert await code(bob, f"{path}/resume") == "only_people"
    assert (await pat.post(f"{path}/resume"))["stopped"] is False


async def test_a_cancelled_request_takes_its_tasks_and_changes_along(
    shop: Mesh, planned: Planned, scratch: Scratch
) -> None:
    bob = await shop.agent("bob")
    request = await planned(text="Do one thing", files=["shop/mail.py"])
    [token] = (await claim_all(bob, request)).values()
    await shop.post("/v1/queue/pause", reason="wait")
    scratch.commit({"shop/mail.py": "X = 2\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    work = {"task_id": request["tasks"][0]["task_id"], "fencing_token": token}
    await submit(bob, branch="one", **work)
    cancelled = await shop.post(f"/v1/requests/{request['id']}/cancel", reason="not needed")
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "not needed")
    shown = await shop.get(f"/v1/requests/{request['id']}")
    assert [task["status"] for task in shown["tasks"]] == ["cancelled"]
    assert [change["state"] for change in shown["changes"]] == ["withdrawn"]
    assert (await shop.post(f"/v1/requests/{request['id']}/cancel"))["version"] == shown["version"]
    assert await code(shop, f"/v1/requests/{request['id']}/stop") == "request_state"


async def test_a_workspace_without_a_repository_takes_requests_and_says_what_it_lacks(shop: Mesh) -> None:
    made = await shop.post("/v1/workspaces", name="elsewhere")
    owner = Speaker(shop.http, made["token"])
    request = await owner.post("/v1/requests", text="Write it", files=["a.py"])
    await shop.server.planning.run_once()
    shown = await owner.get(f"/v1/requests/{request['id']}")
    assert "made without a folder" in shown["reason"]


async def test_no_more_requests_are_taken_than_people_can_follow(
    shop: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_OPEN_MAX", 1)
    first = await shop.post("/v1/requests", text="One")
    assert await code(shop, "/v1/requests", text="Two") == "too_many_requests"
    await shop.post(f"/v1/requests/{first['id']}/cancel")
    await shop.post("/v1/requests", text="Two")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": ""},
        {"text": " \n\t"},
        {"text": "x\0y"},
        {"text": "x", "class": "epic"},
        {"text": "x", "approval": "maybe"},
        {"text": "x" * (limits.TASK_TEXT_CHARS_MAX + 1)},
        {"text": "x", "files": ["a"] * (limits.REQUEST_PATHS_MAX + 1)},
        {"text": "x", "budget": {"tokens": 5}},
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", ["sqlite"])
async def test_wrong_requests_are_refused(shop: Mesh, fields: dict[str, Any]) -> None:
    assert await code(shop, "/v1/requests", **fields) == "invalid_request"
    assert (await shop.get("/v1/requests"))["items"] == []


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_requests_are_listed_by_state_and_by_who_made_them(shop: Mesh) -> None:
    bob = await shop.agent("bob")
    mine = await bob.post("/v1/requests", text="Mine", **{"class": "docs"})
    other = await shop.post("/v1/requests", text="Other")
    await shop.post(f"/v1/requests/{other['id']}/cancel")
    listed = (await shop.get("/v1/requests"))["items"]
    assert [item["id"] for item in listed] == [other["id"], mine["id"]]
    assert listed[1]["class"] == "docs"
    for criteria in ({"state": "planning"}, {"open": True}, {"requester": "bob"}):
        assert [item["id"] for item in (await shop.get("/v1/requests", **criteria))["items"]] == [mine["id"]]


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_tasks_of_a_developer_who_is_not_there_are_for_anybody(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure('[roles.developer]\nagent = "nobody"\n')
    request = await planned(text="Do one thing", files=["shop/mail.py"])
    task = await shop.get(f"/v1/tasks/{request['tasks'][0]['task_id']}")
    assert (request["state"], task["assignee_name"], task["ready"]) == ("working", None, True)


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_tasks_for_people_are_assigned_to_the_person_seen_last(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure("[roles.developer]\nperson = true\n")
    await shop.agent("pat", type="human")
    request = await planned(text="Do one thing", files=["shop/mail.py"])
    task = await shop.get(f"/v1/tasks/{request['tasks'][0]['task_id']}")
    assert task["assignee_name"] == "pat"


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_a_token_without_tasks_makes_none_by_a_request(shop: Mesh) -> None:
    async def token(*scopes: str) -> Speaker:
        made = await shop.post("/v1/tokens", role="agent", agent="ann", scopes=list(scopes))
        return Speaker(shop.http, made["token"])

    narrow, wide = await token("requests:write"), await token("requests:write", "tasks:write")
    assert await code(narrow, "/v1/requests", text="Do it") == "forbidden"
    made = await wide.post("/v1/requests", text="Do it")
    for action in ("edit", "approve", "stop", "resume", "cancel"):
        fields = {"brief": {"goal": "Do it"}} if action == "edit" else {}
        assert await code(narrow, f"/v1/requests/{made['id']}/{action}", **fields) == "forbidden"


async def test_a_request_with_an_engineer_is_told_of_once(
    shop: Mesh, planned: Planned, configure: Configure
) -> None:
    configure(ENGINEER)
    await shop.agent("ada")
    request = await planned(text="Add rate limits")
    [event] = await shop.events(type="request.*")
    assert event["data"]["request"] == {name: request[name] for name in event["data"]["request"]}
