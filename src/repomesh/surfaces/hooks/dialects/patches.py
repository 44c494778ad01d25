"""Which files a patch touches: a unified diff, git's diff, or the patch of Codex's `apply_patch`."""

from __future__ import annotations

from collections.abc import Iterator

_OF_CODEX = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")
_OF_GIT = ("rename from ", "rename to ", "copy to ")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def patched(text: str) -> list[str]:
    """The files that a patch of either kind touches, old names of renamed and deleted ones included."""
    lines = text.split("\n")
    return [*of_codex(lines), *_of_diff(lines)]


def of_codex(lines: list[str]) -> list[str]:
    """The files that a patch in Codex's own format touches."""
    found = []
    for line in lines:
        if line.startswith("*** "):
            prefix = next((one for one in _OF_CODEX if line.startswith(one)), None)
            if prefix is not None:
                found.append(line[len(prefix) :].strip())
    return [path for path in found if path]


def _of_diff(lines: list[str]) -> Iterator[str]:
    for index, line in enumerate(lines):
        if line.startswith("+++ ") and index and lines[index - 1].startswith("--- "):
            for side in (lines[index - 1][4:], line[4:]):
                name = _without_side(_name(side.partition("\t")[0].rstrip("\r ")))
                if name != "/dev/null":
                    yield name
        elif line.startswith(_OF_GIT):
            yield _name(line.split(" ", 2)[2].rstrip("\r"))


def _without_side(name: str) -> str:
    return name[2:] if name.startswith(("a/", "b/")) else name


def _name(text: str) -> str:
    """A name as git quotes it: in C's way when it has special characters, each byte of them in octal."""
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
