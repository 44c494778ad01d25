"""Builds a change on a commit: merges it, and makes the commit that would land."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from repomesh.adapters.git.errors import GitFailed, RevisionNotFound
from repomesh.adapters.git.merge_results import BlobRef, Conflicted, Merged, MergeResult
from repomesh.adapters.git.modes import CONTENTS
from repomesh.adapters.git.paths import as_text
from repomesh.adapters.git.repository import Commit, Repository
from repomesh.adapters.git.signatures import Signature
from repomesh.domains.changes import rules
from repomesh.domains.changes.building.inspecting import Difference, read_difference
from repomesh.domains.changes.building.structured.isolated import ConflictedContents, merge_isolated
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.errors import ChangeEmpty, ChangeTooLarge
from repomesh.domains.changes.models import ConflictSide, ErrorClass, FileConflict, MergedBy
from repomesh.domains.changes.queue.processing_models import BuiltChange, FailedChange, QueuedChange
from repomesh.domains.changes.repositories import PINS, Target
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError

log = structlog.get_logger("repomesh.queue")

COMMITTER = "repomesh"
_NO_NAME = "unknown"
_CO_AUTHOR = re.compile(r"^co-authored-by: ([^<>\n]+?) *<([^<>\n]+)>$", re.IGNORECASE | re.MULTILINE)

_OUR_TRAILER = re.compile(
    r"^(\s*(?:repomesh-(?:change|task|agent)|approved-by))(?=\s*:)", re.IGNORECASE | re.MULTILINE
)
"""What only the queue may state of a change: elsewhere in a message it is somebody's claim."""


@dataclass(frozen=True, slots=True)
class Built:
    """A change on its parent: the commit that would land, and its tree."""

    change: QueuedChange
    parent: str
    commit: str
    tree: str
    merged_by: MergedBy
    difference: Difference

    def as_record(self) -> BuiltChange:
        """What the store is told before it lands."""
        return BuiltChange(
            change_id=self.change.id,
            commit=self.commit,
            parent=self.parent,
            merged_by=self.merged_by,
            patch_id=self.difference.patch_id,
            risk=self.difference.risk,
            needed=self.difference.needed,
            owners=self.difference.owners,
            files=self.difference.files,
            barrier=self.difference.barrier,
        )


def build_stack(
    repository: Repository, batch: Sequence[QueuedChange], target: Target
) -> tuple[list[Built], list[FailedChange]]:
    """Build each change on the one before it; what can't be built is left out, and the rest goes on."""
    stack: list[Built] = []
    failed: list[FailedChange] = []
    for change in batch:
        parent = stack[-1].commit if stack else target.tip
        try:
            result = build(repository, change, parent, target)
        except Exception as error:  # a fault of ours with one change must not stop everybody's
            log.exception("a change can't be built", change_id=change.id)
            reason = f"the queue failed on it: {type(error).__name__}: {error}"
            result = _failed(change, "infrastructure", reason, "the queue tries it again", parent)
        if isinstance(result, Built):
            stack.append(result)
        else:
            failed.append(result)
    return stack, failed


def build(repository: Repository, change: QueuedChange, parent: str, target: Target) -> Built | FailedChange:
    """Merge a change onto `parent`, by the way of landing that the target branch asks for.

    A conflict, a change that is empty there, and a failure of git each make a FailedChange.
    """
    try:
        return _build(repository, change, parent, target)
    except ChangeEmpty:
        reason = f"{target.branch} has all that it changes already"
        return _failed(change, "base", reason, "withdraw it, or submit something else", parent)
    except GitFailed as error:
        return _failed(change, "infrastructure", error.message, error.hint, parent)
    except OSError as error:
        return _failed(change, "infrastructure", str(error), "the queue tries it again", parent)
    except (ChangeTooLarge, RevisionNotFound) as error:
        return _failed(change, "base", error.message, error.hint, parent)
    except RepomeshError as error:  # of its own repomesh.toml, or a path that no tree may hold
        return _failed(change, "schema", error.message, error.hint, parent)


