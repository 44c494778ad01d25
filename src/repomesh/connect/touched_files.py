"""Which files a commit or a push touches, asked of git so that no configuration changes the answer.

Only plumbing commands are run, with every default named: what a user configures for `diff` and `log`
(renames, external programs, ignored submodules, hidden roots, relative names) must hide nothing. Names are
bytes; here they are text with undecodable bytes as lone surrogates (`os.fsdecode`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repomesh.connect.errors import GitRefused
from repomesh.connect.git_queries import run_git
from repomesh.kernel import limits

_DIFF = (
    "-r",
    "-z",
    "--name-only",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--ignore-submodules=none",
)
_CONFIG = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "diff.orderFile=")
# Replaced objects and grafts would show another history than the one that is pushed.
_ENVIRONMENT = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull, "GIT_OPTIONAL_LOCKS": "0"}
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MERGED = "GITHEAD_"  # git names what it merges in such variables, before it writes MERGE_HEAD


def of_commit(root: Path) -> list[str]:
    """The paths that the commit being made changes, old names of what is renamed included.

    When it ends a merge, what is as one side changed it alone does not count: that is others' own work.
    Raises GitRefused.
    """
    head = _resolved(root, "HEAD")
    if head is None:
        return sorted(_staged(root, _empty_tree(root)))
    merged = [oid for oid in _merged(root, os.environ) if oid != head]
    if not merged:
        return sorted(_staged(root, head))
    parents = [head, *merged]
    return sorted(_of_merge(root, parents, [_staged(root, parent) for parent in parents]))


def of_push(root: Path, remote: str, url: str, lines: Iterable[str]) -> list[str]:
    """The paths that a push changes on the remote, as far as can be told without asking it.

    `lines` are what git tells the hook: the local reference and object, the remote one and its object. Those
    of commits that the remote has not yet count, and those of commits that it loses. Raises GitRefused.
    """
    updates = [words for words in (line.split() for line in lines) if len(words) == 4]
    there = [words[3] for words in updates if _resolved(root, f"{words[3]}^{{commit}}")]
    known = _published(root, remote, url)
    touched: set[str] = set()
    kept = [oid for words in updates if (oid := _resolved(root, f"{words[1]}^{{commit}}"))]
    for _, local, name, before in updates:
        if set(local) == {"0"}:
            touched |= _of_deletion(root, name, before, _published(root, remote, url, without=name), kept)
            continue
        commit = _resolved(root, f"{local}^{{commit}}")
        if commit is None:
            continue  # a tag of a file or a tree is in no branch
        touched |= _of_range(root, [commit], known, there)
        if set(before) == {"0"}:
            continue
        if before not in there:
            raise GitRefused(f"{name} of the remote has commits that are not here; run 'git fetch' first")
        touched |= _of_range(root, [before], [], [commit])
    return sorted(touched)


def _of_deletion(root: Path, name: str, before: str, known: Sequence[str], kept: Sequence[str]) -> set[str]:
    """What a remote loses with a branch or tag: the changes of commits that nothing else there leads to."""
    if set(before) == {"0"} or _resolved(root, f"{before}^{{object}}") is None:
        raise GitRefused(f"{name} of the remote has commits that are not here; run 'git fetch' first")
    commit = _resolved(root, f"{before}^{{commit}}")
    return set() if commit is None else _of_range(root, [commit], known, kept)


# -- commits ---------------------------------------------------------------------------------------


def _of_range(root: Path, commits: Sequence[str], globs: Sequence[str], excluded: Sequence[str]) -> set[str]:
    """What the commits change that are in the history of `commits`, and not in that of the others."""
    revisions = "".join(f"{oid}\n" for oid in [*commits, *(f"^{oid}" for oid in excluded)])
    words = ["rev-list", "--parents", "--stdin", *(["--not", *globs] if globs else [])]
    lines = [line.split() for line in _git(root, *words, input_=revisions).splitlines()]
    plain = "".join(f"{line[0]}\n" for line in lines if len(line) <= 2)
    touched = _of_commits(root, plain)
    merges = [line for line in lines if len(line) > 2]
    if len(merges) > limits.GUARD_MERGES_MAX:  # then all counts in which they differ from any parent
        return touched | _of_commits(root, "".join(f"{line[0]}\n" for line in merges), "-m")
    for commit, *parents in merges:
        touched |= _of_merge(root, parents, [_between(root, parent, commit) for parent in parents])
    return touched


def _of_commits(root: Path, commits: str, *words: str) -> set[str]:
    if not commits:
        return set()
    return _names(
        _git(root, "diff-tree", "--stdin", "--root", "--no-commit-id", *_DIFF, *words, input_=commits)
    )


def _of_merge(root: Path, parents: Sequence[str], differs: Sequence[set[str]]) -> set[str]:
    """What a merge itself changes: `differs` are the paths in which it differs from each parent.

    A path is as it should be when the merge took it from one parent, and no other parent, from which it
    differs, had changed it since both parted: then nothing was chosen, and nobody's change was dropped.
    """
    touched = set[str]().union(*differs)
    for one, parent in enumerate(parents):
        wrong = set(differs[one])
        for other, second in enumerate(parents):
            if other != one and differs[other] - wrong:
                wrong |= differs[other] & _changed_since(root, parent, second)
        touched &= wrong
    return touched


def _changed_since(root: Path, parent: str, other: str) -> set[str]:
    """The paths that `other` changed since its history parted from that of `parent`."""
    bases = _git(root, "merge-base", "--all", parent, other, may_fail=True).split()
    changed = [_between(root, base, other) for base in bases or [_empty_tree(root)]]
    return set.intersection(*changed)


def _between(root: Path, one: str, other: str) -> set[str]:
    return _names(_git(root, "diff-tree", *_DIFF, one, other))


def _staged(root: Path, base: str) -> set[str]:
    return _names(_git(root, "diff-index", "--cached", "--ita-invisible-in-index", *_DIFF, base))


def _empty_tree(root: Path) -> str:
    return _git(root, "hash-object", "-t", "tree", "--stdin").strip()


def _merged(root: Path, environment: Mapping[str, str]) -> list[str]:
    """The commits that are being merged into HEAD."""
    place = Path(_git(root, "rev-parse", "--git-path", "MERGE_HEAD").rstrip("\n"))
    try:
        named = (root / place).read_text().split()
    except FileNotFoundError:
        named = [name.removeprefix(_MERGED) for name in environment if name.startswith(_MERGED)]
    found = [_resolved(root, f"{oid}^{{commit}}") for oid in named if _OID.fullmatch(oid)]
    return [oid for oid in found if oid is not None]


# -- what a remote has -----------------------------------------------------------------------------


def _published(root: Path, remote: str, url: str, without: str = "") -> list[str]:
    """Options of rev-list for what the remote has, as far as is known here, but its reference `without`.

    That is what was fetched from it, under its name or, when it is given by its URL, that of a remote of the
    same URL. Of one that nothing was fetched from, what was fetched from any: that is published already.
    """
    names = [remote] if remote and remote != url else _remotes_of(root, url)
    specs = [spec for name in names for spec in _fetched(root, name)]
    left_out = [f"--exclude={place}" for spec in specs if (place := _kept_at(without, *spec))]
    globs = [f"--glob={place}" if "*" in place else place for _, place in specs]
    globs = [glob for glob in globs if _git(root, "rev-parse", glob, may_fail=True).strip()]
    if not globs and not without:
        return ["--remotes"]
    # An exclusion counts for the next pattern only.
    return [word for glob in globs if f"--exclude={glob}" not in left_out for word in (*left_out, glob)]


def _remotes_of(root: Path, url: str) -> list[str]:
    names = []
    for name in _git(root, "remote").splitlines():
        fetched = _git(root, "remote", "get-url", "--all", name, may_fail=True).splitlines()
        pushed = _git(root, "remote", "get-url", "--push", "--all", name, may_fail=True).splitlines()
        if url in (*fetched, *pushed):
            names.append(name)
    return names


def _fetched(root: Path, remote: str) -> list[tuple[str, str]]:
    """Which references of a remote are kept here, and where: patterns with a `*` each."""
    specs = _git(root, "config", "--get-all", f"remote.{remote}.fetch", may_fail=True).splitlines()
    pairs = [spec.lstrip("+").partition(":")[::2] for spec in specs]
    return [(name, place) for name, place in pairs if place.startswith("refs/")]


def _kept_at(name: str, pattern: str, place: str) -> str | None:
    """Where the remote's reference `name` is kept here, by one fetch specification; None if not by that."""
    before, star, behind = pattern.partition("*")
    if not star:
        return place if name == pattern else None
    if name.startswith(before) and name.endswith(behind):
        return place.replace("*", name[len(before) : len(name) - len(behind)])
    return None


# -- asking git ------------------------------------------------------------------------------------


def _resolved(root: Path, name: str) -> str | None:
    """The object that a name stands for; None for none."""
    return _git(root, "rev-parse", "-q", "--verify", "--end-of-options", name, may_fail=True).strip() or None


def _names(output: str) -> set[str]:
    return {name for name in output.split("\0") if name}


def _git(root: Path, *words: str, may_fail: bool = False, input_: str = "") -> str:
    """What git answers in `root`. Raises GitRefused, also when it takes longer than GUARD_GIT_S."""
    done = run_git(root, words, options=_CONFIG, input_=input_.encode(), environment=_ENVIRONMENT)
    if done.returncode and not may_fail:
        complaint = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise GitRefused(complaint or f"git {words[0]} failed")
    return "" if done.returncode else os.fsdecode(done.stdout)
