"""Looks at a submission in git, outside of any transaction: which commit it is, and what that changes."""

from __future__ import annotations

import binascii
import time
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass

from repomesh.adapters.git.bundles import BundleUnreadable, import_bundle
from repomesh.adapters.git.differences import FileDifference
from repomesh.adapters.git.errors import LinesTooMany, ObjectsMissing
from repomesh.adapters.git.merge_results import BlobRef
from repomesh.adapters.git.patches.files import PatchedFile, PatchedFiles
from repomesh.adapters.git.patches.search_replace import apply_search_replace
from repomesh.adapters.git.patches.unified import apply_unified
from repomesh.adapters.git.patches.whole_files import apply_whole_files
from repomesh.adapters.git.paths import PathRefused, as_text, require_path
from repomesh.adapters.git.repository import Repository
from repomesh.adapters.git.signatures import Signature
from repomesh.domains.changes import configuration, rules
from repomesh.domains.changes.building import risk
from repomesh.domains.changes.building.owners import owner_groups
from repomesh.domains.changes.building.secrets import find_secrets
from repomesh.domains.changes.configuration import ApprovalSection, Needed
from repomesh.domains.changes.errors import (
    BundleInvalid,
    ChangeDiffers,
    ChangeEmpty,
    ChangeTooLarge,
    ChangeUnrelated,
    NoSingleSource,
)
from repomesh.domains.changes.models import ChangedFile, Patch, Risk, SubmitChange
from repomesh.domains.changes.repositories import PINS, Target, read_target
from repomesh.domains.leases import paths
from repomesh.kernel import limits
from repomesh.kernel.ids import new_id