def _build(repository: Repository, change: QueuedChange, parent: str, target: Target) -> Built | FailedChange:
    result = _merge(repository, change, parent)
    merged_by: MergedBy = "ort"
    if isinstance(result, Conflicted):
        resolution = _resolve(repository, result, target)
        if resolution.reasons:
            return _conflict(repository, change, result, resolution, parent, target)
        result, merged_by = Merged(repository.splice(result.tree, resolution.files)), "structured"
    landing_method = target.configuration.queue.land
    head = repository.commit(change.head_commit)
    now = Signature(COMMITTER, "queue@repomesh.invalid", int(time.time()))
    if landing_method == "rebase" and merged_by == "structured":
        landing_method = "squash"  # its tree is of the change as a whole
    if landing_method == "rebase":
        commit = _rebase_commits(repository, change, parent, result.tree, now)
        if commit is None:
            landing_method = "squash"  # as one it loses nothing
    if landing_method == "squash":
        author, *others = _authors(repository, change, head)
        message = _message(change, others)
        commit = repository.write_commit(result.tree, [parent], message, author, now)
    elif landing_method == "merge":
        commit = repository.write_commit(result.tree, [parent, head.id], _message(change), head.author, now)
    assert commit is not None
    difference = read_difference(repository, parent, commit, target)
    if difference.patch_id != change.patch_id:  # people are shown, and approve, what would land
        repository.pin(f"{PINS}{change.id}/built", commit)
    return Built(change, parent, commit, repository.tree(commit), merged_by, difference)


def _merge(repository: Repository, change: QueuedChange, parent: str) -> MergeResult:
    """Merge with git's own merge base where that is the change's base; else, as of a stack, from its base."""
    if repository.merge_base(parent, change.head_commit) == change.base_commit:
        return repository.merge(parent, change.head_commit)
    base, head = repository.tree(change.base_commit), repository.tree(change.head_commit)
    return repository.merge_trees(base, repository.tree(parent), head)


def _rebase_commits(
    repository: Repository, change: QueuedChange, parent: str, expected_tree: str, committer: Signature
) -> str | None:
    """The change commit by commit on `parent`, without merges and empty ones.

    None where one conflicts, and where they don't add up to `expected_tree`: what a merge commit itself
    changed, or one of more commits than are rebased, would be lost.
    """
    tip, tree = parent, repository.tree(parent)
    for commit in repository.commits_between(
        change.base_commit, change.head_commit, limits.CHANGE_COMMITS_MAX
    ):
        if len(commit.parents) != 1:
            continue
        result = repository.merge_trees(repository.tree(commit.parents[0]), tree, commit.tree)
        if isinstance(result, Conflicted):
            return None
        if result.tree == tree:
            continue
        tree = result.tree
        message = _with_trailers(commit.message, change)
        tip = repository.write_commit(tree, [tip], message, commit.author, committer)
    return tip if tree == expected_tree else None


def _authors(repository: Repository, change: QueuedChange, head: Commit) -> list[Signature]:
    """Everyone who made commits of a change or is named in them as a co-author, in their order.

    Merges of other branches don't count.
    """
    commits = [head]
    if head.parents != (change.base_commit,):
        found = repository.commits_between(change.base_commit, change.head_commit, limits.CHANGE_COMMITS_MAX)
        commits = [commit for commit in found if len(commit.parents) == 1] or [head]
    authors: dict[str, Signature] = {}
    for commit in commits:
        named = [Signature(name, email, 0) for name, email in _CO_AUTHOR.findall(commit.message)]
        for author in (commit.author, *named):
            authors.setdefault(author.email.casefold() or author.name, author)
    return list(authors.values())[: limits.CHANGE_AUTHORS_MAX]


def _message(change: QueuedChange, others: Sequence[Signature] = ()) -> str:
    body = f"{change.summary}\n\n{change.description}".rstrip()
    return _with_trailers(body, change, [f"Co-authored-by: {who.name} <{who.email}>" for who in others])


