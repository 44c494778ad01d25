"""Where the hooks of the guard stand: never in tracked files, nor unasked in those of other repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.running import git, repository
from repomesh.cli import doctor_checks
from repomesh.connect import guard
from repomesh.connect.errors import HookInTheWay, SharedHooks, TrackedHook, UnusableHooksPath


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    return repository(tmp_path / "home")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".sample")}


def test_what_it_will_do_is_told_before(home: Path) -> None:
    hook = home / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    steps = guard.plan(home)
    assert [step.path.name for step in steps] == ["pre-commit", *guard.HOOKS]
    assert "set aside" in steps[0].action
    assert hook.read_text() == "#!/bin/sh\n"
    guard.install(home)
    assert guard.plan(home) == []


def test_hooks_that_git_tracks_are_left_alone(home: Path) -> None:
    git(home, "config", "core.hooksPath", ".githooks")
    (home / ".githooks").mkdir()
    hook = home / ".githooks/pre-commit"
    hook.write_text("#!/bin/sh\n")
    git(home, "add", "-A")
    with pytest.raises(TrackedHook):
        guard.install(home)
    assert names(home / ".githooks") == {"pre-commit"}
    hook.write_text('#!/bin/sh\nrepomesh guard check --hook pre-commit -- "$@"\n')
    guard.install(home)
    assert "guard check --hook pre-commit" in hook.read_text()
    assert names(home / ".githooks") == set(guard.HOOKS)


def test_a_relative_folder_of_hooks_is_filled_in_every_work_tree(home: Path, tmp_path: Path) -> None:
    git(home, "config", "core.hooksPath", ".husky/_")
    git(home, "worktree", "add", "-q", str(tmp_path / "linked"))
    guard.install(home)
    assert names(home / ".husky/_") == names(tmp_path / "linked/.husky/_") == set(guard.HOOKS)
    assert [check.fine for check in doctor_checks.check_guard(home)] == [True]
    git(home, "worktree", "add", "-q", str(tmp_path / "later"))
    [found] = doctor_checks.check_guard(home)
    assert not found.fine
    assert str(tmp_path / "later") in found.detail
    guard.uninstall(home)
    assert list(doctor_checks.check_guard(home)) == []


def test_another_hooks_path_is_found_by_the_doctor(home: Path) -> None:
    guard.install(home)
    git(home, "config", "core.hooksPath", ".husky/_")
    [found] = doctor_checks.check_guard(home)
    assert not found.fine


def test_hooks_of_all_repositories_are_for_those_that_asked(home: Path, tmp_path: Path) -> None:
    other, third = repository(tmp_path / "other"), repository(tmp_path / "third")
    shared = tmp_path / "hooks"
    git(home, "config", "--global", "core.hooksPath", str(shared))
    with pytest.raises(SharedHooks):
        guard.install(home)
    assert not shared.exists()
    for place in (home, other):
        guard.install(place, shared=True)
    assert str(home / ".git") in (shared / ".repomesh-users").read_text()
    guard.uninstall(third)
    guard.uninstall(other)
    assert set(guard.HOOKS) <= names(shared)
    guard.uninstall(home)
    assert names(shared) == set()


def test_nothing_is_changed_when_one_of_them_is_in_the_way(home: Path) -> None:
    guard.install(home)
    hooks = home / ".git/hooks"
    (hooks / "pre-push").rename(hooks / "pre-push.before-repomesh")
    (hooks / "pre-push").write_text("#!/bin/sh\n")
    (hooks / "pre-commit").unlink()
    with pytest.raises(HookInTheWay):
        guard.install(home)
    assert not (hooks / "pre-commit").exists()


@pytest.mark.parametrize("path", ["", ".git/hooks", "README"])
def test_a_folder_of_hooks_that_git_does_not_find_is_refused(home: Path, tmp_path: Path, path: str) -> None:
    (home / "README").write_text("x")
    git(home, "worktree", "add", "-q", str(tmp_path / "linked"))
    guard.install(home)
    before = names(home)
    git(home, "config", "core.hooksPath", path)
    with pytest.raises(UnusableHooksPath):
        guard.install(home)
    assert names(home) == before
    assert not all(check.fine for check in doctor_checks.check_guard(home))


def committed(home: Path) -> subprocess.CompletedProcess[bytes]:
    words = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--allow-empty", "-m", "More"]
    return subprocess.run(words, cwd=home, capture_output=True, timeout=60, check=False)


def test_hooks_that_call_each_other_come_to_an_end(home: Path) -> None:
    guard.install(home)
    hook = home / ".git/hooks/pre-commit"
    shutil.copy(hook, hook.with_name("pre-commit.before-repomesh"))
    guard.install(home)
    assert committed(home).returncode == 0


def test_a_hook_of_pre_commit_that_calls_ours_is_left_in_its_place(home: Path) -> None:
    guard.install(home)
    hook = home / ".git/hooks/pre-commit"
    hook.rename(hook.with_name("pre-commit.legacy"))
    hook.write_text('#!/bin/sh\n# File generated by pre-commit\nexec "$0.legacy" "$@"\n')
    hook.chmod(0o755)
    text = hook.read_text()
    guard.install(home)
    assert hook.read_text() == text
    assert [check.fine for check in doctor_checks.check_guard(home)] == [True]
    assert committed(home).returncode == 0


def test_a_newer_script_of_the_same_tool_takes_the_place_of_the_one_that_was_kept(home: Path) -> None:
    hook = home / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    for text in ("#!/bin/sh\n# lefthook 1\n", "#!/bin/sh\n# lefthook 2\n"):
        hook.write_text(text)
        hook.chmod(0o755)
        assert "lefthook.yml" in guard.plan(home)[0].action
        guard.install(home)
        assert hook.with_name("pre-commit.before-repomesh").read_text() == text


_PRE_COMMIT = """#!/usr/bin/env bash
# File generated by pre-commit: https://pre-commit.com
if [ -n "$PRE_COMMIT_RUNNING_LEGACY" ]; then echo "bug: installed in migration mode"; exit 1; fi
if [ -x "$0.legacy" ]; then PRE_COMMIT_RUNNING_LEGACY=1 "$0.legacy" "$@" || exit 1; fi
echo "checks ran" >&2
"""


@pytest.mark.parametrize("is_first", [True, False])
def test_pre_commit_may_be_installed_before_and_again(home: Path, is_first: bool) -> None:
    """As pre-commit does it: what is there becomes '.legacy', and is called unless it calls in turn."""
    hook = home / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)

    def install_pre_commit() -> None:
        if hook.exists() and "generated by pre-commit" not in hook.read_text():
            hook.rename(hook.with_name("pre-commit.legacy"))
        hook.write_text(_PRE_COMMIT)
        hook.chmod(0o755)

    if is_first:
        install_pre_commit()
    guard.install(home)
    install_pre_commit()
    done = committed(home)
    assert (done.returncode, done.stderr.count(b"checks ran")) == (0, 1), done.stderr
    assert [check.fine for check in doctor_checks.check_guard(home)] == [True]


def test_husky_may_write_its_hooks_again(home: Path) -> None:
    """Their text is the same each time, and names no tool; what it runs is the repository's own file."""
    git(home, "config", "core.hooksPath", ".husky/_")
    hook = home / ".husky/_/pre-commit"
    hook.parent.mkdir(parents=True)
    (hook.parent / "h").write_text('sh -e "$(dirname "$(dirname "$0")")/$(basename "$0")" "$@"\n')
    for _ in range(2):
        for name in guard.HOOKS:
            hook.with_name(name).write_text('#!/usr/bin/env sh\n. "$(dirname "$0")/h"')
            hook.with_name(name).chmod(0o755)
        assert [check.fine for check in doctor_checks.check_guard(home)] != [True]
        action = guard.plan(home)[0].action
        assert f'--hook pre-commit -- "$@"\' to {home}/.husky/pre-commit' in action
        guard.install(home)
    for name in guard.HOOKS:
        hook.with_name(name).write_text('#!/usr/bin/env sh\n. "$(dirname "$0")/h"')
        (home / ".husky" / name).write_text(f'repomesh guard check --hook {name} -- "$@"\n')
    assert [check.fine for check in doctor_checks.check_guard(home)] == [True]
    assert guard.install(home) == []


def test_it_is_said_when_a_tool_replaces_our_hook(home: Path) -> None:
    hook = home / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nrm {hook}\necho '#!/bin/sh' > {hook}\n")
    hook.chmod(0o755)
    guard.install(home)
    done = committed(home)
    assert done.returncode == 0
    assert b"another tool replaced" in done.stderr


def test_a_pipe_in_a_hooks_place_is_refused(home: Path) -> None:
    hook = home / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    os.mkfifo(hook)
    with pytest.raises(HookInTheWay, match="is no file"):
        guard.install(home)
