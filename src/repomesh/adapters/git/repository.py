"""One repository: its commits, trees, differences and refs, read and written through libgit2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repomesh.adapters.git import trees
from repomesh.adapters.git.commands import run_git
from repomesh.adapters.git.differences import Comparison, TreeDifference
from repomesh.adapters.git.engine_process import MergeEnded, MergeProcess
from repomesh.adapters.git.errors import (
    GitFailed,
    LinesTooMany,
    ObjectsMissing,
    RevisionNotFound,
)
from repomesh.adapters.git.libgit2_errors import as_git_failed, is_malformed
from repomesh.adapters.git.merge_results import (
    BlobRef,
    Conflicted,
    ConflictedFile,
    Merged,
    MergeResult,
    parse_answer,
)
from repomesh.adapters.git.modes import CONTENTS, SUBMODULE
from repomesh.adapters.git.refs import RepositoryRefs, as_commit
from repomesh.adapters.git.signatures import Signature, decode, to_git
from repomesh.kernel import limits

if TYPE_CHECKING:
    import pygit2
    from pygit2.enums import SortMode

_COMMIT_ID = re.compile(r"[0-9a-f]{7,40}")
_ID_CHARS = 40
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


class Repository(RepositoryRefs):
    """The objects of a repository beside its refs: read, compared, merged and written.

    Raises EngineMissing, and NoGitRepository where `path` is not in a repository that can be worked on.
    """

    def __init__(self, path: Path, private: Path) -> None:
        super().__init__(path, private)
        self._read_trees: dict[str, dict[bytes, BlobRef]] = {}

    def close(self) -> None:
        """End git's resident process."""
        if "_merging" in self.__dict__:
            self._merging.close()

    # What there is

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

    def files(self, tree: str, count_max: int) -> dict[bytes, BlobRef] | None:
        """All files of a tree by path; None for more than `count_max`. Raises GitFailed and PathRefused."""
        found = trees.differing_files(self._entries, None, tree, count_max)
        return None if found is None else found[1]

    def text(self, blob: BlobRef, bytes_max: int) -> bytes | None:
        """The content of an ordinary file; None for a link or a submodule. Raises GitFailed.

        Of a file of more than `bytes_max` bytes, which is not read, as many spaces and one.
        """
        if blob.mode not in CONTENTS:
            return None
        with as_git_failed(f"the content {blob.oid} can't be read"):
            _type, size = self._repository.odb.read_header(blob.oid)
        return self.blob(blob.oid) if size <= bytes_max else b" " * (bytes_max + 1)

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

    def find_case_twin(
        self, old_tree: str, new_tree: str, paths: Iterable[bytes]
    ) -> tuple[bytes, bytes] | None:
        """The first of `paths` of `new_tree` that differs from another in case only (see `trees`)."""
        return trees.find_case_twin(self._entries, old_tree, new_tree, paths)

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

    # Within

    def _find_commit(self, commit: str) -> pygit2.Commit | None:
        """The commit with an id, or the tag's with it; None where there is none. Raises GitFailed."""
        with as_git_failed(f"the commit {commit} can't be read"):
            try:
                if len(commit) == _ID_CHARS:
                    self._require_small(commit)
                found = self._repository[commit]
            except (KeyError, ValueError) as error:  # no such object, no id, or the beginning of several
                if is_malformed(error):
                    raise
                return None
            return as_commit(found)

    def _require_few_lines(self, blobs: Sequence[BlobRef]) -> None:
        """Count lines before libgit2 keeps a record of each. Binary files have none."""
        count = 0
        for blob in blobs:
            if blob.mode == SUBMODULE or blob.oid not in self._repository:
                continue
            if self._repository.odb.read_header(blob.oid)[1] > limits.CHANGE_COMPARED_BYTES_MAX:
                continue  # it is not compared
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


def _encoding_of(commit: pygit2.Commit) -> str | None:
    """The encoding that a commit names; None where its name can't be read either."""
    try:
        return commit.message_encoding
    except UnicodeDecodeError:
        return None


def _index_side(entry: Any) -> BlobRef | None:
    return None if entry is None else BlobRef(f"{int(entry.mode):o}", str(entry.id))
