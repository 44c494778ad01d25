"""What an index can tell of a path before patterns are compared: kind, name and depth, and LIKE patterns.

Each filter lets through all that may conflict, and some that does not; the exact comparison follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypedDict

from repomesh.domains.leases.resources import PATH

KIND_PATTERN, KIND_FOLDER = "*", "/"
"""Kinds of locks beside the extensions of files: a path with wildcards, and what may be a folder."""
READ_PLANS = ("by_name", "by_name_start", "by_depth", "by_depth_and_kind", "files", "any")
"""Files by name; by the start of their names; by depth; by depth and kind; by kind; all of them."""
KIND_CHARS_MAX = 16  # with the dot: beside a path of 2,000 bytes it must fit into an entry of an index
NAME_CHARS_MAX = 64  # of a name; what is longer is indexed by its start, for the same reason
LIKE_PARTS_MAX = 4  # texts between wildcards; what one LIKE costs grows with them, for each row that is read
LIKE_DEPTH_MAX = 8  # segments from the first wildcard on; the same for the LIKE that finds deeper paths

_LAST = "\U0010ffff"
_MATCHES_NOTHING = "/"  # as a LIKE pattern: no stored path is this
_NAME_WILDCARD = re.compile(r"[*?\[\]]")
# `**` with the slashes beside it, since it may stand for nothing; a class, at its longest; a `*`.
_WILDCARD = re.compile(r"(?:^|/)\*\*(?:/|$)|\[[^/]*\]|\*+|[\[\]]")
_SPECIAL = re.compile(r"[\\%_]")


class PathTraits(TypedDict):
    """The columns by which locks on paths are indexed beside their prefix."""

    kind: str
    """What `kind_of` returns."""
    name: str | None
    """The first NAME_CHARS_MAX characters of a file's name; None for all that is no file by its kind."""
    depth: int | None
    """How many segments a file's path has; None for all that is no file by its kind."""


@dataclass(frozen=True, slots=True)
class PathFilter:
    """What a file or folder below a pattern's prefix must be like to be in conflict with the pattern."""

    kind: str | None
    """The kind of all files that the pattern holds; None when they may be of any kind."""
    like: str
    """A LIKE pattern of the files' paths, with a backslash as the escape character."""
    deeper: str
    """A LIKE pattern of paths that lie deeper than the pattern reaches."""
    depth: int | None
    """How many segments the paths of all files have that the pattern holds; None with `**`."""
    stem: str
    """What the names of all files begin with, at most NAME_CHARS_MAX characters; empty for any."""
    behind_stem: str
    """What follows all names that begin with the stem."""
    read_plan: str
    """The narrowest way to read the files: one of READ_PLANS."""


def kind_of(text: str, prefix: str) -> str:
    """The extension (`.py`) of a path that looks like a file's; else KIND_PATTERN or KIND_FOLDER.

    It is stored with each lock: another rule needs a migration of the stored kinds.
    """
    if text != prefix:
        return KIND_PATTERN
    name = text.rpartition("/")[2]
    extension = name[name.rindex(".") :] if "." in name[1:] else ""
    return extension if 0 < len(extension) <= KIND_CHARS_MAX else KIND_FOLDER


def prefilter_columns(type_: str, text: str, prefix: str) -> PathTraits:
    """What the row of a lock on a resource is indexed by.

    It is stored with each lock: another rule needs a migration of the stored columns.
    """
    kind = kind_of(text, prefix)
    if type_ != PATH or kind in (KIND_PATTERN, KIND_FOLDER):
        return PathTraits(kind=kind, name=None, depth=None)
    name = text.rpartition("/")[2]
    return PathTraits(kind=kind, name=name[:NAME_CHARS_MAX], depth=_depth(text))


def filter_of(pattern: str, prefix: str) -> PathFilter:
    """The filter for what stands below the `prefix` of a normalised pattern."""
    base = prefix + "/" if prefix else ""
    suffix = pattern[len(base) :]
    segments = suffix.split("/")
    kind, stem = _kind_of_files(suffix), _NAME_WILDCARD.split(segments[-1])[0]
    depth = None if "**" in segments else _depth(pattern)
    # In one folder the files are few, and so are they at the top of a tree: the depth finds those alone.
    by_depth = depth is not None and (len(segments) == 1 or not stem)
    behind_stem = _upper_bound(stem[:NAME_CHARS_MAX])
    read_plan = "any"
    if stem == segments[-1]:
        read_plan = "by_name"
    elif by_depth:
        read_plan = "by_depth_and_kind" if kind else "by_depth"
    elif behind_stem:
        read_plan = "by_name_start"
    elif kind:
        read_plan = "files"
    like, deeper = _path_like(suffix), _deeper_like(base, suffix)
    return PathFilter(kind, like, deeper, depth, stem[:NAME_CHARS_MAX], behind_stem, read_plan)


def _kind_of_files(suffix: str) -> str | None:
    name = suffix.rpartition("/")[2]
    tail = _NAME_WILDCARD.split(name)[-1]
    if tail == name:
        return kind_of(name, name)
    return tail[tail.rindex(".") :] if "." in tail else None


def _path_like(suffix: str) -> str:
    *parts, last = (_escape_like(part).replace("?", "_") for part in _WILDCARD.split(suffix))
    last_parts = [part for part in parts if part][1 - LIKE_PARTS_MAX :]
    return "%" + "%".join([*last_parts, last])


def _deeper_like(base: str, suffix: str) -> str:
    segments = suffix.split("/")
    if "**" in segments or len(segments) > LIKE_DEPTH_MAX:
        return _MATCHES_NOTHING
    return _escape_like(base) + "%" + "/%" * len(segments)


def _depth(path: str) -> int:
    return path.count("/") + 1


def _upper_bound(stem: str) -> str:
    """The least text that follows all that begin with a stem; empty when none does."""
    stem = stem.rstrip(_LAST)
    if not stem:
        return ""
    following = chr(0xE000 if stem[-1] == "\ud7ff" else ord(stem[-1]) + 1)  # no lone surrogates
    return stem[:-1] + following


def _escape_like(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
