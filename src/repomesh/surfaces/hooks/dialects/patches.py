"""The files that a patch touches: a unified diff, git's diff, or the patch of Codex's `apply_patch`."""

from __future__ import annotations

from collections.abc import Iterator

_CODEX_HEADERS = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")
_GIT_HEADERS = ("rename from ", "rename to ", "copy to ")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def files_of_patch(text: str) -> list[str]:
    """The files that a patch of any kind touches, including old names of renamed and deleted ones."""
    lines = text.split("\n")
    return [*files_of_codex_patch(lines), *_files_of_diff(lines)]


def files_of_codex_patch(lines: list[str]) -> list[str]:
    """The files that a patch in Codex's own format touches."""
    paths = []
    for line in lines:
        if line.startswith("*** "):
            prefix = next((header for header in _CODEX_HEADERS if line.startswith(header)), None)
            if prefix is not None:
                paths.append(line[len(prefix) :].strip())
    return [path for path in paths if path]


def _files_of_diff(lines: list[str]) -> Iterator[str]:
    for index, line in enumerate(lines):
        if line.startswith("+++ ") and index and lines[index - 1].startswith("--- "):
            for side in (lines[index - 1][4:], line[4:]):
                name = _strip_side(_unquote_name(side.partition("\t")[0].rstrip("\r ")))
                if name != "/dev/null":
                    yield name
        elif line.startswith(_GIT_HEADERS):
            yield _unquote_name(line.split(" ", 2)[2].rstrip("\r"))


def _strip_side(name: str) -> str:
    return name[2:] if name.startswith(("a/", "b/")) else name


def _unquote_name(text: str) -> str:
    """The name that git quoted: in C style, with octal bytes, when it has special characters."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    raw, index, text = bytearray(), 0, text[1:-1]
    while index < len(text):
        if text[index] != "\\" or index + 1 == len(text):
            raw += text[index].encode("utf-8", "surrogateescape")
            index += 1
        elif text[index + 1 : index + 4].isdigit() and len(text) >= index + 4:
            raw.append(int(text[index + 1 : index + 4], 8) & 0xFF)
            index += 4
        else:
            raw.append(_ESCAPES.get(text[index + 1], ord(text[index + 1]) & 0xFF))
            index += 2
    return raw.decode("utf-8", "surrogateescape")
