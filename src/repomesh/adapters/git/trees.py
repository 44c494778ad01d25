"""Trees with some of their paths replaced: only the folders on the way are written anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from repomesh.adapters.git.libgit2_errors import as_git_failed
from repomesh.adapters.git.merge_results import BlobRef
from repomesh.adapters.git.modes import FOLDER, TREE_TYPE
from repomesh.adapters.git.paths import require_few_folders
from repomesh.kernel.unicode_text import normalize

_OID_BYTES = 20
_FOLDERS_PER_FILE = 20  # at most, on the way to the files that differ


Files = dict[bytes, BlobRef]
"""Files of a tree by their path."""


def splice(repository: Any, tree: str | None, changes: Mapping[bytes, BlobRef | None]) -> str:
    """The id of `tree`, None for an empty one, with `changes`: a blob for each path, or None for nothing.

    A file replaces a folder of its name, and a folder a file. Folders that get empty are left out.
    `repository` is a pygit2.Repository. Raises GitFailed when a tree can't be read or written.
    """
    return _splice(repository, tree, changes) or _write(repository, {})


def entries(repository: Any, tree: str | None) -> dict[bytes, BlobRef]:
    """The entries of one tree by name, exactly as its bytes say."""
    if tree is None:
        return {}
    with as_git_failed(f"tree {tree} can't be read"):
        raw: bytes = repository[tree].read_raw()
    found: dict[bytes, BlobRef] = {}
    position = 0
    while position < len(raw):
        end = raw.index(b"\0", position)
        mode, _, name = raw[position:end].partition(b" ")
        found[name] = BlobRef(mode.decode(), raw[end + 1 : end + 1 + _OID_BYTES].hex())
        position = end + 1 + _OID_BYTES
    return found


def find(entries_of: Callable[[str | None], Files], tree: str, path: bytes) -> BlobRef | None:
    """The file at `path`; None where there is none, or a folder."""
    *folders, name = path.split(b"/")
    for folder in folders:
        entry = entries_of(tree).get(folder)
        if entry is None or entry.mode != FOLDER:
            return None
        tree = entry.oid
    entry = entries_of(tree).get(name)
    return None if entry is None or entry.mode == FOLDER else entry


def differing_files(
    entries_of: Callable[[str | None], Files], old: str | None, new: str, count_max: int
) -> tuple[Files, Files] | None:
    """The files of each of two trees that the other has not so; None for more than `count_max` paths.

    An `old` of None is an empty tree: all files of `new` differ from it.

    Trees are compared folder by folder, so that no more is read than `count_max` allows, however many files a
    tree of few objects has. `entries_of` returns the entries of a tree, as `entries` does.
    Raises PathRefused where they differ below more folders than a path of a change may have.
    """
    paths: set[bytes] = set()
    files: tuple[Files, Files] = {}, {}
    folders: list[tuple[bytes, str | None, str | None]] = [(b"", old, new)]
    looks = 0
    while folders:
        prefix, old_tree, new_tree = folders.pop()
        require_few_folders(prefix)
        looks += 1
        before, after = entries_of(old_tree), entries_of(new_tree)
        for name in before.keys() | after.keys():
            sides = before.get(name), after.get(name)
            if sides[0] == sides[1]:
                continue
            subtrees = [side.oid if side is not None and side.mode == FOLDER else None for side in sides]
            if any(subtrees):
                folders.append((prefix + name + b"/", subtrees[0], subtrees[1]))
            for side, found in zip(sides, files, strict=True):
                if side is not None and side.mode != FOLDER:
                    found[prefix + name] = side
                    paths.add(prefix + name)
        if len(paths) > count_max or looks + len(folders) > count_max * _FOLDERS_PER_FILE:
            return None
    return files


def find_case_twin(
    entries_of: Callable[[str | None], Files], old: str, new: str, paths: Iterable[bytes]
) -> tuple[bytes, bytes] | None:
    """The first path in `new` that differs from another one in case or accents only, and that other.

    Two folders of one such name count as well: macOS and Windows check out both as one. Those that the tree
    `old` has already do not.
    """
    names_of: dict[str, dict[str, list[bytes]]] = {}
    for path in paths:
        folder, tree, old_tree = b"", new, cast(str | None, old)
        for name in path.split(b"/"):
            inside, before = entries_of(tree), entries_of(old_tree)
            names = names_of.get(tree)
            if names is None:
                names = names_of[tree] = _by_folded_name(inside)
            for other in names[_folded(name)]:
                if other != name and not (name in before and other in before):
                    return path, folder + other
            folder, tree = folder + name + b"/", inside[name].oid
            entry = before.get(name)
            old_tree = entry.oid if entry is not None and entry.mode == FOLDER else None
    return None


def _by_folded_name(names: Iterable[bytes]) -> dict[str, list[bytes]]:
    found: defaultdict[str, list[bytes]] = defaultdict(list)
    for name in names:
        found[_folded(name)].append(name)
    return found


def _folded(name: bytes) -> str:
    return normalize("NFC", name.decode("utf-8", "surrogateescape")).casefold()


def _splice(repository: Any, tree: str | None, changes: Mapping[bytes, BlobRef | None]) -> str | None:
    """The id of the changed tree; None when nothing is left in it."""
    current = entries(repository, tree)
    below: defaultdict[bytes, dict[bytes, BlobRef | None]] = defaultdict(dict)
    for path, blob in changes.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            below[name][rest] = blob
        elif blob is None:
            if name in current and current[name].mode != FOLDER:
                del current[name]
        else:
            current[name] = blob
    for name, inner in below.items():
        folder = current.get(name)
        is_folder = folder is not None and folder.mode == FOLDER
        if not is_folder and not any(inner.values()):
            continue  # nothing to delete in what is no folder
        subtree = _splice(repository, folder.oid if folder is not None and is_folder else None, inner)
        if subtree is None:
            current.pop(name, None)
        else:
            current[name] = BlobRef(FOLDER, subtree)
    return _write(repository, current) if current else None


def _write(repository: Any, current: Mapping[bytes, BlobRef]) -> str:
    ordered = sorted(current.items(), key=lambda item: item[0] + b"/" if item[1].mode == FOLDER else item[0])
    raw = b"".join(
        blob.mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(blob.oid)
        for name, blob in ordered
    )
    with as_git_failed("a tree can't be written"):
        return str(repository.write(TREE_TYPE, raw))
