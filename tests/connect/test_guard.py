"""Git refuses commits and pushes that touch what others have locked, and nothing else changes for anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.running import Shell, git, running, shell
from hooking import repository
from repomesh.connect import guard
from repomesh.kernel import processes

__all__ = ["running", "shell"]

_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@dataclass
class Tried:
    """A git command that may have been refused."""

    code: int
    err: str


def tried(folder: Path, *words: str, **variables: str) -> Tried:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPOMESH_", "GIT_"))}
    done = subprocess.run(
        ["git", *identity, *words],
        cwd=folder,
        env=kept | {"PATH": _PATH} | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Tried(done.returncode, done.stderr)


def change(folder: Path, *paths: str, text: str = "new\n") -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "add", "-A")


@pytest.fixture
def guarded(running: Shell) -> Shell:
    """A repository with the guard, a server, and bob, who has locked 'src/**'."""
    running.ok("agent", "register", "alice")
    running.ok("agent", "register", "bob")
    running.ok("lock", "acquire", "src/", "--note", "a big rewrite", "--as", "bob")
    assert running("guard", "install").code == 0
    return running


def test_a_commit_that_touches_a_locked_path_is_refused(guarded: Shell) -> None:
    change(guarded.folder, "src/a.py", "docs/b.md")
    refused = tried(guarded.folder, "commit", "-m", "Both")
    assert refused.code == 1
    assert "bob has locked src/**" in refused.err
    assert "a big rewrite" in refused.err
    assert git(guarded.folder, "rev-list", "--count", "HEAD").strip() == "1"
    git(guarded.folder, "reset", "-q", "src")
    assert tried(guarded.folder, "commit", "-m", "One").code == 0


def test_who_holds_it_may_commit(guarded: Shell) -> None:
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "-m", "Mine", REPOMESH_AGENT="alice").code == 1
    assert tried(guarded.folder, "commit", "-m", "Mine", REPOMESH_AGENT="bob").code == 0


def test_an_agent_that_commits_from_its_cli_is_known(guarded: Shell) -> None:
    """The CLI's proxy said which process it speaks for; git runs below it."""
    guarded.ok("agent", "retire", guarded.ok("agent", "show", "bob")["id"])
    guarded.ok("api", "agent.register", "name=carol", f"process_id={os.getpid()}")
    guarded.ok("lock", "acquire", "src/", "--as", "carol")
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "-m", "Mine").code == 0
    guarded.ok("lock", "acquire", "docs/", "--as", "alice")
    change(guarded.folder, "docs/a.md")
    assert tried(guarded.folder, "commit", "-m", "Hers").code == 1


def test_a_number_that_is_given_again_is_no_agents(guarded: Shell) -> None:
    own = processes.name_of(os.getpid())
    dead = f"{os.getpid()}.1@{own.partition('@')[2]}"
    guarded.ok("agent", "retire", guarded.ok("agent", "show", "bob")["id"])
    guarded.ok("api", "agent.register", "name=carol", f"process_id={dead}")
    guarded.ok("lock", "acquire", "src/", "--as", "carol")
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "-m", "Mine").code == 1


def test_a_shared_lock_and_a_released_one_stop_nobody(guarded: Shell) -> None:
    guarded.ok("lock", "acquire", "docs/", "--mode", "shared", "--as", "bob")
    change(guarded.folder, "docs/a.md")
    assert tried(guarded.folder, "commit", "-m", "Docs").code == 0
    guarded.ok("lock", "release", "src/", "--as", "bob")
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "-m", "Source").code == 0


def test_deleting_and_renaming_touch_a_path_too(guarded: Shell) -> None:
    change(guarded.folder, "src/a.py", "src/b.py", text="a\nb\nc\nd\n")
    assert tried(guarded.folder, "commit", "-m", "Add", REPOMESH_AGENT="bob").code == 0
    git(guarded.folder, "mv", "src/a.py", "elsewhere.py")
    assert tried(guarded.folder, "commit", "-m", "Move").code == 1
    git(guarded.folder, "reset", "-q", "--hard")
    git(guarded.folder, "rm", "-q", "src/b.py")
    assert tried(guarded.folder, "commit", "-m", "Remove").code == 1


