"""What makes a proposed plan unacceptable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domains.requests.planning.projects import broken, files_of, task, violations
from repomesh.domains.requests.planning import rules
from repomesh.domains.requests.planning.models import Plan, SharedFile, TaskLimits
from repomesh.domains.requests.planning.reading import read_plan
from repomesh.domains.requests.planning.rules import check_plan, measure_independence
from repomesh.kernel import limits

PROJECT = {
    "src/a.py": "import b\n",
    "src/b.py": "",
    "src/c.py": "",
    "src/limits.py": "A = 1\n",
    "src/d.py": "import limits\n",
    "docs/x.md": "",
}


def test_a_good_plan_breaks_no_rule() -> None:
    tasks = (
        task("one", "src/a.py", dependencies=["two"]),
        task("two", "src/b.py", new_files=["src/new.py"]),
        task("docs", "docs/**", read_only_context=["src/a.py"], checks=["make docs"]),
        task("limits", "src/limits.py"),
        task("d", "src/d.py"),
    )
    assert broken(PROJECT, *tasks) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("src/a.py", "src/a.py"),
        ("src/a.py", "src/*.py"),
        ("src/**", "src/a.py"),
        ("src", "src/a.py"),
        ("src/[a-c].py", "src/?.py"),
        ("src/**/a.py", "**/src/*.py"),
        ("./src//a.py", "src/a.py"),
        ("docs/*", "docs/x*"),
    ],
)
def test_overlaps_name_both_tasks(first: str, second: str) -> None:
    found = violations(PROJECT, task("one", first), task("two", second))
    overlaps = [each for each in found if each.rule == "overlap"]
    assert len(overlaps) == 1
    assert "'one'" in overlaps[0].message
    assert "'two'" in overlaps[0].message
    assert overlaps[0].fix


def test_new_files_overlap_too() -> None:
    tasks = (
        task("one", "src/a.py", "src/b.py", new_files=["n/x.py"]),
        task("two", "src/c.py", new_files=["n/*"]),
    )
    assert broken(PROJECT, *tasks) == ["overlap two"]


@pytest.mark.parametrize("key", ["", " ", "a b", "a/b", "a\nb", "\u202ea", "x" * 65, "-a", ".."])
def test_keys_that_are_no_names(key: str) -> None:
    assert broken(PROJECT, task(key, "src/c.py")) == [f"key {key}"]


def test_keys_are_unique() -> None:
    found = violations(PROJECT, task("one", "src/c.py"), task("one", "docs/x.md"))
    assert [each.message for each in found] == ["2 tasks have the key 'one'"]


def test_dependencies_are_known_and_acyclic() -> None:
    assert broken(PROJECT, task("one", "src/c.py", dependencies=["two"])) == ["unknown_dependency one"]
    assert broken(PROJECT, task("one", "src/c.py", dependencies=["one"])) == ["cycle one"]
    ring = [
        task(f"t{n}", f"src/n{n}.py", files=[], new_files=[f"n{n}.py"], dependencies=[f"t{(n + 1) % 4}"])
        for n in range(4)
    ]
    found = violations(PROJECT, *ring)
    assert [(each.rule, each.task) for each in found] == [("cycle", "t0")]
    assert "'t0', 't1', 't2', 't3'" in found[0].message


@pytest.mark.parametrize(
    "path",
    [
        *("../x", "src/../../x", "/etc/passwd", "C:/x", "src\\a.py", ".git/config", "src/.Git/x"),
        *(".repomesh/**", "**", "*", "**/*", "?*/**", "*/*/*", "", "a\nb", "x" * 1_024 + "/*"),
    ],
)
def test_paths_that_no_task_may_own(path: str) -> None:
    if len(path) > limits.PATTERN_CHARS_MAX:
        _plan, found = read_plan({"tasks": [{"key": "one", "goal": "g", "files": [path]}]})
        assert [each.rule for each in found] == ["shape"]
        return
    assert "path one" in broken(PROJECT, task("one", path))
    assert "path one" in broken(PROJECT, task("one", "src/c.py", read_only_context=[path]))


def test_existing_and_new_files_are_what_they_are_said_to_be() -> None:
    assert broken(PROJECT, task("one", "src/nothing.py")) == ["existence one"]
    assert broken(PROJECT, task("one", new_files=["src/c.py"])) == ["existence one"]
    assert broken(PROJECT, task("one", "docs", new_files=["src/n.py"])) == []


def test_tasks_own_something() -> None:
    assert broken(PROJECT, task("one")) == ["empty_task one"]
    assert broken(PROJECT) == ["empty_plan None"]


def test_goals_and_acceptance_are_needed() -> None:
    assert broken(PROJECT, task("one", "src/c.py", goal=" \n")) == ["goal one"]
    assert broken(PROJECT, task("one", "src/c.py", acceptance=[])) == ["acceptance one"]
    assert broken(PROJECT, task("one", "src/c.py", acceptance=[" "])) == ["acceptance one"]


@pytest.mark.parametrize(
    "text", ["a\0b", "a\x1b[31m", "a\u202eb", "a\u2066b", "a\u200bb", "a\rb", "a\x85b", "a\ufeff"]
)
def test_control_and_invisible_characters(text: str) -> None:
    assert broken(PROJECT, task("one", "src/c.py", goal=text)) == ["control_characters one"]
    assert broken(PROJECT, task("one", "src/c.py", checks=[text])) == ["control_characters one"]
    plan = Plan(tasks=(task("one", "src/c.py"),), notes=(text,))
    assert [each.rule for each in check_plan(plan, files_of(PROJECT))] == ["control_characters"]


def test_texts_in_any_script_are_fine() -> None:
    assert broken(PROJECT, task("задача", "src/c.py", goal="Исправить.\nそして\tテスト 👍🏽 é")) == []


def test_secrets_are_refused_and_not_repeated() -> None:
    secret = "AKIA" + "IOSFODNN7EXAMPLE"
    for fields in (
        {"goal": f"Use it:\n{secret}"},
        {"checks": [f"KEY={secret} make"]},
        {"acceptance": [secret]},
    ):
        found = violations(PROJECT, task("one", "src/c.py", **fields))
        assert [each.rule for each in found] == ["secrets"]
        assert secret not in found[0].model_dump_json()


def test_limits_of_files_lines_and_tokens() -> None:
    project = {f"src/m{number}.py": "x = 1\n" * 10 for number in range(5)}
    assert broken(project, task("one", "src/**"), files_max=4) == ["files_max one"]
    assert broken(project, task("one", "src/m0.py", new_files=["a", "b"]), files_max=2) == ["files_max one"]
    assert broken(project, task("one", "src/**"), lines_max=49) == ["lines_max one"]
    assert broken(project, task("one", "src/**"), tokens_max=74) == ["tokens_max one"]
    assert broken(project, task("one", "src/**"), files_max=5, lines_max=50, tokens_max=75) == []


def test_the_limits_in_the_plan_itself_do_not_count() -> None:
    project = {f"src/m{number}.py": "" for number in range(30)}
    plan = Plan(tasks=(task("one", "src/**"),), task_limits=TaskLimits(files_max=1_000))
    assert [each.rule for each in check_plan(plan, files_of(project))] == ["files_max"]


def test_impact_needs_a_dependency_in_one_direction() -> None:
    one, two = task("one", "src/a.py"), task("two", "src/b.py")
    found = violations(PROJECT, one, two)
    assert [each.rule for each in found] == ["impact"]
    assert found[0].message == "task 'one' reaches task 'two': src/a.py uses src/b.py"
    assert broken(PROJECT, one, task("two", "src/b.py", dependencies=["one"])) == []
    between = task("three", "docs/x.md", dependencies=["two"])
    assert broken(PROJECT, task("one", "src/a.py", dependencies=["three"]), between, two) == []


def test_shared_files_are_what_they_are_said_to_be() -> None:
    def shared(path: str, key: str, mode: Any) -> list[str]:
        tasks = (task("one", "src/a.py", "src/b.py"), task("limits", "src/limits.py"))
        plan = Plan(tasks=tasks, shared=(SharedFile(path=path, task=key, mode=mode),))
        return [each.rule for each in check_plan(plan, files_of(PROJECT))]

    assert shared("src/limits.py", "limits", "append_only") == []
    assert shared("src/b.py", "one", "one_task") == []
    assert shared("src/b.py", "one", "append_only") == ["shared"]
    assert shared("src/limits.py", "one", "append_only") == ["shared"]
    assert shared("../x", "none", "one_task") == ["shared"]


def test_a_claim_of_append_only_hides_no_impact() -> None:
    tasks = (task("one", "src/a.py"), task("two", "src/b.py"))
    plan = Plan(tasks=tasks, shared=(SharedFile(path="src/b.py", task="two", mode="append_only"),))
    assert [each.rule for each in check_plan(plan, files_of(PROJECT))] == ["shared", "impact"]


def test_independence_counts_tasks_without_ties() -> None:
    assert measure_independence([]) == 1.0
    assert measure_independence([task("a", "a"), task("b", "b")]) == 1.0
    assert measure_independence(
        [task("a", "a", dependencies=["b"]), task("b", "b"), task("c", "c")]
    ) == pytest.approx(1 / 3)
    assert measure_independence([task("a", "x/*"), task("b", "x/y"), task("c", "c")]) == pytest.approx(1 / 3)
    assert measure_independence([task("a", "../x")]) == 0.0


def test_too_many_tasks_are_refused_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [{"key": f"t{number}", "goal": "g", "files": [f"f{number}"]} for number in range(10_000)]
    plan, found = read_plan({"tasks": tasks})
    assert plan is None
    assert [each.message for each in found] == ["the plan has 10,000 tasks, more than 200"]
    plan, found = read_plan(json.dumps({"tasks": tasks}).encode())
    assert plan is not None
    monkeypatch.setattr(rules, "check_ownership", None)  # not reached
    assert [each.rule for each in check_plan(plan, files_of(PROJECT))] == ["tasks_max"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"[" * 100_000,
        b'{"tasks": [{"key": "a"}]}',
        b'{"tasks": 3}',
        b'{"tasks": [], "more": 1}',
        b'{"version": 2, "tasks": []}',
        b'{"independence": 1e400}',
        b'{"tasks": [{"key": "\\ud800", "goal": "g"}]}',
        b"\xff" * 100,
        b" " * (limits.PLAN_BYTES_MAX + 1),
        json.dumps({"tasks": [{"key": "a", "goal": "g", "files": ["x"] * 1_001}]}).encode(),
        json.dumps({"tasks": [{"key": "a", "goal": "g" * 2_001}]}).encode(),
    ],
)
def test_what_is_no_plan_is_refused_with_a_reason(payload: bytes) -> None:
    plan, found = read_plan(payload)
    assert plan is None
    assert all(each.message and each.fix for each in found)
    assert found


def test_wrong_fields_name_the_task() -> None:
    _plan, found = read_plan({"tasks": [{"key": "cli", "goal": 3}, "x", {"key": ["y"], "goal": "g"}]})
    assert found[0].task == "cli"
    assert found[0].message.startswith("tasks.0.goal")
    assert read_plan({"tasks": {"key": 1}})[0] is None


def test_hostile_patterns_end_soon_with_a_reason() -> None:
    project = {f"src/{'a' * 50}{number}.py": "" for number in range(2_000)}
    nasty = [task(f"t{n}", *(f"**/*{'a*' * 40}b{n}x{m}" for m in range(6))) for n in range(80)]
    assert "paths_max" in {each.rule for each in violations(project, *nasty)}
    many = [task(f"t{n}", *(f"**/x{n}y{m}*" for m in range(10))) for n in range(60)]
    assert broken(project, *many)[0] == "paths_max None"
    wide = [task(f"t{n}", *(f"d/f{n}x{m}" for m in range(1_000))) for n in range(11)]
    assert broken(project, *wide) == ["paths_max None"]


def test_violations_are_bounded() -> None:
    tasks = [task(f"t{n}", "src/a.py", "src/b.py", goal="", acceptance=[]) for n in range(200)]
    assert len(violations(PROJECT, *tasks)) == limits.PLAN_VIOLATIONS_MAX
