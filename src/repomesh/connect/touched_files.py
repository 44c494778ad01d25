"""The files that a commit or a push touches, by git commands that no configuration affects.

Only plumbing commands are run, with every default explicit: a user's configuration of `diff` and `log`
(renames, external programs, ignored submodules, hidden roots, relative names) must hide nothing. File names
are bytes; here they are text with undecodable bytes as lone surrogates (`os.fsdecode`).
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
_CONFIG = ("-c", "core.quotePath=false", "-c", "diff.orderFile=")
# Replaced objects and grafts would show a different history from the one that is pushed.
_ENVIRONMENT = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull, "GIT_OPTIONAL_LOCKS": "0"}
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MERGED_VARIABLE = "GITHEAD_"  # prefix of variables that name the merged commits before git writes MERGE_HEAD


def files_of_commit(root: Path) -> list[str]:
    """The paths that the commit being made changes, including the old names of renamed files.

    For a merge, a path that only one side changed does not count: the change was committed there. Raises
    GitRefused.
    """
    head = _resolve(root, "HEAD")
    if head is None:
        return sorted(_staged_files(root, _empty_tree(root)))
    merged = [oid for oid in _merged_commits(root, os.environ) if oid != head]
    if not merged:
        return sorted(_staged_files(root, head))
    parents = [head, *merged]
    return sorted(_files_of_merge(root, parents, [_staged_files(root, parent) for parent in parents]))


def files_of_push(root: Path, remote: str, url: str, lines: Iterable[str]) -> list[str]:
    """The paths that a push changes on the remote, as far as is known without contacting it.

    `lines` are the input of git's hook: local reference and object, remote reference and object. The paths of
    commits that the remote gains or loses count. Raises GitRefused.
    """
    updates = [words for words in (line.split() for line in lines) if len(words) == 4]
    known_objects = [words[3] for words in updates if _resolve(root, f"{words[3]}^{{commit}}")]
    published = _published_refs(root, remote, url)
    touched: set[str] = set()
    remaining = [oid for words in updates if (oid := _resolve(root, f"{words[1]}^{{commit}}"))]
    for _, local, name, old_object in updates:
        if set(local) == {"0"}:
            touched |= _files_of_deletion(
                root, name, old_object, _published_refs(root, remote, url, without=name), remaining
            )
            continue
        commit = _resolve(root, f"{local}^{{commit}}")
        if commit is None:
            continue  # a tag of a file or a tree is in no branch
        touched |= _files_of_range(root, [commit], published, known_objects)
        if set(old_object) == {"0"}:
            continue
        if old_object not in known_objects:
            raise GitRefused(f"{name} of the remote has commits that are not here; run 'git fetch' first")
        touched |= _files_of_range(root, [old_object], [], [commit])
    return sorted(touched)


def _files_of_deletion(
    root: Path, name: str, old_object: str, published: Sequence[str], remaining: Sequence[str]
) -> set[str]:
    """The paths of the commits that a remote loses with a branch or tag; raises GitRefused."""
    if set(old_object) == {"0"} or _resolve(root, f"{old_object}^{{object}}") is None:
        raise GitRefused(f"{name} of the remote has commits that are not here; run 'git fetch' first")
    commit = _resolve(root, f"{old_object}^{{commit}}")
    return set() if commit is None else _files_of_range(root, [commit], published, remaining)


# -- commits ---------------------------------------------------------------------------------------


def _files_of_range(
    root: Path, commits: Sequence[str], globs: Sequence[str], excluded: Sequence[str]
) -> set[str]:
    """The paths of the commits in the history of `commits` that are not in that of `globs` or `excluded`."""
    revisions = "".join(f"{oid}\n" for oid in [*commits, *(f"^{oid}" for oid in excluded)])
    words = ["rev-list", "--parents", "--stdin", *(["--not", *globs] if globs else [])]
    lines = [line.split() for line in _git(root, *words, input_=revisions).splitlines()]
    plain = "".join(f"{line[0]}\n" for line in lines if len(line) <= 2)
    touched = _files_of_commits(root, plain)
    merges = [line for line in lines if len(line) > 2]
    if len(merges) > limits.GUARD_MERGES_MAX:  # then every difference from any parent counts
        return touched | _files_of_commits(root, "".join(f"{line[0]}\n" for line in merges), "-m")
    for commit, *parents in merges:
        touched |= _files_of_merge(root, parents, [_diff_trees(root, parent, commit) for parent in parents])
    return touched


def _files_of_commits(root: Path, commits: str, *words: str) -> set[str]:
    if not commits:
        return set()
    return _names(
        _git(root, "diff-tree", "--stdin", "--root", "--no-commit-id", *_DIFF, *words, input_=commits)
    )


def _files_of_merge(root: Path, parents: Sequence[str], differs: Sequence[set[str]]) -> set[str]:
    """The paths that a merge itself changes; `differs` are those in which it differs from each parent.

    A path does not count when the merge took it from one parent, and no other parent, from which it differs,
    had changed it since their merge base: then no change was dropped.
    """
    touched = set[str]().union(*differs)
    for index, parent in enumerate(parents):
        chosen = set(differs[index])
        for other_index, other_parent in enumerate(parents):
            if other_index != index and differs[other_index] - chosen:
                chosen |= differs[other_index] & _changed_since(root, parent, other_parent)
        touched &= chosen
    return touched


def _changed_since(root: Path, parent: str, other: str) -> set[str]:
    """The paths that `other` changed since its merge base with `parent`."""
    bases = _git(root, "merge-base", "--all", parent, other, may_fail=True).split()
    changed = [_diff_trees(root, base, other) for base in bases or [_empty_tree(root)]]
    return set.intersection(*changed)


def _diff_trees(root: Path, first: str, second: str) -> set[str]:
    return _names(_git(root, "diff-tree", *_DIFF, first, second))


def _staged_files(root: Path, base: str) -> set[str]:
    return _names(_git(root, "diff-index", "--cached", "--ita-invisible-in-index", *_DIFF, base))


def _empty_tree(root: Path) -> str:
    return _git(root, "hash-object", "-t", "tree", "--stdin").strip()


def _merged_commits(root: Path, environment: Mapping[str, str]) -> list[str]:
    """The commits that are being merged into HEAD."""
    path = Path(_git(root, "rev-parse", "--git-path", "MERGE_HEAD").rstrip("\n"))
    try:
        names = (root / path).read_text().split()
    except FileNotFoundError:
        names = [
            name.removeprefix(_MERGED_VARIABLE) for name in environment if name.startswith(_MERGED_VARIABLE)
        ]
    commits = [_resolve(root, f"{oid}^{{commit}}") for oid in names if _OID.fullmatch(oid)]
    return [oid for oid in commits if oid is not None]


# -- commits on the remote -------------------------------------------------------------------------


def _published_refs(root: Path, remote: str, url: str, without: str = "") -> list[str]:
    """Options of rev-list for the commits known to be on the remote, except by its reference `without`.

    These are the references fetched from it, by its name or, for a URL, from a remote with that URL. If
    nothing was fetched from it, the references of all remotes: those commits are published already.
    """
    names = [remote] if remote and remote != url else _remotes_of(root, url)
    specs = [spec for name in names for spec in _fetch_specs(root, name)]
    left_out = [f"--exclude={place}" for spec in specs if (place := _tracking_ref(without, *spec))]
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


def _fetch_specs(root: Path, remote: str) -> list[tuple[str, str]]:
    """The fetch specifications of a remote: its references and their local names, with a `*` as a pattern."""
    specs = _git(root, "config", "--get-all", f"remote.{remote}.fetch", may_fail=True).splitlines()
    pairs = [spec.lstrip("+").partition(":")[::2] for spec in specs]
    return [(name, place) for name, place in pairs if place.startswith("refs/")]


def _tracking_ref(name: str, pattern: str, place: str) -> str | None:
    """The local name of the remote's reference `name` by one fetch specification, or None."""
    prefix, star, suffix = pattern.partition("*")
    if not star:
        return place if name == pattern else None
    if name.startswith(prefix) and name.endswith(suffix):
        return place.replace("*", name[len(prefix) : len(name) - len(suffix)])
    return None


# -- running git -----------------------------------------------------------------------------------


def _resolve(root: Path, name: str) -> str | None:
    """The object id of a name; None without such an object."""
    return _git(root, "rev-parse", "-q", "--verify", "--end-of-options", name, may_fail=True).strip() or None


def _names(output: str) -> set[str]:
    return {name for name in output.split("\0") if name}


def _git(root: Path, *words: str, may_fail: bool = False, input_: str = "") -> str:
    """Git's output in `root`, empty if it may fail and does; raises GitRefused, also after GUARD_GIT_S."""
    result = run_git(root, words, options=_CONFIG, input_=input_.encode(), environment=_ENVIRONMENT)
    if result.returncode and not may_fail:
        complaint = result.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise GitRefused(complaint or f"git {words[0]} failed")
    return "" if result.returncode else os.fsdecode(result.stdout)
