"""Changes that build on each other: on one that is replaced, and on one that was taken back."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from queueing import CHECKED, landed, submit
from repositories import Scratch

pytestmark = pytest.mark.anyio


async def test_a_repair_on_top_of_what_waits_for_it_lands(queue: Mesh, scratch: Scratch) -> None:
    """Two commits on one branch, a change each; the repair of the first is a third commit above both."""
    alice = await queue.agent("alice")
    main = scratch.commit({"repomesh.toml": CHECKED}, on=scratch.git("rev-parse", "main"), branch="main")
    first = scratch.commit({"one.txt": "bad\n"}, on=main, branch="one")
    second = scratch.commit({"two.txt": "2\n"}, on=first, branch="two")
    one = await submit(alice, commit=first)
    two = await submit(alice, commit=second)
    assert two["depends_on"] == [one["id"]]
    [change, _] = await landed(queue, one["id"], two["id"])
    assert change["state"] == "returned"
    third = scratch.commit({"one.txt": "good\n"}, on=second, branch="two")
    again = await submit(alice, commit=third, replaces=one["id"])
    assert again["depends_on"] == []
    [change, other] = await landed(queue, again["id"], two["id"])
    assert change["state"] == "landed"
    assert (other["state"], other["reason"]) == ("returned", "main has all that it changes already")
    assert scratch.git("show", "main:one.txt") == "good"


async def test_nothing_waits_for_itself(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    main = scratch.commit({"repomesh.toml": CHECKED}, on=scratch.git("rev-parse", "main"), branch="main")
    one = await submit(alice, commit=scratch.commit({"one.txt": "bad\n"}, on=main, branch="one"))
    other = scratch.commit({"two.txt": "2\n"}, on=main, branch="two")
    two = await submit(alice, commit=other, depends_on=[one["id"]])
    await landed(queue, one["id"])
    repaired = scratch.commit({"one.txt": "good\n"}, on=main, branch="repaired")
    for dependency in (one["id"], two["id"]):
        with pytest.raises(Refused, match="the change that this one replaces") as refused:
            await submit(alice, commit=repaired, replaces=one["id"], depends_on=[dependency])
        assert refused.value.code == "change_dependency"


@pytest.mark.parametrize("land", ["squash", "merge", "rebase"])
async def test_a_repair_of_what_was_taken_back_brings_it_again(
    queue: Mesh, scratch: Scratch, land: str
) -> None:
    alice = await queue.agent("alice")
    settings = f'[queue]\nland = "{land}"\n'
    main = scratch.commit({"repomesh.toml": settings}, on=scratch.git("rev-parse", "main"), branch="main")
    first = scratch.commit({"one.txt": "1\n"}, on=main, branch="one")
    one = await submit(alice, commit=first)
    [change] = await landed(queue, one["id"])
    assert change["state"] == "landed"
    revert = await alice.post("/v1/changes/rollback", change_ids=[one["id"]])
    await landed(queue, revert["id"])
    assert "one.txt" not in scratch.git("ls-tree", "--name-only", "main")
    repair = scratch.commit({"repair.txt": "r\n"}, on=first, branch="one")
    again = await submit(alice, commit=repair)
    assert {file["path"] for file in again["files"]} == {"one.txt", "repair.txt"}
    [change] = await landed(queue, again["id"])
    assert change["state"] == "landed"
    assert {"one.txt", "repair.txt"} <= set(scratch.git("ls-tree", "--name-only", "main").split())
    later = scratch.commit({"later.txt": "l\n"}, on=scratch.git("rev-parse", "main"), branch="later")
    assert [file["path"] for file in (await submit(alice, commit=later))["files"]] == ["later.txt"]
