"""Which files a commit or a push touches, whatever is configured and however it is made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.running import git, repository
from repomesh.connect import touched_files
from repomesh.connect.errors import GitRefused
from repomesh.kernel import limits

ZERO = "0" * 40
HOSTILE = {
    "log.showRoot": "false",
    "diff.renames": "copies",
    "diff.noprefix": "true",
    "diff.relative": "true",
    "diff.external": "true",
    "diff.ignoreSubmodules": "all",
    "core.quotePath": "true",
    "core.fsmonitor": "true",
    "status.showUntrackedFiles": "no",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose configuration would hide what it can."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    home = repository(tmp_path / "home")
    for name, value in HOSTILE.items():
        git(home, "config", name, value)
    return home


def write(home: Path, **files: str) -> None:
    for name, text in files.items():
        (home / f"{name}.txt").write_text(text)
    git(home, "add", "-A")


def commit(home: Path, **files: str) -> str:
    write(home, **files)
    git(home, "commit", "-qm", "Change", "--allow-empty")
    return git(home, "rev-parse", "HEAD").strip()


_HOOK = """
import os, sys
from pathlib import Path
from repomesh.connect import touched_files
Path(sys.argv[1]).write_bytes(os.fsencode(chr(10).join(touched_files.files_of_commit(Path.cwd()))))
sys.exit(1)
"""
_PEOPLE = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Test")
_PEOPLE |= dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "test@example.org")


def of_commit(home: Path, *words: str) -> list[str]:
    """What the hook finds when git runs it, in the environment that git gives it."""
    seen = home.parent / "seen"
    seen.unlink(missing_ok=True)
    for name in ("pre-commit", "pre-merge-commit", "pre-applypatch"):
        hook = home / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -c "{_HOOK}" "{seen}"\n')
        hook.chmod(0o755)
    done = subprocess.run(
        ["git", *words], cwd=home, env=os.environ | _PEOPLE, capture_output=True, text=True, timeout=60
    )
    assert seen.exists(), done.stderr
    return os.fsdecode(seen.read_bytes()).split("\n") if seen.stat().st_size else []


def push(home: Path, *lines: str, remote: str = "origin", url: str = "far") -> list[str]:
    return touched_files.files_of_push(home, remote, url, lines)


def update(local: str, before: str = ZERO) -> str:
    return f"refs/heads/main {local} refs/heads/main {before}"


# -- commits ---------------------------------------------------------------------------------------


def test_every_name_is_found_as_it_is(home: Path) -> None:
    names = [b"a\xff.txt", b"t\tb", b"n\nl", b"back\\slash", b"de\x7fl", b"notes:x.md", b"*", "ä".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(home) + b"/" + name)).write_text("x")
    git(home, "add", "-A")
    assert sorted(map(os.fsencode, touched_files.files_of_commit(home))) == sorted(names)


def test_a_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "new")
    (tmp_path / "new/a.txt").write_text("a")
    git(tmp_path / "new", "add", "-A")
    assert touched_files.files_of_commit(tmp_path / "new") == ["a.txt"]


def test_both_names_of_a_rename_and_changes_of_type_and_mode(home: Path) -> None:
    commit(home, old="1\n2\n3\n", mode="x", type="x")
    git(home, "mv", "old.txt", "new.txt")
    (home / "mode.txt").chmod(0o755)
    (home / "type.txt").unlink()
    (home / "type.txt").symlink_to("new.txt")
    git(home, "add", "-A")
    assert touched_files.files_of_commit(home) == ["mode.txt", "new.txt", "old.txt", "type.txt"]


def test_a_submodule_that_is_to_be_ignored(home: Path, tmp_path: Path) -> None:
    other = repository(tmp_path / "other")
    git(home, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib")
    git(home, "config", "-f", ".gitmodules", "submodule.lib.ignore", "all")
    commit(home)
    (home / "lib/x").write_text("x")
    git(home / "lib", "add", "-A")
    git(home / "lib", "commit", "-qm", "Inside")
    head = git(home / "lib", "rev-parse", "HEAD").strip()
    git(home, "update-index", "--cacheinfo", f"160000,{head},lib")
    assert touched_files.files_of_commit(home) == ["lib"]


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        (("commit", "-am", "All"), ["a.txt", "b.txt"]),
        (("commit", "-m", "One", "b.txt"), ["b.txt"]),
        (("commit", "-m", "Staged"), ["a.txt"]),
        (("commit", "--amend", "-m", "Staged"), ["a.txt"]),
    ],
)
def test_a_commit_of_some_files(home: Path, words: tuple[str, ...], paths: list[str]) -> None:
    commit(home, a="1", b="1")
    write(home, a="2")
    (home / "b.txt").write_text("2")
    assert of_commit(home, *words) == paths


def test_a_file_that_is_only_intended_is_not_committed(home: Path) -> None:
    (home / "later.txt").write_text("x")
    git(home, "add", "-N", "later.txt")
    assert touched_files.files_of_commit(home) == []


def test_in_a_linked_work_tree(home: Path, tmp_path: Path) -> None:
    git(home, "worktree", "add", "-q", str(tmp_path / "linked"))
    write(tmp_path / "linked", a="1")
    assert touched_files.files_of_commit(tmp_path / "linked") == ["a.txt"]
    assert touched_files.files_of_commit(home) == []


def test_a_patch_that_is_applied(home: Path) -> None:
    first = commit(home, a="1")
    commit(home, a="2")
    patch = git(home, "-c", "diff.noprefix=false", "format-patch", "-1", "--stdout")
    git(home, "reset", "-q", "--hard", first)
    (home.parent / "patch").write_text(patch)
    assert of_commit(home, "am", "-q", str(home.parent / "patch")) == ["a.txt"]


# -- merges ----------------------------------------------------------------------------------------

LINES = "".join(f"{number}\n" for number in range(20))


@pytest.fixture
def parted(home: Path) -> Path:
    """Two branches: `theirs` changed theirs.txt and the end of both.txt, main its begin."""
    commit(home, both=LINES, theirs="1", ours="1")
    git(home, "checkout", "-q", "-b", "theirs")
    commit(home, both=LINES.replace("19", "end"), theirs="2")
    git(home, "checkout", "-q", "main")
    commit(home, both=LINES.replace("0\n", "begin\n", 1), ours="2")
    return home


def test_a_clean_merge_touches_what_both_changed(parted: Path) -> None:
    assert of_commit(parted, "merge", "-q", "theirs") == ["both.txt"]


def test_a_merge_of_others_alone_touches_nothing(home: Path) -> None:
    first = commit(home, a="1")
    commit(home, b="1")
    git(home, "checkout", "-q", "-b", "mine", first)
    commit(home, c="1")
    assert of_commit(home, "merge", "-q", "main") == []


def test_a_merge_that_drops_what_others_changed(parted: Path) -> None:
    assert of_commit(parted, "merge", "-q", "-s", "ours", "theirs") == ["both.txt", "theirs.txt"]


def test_an_evil_merge(parted: Path) -> None:
    git(parted, "merge", "-q", "--no-commit", "theirs")
    write(parted, evil="new", theirs="3")
    assert touched_files.files_of_commit(parted) == ["both.txt", "evil.txt", "theirs.txt"]
    merge = commit(parted)
    theirs = git(parted, "rev-parse", "theirs").strip()
    mine = git(parted, "rev-parse", "HEAD~1").strip()
    git(parted, "update-ref", "refs/remotes/origin/main", mine)
    git(parted, "update-ref", "refs/remotes/origin/theirs", theirs)
    git(parted, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    assert push(parted, update(merge, mine)) == ["both.txt", "evil.txt", "theirs.txt"]


def test_an_octopus(home: Path) -> None:
    first = commit(home, a="1", b="1", c="1")
    for name in ("b", "c"):
        git(home, "checkout", "-q", "-b", name, first)
        commit(home, **{name: "2"})
    git(home, "checkout", "-q", "main")
    commit(home, a="2")
    assert of_commit(home, "merge", "-q", "b", "c") == []


def test_many_merges_count_as_a_whole(parted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = git(parted, "rev-parse", "HEAD").strip()
    git(parted, "merge", "-q", "theirs", "-m", "Merge")
    line = update(git(parted, "rev-parse", "HEAD").strip(), before)
    assert "ours.txt" not in push(parted, line)
    monkeypatch.setattr(limits, "GUARD_MERGES_MAX", 0)
    assert "ours.txt" in push(parted, line)


# -- pushes ----------------------------------------------------------------------------------------


@pytest.fixture
def pushed(home: Path, tmp_path: Path) -> Path:
    """What is on main so far is on the remote `origin`, at `far`."""
    git(tmp_path, "init", "-q", "--bare", str(tmp_path / "far"))
    git(home, "remote", "add", "origin", str(tmp_path / "far"))
    commit(home, old="1")
    git(home, "push", "-q", "origin", "main")
    return home


def test_a_new_branch_brings_what_the_remote_does_not_have(pushed: Path) -> None:
    new = commit(pushed, new="1")
    assert push(pushed, update(new)) == ["new.txt"]


def test_a_new_root_counts(pushed: Path) -> None:
    git(pushed, "checkout", "-q", "--orphan", "fresh")
    root = commit(pushed, root="1")
    assert "root.txt" in push(pushed, update(root))


@pytest.mark.parametrize("name", [lambda url: url, lambda url: "elsewhere"], ids=["its url", "another url"])
def test_a_push_to_a_url_brings_no_old_commits(pushed: Path, name: Callable[[str], str]) -> None:
    url = name(git(pushed, "remote", "get-url", "origin").strip())
    new = commit(pushed, new="1")
    assert push(pushed, update(new), remote=url, url=url) == ["new.txt"]


def test_a_forced_push_touches_what_it_drops(pushed: Path) -> None:
    old = git(pushed, "rev-parse", "HEAD~1").strip()
    assert push(pushed, update(old, git(pushed, "rev-parse", "HEAD").strip())) == ["old.txt"]


def test_what_the_remote_has_but_nobody_fetched_is_refused(pushed: Path) -> None:
    with pytest.raises(GitRefused):
        push(pushed, update(git(pushed, "rev-parse", "HEAD").strip(), "1" * 40))


def test_a_deletion_touches_what_only_that_branch_had(pushed: Path) -> None:
    git(pushed, "checkout", "-q", "-b", "side")
    side = commit(pushed, side="1")
    git(pushed, "push", "-q", "origin", "side")
    delete = f"(delete) {ZERO} refs/heads/side {side}"
    assert push(pushed, delete) == ["side.txt"]
    assert push(pushed, delete, update(side, git(pushed, "rev-parse", "main").strip())) == []
    main = git(pushed, "rev-parse", "main").strip()
    assert push(pushed, f"(delete) {ZERO} refs/heads/main {main}") == []
    git(pushed, "push", "-q", "origin", "side:other")
    assert push(pushed, delete) == []
    with pytest.raises(GitRefused):
        push(pushed, f"(delete) {ZERO} refs/heads/unknown {'1' * 40}")


def test_a_deletion_and_a_tag_of_a_file_touch_nothing(pushed: Path) -> None:
    blob = git(pushed, "rev-parse", "HEAD:old.txt").strip()
    assert (
        push(pushed, f"(delete) {ZERO} refs/heads/x {blob}", f"refs/tags/t {blob} refs/tags/t {ZERO}") == []
    )


def test_an_annotated_tag_brings_its_commits(pushed: Path) -> None:
    commit(pushed, tagged="1")
    git(pushed, "tag", "-am", "T", "t")
    tag = git(pushed, "rev-parse", "t").strip()
    assert push(pushed, f"refs/tags/t {tag} refs/tags/t {ZERO}") == ["tagged.txt"]


def test_replaced_objects_hide_nothing(pushed: Path) -> None:
    before = git(pushed, "rev-parse", "HEAD").strip()
    new = commit(pushed, hidden="1")
    git(pushed, "replace", "-f", new, before)
    assert push(pushed, update(new, before)) == ["hidden.txt"]


def test_a_git_that_does_not_answer_is_no_permission(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = tmp_path / "bin" / "git"
    stuck.parent.mkdir()
    stuck.write_text("#!/bin/sh\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stuck.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(limits, "GUARD_GIT_S", 0.2)
    with pytest.raises(GitRefused, match=r"did not answer within 0\.2 s"):
        touched_files.files_of_commit(home)
