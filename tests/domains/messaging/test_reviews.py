"""Code reviews: asked for in a thread, talked about line by line, decided by every reviewer."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.domains.messaging.messages.operations import has_approved_review
from repomesh.domains.messaging.reviews.models import Verdict
from repomesh.domains.messaging.reviews.rules import state_of
from repomesh.kernel.identity import system_caller

pytestmark = pytest.mark.anyio

TASK = "0192d5c8-1111-7111-8111-111111111111"
FILES = [f"src/{n}.py" for n in range(500)]
DIFF = "--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-1\n+2\n"


class Team:
    """An author and two reviewers."""

    def __init__(self, mesh: Mesh, author: Speaker, reviewers: list[Speaker]) -> None:
        self.mesh = mesh
        self.author = author
        self.first, self.second = reviewers

    async def request(self, **fields: Any) -> Any:
        """Ask both for a review."""
        asked = {"title": "Login", "commit_range": "main..login", "reviewers": ["bob", "carol"]} | fields
        return await self.author.post("/v1/reviews", **asked)


@pytest.fixture
async def team(mesh: Mesh) -> Team:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    return Team(mesh, alice, [bob, carol])


async def decide(speaker: Speaker, review: Any, verdict: str, **fields: Any) -> Any:
    return await speaker.post(f"/v1/reviews/{review['id']}/verdict", verdict=verdict, **fields)


async def refusal(awaited: Any) -> str:
    """The code with which something is refused."""
    with pytest.raises(Refused) as refused:
        await awaited
    return str(refused.value.code)


@pytest.mark.parametrize("verdicts", list(product([None, "approved", "changes_requested"], repeat=2)))
def test_the_verdicts_make_the_state(verdicts: tuple[Verdict | None, ...]) -> None:
    expected = {
        frozenset({"approved"}): "approved",
        frozenset({None, "approved"}): "requested",
        frozenset({None}): "requested",
    }
    assert state_of(verdicts) == expected.get(frozenset(verdicts), "changes_requested")


async def test_all_reviewers_must_approve(team: Team) -> None:
    review = await team.request(task_id=TASK)
    assert (review["state"], review["revision"]) == ("requested", 1)
    assert (await decide(team.first, review, "approved"))["state"] == "requested"
    refused = await decide(team.second, review, "changes_requested", summary="Name it `token`.")
    assert refused["state"] == "changes_requested"
    assert (await decide(team.second, review, "approved"))["state"] == "approved"
    workspace_id = (await team.mesh.get("/v1/workspace"))["id"]

    def approved(task_id: str) -> bool:
        return team.mesh.server.store.read_now(
            system_caller(workspace_id), lambda tx: has_approved_review(tx, task_id)
        )

    assert approved(TASK)
    assert not approved(review["id"])
    revised = await team.author.post(f"/v1/reviews/{review['id']}/revise", commit_range="main..login2")
    assert (revised["state"], revised["revision"]) == ("requested", 2)
    assert not approved(TASK)
    types = [event["type"] for event in await team.mesh.events(type="review", task_id=TASK)]
    assert types == [
        "review.requested",
        "review.approved",
        "review.changes_requested",
        "review.approved",
        "review.revised",
    ]


async def test_reviewers_are_asked_by_a_message_and_answer_it_by_their_verdict(team: Team) -> None:
    review = await team.request(description="Why: security.", files=["app.py", "login.py"])
    inbox = (await team.first.get("/v1/messages/inbox"))["items"]
    assert [message["id"] for message in inbox] == [review["message_id"]]
    assert inbox[0]["ack_required"]
    for words in ("Why: security.", "main..login", "app.py, login.py", review["id"]):
        assert words in inbox[0]["body"]
    await decide(team.first, review, "approved", summary="Fine.")
    receipts = (await team.author.get(f"/v1/messages/{review['message_id']}/receipts"))["items"]
    assert {receipt["agent_name"]: receipt["status"] for receipt in receipts} == {
        "bob": "acked",
        "carol": "stored",
    }
    answer = (await team.author.get("/v1/messages/inbox"))["items"][0]
    assert (answer["subject"], answer["body"]) == ("Approved: Login", "Fine.")
    assert answer["thread_id"] == review["thread_id"]


async def test_what_is_said_stands_in_the_review_and_in_its_thread(team: Team) -> None:
    review = await team.request(diff=DIFF)
    path = f"/v1/reviews/{review['id']}"
    comment = await team.first.post(f"{path}/comments", body="Why 2?", file="app.py", line=1)
    await team.author.post("/v1/messages", body="Because.", parent_message_id=comment["message_id"])
    await decide(team.first, review, "changes_requested", summary="Use 3.")
    shown = await team.second.get(path)
    assert shown["texts"]["diff"] == DIFF
    assert shown["review"]["comment_count"] == 2
    said = [
        (remark["agent_name"], remark["body"], remark["file"], remark["line"]) for remark in shown["items"]
    ]
    assert said == [("bob", "Why 2?", "app.py", 1), ("bob", "Use 3.", None, None)]
    seen_by_author = (await team.author.get(path))["items"]
    assert [remark["body"] for remark in seen_by_author] == ["Why 2?", "Because.", "Use 3."]
    assert [remark["verdict"] for remark in seen_by_author] == [None, None, "changes_requested"]
    assert [remark["revision"] for remark in seen_by_author] == [1, None, 1]
    assert len((await (await team.mesh.observer()).get(path))["items"]) == 2


async def test_a_new_revision_asks_whom_it_names_and_forgets_old_verdicts(team: Team) -> None:
    dave = await team.mesh.agent("dave")
    review = await team.request()
    await decide(team.first, review, "approved")
    path = f"/v1/reviews/{review['id']}"
    revised = await team.author.post(
        f"{path}/revise", reviewers=["bob", "dave"], diff=DIFF, summary="Smaller."
    )
    assert [(one["agent_name"], one["verdict"]) for one in revised["reviewers"]] == [
        ("bob", None),
        ("dave", None),
    ]
    asked = (await dave.get("/v1/messages/inbox"))["items"][0]
    assert (asked["id"], asked["subject"]) == (revised["message_id"], "Review, revision 2: Login")
    assert await refusal(decide(team.second, review, "approved")) == "not_a_reviewer"
    assert await refusal(decide(dave, review, "approved", revision=1)) == "stale_revision"
    await decide(dave, review, "approved", revision=2)
    assert (await decide(team.first, review, "approved"))["state"] == "approved"
    assert (await team.author.get(path))["texts"]["diff"] == DIFF


async def test_a_withdrawn_review_is_over(team: Team) -> None:
    review = await team.request()
    path = f"/v1/reviews/{review['id']}"
    assert await refusal(team.first.post(f"{path}/withdraw")) == "not_the_author"
    withdrawn = await team.author.post(f"{path}/withdraw", reason="Not needed.")
    assert withdrawn["state"] == "withdrawn"
    again = await team.author.post(f"{path}/withdraw")
    assert again == withdrawn
    assert (await team.first.get("/v1/messages/inbox"))["items"][0]["body"] == "Not needed."
    for attempt in (
        decide(team.first, review, "approved"),
        team.first.post(f"{path}/comments", body="Still here?"),
        team.author.post(f"{path}/revise"),
    ):
        assert await refusal(attempt) == "review_withdrawn"


async def test_what_a_review_does_not_allow(team: Team) -> None:
    outsider = await team.mesh.agent("dave")
    review = await team.request()
    path = f"/v1/reviews/{review['id']}"
    await team.mesh.agent("erin")
    await team.mesh.post("/v1/agents/erin/retire")
    refusals = [
        (team.request(commit_range=None), "nothing_to_review"),
        (team.request(reviewers=["bob", "alice"]), "own_reviewer"),
        (team.request(reviewers=[]), "invalid_request"),
        (team.request(reviewers=["nobody"]), "agent_not_found"),
        (team.request(reviewers=["erin"]), "recipient_retired"),
        (team.request(commit_range="two words"), "invalid_request"),
        (decide(team.author, review, "approved"), "not_a_reviewer"),
        (decide(outsider, review, "approved"), "not_a_reviewer"),
        (decide(team.first, review, "perhaps"), "invalid_request"),
        (outsider.post(f"{path}/comments", body="Hm."), "not_in_review"),
        (team.first.post(f"{path}/comments", body="Hm.", line=3), "line_without_file"),
        (team.first.post(f"{path}/revise"), "not_the_author"),
        (team.first.get(f"/v1/reviews/{TASK}"), "review_not_found"),
        (team.mesh.post(f"{path}/verdict", verdict="approved"), "agent_required"),
    ]
    for attempt, code in refusals:
        assert await refusal(attempt) == code
    assert [event["type"] for event in await team.mesh.events(type="review")] == ["review.requested"]


async def test_a_verdict_on_a_state_that_has_changed_is_refused_when_asked_so(team: Team) -> None:
    review = await team.request()
    await decide(team.first, review, "approved")
    response = await team.second.request(
        "POST",
        f"/v1/reviews/{review['id']}/verdict",
        json={"verdict": "approved"},
        headers={"If-Match": f'"{review["version"]}"'},
    )
    assert response.status_code == 412


async def test_a_reviewer_who_is_gone_holds_nobody_up(team: Team) -> None:
    review = await team.request()
    await team.mesh.post("/v1/agents/carol/retire")
    await decide(team.first, review, "approved")
    revised = await team.author.post(f"/v1/reviews/{review['id']}/revise", reviewers=["bob"])
    assert (await decide(team.first, revised, "approved"))["state"] == "approved"


async def test_reviews_are_listed_by_state_task_reviewer_and_author(team: Team) -> None:
    first = await team.request(task_id=TASK)
    second = await team.request(title="Logout", reviewers=["bob"])
    await decide(team.first, second, "approved")

    async def titles(**criteria: Any) -> list[str]:
        listed = await team.mesh.get("/v1/reviews", **criteria)
        return [review["title"] for review in listed["items"]]

    assert await titles() == ["Logout", "Login"]
    assert await titles(state="approved") == ["Logout"]
    assert await titles(task_id=TASK) == ["Login"]
    assert await titles(reviewer="carol") == ["Login"]
    assert await titles(reviewer="bob", state="requested") == ["Login"]
    assert await titles(author="alice", limit=1) == ["Logout"]
    assert await titles(author="bob") == []
    listed = (await team.mesh.get("/v1/reviews", task_id=TASK))["items"]
    assert listed == [first]
    assert (await team.mesh.get(f"/v1/reviews/{first['id']}"))["review"] == first


async def test_a_long_review_fits_the_budget_and_says_what_is_missing(team: Team) -> None:
    review = await team.request(diff=DIFF * 2_000, description="x" * 3_000, files=FILES)
    path = f"/v1/reviews/{review['id']}"
    for number in range(8):
        await team.first.post(f"{path}/comments", body=f"{number}" + "y" * 2_000)
    response = await team.author.request("GET", path, params={"max_chars": 6_000})
    assert len(response.text) <= 6_000
    shown = response.json()
    assert shown["texts"]["truncated"]
    assert "raise max_chars" in shown["omitted"]
    told = (await team.mesh.events(type="review.requested"))[0]["data"]
    assert told["texts"]["truncated"]
    said, cursor = [], {}
    while True:
        page = await team.author.get(path, max_chars=6_000, **cursor)
        said += [remark["body"][0] for remark in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert said == [str(number) for number in range(8)]
