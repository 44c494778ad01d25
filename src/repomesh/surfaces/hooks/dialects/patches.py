"""The files that a patch touches: a unified diff, git's diff, or the patch of Codex's `apply_patch`."""

from __future__ import annotations

from collections.abc import Iterator

from repomesh.kernel.git import unquote_path

_CODEX_HEADERS = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")
_DIFF_HEADER = "diff --git "
_GIT_HEADERS = ("rename from ", "rename to ", "copy to ")


def files_of_patch(text: str, strip: int | None = None, *, by_name: bool = False) -> list[str]:
    """The files that a patch of any kind touches, including old names of renamed and deleted ones.

    `strip` is the number of leading folders that `-p` removes from the names of a diff. Without it each name
    counts with its side (`a/`) or its first folder removed, and with `by_name` also without any folder, as
    `patch` looks for it.
    """
    lines = text.split("\n")
    files = files_of_codex_patch(lines)
    for name, has_side in _names_of_diff(lines):
        if strip is not None:
            files.append(_strip_folders(name, strip if has_side else max(strip - 1, 0)))
        else:
            files += [_strip_side(name), _strip_folders(name, 1)] if has_side else [name]
            files += [name.rpartition("/")[2]] if by_name else []
    return list(dict.fromkeys(filter(None, files)))


def files_of_codex_patch(lines: list[str]) -> list[str]:
    """The files that a patch in Codex's own format touches."""
    paths = []
    for line in lines:
        if line.startswith("*** "):
            prefix = next((header for header in _CODEX_HEADERS if line.startswith(header)), None)
            if prefix is not None:
                paths.append(line[len(prefix) :].strip())
    return [path for path in paths if path]


def _names_of_diff(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each name in a diff, with whether it begins with a side; the names in `rename from` don't."""
    for index, line in enumerate(lines):
        if line.startswith("+++ ") and index and lines[index - 1].startswith("--- "):
            for side in (lines[index - 1][4:], line[4:]):
                name = _unquote_name(side.partition("\t")[0].rstrip("\r "))
                if name != "/dev/null":
                    yield name, True
        elif line.startswith(_GIT_HEADERS):
            yield _unquote_name(line.split(" ", 2)[2].rstrip("\r")), False
        elif line.startswith(_DIFF_HEADER):  # all that names a binary file, or one whose mode alone changes
            sides = line[len(_DIFF_HEADER) :].rstrip("\r ")
            middle = len(sides) // 2
            first, second = _unquote_name(sides[:middle]), _unquote_name(sides[middle + 1 :])
            if _strip_folders(first, 1) == _strip_folders(second, 1) and sides[middle : middle + 1] == " ":
                yield first, True


def _strip_folders(name: str, count: int) -> str:
    """The name without its first folders; empty where it has fewer."""
    return name.split("/", count)[count] if name.count("/") >= count else ""


def _strip_side(name: str) -> str:
    return name[2:] if name.startswith(("a/", "b/")) else name


def _unquote_name(text: str) -> str:
    """The name that git quoted, where it has special characters."""
    return unquote_path(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