def _with_trailers(message: str, change: QueuedChange, others: Sequence[str] = ()) -> str:
    message = _OUR_TRAILER.sub(r"\1 (as submitted)", message)
    trailers = [f"Repomesh-Change: {change.id}", f"Repomesh-Agent: {change.author_name or _NO_NAME}"]
    if change.task_id is not None:
        trailers.insert(1, f"Repomesh-Task: {change.task_id}")
    trailers += [f"Approved-by: {name}" for name in change.approved_by]
    return f"{message.rstrip()}\n\n" + "\n".join([*others, *trailers]) + "\n"


@dataclass(slots=True)
class _Resolution:
    """What the structured merge made of conflicted files, and why it made nothing of the others, by path."""

    files: dict[bytes, BlobRef | None] = field(default_factory=dict)
    reasons: dict[bytes, str] = field(default_factory=dict)


def _resolve(repository: Repository, result: Conflicted, target: Target) -> _Resolution:
    """Merge the conflicted files by their structure."""
    resolution = _Resolution()
    settings = target.configuration.merge
    mergeable: list[tuple[bytes, str, ConflictedContents]] = []
    for file in result.files:
        sides = (file.base, file.ours, file.theirs)
        modes = {side.mode for side in sides if side is not None}
        if not settings.structured:
            resolution.reasons[file.path] = "the structured merge is switched off"
        elif len(modes) > 1 or not modes.issubset(CONTENTS):
            resolution.reasons[file.path] = "the sides have other modes, or it is no regular file"
        else:
            contents = (None if side is None else repository.blob(side.oid) for side in sides)
            mergeable.append((file.path, modes.pop(), ConflictedContents(as_text(file.path), *contents)))
    if resolution.reasons or not mergeable:  # one conflict that stays returns the change
        for path, _mode, _contents in mergeable:
            resolution.reasons[path] = "it was not merged, since other files conflict"
        return resolution
    merged = merge_isolated([contents for _path, _mode, contents in mergeable], settings.append_only)
    for (path, mode, _contents), content in zip(mergeable, merged, strict=True):
        if isinstance(content, NotMergeable):
            resolution.reasons[path] = str(content)
        else:
            resolution.files[path] = BlobRef(mode, repository.write_blob(content))
    return resolution


def _conflict(
    repository: Repository,
    change: QueuedChange,
    result: Conflicted,
    resolution: _Resolution,
    parent: str,
    target: Target,
) -> FailedChange:
    unresolved = [file for file in result.files if file.path in resolution.reasons]
    conflicts = [
        FileConflict(
            path=as_text(file.path),
            base=_side(repository, file.base),
            ours=_side(repository, file.ours),
            theirs=_side(repository, file.theirs),
            why=resolution.reasons[file.path],
        )
        for file in unresolved[: limits.CONFLICT_FILES_SHOWN_MAX]
    ]
    names = rules.name_some([as_text(file.path) for file in unresolved])
    reason = f"it conflicts with {target.branch} at {parent[:12]} in {names}"
    step = f"merge {target.branch} into it, resolve, and submit it again"
    return _failed(change, "conflict", reason, step, parent, conflicts)


def _side(repository: Repository, blob: BlobRef | None) -> ConflictSide | None:
    if blob is None:
        return None
    if blob.mode not in CONTENTS:
        return ConflictSide(blob=blob.oid, text=None)
    content = repository.blob(blob.oid)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ConflictSide(blob=blob.oid, text=None)
    if "\0" in text:
        return ConflictSide(blob=blob.oid, text=None)
    cut = text[: limits.CONFLICT_CHARS_MAX]
    return ConflictSide(blob=blob.oid, text=cut, truncated=len(cut) < len(text))


def _failed(
    change: QueuedChange,
    error_class: ErrorClass,
    reason: str,
    next_step: str,
    base: str,
    conflicts: list[FileConflict] | None = None,
) -> FailedChange:
    return FailedChange(
        change_id=change.id,
        error_class=error_class,
        reason=reason[: limits.QUEUE_ERROR_CHARS_MAX],
        next_step=next_step[: limits.QUEUE_ERROR_CHARS_MAX],
        base=base,
        conflicts=conflicts or [],
    )