@pytest.mark.parametrize("lock", ["newdir/x.py", "newdir/*.py", "newdir/sub/"])
def test_a_file_or_link_in_the_place_of_a_locked_folder(guarded: Shell, lock: str) -> None:
    guarded.ok("lock", "acquire", lock, "--as", "bob")
    change(guarded.folder, "newdir")
    refused = tried(guarded.folder, "commit", "-m", "File")
    assert refused.code == 1
    assert "bob has locked newdir/" in refused.err
    git(guarded.folder, "rm", "-qf", "newdir")
    (guarded.folder / "newdir").symlink_to("docs")
    git(guarded.folder, "add", "-A")
    assert tried(guarded.folder, "commit", "-m", "Link").code == 1


def test_a_pattern_of_any_folder_stands_below_no_file(guarded: Shell) -> None:
    guarded.ok("lock", "acquire", "**/*.py", "--as", "bob")
    change(guarded.folder, "README.md", "newdirs")
    assert tried(guarded.folder, "commit", "-m", "Free").code == 0


def test_the_pointer_of_a_submodule_conflicts_with_locks_below_it(guarded: Shell, tmp_path: Path) -> None:
    repository(tmp_path / "other")
    added = ("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "other"), "lib")
    git(guarded.folder, *added)
    assert tried(guarded.folder, "commit", "-m", "Add the submodule").code == 0
    guarded.ok("lock", "acquire", "lib/s", "--as", "bob")
    change(guarded.folder / "lib", "s")
    assert tried(guarded.folder / "lib", "commit", "-m", "Inside").code == 0
    git(guarded.folder, "add", "lib")
    refused = tried(guarded.folder, "commit", "-m", "Pointer")
    assert refused.code == 1
    assert "bob has locked lib/s" in refused.err


def test_strange_names(guarded: Shell) -> None:
    names = [
        "docs/[id]/p.tsx",
        "docs/a b.txt",
        "docs/ä\u2028.txt",
        "docs/back\\slash",
        "docs/*",
        "docs/li\nne",
    ]
    change(guarded.folder, *names)
    assert tried(guarded.folder, "commit", "-m", "Strange").code == 0
    change(guarded.folder, *[name.replace("docs", "src") for name in names])
    assert tried(guarded.folder, "commit", "-m", "Strange").code == 1


def test_a_commit_of_very_many_files(guarded: Shell) -> None:
    change(guarded.folder, *[f"docs/{number}.md" for number in range(450)])
    assert tried(guarded.folder, "commit", "-m", "Many").code == 0
    change(guarded.folder, *[f"lib/{number}.md" for number in range(450)], "src/last.py")
    assert tried(guarded.folder, "commit", "-m", "Many").code == 1


def test_the_work_of_others_may_be_merged(guarded: Shell) -> None:
    change(guarded.folder, "src/a.py", "both.txt")
    assert tried(guarded.folder, "commit", "-m", "Bob's", REPOMESH_AGENT="bob").code == 0
    git(guarded.folder, "checkout", "-q", "-b", "mine", "HEAD~1")
    change(guarded.folder, "both.txt", text="other\n")
    assert tried(guarded.folder, "commit", "-m", "Mine").code == 0
    assert tried(guarded.folder, "merge", "main").code == 1, "they differ in both.txt"
    change(guarded.folder, "both.txt", text="both\n")
    merged = tried(guarded.folder, "commit", "-m", "Merge")
    assert merged.code == 0, merged.err


def test_the_file_system_monitor_of_a_repository_is_not_run(guarded: Shell) -> None:
    evidence = guarded.folder.parent / "evidence"
    git(guarded.folder, "config", "core.fsmonitor", f"touch {evidence}")
    assert guarded("guard", "install").code == 0
    assert guarded("guard", "check", "--hook", "pre-commit").code == 0
    assert not evidence.exists()


def test_a_push_is_checked_too(guarded: Shell, tmp_path: Path) -> None:
    far = tmp_path / "far.git"
    git(tmp_path, "init", "-q", "--bare", str(far))
    git(guarded.folder, "remote", "add", "origin", str(far))
    assert tried(guarded.folder, "push", "-q", "origin", "main").code == 0
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "--no-verify", "-m", "Slip by").code == 0
    refused = tried(guarded.folder, "push", "origin", "main")
    assert refused.code == 1
    assert "bob has locked src/**" in refused.err
    assert tried(guarded.folder, "push", "origin", "main:refs/heads/new").code == 1
    assert tried(guarded.folder, "push", "origin", "main", REPOMESH_AGENT="bob").code == 0
    assert tried(guarded.folder, "push", "origin", "main:refs/heads/other").code == 0, "it is there already"
    assert tried(guarded.folder, "push", "origin", ":refs/heads/other").code == 0


