"""Git hooks that refuse what touches paths locked by others: put in place, taken out, and what they look at.

An existing hook goes on working: it is set aside and called after ours, as if it still stood in its place.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from repomesh.connect.errors import GitRefused, HookInTheWay, NoRepository
from repomesh.kernel import places
from repomesh.kernel.errors import FAILURES, Failure

HOOKS = ("pre-commit", "pre-push")
REFUSED = FAILURES[Failure.CONFLICT].exit
"""What the check ends with when something is locked; with anything else git goes on."""

_MARK = "Made by 'repomesh guard install'"
_KEPT = ".before-repomesh"
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash")


@dataclass(frozen=True, slots=True)
class Hook:
    """One of git's hooks: whether it is ours, and the one that was there before, if any."""

    name: str
    path: Path
    ours: bool
    kept: Path | None


def folder(start: Path) -> Path:
    """Where git looks for hooks; raises NoRepository."""
    root = places.work_tree(start)
    found = places.git_path(root, "hooks")
    if found is None:
        raise NoRepository(f"{start} is in no git repository")
    return found


def look(start: Path) -> list[Hook]:
    """The hooks as they are."""
    where = folder(start)
    found = []
    for name in HOOKS:
        path = where / name
        kept = next(
            (one for one in (_kept(path, by_shell=True), _kept(path, by_shell=False)) if _there(one)), None
        )
        found.append(Hook(name, path, _is_ours(path), kept))
    return found


def install(start: Path) -> list[Path]:
    """Put ours in place, and set aside what is there; answers the files that changed.

    Raises HookInTheWay when a hook was set aside before, and another stands in its place by now.
    """
    hooks = look(start)
    for hook in hooks:
        if not hook.ours and _there(hook.path) and hook.kept is not None:
            raise HookInTheWay(f"{hook.path} is not ours, and {hook.kept} is kept for it already")
    changed = []
    for hook in hooks:
        kept = hook.kept
        if not hook.ours and _there(hook.path):
            kept = _kept(hook.path, by_shell=_runs_in_a_shell(hook.path))
            kept.parent.mkdir(parents=True, exist_ok=True)
            hook.path.rename(kept)
        text = script(hook.name, kept)
        if not hook.ours or hook.path.read_text() != text:
            _write(hook.path, text)
            changed.append(hook.path)
    return changed


def uninstall(start: Path) -> list[Path]:
    """Take ours out, and put back what was there; answers the files that changed."""
    changed = []
    for hook in look(start):
        if hook.ours:
            hook.path.unlink()
            changed.append(hook.path)
        if hook.kept is not None and not _there(hook.path):
            hook.kept.rename(hook.path)
            if hook.kept.parent != hook.path.parent and not any(hook.kept.parent.iterdir()):
                hook.kept.parent.rmdir()
    return changed


def script(name: str, kept: Path | None) -> str:
    """The hook. It knows of no one who is not there: without Python or a server it warns, and git goes on.

    What was there before gets the same words and the same input. A shell's script is read by its shell under
    its old name, since many look at that to know what to do; any other is called by a path that ends so.
    """
    check = shlex.join([sys.executable, "-P", "-m", "repomesh.cli.main", "guard", "check", "--hook", name])
    fed = "feed | " if name == "pre-push" else ""  # only one can read what git hands in, so it is handed on
    lines = [
        "#!/bin/sh",
        f"# {_MARK}: refuses what touches paths that others have locked.",
        "# 'repomesh guard uninstall' takes it out and puts back what was here before.",
        *(["refs=$(cat)", 'feed() { if [ -n "$refs" ]; then printf \'%s\\n\' "$refs"; fi; }'] if fed else []),
        f"if [ -x {shlex.quote(sys.executable)} ]; then",
        f'  {fed}{check} -- "$@"',
        f"  if [ $? -eq {REFUSED} ]; then exit 1; fi",
        "else",
        f"  echo 'repomesh guard: {Path(sys.executable).name} is gone; nothing was checked' >&2",
        "fi",
    ]
    if kept is not None:
        lines += ['here=$(dirname "$0")', f'kept="$here/{os.path.relpath(kept, kept_base(kept))}"']
        lines += ['if [ -x "$kept" ]; then', f"  {fed}{_called(kept)}", "  exit $?", "fi"]
    return "\n".join([*lines, "exit 0", ""])


