"""Bundles: commits that an agent on another machine sends as one file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from repomesh.adapters.git.commands import run_git
from repomesh.adapters.git.pack_sizes import PackRefused, require_small
from repomesh.adapters.git.repository import Repository
from repomesh.kernel import limits


class BundleUnreadable(Exception):
    """A bundle is damaged, holds no or several branches, or builds on commits that the repository lacks."""


def import_bundle(repository: Repository, content: bytes, ref: str) -> str:
    """Bring the one branch of a bundle into the repository, under `ref`; returns its commit.

    The objects are checked as those of a fetch from strangers (`fetch.fsckObjects`), and measured before
    anything is unpacked. Raises BundleUnreadable and GitFailed.
    """
    with tempfile.TemporaryDirectory(prefix="repomesh-bundle-") as folder:
        file = Path(folder) / "change.bundle"
        file.write_bytes(content)
        listed = run_git(repository.git_dir, ["bundle", "list-heads", str(file)], accepted=(0, 1, 128))
        heads = [line.split(b" ", 1) for line in listed.stdout.splitlines() if b" " in line]
        branches = {name: oid for oid, name in heads if name != b"HEAD"} or {name: oid for oid, name in heads}
        if listed.returncode or len(branches) != 1:
            problem = "it can't be read" if not branches else f"it has {len(branches)} branches"
            raise BundleUnreadable(f"a bundle holds one branch: {problem}")
        [(name, oid)] = branches.items()
        verified = run_git(
            repository.git_dir, ["bundle", "verify", "--quiet", str(file)], accepted=(0, 1, 128)
        )
        if verified.returncode:
            raise BundleUnreadable(_last_line(verified.stderr) or "its base is not in the repository")
        _require_small(content)
        fetch = ["-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]
        fetched = run_git(
            repository.git_dir,
            [*fetch, "--no-recurse-submodules", str(file), f"+{name.decode()}:{ref}"],
            accepted=(0, 1, 128),
            limit_s=limits.QUEUE_GIT_S,
        )
        if fetched.returncode:
            raise BundleUnreadable(_last_line(fetched.stderr) or "its objects are damaged")
    commit = repository.ref(ref)
    if commit is None:
        repository.unpin(ref)
        raise BundleUnreadable(f"{name.decode('utf-8', 'replace')} is neither a commit nor a tag of one")
    if commit != oid.decode():
        repository.pin(ref, commit)  # of the tag that was sent
    return commit


def _require_small(content: bytes) -> None:
    """Raise BundleUnreadable where the pack, behind the first empty line, unpacks to too much."""
    begin = content.find(b"\n\n") + 2
    try:
        require_small(
            memoryview(content)[begin:], limits.CHANGE_BUNDLE_UNPACKED_MAX, limits.CHANGE_BUNDLE_OBJECTS_MAX
        )
    except PackRefused as error:
        raise BundleUnreadable(str(error)) from None


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return (
        lines[-1][: limits.QUEUE_ERROR_CHARS_MAX].removeprefix("fatal: ").removeprefix("error: ")
        if lines
        else ""
    )
