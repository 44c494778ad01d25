"""The commits that a change becomes: all of it, by everyone who made it, and each of them leads back."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from queueing import landed, submit
from repomesh.kernel import limits
from repositories import Scratch

pytestmark = pytest.mark.anyio


def configure(scratch: Scratch, text: str) -> str:
    """Put a repomesh.toml on main; returns the commit."""
    return scratch.commit({"repomesh.toml": text}, on=scratch.git("rev-parse", "main"), branch="main")


def trailers(scratch: Scratch, *names: str, last: int = 1) -> list[str]:
    """The trailers of these names of the last commits on main, newest first: one text for each commit."""
    keys = ",".join(f"key={name}" for name in names)
    shown = scratch.git("log", f"-{last}", f"--format=%(trailers:{keys},valueonly,separator=%x2C)", "main")
    return shown.split("\n")


async def test_a_rebase_loses_nothing_that_a_merge_commit_changed(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = configure(scratch, '[queue]\nland = "rebase"\n')
    first = scratch.commit({"first.txt": "1\n"}, "first", on=base)
    main = scratch.commit({"main.txt": "m\n"}, on=base, branch="main")
    tree = scratch.written_tree({"first.txt": "1\n", "adapted.txt": "by hand\n"}, main)
    merge = scratch.git("commit-tree", tree, "-p", first, "-p", main, "-m", "Merge main, and adapt")
    scratch.commit({"last.txt": "l\n"}, "last", on=merge, branch="work")
    made = await submit(alice, branch="work")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"
    assert {b"first.txt", b"adapted.txt", b"last.txt", b"main.txt"} <= scratch.listed("main")
    assert trailers(scratch, "Repomesh-Change") == [made["id"]]


async def test_a_rebase_of_more_commits_than_are_replayed_is_whole(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = configure(scratch, '[queue]\nland = "rebase"\n')
    stream = b""
    for number in range(502):
        start = f"from {base}\n" if number == 0 else ""
        stream += (
            f"commit refs/heads/work\ncommitter A <a@example.org> {1_700_000_000 + number} +0000\n".encode()
        )
        stream += f"data 1\nc\n{start}M 100644 inline many/{number}\ndata 1\nx\n".encode()
    scratch.git("fast-import", "--quiet", input_=stream)
    made = await submit(alice, branch="work")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"
    assert len([path for path in scratch.listed("main") if path.startswith(b"many/")]) == 502


async def test_each_commit_of_a_rebase_names_its_change_and_all_are_taken_back(
    queue: Mesh, scratch: Scratch
) -> None:
    alice = await queue.agent("alice")
    base = configure(scratch, '[queue]\nland = "rebase"\n')
    forged = "one\n\nRepomesh-Change: 00000000-0000-7000-8000-000000000000\nApproved-by: pat\n"
    one = scratch.commit({"one.txt": "1\n"}, forged, on=base)
    two = scratch.commit({"two.txt": "2\n"}, "two", on=one)
    scratch.git("branch", "work", scratch.git("commit-tree", f"{two}^{{tree}}", "-p", two, "-m", "run again"))
    made = await submit(alice, branch="work")
    await landed(queue, made["id"])
    assert scratch.git("log", "-2", "--format=%s", "main").split("\n") == ["two", "one"]
    assert trailers(scratch, "Repomesh-Change", "Approved-by", last=2) == [made["id"], made["id"]]
    back = await alice.post("/v1/changes/rollback", change_ids=[made["id"]], reason="It broke.")
    await landed(queue, back["id"])
    assert scratch.git("rev-parse", "main^{tree}") == scratch.git("rev-parse", f"{base}^{{tree}}")


async def test_everyone_who_made_a_change_is_named_in_its_commit(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    base = scratch.head()
    tip, odd = base, {"GIT_AUTHOR_DATE": "2030-01-01T00:00:00 +1345"}
    for name, email, message in (
        ("Bea", "bea@example.org", "one\n\nCo-authored-by: Dora <dora@example.org>"),
        ("Zoë", "zoe@example.org", "two"),
        ("Bea B.", "BEA@example.org", "three"),
    ):
        tree = scratch.written_tree({f"{message[:3]}.txt": "x\n"}, tip)
        author = odd | {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email}
        tip = scratch.git("commit-tree", tree, "-p", tip, "-m", message, **author)
    scratch.git("branch", "work", tip)
    made = await submit(alice, branch="work")
    await landed(queue, made["id"])
    assert scratch.git("log", "-1", "--format=%an <%ae> %aI", "main") == (
        "Bea <bea@example.org> 2030-01-01T00:00:00+13:45"
    )
    assert trailers(scratch, "Co-authored-by", "Repomesh-Agent") == [
        "Dora <dora@example.org>,Zoë <zoe@example.org>,alice"
    ]


@pytest.mark.parametrize("land", ["squash", "rebase", "merge"])
async def test_commits_that_git_takes_land_whatever_their_names_are(
    queue: Mesh, scratch: Scratch, land: str
) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    base = configure(scratch, f'[queue]\nland = "{land}"\n')
    tree = scratch.written_tree({"x.txt": "x\n"}, base)
    for number, (author, encoding) in enumerate(
        (
            ("Zo\xe9 <> 100000000 -0730", "ISO-8859-1"),
            ("... <...> 1 +0000", "klingon"),
            ("caf\xe9 <e@x> 99999999999 +9999", "idna"),
        )
    ):
        raw = f"tree {tree}\nparent {base}\nauthor {author}\ncommitter C <c@x> 1 +0000\n"
        raw += f"encoding {encoding}\n\ncaf\xe9\n"
        oid = scratch.git(
            "hash-object", "-w", "--literally", "-t", "commit", "--stdin", input_=raw.encode("latin-1")
        )
        scratch.git("branch", f"odd-{number}", oid)
        tree = scratch.written_tree({"x.txt": "x\n", f"{number}.txt": "n\n"}, base)
    odd = [await submit(alice, branch=f"odd-{number}", summary=f"odd {number}") for number in range(3)]
    scratch.commit({"plain.txt": "p\n"}, on=base, branch="plain")
    plain = await submit(bob, branch="plain")
    changes = await landed(queue, plain["id"], *(made["id"] for made in odd))
    assert {change["state"] for change in changes} == {"landed"}, changes
    if land == "rebase":
        messages = scratch.git("log", "--format=%an|%s", "main").split("\n")
        assert "Zoé|café" in messages


AUTHOR, COMMITTER = "author A <a@x> 1 +0000\n", "committer C <c@x> 1 +0000\n"


@pytest.mark.parametrize(
    "written_by",
    [
        COMMITTER,
        AUTHOR,
        f"author A <a@x> {'9' * 30} +0000\n{COMMITTER}",
        f"author A a@x 1 +0000\n{COMMITTER}",
    ],
    ids=["no author", "no committer", "no date", "no address"],
)
@pytest.mark.parametrize("at_tip", [True, False])
async def test_a_commit_whose_author_can_not_be_read_is_refused(
    queue: Mesh, scratch: Scratch, written_by: str, at_tip: bool
) -> None:
    alice = await queue.agent("alice")
    base = scratch.head()
    raw = f"tree {scratch.written_tree({'x.txt': 'x'}, base)}\nparent {base}\n{written_by}\nx\n"
    odd = scratch.git("hash-object", "-w", "--literally", "-t", "commit", "--stdin", input_=raw.encode())
    tree = scratch.written_tree({"y.txt": "y"}, base)
    tip = odd if at_tip else scratch.git("commit-tree", tree, "-p", odd, "-m", "y")
    scratch.git("branch", "odd", tip)
    with pytest.raises(Refused) as refused:
        await submit(alice, branch="odd")
    assert refused.value.code == "commit_malformed"
    assert not scratch.git("for-each-ref", "refs/repomesh")


async def test_what_an_author_writes_is_no_trailer_of_ours(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.commit({"x.txt": "x"}, on=scratch.head(), branch="work")
    claims = "It was discussed.\n\nApproved-by: pat\n  repomesh-change : 1"
    made = await submit(alice, branch="work", description=claims)
    await landed(queue, made["id"])
    lines = scratch.git("log", "-1", "--format=%b", "main").splitlines()
    assert "Approved-by (as submitted): pat" in lines
    assert "  repomesh-change (as submitted) : 1" in lines
    assert [line for line in lines if line.startswith(("Approved-by:", "Repomesh-"))] == [
        f"Repomesh-Change: {made['id']}",
        "Repomesh-Agent: alice",
    ]


async def test_a_commit_with_a_message_of_megabytes_is_refused(queue: Mesh, scratch: Scratch) -> None:
    """Reading it would keep everybody waiting."""
    alice = await queue.agent("alice")
    base = scratch.head()
    tree = scratch.written_tree({"x.txt": "x"}, base)
    size = limits.COMMIT_BYTES_MAX
    raw = f"tree {tree}\nparent {base}\n{AUTHOR}{COMMITTER}\n"
    for extra, is_taken in ((-1 - len(raw), True), (1, False)):
        message = raw + "m" * (size + extra) + "\n"
        oid = scratch.git("hash-object", "-w", "-t", "commit", "--stdin", input_=message.encode())
        for source in ({"commit": oid}, {"branch": f"large{extra}"}):
            scratch.git("update-ref", f"refs/heads/large{extra}", oid)
            if is_taken:
                await submit(alice, **source)
                continue
            with pytest.raises(Refused) as refused:
                await submit(alice, **source)
            assert refused.value.code == "commit_malformed"
