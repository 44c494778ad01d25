"""One repository: its commits, trees, differences and refs, read and written through libgit2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repomesh.adapters.git import trees
from repomesh.adapters.git.commands import run_git
from repomesh.adapters.git.differences import Comparison, TreeDifference
from repomesh.adapters.git.engine_process import MergeEnded, MergeProcess
from repomesh.adapters.git.errors import (
    EngineMissing,
    GitFailed,
    LinesTooMany,
    NoGitRepository,
    ObjectsMissing,
    RefMoved,
    RevisionNotFound,
)
from repomesh.adapters.git.libgit2_errors import as_git_failed, is_malformed
from repomesh.adapters.git.merging import (
    BlobRef,
    Conflicted,
    ConflictedFile,
    Merged,
    MergeResult,
    parse_answer,
)
from repomesh.adapters.git.modes import SUBMODULE
from repomesh.adapters.git.signatures import Signature, decode, to_git
from repomesh.kernel import limits

if TYPE_CHECKING:
    import pygit2
    from pygit2.enums import SortMode

NOTHING = "0" * 40
"""git's id for "no object": of a ref that does not exist."""

_COMMIT_ID = re.compile(r"[0-9a-f]{7,40}")
_BRANCHES = "refs/heads/"
_VERSION_MIN = (2, 38)
_BINARY_LOOK = 8_000  # bytes in which git looks for a NUL
_TREES_KEPT = 1_000  # whose entries were read last


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its tree, parents, message and author."""

    id: str
    tree: str
    parents: tuple[str, ...]
    message: str
    author: Signature


def require_engine() -> None:
    """Raise EngineMissing unless pygit2 and a git that can merge without a work tree are installed."""
    try:
        import pygit2
    except ImportError:
        raise EngineMissing("the merge queue needs pygit2, which is not installed") from None
    # A workspace's path was chosen by the server's own user; nothing that the repository configures is run.
    pygit2.option(pygit2.enums.Option.SET_OWNER_VALIDATION, False)
    version = git_version()
    if version is None or version < _VERSION_MIN:
        shown = "no git" if version is None else f"git {'.'.join(map(str, version))}"
        raise EngineMissing(
            f"the merge queue needs git {_VERSION_MIN[0]}.{_VERSION_MIN[1]}; there is {shown}"
        )


@cache
def git_version() -> tuple[int, ...] | None:
    """The version of the git on PATH; None where there is none."""
    try:
        text = run_git(None, ["version"]).stdout.decode("ascii", "replace")
    except GitFailed:
        return None
    numbers = re.search(r"(\d+)\.(\d+)", text)
    return None if numbers is None else (int(numbers[1]), int(numbers[2]))


class Repository:
    """A git repository on this machine. `private` is a folder in which git may keep files of its own.

    Raises EngineMissing, and NoGitRepository where `path` is not in a repository that can be worked on.
    """

    def __init__(self, path: Path, private: Path) -> None:
        require_engine()
        import pygit2

        self.private = private
        try:
            found = pygit2.discover_repository(str(path))
            opened = pygit2.Repository(found) if found is not None else None
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise _not_opened(path, error) from None
        if opened is None:
            raise NoGitRepository(f"{path} is in no git repository")
        self._repository: pygit2.Repository = opened
        self.path = path
        self.git_dir = _common_dir(Path(self._repository.path))
        self.objects = self.git_dir / "objects"
        self._read_trees: dict[str, dict[bytes, BlobRef]] = {}
        self._shallow_state = _state_of(self.git_dir / "shallow")

    def close(self) -> None:
        """End git's resident process."""
        if "_merging" in self.__dict__:
            self._merging.close()

    # What there is

    def branch_tip(self, branch: str) -> str | None:
        """The commit of a local branch; None where there is no such branch."""
        return self.ref(_BRANCHES + branch)

    def default_branch(self) -> str | None:
        """The branch that is checked out in the main work tree, also before its first commit; else None."""
        return self._branch_behind("HEAD", _BRANCHES)

    def remote_default_branch(self) -> str | None:
        """The default branch of the remote 'origin', as it was when that was cloned; None where unknown."""
        return self._branch_behind("refs/remotes/origin/HEAD", "refs/remotes/origin/")

    def ref(self, name: str) -> str | None:
        """The commit at which a ref stands; None where there is no such ref, or it stands at no commit.

        Raises GitFailed where that can't be read, and ObjectsMissing where the commit is not there.
        """
        with as_git_failed(f"the ref {name[:200]!r} can't be read"):
            try:
                target = self._repository.lookup_reference(name).resolve().target
            except (KeyError, ValueError):  # no such ref, or no possible name of one
                return None
            commit = _as_commit(self._repository[target])
            return None if commit is None else str(commit.id)

    def resolve(self, name: str) -> str:
        """The commit that a branch or a commit's id (7 digits or more) names.

        Raises RevisionNotFound, and GitFailed where that can't be read.
        """
        tip = self.branch_tip(name)
        if tip is None and name.startswith("refs/"):
            tip = self.ref(name)
        if tip is None and _COMMIT_ID.fullmatch(name):
            found = self._find_commit(name)
            tip = None if found is None else str(found.id)
        if tip is None:
            raise RevisionNotFound(f"there is no branch or commit {name[:200]!r}")
        return tip

    def has(self, commit: str) -> bool:
        """Whether the repository has this object. Raises GitFailed."""
        with as_git_failed(f"the object {commit} can't be read"):
            return commit in self._repository

    def commit(self, commit: str) -> Commit:
        """The commit with this id. Raises RevisionNotFound, and GitFailed where it can't be read."""
        found = self._find_commit(commit)
        if found is None:
            raise RevisionNotFound(f"there is no commit {commit}")
        author, encoding = found.author, _encoding_of(found)
        return Commit(
            str(found.id),
            str(found.tree_id),
            tuple(str(parent) for parent in found.parent_ids),
            decode(found.raw_message, encoding),
            Signature(
                decode(author.raw_name, encoding),
                decode(author.raw_email, encoding),
                author.time,
                author.offset,
            ),
        )

    def tree(self, commit: str) -> str:
        """The id of a commit's tree. Raises RevisionNotFound."""
        return self.commit(commit).tree

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor of two commits; None where they have none."""
        with as_git_failed("the commits' history can't be read"):
            base = self._repository.merge_base(one, other)
        return None if base is None else str(base)

    def is_ancestor(self, ancestor: str, commit: str) -> bool:
        """Whether `commit` is `ancestor` or has it among its ancestors; not where there is no `ancestor`."""
        if ancestor == commit or not self.has(ancestor):
            return ancestor == commit
        with as_git_failed("the commits' history can't be read"):
            return bool(self._repository.descendant_of(commit, ancestor))

    def commits_between(self, base: str, head: str, count_max: int) -> list[Commit]:
        """The commits of `head` that `base` does not have, oldest first; at most `count_max` of them."""
        import pygit2

        order = pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.REVERSE
        return [self.commit(id_) for id_ in self._walk(base, head, order, count_max)]

    def first_parents(self, head: str, count_max: int) -> Iterator[str]:
        """The ids of `head` and its first parents, newest first; at most `count_max` of them."""
        for _ in range(count_max):
            yield head
            parents = self.commit(head).parents
            if not parents:
                return
            head = parents[0]

    def ids_between(self, base: str, head: str, count_max: int) -> set[str]:
        """The ids of the commits of `head` that `base` does not have, at most the last `count_max`."""
        import pygit2

        return set(self._walk(base, head, pygit2.enums.SortMode.NONE, count_max))

    def file(self, tree: str, path: bytes) -> bytes | None:
        """The content of the file at `path` in a tree; None where there is none."""
        blob = trees.find(self._entries, tree, path)
        return None if blob is None or blob.mode == SUBMODULE else self.blob(blob.oid)

    def blob_at(self, tree: str, path: bytes) -> BlobRef | None:
        """The file at `path` in a tree; None where there is none, or a folder."""
        return trees.find(self._entries, tree, path)

    def blob(self, oid: str) -> bytes:
        """The content of a file. Raises GitFailed when it can't be read."""
        with as_git_failed(f"the content {oid} can't be read"):
            content: bytes = self._repository[oid].read_raw()
        return content

    def compare(self, old_tree: str, new_tree: str, files_max: int) -> TreeDifference | None:
        """What differs between two trees; None where more than `files_max` files do.

        Raises LinesTooMany for files of more than CHANGE_LINES_MAX lines together, and GitFailed.
        """
        files = trees.differing_files(self._entries, old_tree, new_tree, files_max)
        if files is None:
            return None
        self._require_few_lines([blob for side in files for blob in side.values()])
        return self._comparison.compare(*files)

    @property
    def is_shallow(self) -> bool:
        """Whether the history was cut off when the repository was cloned."""
        return bool(self._repository.is_shallow)

    def is_current(self) -> bool:
        """Whether the history is as it was when this was opened: False once a shallow clone has got more."""
        return self._shallow_state == _state_of(self.git_dir / "shallow")

    # What is made

    def merge(self, ours: str, theirs: str) -> MergeResult:
        """Merge two commits with git's ort strategy, from their own merge base. Raises GitFailed."""
        try:
            return parse_answer(self._merging.merge(ours, theirs))
        except MergeEnded as error:
            raise ObjectsMissing(error.message) if self._lacks_objects() else error from None

    def merge_trees(self, base: str, ours: str, theirs: str) -> MergeResult:
        """Merge two trees from a base that is given. Raises GitFailed when one of them can't be read."""
        with as_git_failed("the trees can't be merged"):
            index = self._repository.merge_trees(
                self._repository[base].id, self._repository[ours].id, self._repository[theirs].id
            )
            conflicts = [] if index.conflicts is None else list(index.conflicts)
            if conflicts:
                return self._conflicted(index, ours, conflicts)
            return Merged(str(index.write_tree(self._repository)))

    def splice(self, tree: str, changes: dict[bytes, BlobRef | None]) -> str:
        """The id of `tree` with other files at some paths (see `trees.splice`)."""
        return trees.splice(self._repository, tree, changes)

    def write_blob(self, content: bytes) -> str:
        """Store a content; returns its id. Raises GitFailed."""
        with as_git_failed("a content can't be written"):
            return str(self._repository.create_blob(content))

    def write_commit(
        self, tree: str, parents: Sequence[str], message: str, author: Signature, committer: Signature
    ) -> str:
        """Store a commit, on no branch; returns its id. Raises GitFailed."""
        with as_git_failed("a commit can't be written"):
            written = self._repository.create_commit(
                None, to_git(author), to_git(committer), message, tree, list(parents)
            )
        if written not in self._repository:  # pygit2 1.21 does not say so when the disk takes nothing
            raise GitFailed("a commit can't be written: the disk did not take it")
        return str(written)

    def move_ref(
        self, ref: str, old: str | None, new: str | None, reason: str = "", inherited_fds: Sequence[int] = ()
    ) -> None:
        """Move a ref from `old` to `new`, where None means that it does not exist: compare and swap.

        git inherits the locks in `inherited_fds`. Raises RefMoved when it is elsewhere, and GitFailed.
        """
        if old is not None and new is not None and self._swap(ref, old, new, reason):
            return
        arguments = ["update-ref", "--no-deref", "-m", reason or "repomesh"]
        command = [*arguments, ref, new] if new is not None else [*arguments, "-d", ref]
        try:
            run_git(
                self.git_dir, [*command, old if old is not None else NOTHING], inherited_fds=inherited_fds
            )
        except GitFailed:
            actual = self.ref(ref)
            if actual != old:
                raise RefMoved(ref, actual) from None
            raise

    def refs_below(self, prefix: str) -> list[str]:
        """The names of the refs that begin with `prefix`, in order; those that are not ASCII are left out."""
        raw = prefix.encode()
        with as_git_failed("the refs can't be read"):
            names = [name for name in self._repository.raw_listall_references() if name.startswith(raw)]
        return sorted(name.decode() for name in names if name.isascii())

    def pin(self, ref: str, commit: str) -> None:
        """Keep a commit from being collected as garbage, under a ref that no other commit has."""
        with as_git_failed(f"{ref} can't be written"):
            self._repository.create_reference_direct(ref, commit, True, message="repomesh")

    def unpin(self, ref: str) -> None:
        """Delete a ref that `pin` made; nothing happens where it is gone."""
        with as_git_failed(f"{ref} can't be deleted"), suppress(KeyError):
            self._repository.lookup_reference(ref).delete()

    # Within

    def _find_commit(self, commit: str) -> pygit2.Commit | None:
        """The commit with an id, or the tag's with it; None where there is none. Raises GitFailed."""
        with as_git_failed(f"the commit {commit} can't be read"):
            try:
                found = self._repository[commit]
            except (KeyError, ValueError) as error:  # no such object, no id, or the beginning of several
                if is_malformed(error):
                    raise
                return None
            return _as_commit(found)

    def _swap(self, ref: str, old: str, new: str, reason: str) -> bool:
        """Move a ref by libgit2, under the ref's lock; False where that refuses, and git is to say why."""
        import pygit2

        try:
            found = self._repository.lookup_reference(ref)
            if found.type != pygit2.enums.ReferenceType.DIRECT or str(found.target) != old:
                return False
            found.set_target(new, reason or "repomesh")
        except (KeyError, ValueError, OSError, pygit2.GitError):  # such as another's lock
            return False
        return True

    def _require_few_lines(self, blobs: Sequence[BlobRef]) -> None:
        """Count lines before libgit2 keeps a record of each. Binary files have none."""
        count = 0
        for blob in blobs:
            if blob.mode == SUBMODULE or blob.oid not in self._repository:
                continue
            if self._repository.odb.read_header(blob.oid)[1] > limits.CHANGE_BLOB_BYTES_MAX:
                continue  # the size alone is too large
            content = self.blob(blob.oid)
            count += 0 if b"\0" in content[:_BINARY_LOOK] else content.count(b"\n")
            if count > limits.CHANGE_LINES_MAX:
                raise LinesTooMany(
                    f"the changed files have more than {limits.CHANGE_LINES_MAX} lines together"
                )

    def _walk(self, base: str, head: str, order: SortMode, count_max: int) -> Iterator[str]:
        """The ids of the commits of `head` that `base` does not have. Raises GitFailed."""
        with as_git_failed("the commits' history can't be read"):
            walk = self._repository.walk(head, order)
            walk.hide(base)
            yield from (str(commit.id) for commit in islice(walk, count_max))

    def _lacks_objects(self) -> bool:
        """Whether this is a shallow or partial clone."""
        config = self._repository.config
        promised = any(entry.name.endswith(".promisor") for entry in config)
        return promised or self.is_shallow

    @cached_property
    def _merging(self) -> MergeProcess:
        own = self.private / "merging.git"
        if not (own / "HEAD").exists():
            run_git(own, ["init", "--quiet", "--bare", str(own)])
        history = {
            "GIT_OBJECT_DIRECTORY": str(self.objects),
            "GIT_SHALLOW_FILE": str(self.git_dir / "shallow"),
        }
        return MergeProcess(own, history)

    @cached_property
    def _comparison(self) -> Comparison:
        return Comparison(self.objects)

    def _entries(self, tree: str | None) -> dict[bytes, BlobRef]:
        """The entries of a tree; those read last are kept, since most paths share their folders."""
        if tree is None:
            return {}
        found = self._read_trees.get(tree)
        if found is None:
            if len(self._read_trees) >= _TREES_KEPT:
                self._read_trees.clear()
            found = self._read_trees[tree] = trees.entries(self._repository, tree)
        return found

    def _branch_behind(self, symbolic_ref: str, prefix: str) -> str | None:
        """The branch to which a symbolic ref leads, without `prefix`; None where it leads elsewhere."""
        with as_git_failed(f"{symbolic_ref} can't be read"):
            try:
                target = self._repository.lookup_reference(symbolic_ref).raw_target
            except (KeyError, ValueError):
                return None
        text = target.decode("utf-8", "replace") if isinstance(target, bytes) else ""
        return text.removeprefix(prefix) if text.startswith(prefix) else None

    def _conflicted(self, index: Any, ours: str, conflicts: list[Any]) -> Conflicted:
        """The conflicts in an index of libgit2. The result's tree has `ours` of the conflicted files."""
        files: dict[bytes, ConflictedFile] = {}
        for sides in conflicts:
            path = next(side.path for side in sides if side is not None).encode("utf-8", "surrogateescape")
            files[path] = ConflictedFile(path, *(_index_side(side) for side in sides))
        for file in files.values():
            del index.conflicts[file.path.decode("utf-8", "surrogateescape")]
        tree = str(index.write_tree(self._repository))
        return Conflicted(self.splice(tree, {f.path: f.ours for f in files.values()}), tuple(files.values()))