_APPLY = {
    "unified": apply_unified,
    "search_replace": apply_search_replace,
    "files": apply_whole_files,
}
_SOURCES = ("branch", "commit", "patch", "bundle")


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change does to the commit that it was made from, and what follows from it for the queue."""

    files: list[ChangedFile]
    patch_id: str
    risk: Risk
    needed: Needed
    approval: ApprovalSection
    owners: list[list[str]]
    barrier: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """A submission as git has it."""

    change_id: str
    target: str
    base_commit: str
    head_commit: str
    branch: str | None
    difference: Difference
    builds_on: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The submitted commit of another change, on which a submission may build."""

    change_id: str
    commit: str
    landed: bool


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A change that landed and was rolled back by the commit `revert`: the target has it no more."""

    base: str
    head: str
    revert: str


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    """What the store says about a submission: who submits, and the changes on which it may build."""

    author_name: str
    heads: Sequence[KnownHead] = ()
    taken_back: Sequence[TakenBack] = ()


def inspect(repository: Repository, request: SubmitChange, context: SubmissionContext) -> Inspection:
    """Find, check and pin the commit of a submission.

    Raises NoSingleSource, RevisionNotFound, PatchRefused, PathRefused, BundleInvalid, ChangeEmpty,
    ChangeUnrelated, ChangeTooLarge, ChangeDiffers, ConfigurationInvalid, TargetMissing, CommitMalformed and
    GitFailed.
    """
    if sum(getattr(request, source) is not None for source in _SOURCES) != 1:
        raise NoSingleSource("a change needs exactly one of 'branch', 'commit', 'patch' and 'bundle'")
    target = read_target(repository)
    change_id = new_id()
    pin = f"{PINS}{change_id}/1"
    try:
        head = _head(repository, request, context, pin)
        base, parent = _base(repository, head, target, context)
        repository.commits_between(base, head, limits.CHANGE_COMMITS_MAX)  # raises where one can't be read
        difference = read_difference(repository, base, head, target)
        _require_declared(request.declared_scope, difference.files)
        if request.bundle is None:
            repository.pin(pin, head)
    except BaseException:
        repository.unpin(pin)
        raise
    builds_on = [] if parent is None or parent.landed else [parent.change_id]
    return Inspection(change_id, target.branch, base, head, request.branch, difference, builds_on)


def _require_distinct(repository: Repository, old_tree: str, new_tree: str, added: Sequence[bytes]) -> None:
    """Raise PathRefused for a new path that differs from another of the tree in case only."""
    twins = repository.find_case_twin(old_tree, new_tree, added)
    if twins is not None:
        path, other = map(as_text, twins)
        raise PathRefused(
            f"{path} and {other} differ in case only: macOS and Windows check out one of them",
            hint="Give it another name; 'merge.case_collisions = true' in repomesh.toml allows both.",
        )


def read_difference(repository: Repository, base: str, head: str, target: Target) -> Difference:
    """What `head` changes on `base`, by the rules of the target branch.

    Raises ChangeEmpty, ChangeTooLarge, PathRefused, and ConfigurationInvalid for a `repomesh.toml` in it that
    would stop the queue.
    """
    old_tree, new_tree = repository.tree(base), repository.tree(head)
    try:
        difference = repository.compare(old_tree, new_tree, limits.CHANGE_FILES_MAX)
    except LinesTooMany as error:
        raise ChangeTooLarge(str(error)) from None
    if difference is None:
        raise ChangeTooLarge(f"a change touches at most {limits.CHANGE_FILES_MAX} files; this one has more")
    git_files = difference.files
    if not git_files:
        raise ChangeEmpty(f"{head[:12]} has the same files as {base[:12]}")
    for file in git_files:
        require_path(file.path)
        if file.size > limits.CHANGE_BLOB_BYTES_MAX:
            raise ChangeTooLarge(
                f"{as_text(file.path)} has {file.size} bytes; a file in a change has at most "
                f"{limits.CHANGE_BLOB_BYTES_MAX}"
            )
        if file.path == configuration.FILE.encode() and file.new is not None:
            configuration.parse(repository.blob(file.new.oid))
    if not target.configuration.merge.case_collisions:
        _require_distinct(
            repository, old_tree, new_tree, [file.path for file in git_files if file.old is None]
        )
    files = [_as_changed_file(file) for file in git_files]
    secrets = find_secrets(difference.added_lines(limits.SECRET_LINES_MAX))
    large = [as_text(file.path) for file in git_files if file.size > limits.CHANGE_COMPARED_BYTES_MAX]
    assessed = risk.assess(files, secrets, target.configuration, large)
    return Difference(
        files=files,
        patch_id=difference.patch_id,
        risk=assessed,
        needed=risk.needed(target.configuration, assessed.level),
        approval=target.configuration.approval,
        owners=owner_groups(target.codeowners, (file.path for file in files)),
        barrier=risk.is_barrier((file.path for file in files), target.configuration),
    )


def _head(repository: Repository, request: SubmitChange, context: SubmissionContext, pin: str) -> str:
    """The submitted commit, made or brought in if it is not there."""
    if request.patch is not None:
        return _commit_patch(repository, request.patch, request.summary, context.author_name)
    if request.bundle is not None:
        try:
            return import_bundle(repository, b64decode(request.bundle, validate=True), pin)
        except (BundleUnreadable, binascii.Error) as error:
            raise BundleInvalid(str(error)) from None
    return repository.resolve(request.branch or request.commit or "")


def _commit_patch(repository: Repository, patch: Patch, summary: str, author_name: str) -> str:
    base = repository.resolve(patch.base_commit)
    tree = repository.tree(base)

    def read(path: bytes) -> PatchedFile | None:
        blob = repository.blob_at(tree, path)
        return None if blob is None else PatchedFile(repository.blob(blob.oid), blob.mode)

    files = PatchedFiles(read)
    _APPLY[patch.format](patch.text.encode(), files)
    if len(files.changed) > limits.CHANGE_FILES_MAX:
        raise ChangeTooLarge(
            f"a change touches at most {limits.CHANGE_FILES_MAX} files; this one has {len(files.changed)}"
        )
    changes: dict[bytes, BlobRef | None] = {
        path: None if file is None else BlobRef(file.mode, repository.write_blob(file.content))
        for path, file in files.changed.items()
    }
    author = agent_signature(author_name)
    return repository.write_commit(repository.splice(tree, changes), [base], f"{summary}\n", author, author)


def agent_signature(name: str) -> Signature:
    """The signature of a commit that the server makes for an agent, now."""
    return Signature(name, f"{name}@agents.repomesh.invalid", int(time.time()))


def _base(
    repository: Repository, head: str, target: Target, context: SubmissionContext
) -> tuple[str, KnownHead | None]:
    """The commit that the change was made from: where it left the target, or the change on which it builds.

    A change that landed as one commit is none of the target's ancestors, yet what follows it builds on it.
    """
    base = repository.merge_base(target.tip, head)
    if base is None:
        reason = f"{head[:12]} and '{target.branch}' have no commit in common"
        if repository.is_shallow:
            raise ObjectsMissing(f"{reason} here: the repository is a shallow clone")
        raise ChangeUnrelated(reason)
    base = _below_taken_back(repository, base, head, context.taken_back)
    on_the_way = repository.ids_between(base, head, limits.CHANGE_ANCESTORS_MAX) - {head}
    parent: KnownHead | None = None
    for earlier in context.heads:
        if earlier.commit not in on_the_way or not repository.is_ancestor(base, earlier.commit):
            continue
        if parent is None or repository.is_ancestor(parent.commit, earlier.commit):
            parent = earlier
    return (base, None) if parent is None or parent.commit == base else (parent.commit, parent)


def _below_taken_back(repository: Repository, base: str, head: str, taken_back: Sequence[TakenBack]) -> str:
    """The base of a change that brings again what was rolled back.

    A change that landed with its own commits stays among the target's ancestors when it is rolled back: from
    there, its files would count as being on the target. What was made on top of the revert does not bring it.
    """
    for change in taken_back:
        has_revert = repository.is_ancestor(change.revert, head)
        if not has_revert and repository.is_ancestor(change.head, base):
            base = change.base if repository.is_ancestor(change.base, base) else base
    return base


def _require_declared(declared: Sequence[str], files: Sequence[ChangedFile]) -> None:
    patterns = []
    for pattern in declared:
        try:
            patterns.append(paths.normalise(pattern))
        except paths.InvalidPathPattern as error:
            raise ChangeDiffers(f"declared_scope: {error.problem}", hint=error.hint) from None
    outside = [file.path for file in files if not paths.holds_any(patterns, file.path)]
    if patterns and outside:
        raise ChangeDiffers(f"outside of the declared scope: {rules.name_some(outside)}")


def _as_changed_file(file: FileDifference) -> ChangedFile:
    return ChangedFile(
        path=as_text(file.path),
        status="added" if file.old is None else "deleted" if file.new is None else "modified",
        mode=None if file.new is None else file.new.mode,
        old_mode=None if file.old is None else file.old.mode,
        blob=None if file.new is None else file.new.oid,
        old_blob=None if file.old is None else file.old.oid,
        bytes=file.size,
        added=file.added,
        deleted=file.deleted,
        binary=file.binary,
    )
