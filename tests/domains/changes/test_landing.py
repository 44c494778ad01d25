"""Changes on their way into the target branch."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from queueing import CHECKED, landed, submit
from repositories import Scratch

pytestmark = pytest.mark.anyio


async def test_a_branch_lands_as_one_commit(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = scratch.head()
    head = scratch.commit({"a.txt": "new\n", "c.txt": "c\n"}, on=base, branch="work")
    made = await submit(alice, branch="work", summary="Add c", description="Because.")
    assert (made["state"], made["base_commit"], made["head_commit"]) == ("queued", base, head)
    assert [(file["path"], file["status"]) for file in made["files"]] == [
        ("a.txt", "modified"),
        ("c.txt", "added"),
    ]
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed", change
    assert scratch.git("rev-parse", "main") == change["landed_commit"]
    assert scratch.git("rev-parse", "main^") == base
    message = scratch.git("log", "-1", "--format=%B", "main")
    assert message.startswith("Add c\n\nBecause.\n\nRepomesh-Change: ")
    assert f"Repomesh-Change: {made['id']}" in message
    assert scratch.git("show", "main:a.txt") == "new"
    types = [event["type"] for event in await queue.events() if event["type"].startswith("change.")]
    assert types == [
        "change.submitted",
        "change.queued",
        "change.building",
        "change.landing",
        "change.landed",
    ]


async def test_changes_of_many_land_on_each_other(queue: Mesh, scratch: Scratch) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    base = scratch.head()
    lines = scratch.git("show", "main:a.txt").split("\n")
    ids = []
    for number in range(8):
        edited = [*lines]
        edited[number * 3] = f"changed {number}"
        scratch.commit({"a.txt": "\n".join(edited) + "\n"}, on=base, branch=f"work-{number}")
        ids.append((await submit((alice, bob)[number % 2], branch=f"work-{number}"))["id"])
    changes = await landed(queue, *ids)
    assert {change["state"] for change in changes} == {"landed"}
    final = scratch.git("show", "main:a.txt").split("\n")
    assert [final[number * 3] for number in range(8)] == [f"changed {number}" for number in range(8)]
    assert scratch.git("rev-list", "--count", "main") == "9"


async def test_a_conflict_goes_back_to_its_author_and_the_rest_moves_on(
    queue: Mesh, scratch: Scratch
) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    base = scratch.head()
    scratch.commit({"src/b.py": "x = 2\n"}, on=base, branch="one")
    scratch.commit({"src/b.py": "x = 3\n"}, on=base, branch="other")
    scratch.commit({"new.txt": "n\n"}, on=base, branch="third")
    one, other, third = [
        await submit(agent, branch=name) for agent, name in ((alice, "one"), (bob, "other"), (alice, "third"))
    ]
    changes = await landed(queue, one["id"], other["id"], third["id"])
    assert [change["state"] for change in changes] == ["landed", "returned", "landed"]
    returned = changes[1]
    assert returned["error_class"] == "conflict"
    [conflict] = returned["conflicts"]
    assert (
        conflict["path"],
        conflict["base"]["text"],
        conflict["ours"]["text"],
        conflict["theirs"]["text"],
    ) == (
        "src/b.py",
        "x = 1\n",
        "x = 2\n",
        "x = 3\n",
    )
    [notice] = [
        item for item in (await bob.get("/v1/messages/inbox"))["items"] if "returned" in item["subject"]
    ]
    assert notice["ack_required"]
    scratch.commit({"src/b.py": "x = 5\n"}, on=scratch.git("rev-parse", "main"), branch="other")
    again = await submit(bob, branch="other", replaces=other["id"])
    assert again["attempt"] == 2
    [change, old] = await landed(queue, again["id"], other["id"])
    assert (change["state"], old["state"]) == ("landed", "superseded")
    assert scratch.git("show", "main:src/b.py") == "x = 5"


async def test_what_is_no_change_is_refused(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.git("branch", "same")
    for fields, code in (
        ({"branch": "nope"}, "revision_not_found"),
        ({"branch": "same"}, "change_empty"),
        ({}, "change_source"),
        ({"branch": "same", "commit": "same"}, "change_source"),
        ({"branch": "-x"}, "revision_not_found"),
        ({"branch": "a\nb"}, "invalid_request"),
        ({"patch": {"format": "unified", "base_commit": "main", "text": "x"}}, "patch_refused"),
        ({"bundle": "AAAA"}, "bundle_invalid"),
    ):
        with pytest.raises(Refused) as refused:
            await submit(alice, **fields)
        assert refused.value.code == code, fields
    assert scratch.git("for-each-ref", "refs/repomesh/") == ""


async def test_patches_and_bundles_become_commits_on_their_base(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = scratch.head()
    text = "src/b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 7\n>>>>>>> REPLACE\n"
    patch = {"format": "search_replace", "base_commit": "main", "text": text}
    made = await submit(alice, patch=patch)
    import base64

    scratch.commit({"bundled.txt": "b\n"}, on=base, branch="far")
    scratch.git("bundle", "create", "-q", "../far.bundle", "main..far")
    scratch.git("branch", "-D", "far")
    bundle = base64.b64encode((scratch.path.parent / "far.bundle").read_bytes()).decode()
    bundled = await submit(alice, bundle=bundle)
    changes = await landed(queue, made["id"], bundled["id"])
    assert [change["state"] for change in changes] == ["landed", "landed"]
    assert scratch.git("show", "main:src/b.py") == "x = 7"
    assert scratch.git("show", "main:bundled.txt") == "b"
    assert scratch.git("log", "--format=%an", "-2", "main").split() == ["Ada", "alice"]


async def test_checks_hold_back_what_fails_them(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = scratch.git("rev-parse", "main")
    base = scratch.commit({"repomesh.toml": CHECKED}, on=base, branch="main")
    for number in range(4):
        text = "bad\n" if number == 1 else "good\n"
        scratch.commit({f"n{number}.txt": text}, on=base, branch=f"work-{number}")
    ids = [(await submit(alice, branch=f"work-{number}"))["id"] for number in range(4)]
    changes = await landed(queue, *ids)
    assert [change["state"] for change in changes] == ["landed", "returned", "landed", "landed"]
    assert changes[1]["error_class"] == "check"
    [run] = changes[1]["checks"]
    assert (run["name"], run["outcome"], run["exit_code"]) == ("no bad words", "failed", 1)
    assert [check["outcome"] for check in changes[3]["checks"]] == ["passed", "passed"][
        : len(changes[3]["checks"])
    ]


async def test_a_check_that_fails_on_the_target_pauses_the_queue(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = scratch.commit(
        {"repomesh.toml": CHECKED, "x.txt": "bad"}, on=scratch.git("rev-parse", "main"), branch="main"
    )
    scratch.commit({"y": "y"}, on=base, branch="work")
    made = await submit(alice, branch="work")
    [change] = await landed(queue, made["id"])
    assert (change["state"], change["waits_for"]) == ("waiting", "pause")
    status = await queue.get("/v1/queue")
    assert status["lanes"][0]["paused"]
    assert "fails on main itself" in status["lanes"][0]["paused_reason"]
    scratch.commit({"x.txt": "mended"}, on=base, branch="main")
    await queue.post("/v1/queue/resume")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"


async def test_a_landed_change_is_taken_back_through_the_queue(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    before = scratch.git("rev-parse", "main^{tree}")
    scratch.commit({"src/b.py": "x = 2\n"}, on=scratch.head(), branch="one")
    first = await submit(alice, branch="one")
    await landed(queue, first["id"])
    scratch.commit({"src/b.py": "x = 3\n"}, on=scratch.git("rev-parse", "main"), branch="two")
    second = await submit(alice, branch="two")
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/changes/rollback", change_ids=[second["id"]])
    assert refused.value.code == "change_state"
    await landed(queue, second["id"])
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/changes/rollback", change_ids=[first["id"]])
    assert (refused.value.code, refused.value.problem["dependants"]) == (
        "rollback_dependants",
        [second["id"]],
    )
    for change in (second, first):
        made = await alice.post("/v1/changes/rollback", change_ids=[change["id"]], reason="It broke.")
        assert made["rolls_back"] == [change["id"]]
        [taken_back] = await landed(queue, made["id"])
        assert taken_back["state"] == "landed"
    assert scratch.git("rev-parse", "main^{tree}") == before
    rolled_back = [
        event["subject"] for event in await queue.events() if event["type"] == "change.rolled_back"
    ]
    assert rolled_back == [f"change/{second['id']}", f"change/{first['id']}"]


async def test_a_work_tree_of_the_target_follows_or_holds_the_landing(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.git("checkout", "-q", "main")
    scratch.commit({"src/b.py": "x = 2\n"}, on=scratch.head(), branch="one")
    made = await submit(alice, branch="one")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"
    assert (scratch.path / "src/b.py").read_text() == "x = 2\n"
    assert scratch.git("status", "--porcelain") == ""
    (scratch.path / "src/b.py").write_text("my own edit\n")
    (scratch.path / "a.txt").write_text("mine, too\n")
    scratch.commit({"src/b.py": "x = 3\n"}, on=scratch.git("rev-parse", "main"), branch="two")
    second = await submit(alice, branch="two")
    [change] = await landed(queue, second["id"])
    assert change["state"] == "waiting"
    assert "src/b.py" in change["reason"]
    assert (scratch.path / "src/b.py").read_text() == "my own edit\n"
    scratch.git("checkout", "-q", "--", "src/b.py")
    queue.clock.advance(60)
    [change] = await landed(queue, second["id"])
    assert change["state"] == "landed"
    assert (scratch.path / "a.txt").read_text() == "mine, too\n"


async def test_locks_of_others_and_missing_approval_hold_a_change(queue: Mesh, scratch: Scratch) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    human = await queue.agent("pat", type="human")
    lock = await bob.post("/v1/locks/acquire", resources=["src/**"])
    scratch.commit({"src/b.py": "x = 2\n", "repomesh.toml": "# new\n"}, on=scratch.head(), branch="one")
    made = await submit(alice, branch="one")
    assert (made["state"], made["waits_for"], made["risk"]["level"]) == ("waiting", "approval", "critical")
    with pytest.raises(Refused) as refused:
        await alice.post(f"/v1/changes/{made['id']}/approve")
    assert refused.value.code == "own_change"
    assert (await bob.post(f"/v1/changes/{made['id']}/approve"))["waits_for"] == "approval"  # no person
    approved = await human.post(f"/v1/changes/{made['id']}/approve", patch_id=made["patch_id"])
    assert (approved["state"], approved["waits_for"]) == ("waiting", "lock")
    assert "bob holds src/b.py" in approved["reason"]
    await bob.post("/v1/locks/release", fencing_token=lock["fencing_token"])
    await queue.server.merge_queue.run_once()  # a look under way would set the next one by the later clock
    queue.clock.advance(5)
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"
    assert "Approved-by: pat" in scratch.git("log", "-1", "--format=%B", "main")


async def test_a_task_that_was_taken_over_lands_nothing_of_its_former_holder(
    queue: Mesh, scratch: Scratch
) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    task = await queue.post("/v1/tasks", goal="Do it")
    claim = await alice.post(f"/v1/tasks/{task['id']}/claim", ttl_s=30)
    scratch.commit({"src/b.py": "x = 2\n"}, on=scratch.head(), branch="one")
    fields = {"branch": "one", "task_id": task["id"]}
    with pytest.raises(Refused) as refused:
        await submit(alice, **fields)
    assert refused.value.code == "fencing_token_missing"
    with pytest.raises(Refused) as refused:
        await submit(bob, **fields, fencing_token=claim["fencing_token"])
    assert refused.value.code == "not_holder"
    await queue.post("/v1/queue/pause", reason="wait")
    scratch.commit({"repomesh.toml": "# risky\n"}, on=scratch.head(), branch="two")
    made = await submit(alice, branch="two", task_id=task["id"], fencing_token=claim["fencing_token"])
    assert made["state"] == "waiting"
    queue.clock.advance(40)
    await queue.sweep()
    await bob.post(f"/v1/tasks/{task['id']}/claim")
    pat = await queue.agent("pat", type="human")
    change = await pat.post(f"/v1/changes/{made['id']}/approve")
    assert (change["state"], change["error_class"]) == ("returned", "fencing")
    [notice] = (await alice.get("/v1/messages/inbox"))["items"]
    assert notice["subject"].startswith("Change returned")
    assert notice["ack_required"]


async def test_work_goes_on_upon_what_was_submitted(queue: Mesh, scratch: Scratch) -> None:
    """On the same branch, whether the first change has landed as another commit or is still under way."""
    alice = await queue.agent("alice")
    first_commit = scratch.commit({"src/b.py": "x = 2\n"}, on=scratch.head(), branch="work")
    first = await submit(alice, branch="work")
    await landed(queue, first["id"])
    second_commit = scratch.commit({"src/b.py": "x = 2\ny = 3\n"}, on=first_commit, branch="work")
    second = await submit(alice, branch="work")
    assert (second["base_commit"], second["depends_on"]) == (first_commit, [])
    await queue.post("/v1/queue/pause", reason="wait")
    scratch.commit({"src/b.py": "x = 2\ny = 4\n"}, on=second_commit, branch="work")
    third = await submit(alice, branch="work")
    assert third["base_commit"] == second_commit
    assert third["depends_on"] in ([second["id"]], [])  # it may have landed meanwhile
    await queue.post("/v1/queue/resume")
    changes = await landed(queue, second["id"], third["id"])
    assert [change["state"] for change in changes] == ["landed", "landed"]
    assert scratch.git("show", "main:src/b.py") == "x = 2\ny = 4"


async def test_nothing_of_the_server_or_ignored_is_overwritten(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.commit({".gitignore": ".env\n.repomesh/\n"})
    scratch.git("branch", "-f", "main")
    scratch.git("checkout", "-q", "main")
    for path in (".repomesh/token", ".REPOMESH/repomesh.db", "sub/.repomesh/x"):
        patch = {"format": "files", "base_commit": "main", "text": f'{{"{path}": "x"}}'}
        with pytest.raises(Refused) as refused:
            await submit(alice, patch=patch)
        assert refused.value.code == "path_refused", path
        scratch.commit({path: "x"}, on=scratch.git("rev-parse", "main"), branch="evil")
        with pytest.raises(Refused) as refused:
            await submit(alice, branch="evil")
        assert refused.value.code == "path_refused", path
    (scratch.path / ".env").write_text("SECRET=1\n")
    scratch.commit({".env": "EVIL=1\n"}, on=scratch.git("rev-parse", "main"), branch="work")
    made = await submit(alice, branch="work")
    [change] = await landed(queue, made["id"])
    assert (change["state"], change["waits_for"]) == ("waiting", "work_tree")
    assert (scratch.path / ".env").read_text() == "SECRET=1\n"


async def test_a_path_that_differs_in_case_only_comes_back(queue: Mesh, scratch: Scratch) -> None:
    """Two agents may each add one: macOS and Windows would check out one of them."""
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    base = scratch.head()
    for name in ("Lib/a.py", "lib/b.py"):
        scratch.commit({name: "x = 1\n"}, on=base, branch=f"{name[0]}-work")
    first, second = await submit(alice, branch="L-work"), await submit(bob, branch="l-work")
    changes = await landed(queue, first["id"], second["id"])
    assert [change["state"] for change in changes] == ["landed", "returned"]
    assert "lib/b.py and Lib differ in case only" in changes[1]["reason"]
    tip = scratch.git("rev-parse", "main")
    scratch.commit({"LIB/c.py": "c\n"}, on=tip, branch="again")
    with pytest.raises(Refused) as refused:
        await submit(alice, branch="again")
    assert refused.value.code == "path_refused"
    allowed = {"repomesh.toml": "[merge]\ncase_collisions = true\n"}
    scratch.commit(allowed, on=tip, branch="main")
    both = scratch.commit({"lib/b.py": "x = 1\n"}, on=scratch.git("rev-parse", "main"), branch="both")
    [change] = await landed(queue, (await submit(bob, branch="both"))["id"])
    assert change["state"] == "landed", (both, change)
    scratch.commit({"repomesh.toml": "[merge]\n"}, on=scratch.git("rev-parse", "main"), branch="main")
    scratch.commit({"lib/d.py": "d\n"}, on=scratch.git("rev-parse", "main"), branch="later")
    [change] = await landed(queue, (await submit(bob, branch="later"))["id"])
    assert change["state"] == "landed", "those that are there already stop nothing"


async def test_what_was_submitted_lands_whatever_becomes_of_its_branch(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = scratch.head()
    [first] = await landed(queue, (await submit(alice, commit=scratch.commit({"0": "0"}, on=base)))["id"])
    assert first["state"] == "landed"
    await queue.post("/v1/queue/pause", reason="wait")
    ids = []
    for name in ("forced", "deleted"):
        scratch.commit({f"{name}.txt": "submitted\n"}, on=base, branch=name)
        ids.append((await submit(alice, branch=name, summary=name))["id"])
    scratch.commit({"forced.txt": "not submitted\n"}, on=base, branch="forced")
    scratch.git("update-ref", "-d", "refs/heads/deleted")
    scratch.git("reflog", "expire", "--expire=now", "--all")
    scratch.git("gc", "-q", "--prune=now")
    await queue.post("/v1/queue/resume")
    assert [change["state"] for change in await landed(queue, *ids)] == ["landed", "landed"]
    assert scratch.git("show", "main:forced.txt") == scratch.git("show", "main:deleted.txt") == "submitted"
