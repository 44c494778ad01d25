"""Lines of files and hunks, and the one place at which a hunk fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from repomesh.kernel import limits

NEWLINE = b"\n"


def split_lines(content: bytes) -> list[bytes]:
    """The lines of a file, each with its ending; the last one may have none."""
    lines = content.split(NEWLINE)
    last = lines.pop()
    return [line + NEWLINE for line in lines] + ([last] if last else [])


def has_crlf_only(lines: Sequence[bytes]) -> bool:
    """Whether every line that ends, and at least one does, ends with CR LF."""
    ended = [line for line in lines if line.endswith(NEWLINE)]
    return bool(ended) and all(line.endswith(b"\r\n") for line in ended)


def with_crlf(lines: Sequence[bytes]) -> list[bytes]:
    """The lines with CR LF instead of a bare LF."""
    return [
        line[:-1] + b"\r\n" if line.endswith(NEWLINE) and not line.endswith(b"\r\n") else line
        for line in lines
    ]


def places(lines: Sequence[bytes], block: Sequence[bytes]) -> list[int]:
    """The indexes at which `block` stands in `lines`, up to PATCH_PLACES_MAX of them.

    The last line of a file matches also where it lacks the line ending that the block has there.
    """
    return [
        position for position, _ in zip(_places(lines, block), range(limits.PATCH_PLACES_MAX), strict=False)
    ]


def _places(lines: Sequence[bytes], block: Sequence[bytes]) -> Iterator[int]:
    # Knuth, Morris and Pratt: a file of one line repeated would take quadratic time otherwise.
    if not block:
        return
    fallback = _fallbacks(block)
    matched = 0
    last = len(lines) - 1
    for index, line in enumerate(lines):
        while matched and not _same(line, block[matched], index == last):
            matched = fallback[matched - 1]
        if _same(line, block[matched], index == last):
            matched += 1
        if matched == len(block):
            yield index - matched + 1
            matched = fallback[matched - 1]


def _fallbacks(block: Sequence[bytes]) -> list[int]:
    fallback = [0] * len(block)
    length = 0
    for index in range(1, len(block)):
        while length and block[index] != block[length]:
            length = fallback[length - 1]
        if block[index] == block[length]:
            length += 1
        fallback[index] = length
    return fallback


def _same(line: bytes, wanted: bytes, is_last: bool) -> bool:
    return line == wanted or (is_last and not line.endswith(NEWLINE) and line + NEWLINE == wanted)