def test_it_holds_in_linked_work_trees(guarded: Shell, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(guarded.folder, "worktree", "add", "-q", str(linked))
    change(linked, "src/a.py")
    assert tried(linked, "commit", "-m", "There").code == 1
    change(linked, "docs/a.md")
    git(linked, "reset", "-q", "src")
    assert tried(linked, "commit", "-m", "There").code == 0


def test_without_a_server_it_warns_and_lets_git_go_on(guarded: Shell) -> None:
    change(guarded.folder, "src/a.py")
    guarded.ok("down")
    done = tried(guarded.folder, "commit", "-m", "Alone")
    assert done.code == 0
    assert "locks were not checked" in done.err


def test_with_a_wrong_token_it_warns_and_lets_git_go_on(guarded: Shell) -> None:
    change(guarded.folder, "src/a.py")
    url = guarded.ok("status")["url"]
    done = tried(guarded.folder, "commit", "-m", "Alone", REPOMESH_URL=url, REPOMESH_TOKEN="rpm_wrong")
    assert done.code == 0
    assert "locks were not checked" in done.err
    assert "rpm_wrong" not in done.err


def test_without_us_it_warns_and_lets_git_go_on(shell: Shell) -> None:
    shell("guard", "install")
    path = shell.folder / ".git/hooks/pre-commit"
    path.write_text(path.read_text().replace(sys.executable, "/nowhere/python"))
    change(shell.folder, "a.txt")
    done = tried(shell.folder, "commit", "-m", "Alone")
    assert done.code == 0
    assert "nothing was checked" in done.err


def test_the_check_by_hand(guarded: Shell) -> None:
    done = guarded("guard", "check", "src/a.py", "docs/b.md")
    assert done.code == 4
    assert "bob has locked" in done.err
    assert "hint: if you are bob, set REPOMESH_AGENT=bob." in done.err
    assert "REPOMESH_AGENT" not in guarded("guard", "check", "src/a.py", "--as", "alice").err
    assert guarded.ok("guard", "check", "docs/b.md") == {"free": True, "conflicts": []}
    assert guarded("guard", "check", "docs/b.md").out == "1 path checked: free\n"
    assert guarded("guard", "check").out == "nothing is staged: nothing to check\n"
    assert guarded("guard", "check", "src/a.py", "--as", "bob").code == 0
    guarded.ok("down")
    assert guarded("guard", "check", "src/a.py").code == 6


# -- hooks that are there already ------------------------------------------------------------------

NOTING = 'echo "$(basename "$0")|$(dirname "$0")|$*" >> "$GIT_DIR/../noted"\n'
KEPT = {
    "sh": "#!/bin/sh\n" + NOTING,
    "bash": '#!/usr/bin/env bash\nset -euo pipefail\n[[ -f "${BASH_SOURCE[0]}" ]]\n' + NOTING,
    "with-options": "#!/bin/sh -e\n" + NOTING,
    "python": (
        "#!/usr/bin/env python3\nimport os, sys\n"
        "with open('noted', 'a') as file:\n"
        "    print(os.path.basename(sys.argv[0]), '.git/hooks', *sys.argv[1:], sep='|', file=file)\n"
    ),
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_a_hook_that_was_there_goes_on_working(guarded: Shell, text: str) -> None:
    hooks = guarded.folder / ".git/hooks"
    assert guarded("guard", "uninstall").code == 0
    before = {path.name: path.read_bytes() for path in hooks.iterdir()}
    (hooks / "pre-commit").write_text(text)
    (hooks / "pre-commit").chmod(0o751)
    assert guarded("guard", "install").code == 0
    change(guarded.folder, "docs/a.md")
    done = tried(guarded.folder, "commit", "-m", "Docs", GIT_DIR=str(guarded.folder / ".git"))
    assert done.code == 0, done.err
    name, folder, *_ = (guarded.folder / "noted").read_text().strip().split("|")
    assert (name, Path(guarded.folder, folder)) == ("pre-commit", hooks)
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "-m", "Source").code == 1
    assert guarded("guard", "uninstall").code == 0
    assert (hooks / "pre-commit").read_text() == text
    assert (hooks / "pre-commit").stat().st_mode & 0o777 == 0o751
    (hooks / "pre-commit").unlink()
    assert {path.name: path.read_bytes() for path in hooks.iterdir()} == before


def test_a_hook_that_was_there_may_still_refuse(shell: Shell) -> None:
    hook = shell.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'not today' >&2\nexit 7\n")
    hook.chmod(0o755)
    shell("guard", "install")
    change(shell.folder, "a.txt")
    refused = tried(shell.folder, "commit", "-m", "A")
    assert refused.code == 1
    assert "not today" in refused.err


def test_both_read_what_is_pushed(shell: Shell, tmp_path: Path) -> None:
    hook = shell.folder / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        '#!/bin/sh\necho "$1 $2" > noted\nwhile read -r a b c d; do echo "$a $c" >> noted; done\n'
    )
    hook.chmod(0o755)
    shell("guard", "install")
    far = tmp_path / "far.git"
    git(tmp_path, "init", "-q", "--bare", str(far))
    git(shell.folder, "remote", "add", "origin", str(far))
    assert tried(shell.folder, "push", "-q", "origin", "main").code == 0
    noted = (shell.folder / "noted").read_text()
    assert noted == f"origin {far}\nrefs/heads/main refs/heads/main\n"
    assert tried(shell.folder, "push", "-q", "origin", "main").code == 0
    assert (shell.folder / "noted").read_text() == f"origin {far}\n"