def kept_base(kept: Path) -> Path:
    """The folder of the hooks, of a hook that was set aside."""
    return kept.parent if kept.name.endswith(_KEPT) else kept.parent.parent


def _called(kept: Path) -> str:
    shell = _interpreter(kept)
    if shell is None:
        return '"$kept" "$@"'
    source = 'kept=$1; shift; . "$kept"'
    return f'{shlex.join(shell)} -c \'{source}\' "$0" "$kept" "$@"'


def _kept(path: Path, *, by_shell: bool) -> Path:
    """Where a hook is set aside: beside its place, or by its own name in a folder."""
    return path.with_name(path.name + _KEPT) if by_shell else path.parent / _KEPT.lstrip(".") / path.name


def _runs_in_a_shell(path: Path) -> bool:
    return _interpreter(path) is not None


def _interpreter(path: Path) -> list[str] | None:
    """The shell that a script names, and its options; None when it names none that is a shell."""
    try:
        with path.open("rb") as file:
            first = file.readline(1_000).decode("utf-8", "replace").strip()
    except OSError:
        return None
    words = first.removeprefix("#!").split()
    if not first.startswith("#!") or not words:
        return None
    named = words[1:] if Path(words[0]).name == "env" else words
    return words if named and Path(named[0]).name in _SHELLS else None


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_ours(path: Path) -> bool:
    try:
        return _MARK in path.read_text(errors="replace")[:1_000]
    except OSError:
        return False


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.chmod(draft.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    draft.replace(path)


# -- what is touched -------------------------------------------------------------------------------


def of_commit(root: Path) -> list[str]:
    """The paths that the commit being made changes, old names of what is renamed included.

    When it ends a merge, only those count that differ from both sides: the rest is the others' own work.
    """
    base = "HEAD" if _git(root, "rev-parse", "-q", "--verify", "HEAD", may_fail=True) else None
    touched = _staged(root, base)
    merged = _git(root, "rev-parse", "-q", "--verify", "MERGE_HEAD", may_fail=True).split()
    for other in merged:
        touched &= _staged(root, other)
    return sorted(touched)


def of_push(root: Path, remote: str, lines: Iterable[str]) -> list[str]:
    """The paths that the pushed commits change which the remote does not have yet.

    `lines` are what git tells the hook: the local reference and commit, the remote one and its commit.
    """
    touched: set[str] = set()
    for line in lines:
        words = line.split()
        if len(words) != 4 or set(words[1]) == {"0"}:  # what is deleted touches nothing
            continue
        known = [f"--remotes={remote}"] if remote else []
        if _git(root, "cat-file", "-e", f"{words[3]}^{{commit}}", may_fail=True, told=True):
            known.append(words[3])
        changed = _git(
            root, "log", "--format=", "--name-only", "-z", "--no-renames", words[1], "--not", *known
        )
        touched.update(path for path in changed.split("\0") if path)
    return sorted(touched)


def _staged(root: Path, base: str | None) -> set[str]:
    words = ["diff", "--cached", "--name-only", "-z", "--no-renames", *([base] if base else [])]
    return {path for path in _git(root, *words).split("\0") if path}


def _git(root: Path, *words: str, may_fail: bool = False, told: bool = False) -> str:
    """What git answers in `root`; with `told` only whether it succeeded. Raises GitRefused."""
    done = subprocess.run(  # noqa: S603 - our own words
        ["git", "-C", str(root), *words],  # noqa: S607 - the user's git
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if done.returncode and not may_fail:
        raise GitRefused(done.stderr.strip().partition("\n")[0] or f"git {words[0]} failed")
    if done.returncode:
        return ""
    return "yes" if told else done.stdout
