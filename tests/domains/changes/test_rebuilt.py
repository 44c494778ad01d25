"""What lands is what was approved and what locks allow: as it was rebuilt, not as it was submitted."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from queueing import landed, submit
from repomesh.kernel import limits
from repositories import Scratch

pytestmark = pytest.mark.anyio

ASKS = "[approval]\nlow = { people = 1 }\nmedium = { people = 1 }\n"


async def test_people_are_shown_and_approve_the_patch_that_would_land(queue: Mesh, scratch: Scratch) -> None:
    """The target renames the file that a change edits: the edit lands in the file of the new name."""
    alice, pat = await queue.agent("alice"), await queue.agent("pat", type="human")
    lines = scratch.git("show", "main:a.txt") + "\n"
    main = scratch.commit({"repomesh.toml": ASKS}, on=scratch.git("rev-parse", "main"), branch="main")
    scratch.commit({"a.txt": lines.replace("7\n", "seven\n", 1)}, on=main, branch="one")
    made = await submit(alice, branch="one")
    await queue.post("/v1/queue/pause", reason="later")
    await pat.post(f"/v1/changes/{made['id']}/approve", patch_id=made["patch_id"])
    scratch.commit({"a.txt": None, "z.txt": lines}, on=main, branch="main")
    await queue.post("/v1/queue/resume")
    [change] = await landed(queue, made["id"])
    assert (change["state"], change["waits_for"]) == ("waiting", "approval")
    assert [file["path"] for file in change["files"]] == ["z.txt"]
    diff = await pat.get(f"/v1/changes/{made['id']}/diff")
    assert diff["patch_id"] == change["patch_id"] != made["patch_id"]
    assert "+++ b/z.txt" in diff["diff"]
    assert "+seven" in diff["diff"]
    assert "a.txt" not in diff["diff"]
    scratch.git("reflog", "expire", "--expire=now", "--all")
    scratch.git("gc", "-q", "--prune=now")
    assert (await pat.get(f"/v1/changes/{made['id']}/diff"))["diff"] == diff["diff"]
    await pat.post(f"/v1/changes/{made['id']}/approve", patch_id=diff["patch_id"])
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"
    assert "seven" in scratch.git("show", "main:z.txt")


async def test_a_lock_on_the_file_in_which_a_change_lands_holds_it(queue: Mesh, scratch: Scratch) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    lines = scratch.git("show", "main:a.txt") + "\n"
    main = scratch.git("rev-parse", "main")
    scratch.commit({"a.txt": lines.replace("7\n", "seven\n", 1)}, on=main, branch="one")
    scratch.commit({"a.txt": None, "z.txt": lines}, on=main, branch="main")
    lock = await bob.post("/v1/locks/acquire", resources=["z.txt"])
    made = await submit(alice, branch="one")
    [change] = await landed(queue, made["id"])
    assert (change["state"], change["waits_for"]) == ("waiting", "lock")
    assert "bob holds z.txt" in change["reason"]
    await bob.post("/v1/locks/release", fencing_token=lock["fencing_token"])
    await queue.server.merge_queue.run_once()
    queue.clock.advance(5)
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"


async def test_a_lock_that_is_renewed_makes_no_events(queue: Mesh, scratch: Scratch) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    lock = await bob.post("/v1/locks/acquire", resources=["src/**"])
    scratch.commit({"src/b.py": "x = 2\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    made = await submit(alice, branch="one")
    [before] = await landed(queue, made["id"])
    for _ in range(3):
        queue.clock.advance(5)
        await bob.post("/v1/locks/renew", fencing_token=lock["fencing_token"])
        await queue.server.merge_queue.run_once()
    [change] = await landed(queue, made["id"])
    assert (change["waits_for"], change["version"]) == ("lock", before["version"])
    assert len(await queue.events(type="change.waiting")) == 1


async def test_a_review_that_was_missing_lands_a_change(queue: Mesh, scratch: Scratch) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    asks = "[approval]\nlow = { reviewers = 1 }\n"
    main = scratch.commit({"repomesh.toml": asks}, on=scratch.git("rev-parse", "main"), branch="main")
    commit = scratch.commit({"one.txt": "1\n"}, on=main, branch="one")
    made = await submit(alice, branch="one")
    [change] = await landed(queue, made["id"])
    assert change["waits_for"] == "approval"
    review = await alice.post("/v1/reviews", title="One", commit_range=commit, reviewers=["bob"])
    await bob.post(f"/v1/reviews/{review['id']}/verdict", verdict="approved", summary="Fine.")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"


async def test_lines_that_are_not_searched_for_secrets_need_an_approval(
    queue: Mesh, scratch: Scratch
) -> None:
    alice = await queue.agent("alice")
    filler = "".join(f"{number}\n" for number in range(20_001))
    scratch.commit({"a-filler.txt": filler}, on=scratch.git("rev-parse", "main"), branch="one")
    made = await submit(alice, branch="one")
    assert (made["risk"]["level"], made["waits_for"]) == ("critical", "approval")
    assert "20001 added lines; only 20000 were searched" in made["risk"]["reasons"][0]


async def test_a_file_of_countless_short_lines_is_refused_before_it_is_compared(
    queue: Mesh, scratch: Scratch
) -> None:
    """A bundle of 16 kB may hold 16 million lines, of each of which libgit2 would keep a record."""
    alice = await queue.agent("alice")
    main = scratch.git("rev-parse", "main")
    scratch.commit({"lines.txt": "\n" * (limits.CHANGE_LINES_MAX + 1)}, on=main, branch="many")
    with pytest.raises(Refused, match="300000 lines") as refused:
        await submit(alice, branch="many")
    assert refused.value.code == "change_too_large"
    scratch.commit({"lines.txt": "\n" * limits.CHANGE_LINES_MAX}, on=main, branch="few")
    assert (await submit(alice, branch="few"))["files"][0]["added"] == limits.CHANGE_LINES_MAX