def test_a_hook_that_git_does_not_run_is_not_run(shell: Shell) -> None:
    hook = shell.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o644)
    shell("guard", "install")
    change(shell.folder, "a.txt")
    assert tried(shell.folder, "commit", "-m", "A").code == 0
    shell("guard", "uninstall")
    assert hook.stat().st_mode & 0o777 == 0o644


def test_a_linked_hook_stays_one(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "tool").chmod(0o755)
    hook = shell.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.symlink_to(tmp_path / "tool")
    shell("guard", "install")
    assert not hook.is_symlink()
    shell("guard", "uninstall")
    assert hook.readlink() == tmp_path / "tool"
    assert (tmp_path / "tool").read_text() == "#!/bin/sh\nexit 0\n"


def test_the_place_that_git_is_told_to_look_in(guarded: Shell) -> None:
    guarded("guard", "uninstall")
    git(guarded.folder, "config", "core.hooksPath", "tools/hooks")
    assert guarded("guard", "install").code == 0
    assert (guarded.folder / "tools/hooks/pre-commit").exists()
    assert not (guarded.folder / ".git/hooks/pre-commit").exists()
    (guarded.folder / "src").mkdir()
    below = guarded.at(guarded.folder / "src")
    assert [row["installed"] for row in below.ok("guard", "status")["items"]] == [True] * 4
    change(guarded.folder, "src/a.py")
    assert tried(guarded.folder, "commit", "-m", "Source").code == 1


def test_twice_is_once(shell: Shell) -> None:
    shell("guard", "install")
    before = {path.name: path.read_bytes() for path in (shell.folder / ".git/hooks").iterdir()}
    assert shell.ok("guard", "install") == {"changed": []}
    assert {path.name: path.read_bytes() for path in (shell.folder / ".git/hooks").iterdir()} == before
    assert len(shell.ok("guard", "uninstall")["changed"]) == 4
    assert shell.ok("guard", "uninstall") == {"changed": []}


def test_a_hook_that_somebody_put_in_its_place_is_left_alone(shell: Shell) -> None:
    hook = shell.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    for number in (1, 2):
        hook.write_text(f"#!/bin/sh\n# {number}\n")
        hook.chmod(0o755)
        done = shell("guard", "install")
    assert done.code == 4
    assert "kept" in done.err
    assert hook.read_text() == "#!/bin/sh\n# 2\n"


def test_outside_of_git(shell: Shell, tmp_path: Path) -> None:
    done = shell.at(tmp_path)("guard", "install")
    assert done.code == 2
    assert "git" in done.err


def test_only_a_refusal_stops_git() -> None:
    assert guard.REFUSED == 4
    assert "-eq 4 ]; then exit 1" in guard.hook_script("pre-commit", Path("hooks/pre-commit"), None)
