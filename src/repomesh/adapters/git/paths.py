"""Paths of files in git: bytes there, text everywhere else; and the names that no tree may hold."""

from __future__ import annotations

from repomesh.kernel import limits
from repomesh.kernel.data_folder import DATA
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.unicode_text import normalize

_IGNORED_BY_HFS = frozenset(
    "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
)


# git's own folder, and the server's: its database and the owner's token are in the work tree.
_REFUSED = frozenset({".git", "git~1", DATA.casefold(), "repome~1"})


class PathRefused(InvalidRequest):
    """A path in a change would lead outside of the repository, or into the folder of git or of the server."""

    code = "path_refused"
    hint = "Name paths from the repository's root, without '..', '.git', '.repomesh' or a leading '/'."


def as_text(path: bytes) -> str:
    r"""A path as text: UTF-8; where it is none, with each such byte as \xNN and each backslash doubled."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def require_path(path: bytes) -> None:
    """Raise PathRefused unless `path` is one that git would check out below the repository's root."""
    if not path or len(path) > limits.QUEUE_PATH_BYTES_MAX:
        raise PathRefused(f"a path has 1 to {limits.QUEUE_PATH_BYTES_MAX} bytes, not {len(path)}")
    require_few_folders(path)
    if b"\0" in path or any(_is_refused(part) for part in path.split(b"/")):
        raise PathRefused(f"the path {as_text(path)[:200]!r} can't be part of a change")


def require_few_folders(path: bytes) -> None:
    """Raise PathRefused for a path of more folders than trees are read through."""
    if path.count(b"/") > limits.QUEUE_PATH_FOLDERS_MAX:
        raise PathRefused(f"a path in a change has at most {limits.QUEUE_PATH_FOLDERS_MAX} folders")


def _is_refused(name: bytes) -> bool:
    """Whether git refuses a name in a tree, on this or another system (`git help fsck`: hasDotgit)."""
    if name in (b"", b".", b"..") or len(name) > limits.QUEUE_NAME_BYTES_MAX:
        return True
    text = normalize("NFKC", name.decode("utf-8", "replace"))
    plain = "".join(letter for letter in text if letter not in _IGNORED_BY_HFS).casefold()
    # NTFS drops trailing dots and spaces, what follows a colon, and knows '.git' as 'git~1'.
    return plain.split(":")[0].split("\\")[0].rstrip(". ") in _REFUSED