def _as_commit(found: pygit2.Object) -> pygit2.Commit | None:
    """A commit, also the one that a tag names; None for a file and a folder."""
    import pygit2

    while isinstance(found, pygit2.Tag):
        found = found.get_object()
    return found if isinstance(found, pygit2.Commit) else None


def _common_dir(git_dir: Path) -> Path:
    """The git folder that all work trees of a repository share."""
    try:
        return (git_dir / (git_dir / "commondir").read_text().strip()).resolve()
    except (OSError, UnicodeDecodeError):
        return git_dir


def _not_opened(path: Path, error: Exception) -> NoGitRepository:
    if "object format" in str(error):
        return NoGitRepository(
            f"the repository {path} has ids of SHA-256",
            hint="The merge queue works on repositories with ids of SHA-1: those that 'git init' makes.",
        )
    return NoGitRepository(f"the repository {path} can't be opened: {error}")


def _state_of(file: Path) -> tuple[int, int] | None:
    """By which a file that was replaced is known; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _encoding_of(commit: pygit2.Commit) -> str | None:
    """The encoding that a commit names; None where its name can't be read either."""
    try:
        return commit.message_encoding
    except UnicodeDecodeError:
        return None


def _index_side(entry: Any) -> BlobRef | None:
    return None if entry is None else BlobRef(f"{int(entry.mode):o}", str(entry.id))
