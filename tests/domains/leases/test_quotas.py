"""What many or hostile locks may cost: quotas, and a bound on what is compared for one request."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.domains.leases import paths, prefilter, quotas, resources
from repomesh.kernel import limits


async def refused(speaker: Speaker, *resources: str, path: str = "acquire", **fields: object) -> Refused:
    with pytest.raises(Refused) as raised:
        await speaker.post(f"/v1/locks/{path}", resources=list(resources), **fields)
    return raised.value


async def refusal(speaker: Speaker, *resources: str, path: str = "acquire", **fields: object) -> str:
    return str((await refused(speaker, *resources, path=path, **fields)).code)


async def lock(speaker: Speaker, count: int, name: str = "f{}.py") -> None:
    for start in range(0, count, limits.LIST_ITEMS_MAX):
        numbers = range(start, min(start + limits.LIST_ITEMS_MAX, count))
        await speaker.post("/v1/locks/acquire", resources=[name.format(number) for number in numbers])


@pytest.mark.anyio
async def test_an_agent_holds_no_more_locks_than_its_quota(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas.limits, "LOCKS_PER_AGENT_MAX", 3)
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await lock(alice, 3)
    error = await refused(alice, "one-more.py")
    assert error.code == "too_many_locks"
    assert "you hold 3 locks; with 1 more it would be over 3" in str(error)
    await alice.post("/v1/locks/acquire", resources=["f0.py"])  # which it holds already
    await bob.post("/v1/locks/acquire", resources=["one-more.py"])
    await alice.post("/v1/locks/release", resources=["f0.py"])
    await alice.post("/v1/locks/acquire", resources=["another.py"])


@pytest.mark.anyio
async def test_a_workspace_holds_no_more_locks_than_its_quota(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas.limits, "LOCKS_PER_WORKSPACE_MAX", 3)
    monkeypatch.setattr(quotas.limits, "LOCKS_UNCOUNTED_MAX", 0)
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await lock(alice, 2)
    await bob.post("/v1/locks/acquire", resources=["third.py"])
    error = await refused(bob, "one-more.py")
    assert error.code == "too_many_locks"
    assert "the workspace holds 3 locks and tasks, as many as it may" in str(error)


@pytest.mark.anyio
async def test_who_has_few_locks_is_not_held_to_the_quota_of_the_workspace(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas.limits, "LOCKS_PER_WORKSPACE_MAX", 2)
    monkeypatch.setattr(quotas.limits, "LOCKS_UNCOUNTED_MAX", 3)
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await lock(alice, 3)
    await bob.post("/v1/locks/acquire", resources=["of-bob.py"])
    assert "the workspace holds 2 locks" in str(await refused(alice, "fourth.py"))


@pytest.mark.anyio
async def test_locks_with_wildcards_have_quotas_of_their_own(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    most = limits.PATTERNS_PER_AGENT_MAX
    await lock(alice, most, "f{}*.py")
    error = await refused(alice, "g*.py")
    assert error.code == "too_many_locks"
    assert f"you hold {most} locks with wildcards; with 1 more it would be over {most}" in str(error)
    await alice.post("/v1/locks/acquire", resources=["g.py"])
    monkeypatch.setattr(quotas.limits, "PATTERNS_PER_WORKSPACE_MAX", most + 1)
    await bob.post("/v1/locks/acquire", resources=["g*.md"])
    error = await refused(bob, "h*.md")
    assert f"the workspace holds {most + 1} locks with wildcards" in str(error)


@pytest.mark.anyio
async def test_an_agent_waits_for_no_more_than_its_quota(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas.limits, "WAITING_LOCKS_PER_AGENT_MAX", 2)
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await lock(alice, 3)
    wanted = [f"f{number}.py" for number in range(3)]
    error = await refused(bob, *wanted, wait_s=0.05)
    assert error.code == "too_many_locks"
    assert "you wait for 0 locks; with 3 more it would be over 2" in str(error)
    assert await refusal(bob, *wanted[:2], wait_s=0.05) == "lock_conflict"


@pytest.mark.anyio
async def test_what_would_take_too_long_to_compare_is_refused(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    hostile = "*a" * 100
    await lock(alice, limits.PATTERNS_PER_AGENT_MAX, hostile + "b{}/*")
    wanted = [f"{hostile}{number}c/*" for number in range(40)]
    assert await refusal(bob, *wanted) == "comparison_too_large"
    assert await refusal(bob, *wanted, path="check") == "comparison_too_large"
    assert (await mesh.get("/v1/locks", agent="bob"))["items"] == []
    await bob.post("/v1/locks/acquire", resources=["src/main.py", "docs/*.md"])


@pytest.mark.anyio
async def test_a_request_compares_only_what_may_stand_in_its_way(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0
    real = paths.may_conflict

    def counting(a: str, b: str, budget: paths.ComparisonBudget | None = None) -> bool:
        nonlocal compared
        compared += 1
        return real(a, b, budget)

    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    for folder in range(10):
        await lock(alice, 100, f"src/p{folder}/f{{}}.py")
    monkeypatch.setattr(paths, "may_conflict", counting)
    await bob.post("/v1/locks/acquire", resources=["src/p99/new.py", "docs/**", "src/p3/*.ts", "**/*.md"])
    assert compared < 20


# The texts can't be compressed, as an engine may do with what it stores in an index.
NOISE = "".join(chr(0x10000 + (number * 40_503) % 0x3000) for number in range(600))


@pytest.mark.anyio
async def test_the_longest_path_and_the_longest_kind_fit_into_an_index(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    extension = "." + NOISE[: prefilter.KIND_CHARS_MAX - 1]
    stem = NOISE[100 : 100 + (resources._RESOURCE_BYTES_MAX - len(extension.encode())) // 4]
    fill = "x" * (resources._RESOURCE_BYTES_MAX - len((stem + extension).encode()))
    longest = stem + fill + extension
    assert len(longest.encode()) == resources._RESOURCE_BYTES_MAX
    assert prefilter.kind_of(longest, longest) == extension
    await alice.post("/v1/locks/acquire", resources=[longest])
    assert await refusal(bob, longest, wait_s=0.05) == "lock_conflict"
    assert await refusal(bob, f"*{extension}") == "lock_conflict"
    error = await refused(bob, "x" + longest)
    assert error.code == "invalid_resource"
    assert "2001 bytes, more than 2000" in str(error)


def test_an_extension_is_a_kind_up_to_a_length() -> None:
    longest = "." + "e" * (prefilter.KIND_CHARS_MAX - 1)
    assert prefilter.kind_of("a" + longest, "a" + longest) == longest
    assert prefilter.kind_of(f"a{longest}e", f"a{longest}e") == prefilter.KIND_FOLDER


def test_what_one_like_compares_is_bounded() -> None:
    def like(parts: int) -> str:
        return prefilter.filter_of("*" + "*".join(f"p{number}" for number in range(parts)), "").like

    assert like(prefilter.LIKE_PARTS_MAX) == "%p0%p1%p2%p3"
    assert like(prefilter.LIKE_PARTS_MAX + 1) == "%p1%p2%p3%p4"
    deepest = "/".join("*" * prefilter.LIKE_DEPTH_MAX)
    assert prefilter.filter_of(deepest, "").deeper == "%" + "/%" * prefilter.LIKE_DEPTH_MAX
    assert prefilter.filter_of("*/" + deepest, "").deeper == prefilter.filter_of("**", "").deeper


def test_steps_are_exhausted_behind_the_last_one() -> None:
    budget = paths.ComparisonBudget()
    budget.taken = limits.COMPARISON_STEPS_MAX
    assert not budget.exhausted
    budget.taken += 1
    assert budget.exhausted
