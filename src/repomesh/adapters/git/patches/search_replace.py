"""Search and replace blocks: the path on a line of its own, then the text to find and what replaces it.

src/a.py
<<<<<<< SEARCH
old lines
=======
new lines
>>>>>>> REPLACE
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from repomesh.adapters.git.patches.files import PatchedFile, PatchedFiles, PatchRefused
from repomesh.adapters.git.patches.lines import has_crlf_only, places, split_lines, with_crlf
from repomesh.adapters.git.paths import as_text
from repomesh.kernel import limits

_SEARCH, _MIDDLE, _REPLACE = b"<<<<<<< SEARCH", b"=======", b">>>>>>> REPLACE"
_FENCE = b"```"


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    path: bytes
    search: list[bytes]
    replacement: list[bytes]


def apply_search_replace(text: bytes, files: PatchedFiles) -> None:
    """Apply the blocks in `text`, in their order. Raises PatchRefused and PathRefused."""
    count = 0
    for block in _parse(split_lines(text)):
        count += 1
        _apply(block, files)
    if not count:
        raise PatchRefused(f"there is no block: a line '{_SEARCH.decode()}' begins one, below its path")


def _apply(block: _Block, files: PatchedFiles) -> None:
    name = f"block {block.number} ({as_text(block.path)})"
    current = files.read(block.path)
    if not block.search:
        if current is not None and current.content:
            raise PatchRefused(
                f"{name} has nothing to search for, but the file exists: quote what it replaces"
            )
        mode = PatchedFile(b"").mode if current is None else current.mode
        files.write(block.path, PatchedFile(b"".join(block.replacement), mode))
        return
    file = files.require(block.path)
    lines = split_lines(file.content)
    files.spend(len(lines))
    search, replacement = block.search, block.replacement
    if has_crlf_only(lines):
        search, replacement = with_crlf(search), with_crlf(replacement)
    found = places(lines, search)
    if len(found) != 1:
        raise PatchRefused(f"{name} {_describe_places(found)}")
    [start] = found
    end = start + len(search)
    if end == len(lines) and lines and not lines[-1].endswith(b"\n") and replacement:
        replacement = [*replacement[:-1], replacement[-1].removesuffix(b"\n").removesuffix(b"\r")]
    content = b"".join([*lines[:start], *replacement, *lines[end:]])
    files.write(block.path, PatchedFile(content, file.mode))


def _describe_places(found: list[int]) -> str:
    if not found:
        return "was not found: quote the base commit's lines exactly, with their indentation"
    more = " and more" if len(found) >= limits.PATCH_PLACES_MAX else ""
    shown = ", ".join(str(position + 1) for position in found[:5])
    return f"is found more than once, at lines {shown}{more}: quote more lines around it"


def _parse(lines: list[bytes]) -> Iterator[_Block]:
    """Yield the blocks; a block without a path of its own is in the file of the one before it."""
    path = b""
    candidate = b""
    number = 0
    index = 0
    while index < len(lines):
        line = lines[index].rstrip()
        index += 1
        if line != _SEARCH:
            if line and not line.startswith(_FENCE):
                candidate = line.strip().strip(b"`")
            continue
        number += 1
        path, candidate = candidate or path, b""
        if not path:
            raise PatchRefused(f"block {number} names no file: its path stands on the line above it")
        search, index = _until(lines, index, _MIDDLE, number)
        replacement, index = _until(lines, index, _REPLACE, number)
        yield _Block(number, path, search, replacement)


def _until(lines: list[bytes], index: int, marker: bytes, number: int) -> tuple[list[bytes], int]:
    part: list[bytes] = []
    while index < len(lines):
        line = lines[index]
        index += 1
        if line.rstrip() == marker:
            return part, index
        if line.rstrip() in (_SEARCH, _MIDDLE, _REPLACE):
            break
        part.append(line)
    raise PatchRefused(
        f"block {number} has no line '{marker.decode()}' where one is due: it was cut off, or holds markers"
    )
