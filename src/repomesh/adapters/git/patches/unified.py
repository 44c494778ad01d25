"""Unified diffs, as git and as models write them.

Counts are made anew from the lines of a hunk. Where a hunk stands is found by its lines: it must fit at
exactly one place. Only when the diff names the blob that the base has (`index OLD..NEW`) its line numbers are
believed, and then the result must be the blob that it names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from repomesh.adapters.git.modes import CONTENTS, REGULAR, SYMLINK
from repomesh.adapters.git.patches.files import PatchedFile, PatchedFiles, PatchRefused
from repomesh.adapters.git.patches.lines import NEWLINE, has_crlf_only, places, split_lines, with_crlf
from repomesh.adapters.git.paths import as_text

_HUNK = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_LOOSE_HUNK = re.compile(rb"@@(\s|$)")
_INDEX = re.compile(rb"index ([0-9a-f]{7,40})\.\.([0-9a-f]{7,40})(?: (\d{6}))?$")
_MODES = CONTENTS | {SYMLINK}
_NO_NEWLINE = b"\\ "
_NOTHING = b"/dev/null"
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_ESCAPED = re.compile(rb"\\([0-7]{3}|.)")
_FULL_ID = 40


@dataclass(slots=True)
class _Hunk:
    """Lines with ' ', '-' or '+' before them. The header's numbers are None where it has none."""

    line: int
    old_start: int | None
    old_count: int | None
    new_count: int | None
    body: list[bytes] = field(default_factory=list)
    old_seen: int = 0
    new_seen: int = 0

    def add(self, line: bytes) -> None:
        """Add a line of the body."""
        self.body.append(line)
        self._count(line, 1)

    def drop_last(self) -> None:
        """Take the last line of the body away."""
        self._count(self.body.pop(), -1)

    def _count(self, line: bytes, by: int) -> None:
        self.old_seen += by if line[:1] in (b" ", b"-") else 0
        self.new_seen += by if line[:1] in (b" ", b"+") else 0

    def old_lines(self) -> list[bytes]:
        return [line[1:] for line in self.body if line[:1] in (b" ", b"-")]

    def new_lines(self) -> list[bytes]:
        return [line[1:] for line in self.body if line[:1] in (b" ", b"+")]

    @property
    def counts_hold(self) -> bool:
        return self.old_count == self.old_seen and self.new_count == self.new_seen


@dataclass(slots=True)
class _FilePatch:
    """What a diff says about one file. A path is None where the diff has /dev/null or says nothing."""

    line: int
    old_path: bytes | None = None
    new_path: bytes | None = None
    old_oid: str = ""
    new_oid: str = ""
    new_mode: str = ""
    created: bool = False
    deleted: bool = False
    renamed: bool = False
    copied: bool = False
    hunks: list[_Hunk] = field(default_factory=list)


def apply_unified(text: bytes, files: PatchedFiles) -> None:
    """Apply a unified diff. Raises PatchRefused and PathRefused."""
    lines = split_lines(text)
    if has_crlf_only(lines):  # the diff itself came by way of a system that ends lines so
        lines = [line.removesuffix(b"\r\n") + NEWLINE if line.endswith(b"\r\n") else line for line in lines]
    patches = list(_Parser(lines).parse())
    if not patches:
        raise PatchRefused("there is no diff: '--- a/PATH' and '+++ b/PATH' begin one, and '@@' its hunks")
    for patch in patches:
        _apply(patch, files)


def _apply(patch: _FilePatch, files: PatchedFiles) -> None:
    path = patch.new_path or patch.old_path
    if path is None:
        raise PatchRefused(f"line {patch.line}: the diff names no file")
    if patch.created or patch.old_path is None:
        _create(patch, path, files)
        return
    source = files.require(patch.old_path)
    files.spend(len(patch.hunks) * source.content.count(NEWLINE))
    content = _patched_content(patch, source.content)
    if patch.deleted or patch.new_path is None:
        if content:
            raise PatchRefused(
                f"{as_text(patch.old_path)} is to be deleted, but has lines that the diff does not delete"
            )
        files.delete(patch.old_path)
        return
    if path != patch.old_path:
        current = files.read(path)
        if current is not None:
            raise PatchRefused(f"{as_text(path)} exists in the base commit; nothing can be renamed to it")
        if not patch.copied:
            files.delete(patch.old_path)
    files.write(path, PatchedFile(content, patch.new_mode or source.mode))


def _create(patch: _FilePatch, path: bytes, files: PatchedFiles) -> None:
    if any(hunk.old_lines() for hunk in patch.hunks):
        raise PatchRefused(
            f"{as_text(path)} is to be created, but the diff has lines of an older version of it"
        )
    _refuse_cut_off(patch)
    content = b"".join(line for hunk in patch.hunks for line in hunk.new_lines())
    _require_result(patch, path, content)
    files.create(path, PatchedFile(content, patch.new_mode or REGULAR))


def _patched_content(patch: _FilePatch, content: bytes) -> bytes:
    """The content that the hunks make. Raises PatchRefused."""
    assert patch.old_path is not None
    _refuse_cut_off(patch)
    lines = split_lines(content)
    is_base = bool(patch.old_oid) and _blob_id(content).startswith(patch.old_oid)
    if patch.old_oid and not is_base:
        raise PatchRefused(
            f"{as_text(patch.old_path)} is another version in the base commit than the diff was made from",
            hint="Name the commit that the diff was made from as 'base_commit', or make it anew from that.",
        )
    if is_base and all(hunk.counts_hold and hunk.old_start is not None for hunk in patch.hunks):
        exact = _apply_at_numbers(patch.hunks, lines)
        if exact is not None and patch.new_oid and _blob_id(exact).startswith(patch.new_oid):
            return exact
    if has_crlf_only(lines) and not any(b"\r\n" in line for hunk in patch.hunks for line in hunk.body):
        for hunk in patch.hunks:
            hunk.body = with_crlf(hunk.body)
    patched = _apply_by_context(patch, lines)
    _require_result(patch, patch.old_path, patched)
    return patched


def _apply_at_numbers(hunks: Sequence[_Hunk], lines: list[bytes]) -> bytes | None:
    """The content with each hunk at the line that its header names; None where one does not fit there."""
    result: list[bytes] = []
    position = 0
    for hunk in hunks:
        old = hunk.old_lines()
        assert hunk.old_start is not None
        start = hunk.old_start - 1 if old else hunk.old_start
        if start < position or lines[start : start + len(old)] != old:
            return None
        result += [*lines[position:start], *hunk.new_lines()]
        position = start + len(old)
    return b"".join([*result, *lines[position:]])


def _apply_by_context(patch: _FilePatch, lines: list[bytes]) -> bytes:
    """The content with each hunk at the only place where its lines stand. Raises PatchRefused."""
    assert patch.old_path is not None
    starts: list[tuple[int, int, _Hunk]] = []
    for hunk in patch.hunks:
        old = hunk.old_lines()
        where = f"{as_text(patch.old_path)}, the hunk at line {hunk.line} of the diff"
        if not old:
            if lines:
                raise PatchRefused(f"{where}, has no line of the file around what it adds: add some context")
            starts.append((0, 0, hunk))
            continue
        found = places(lines, old)
        if not found:
            raise PatchRefused(f"{where}, fits nowhere in the base commit's version")
        if len(found) > 1:
            shown = ", ".join(str(place + 1) for place in found[:5])
            raise PatchRefused(f"{where}, fits in more than one place, at lines {shown}: add more context")
        starts.append((found[0], found[0] + len(old), hunk))
    starts.sort(key=lambda start: start[:2])
    result: list[bytes] = []
    position = 0
    for start, end, hunk in starts:
        if start < position:
            raise PatchRefused(f"{as_text(patch.old_path)}: two hunks change the same lines")
        result += [*lines[position:start], *_new_lines(hunk, lines[start:end])]
        position = end
    return b"".join([*result, *lines[position:]])


def _new_lines(hunk: _Hunk, matched: Sequence[bytes]) -> list[bytes]:
    """The new lines of a hunk; a line that it leaves alone stays exactly as the file has it."""
    result: list[bytes] = []
    index = 0
    for line in hunk.body:
        if line[:1] == b" ":
            result.append(matched[index])
        elif line[:1] == b"+":
            result.append(line[1:])
        if line[:1] in (b" ", b"-"):
            index += 1
    for index, line in enumerate(result[:-1]):  # a last line without an ending, with lines added behind it
        if not line.endswith(NEWLINE):
            result[index] = line + NEWLINE
    return result


def _refuse_cut_off(patch: _FilePatch) -> None:
    """Refuse a last hunk that is shorter than it says: its count may be wrong, or its end be missing."""
    for hunk in patch.hunks[-1:]:
        is_short = (hunk.old_count or 0) > hunk.old_seen or (hunk.new_count or 0) > hunk.new_seen
        if is_short:
            raise PatchRefused(
                f"the hunk at line {hunk.line} of the diff is shorter than it says: the diff may be cut off",
                hint="Send the whole diff, with the right counts in that hunk's '@@' line.",
            )


def _require_result(patch: _FilePatch, path: bytes, content: bytes) -> None:
    """Refuse a result other than the blob that the diff names in full."""
    if len(patch.new_oid) == _FULL_ID and int(patch.new_oid, 16) and _blob_id(content) != patch.new_oid:
        raise PatchRefused(f"{as_text(path)} would become another content than the diff's 'index' line names")


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Parser:
    """Reads the files and hunks of a diff from its lines; text around them is passed over."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._index = 0

    def parse(self) -> Iterator[_FilePatch]:
        """Yield what the diff says about each file. Raises PatchRefused for what can't be applied."""
        patch: _FilePatch | None = None
        while self._index < len(self._lines):
            line = self._lines[self._index].rstrip(b"\r\n")
            number = self._index + 1
            if line.startswith(b"diff --git "):
                if patch is not None:
                    yield patch
                patch = _FilePatch(number)
                patch.old_path, patch.new_path = _git_header_paths(line.removeprefix(b"diff --git "))
            elif line.startswith(b"--- ") and self._next_starts_with(b"+++ "):
                if patch is None or patch.hunks:
                    if patch is not None:
                        yield patch
                    patch = _FilePatch(number)
                self._read_paths(patch, line)
            elif _LOOSE_HUNK.match(line):
                if patch is None:
                    raise PatchRefused(
                        f"line {number} begins a hunk of no file: '--- a/PATH' must stand above it"
                    )
                patch.hunks.append(self._read_hunk(line))
                continue
            elif patch is not None and not patch.hunks:
                _read_header(patch, line, number)
            self._index += 1
        if patch is not None:
            yield patch

    def _next_starts_with(self, start: bytes) -> bool:
        return self._index + 1 < len(self._lines) and self._lines[self._index + 1].startswith(start)

    def _read_paths(self, patch: _FilePatch, line: bytes) -> None:
        self._index += 1
        old = _path(line[4:], b"a/")
        new = _path(self._lines[self._index].rstrip(b"\r\n")[4:], b"b/")
        if old is not None and new is not None and not (patch.renamed or patch.copied):
            old = new  # as `diff -u a.py.orig a.py` names them: only git's own header renames
        patch.old_path, patch.new_path = old, new
        patch.created = patch.created or old is None
        patch.deleted = patch.deleted or new is None

    def _read_hunk(self, header: bytes) -> _Hunk:
        numbers = _HUNK.match(header)
        if numbers is None:
            hunk = _Hunk(self._index + 1, None, None, None)
        else:
            old_start, old_count, _new_start, new_count = numbers.groups()
            hunk = _Hunk(self._index + 1, int(old_start), int(old_count or 1), int(new_count or 1))
        self._index += 1
        while self._index < len(self._lines) and not self._is_end(hunk):
            self._read_body_line(hunk, self._lines[self._index])
            self._index += 1
        while not hunk.counts_hold and hunk.body and hunk.body[-1] == b" \n" and self._was_empty(hunk):
            hunk.drop_last()  # an empty line behind the diff, no part of it
        return hunk

    def _was_empty(self, hunk: _Hunk) -> bool:
        body_end = hunk.line + len(hunk.body)
        return body_end <= len(self._lines) and not self._lines[body_end - 1].strip()

    def _read_body_line(self, hunk: _Hunk, line: bytes) -> None:
        if line.startswith(_NO_NEWLINE):
            if hunk.body:
                hunk.body[-1] = hunk.body[-1].removesuffix(NEWLINE)
        elif not line.strip(b"\r\n"):
            hunk.add(b" " + line)  # an empty line whose space a model or a mail program dropped
        else:
            hunk.add(line if line.endswith(NEWLINE) else line + NEWLINE)

    def _is_end(self, hunk: _Hunk) -> bool:
        line = self._lines[self._index]
        if hunk.counts_hold and not line.startswith(_NO_NEWLINE):
            return not self._continues(line)
        if line[:1] not in (b" ", b"+", b"-", b"\\", b"\n", b"\r"):
            return True
        return line.startswith(b"--- ") and self._next_starts_with(b"+++ ") and self._hunk_follows(2)

    def _continues(self, line: bytes) -> bool:
        """Whether a hunk goes on behind the lines that its counts name: they are too small."""
        if line[:1] not in (b" ", b"+", b"-"):
            return False
        is_signature = line.rstrip() == b"--"  # `git format-patch` ends with one
        is_header = line.startswith(b"--- ") and self._next_starts_with(b"+++ ")
        return not is_signature and not is_header

    def _hunk_follows(self, ahead: int) -> bool:
        index = self._index + ahead
        return index < len(self._lines) and _LOOSE_HUNK.match(self._lines[index]) is not None


def _read_header(patch: _FilePatch, line: bytes, number: int) -> None:
    """Take over what a line between 'diff --git' and the hunks says."""
    word, _, rest = line.partition(b" ")
    if line.startswith((b"GIT binary patch", b"Binary files ")):
        raise PatchRefused(
            f"line {number}: binary files can't be given as a diff",
            hint="Commit it to a branch, send a bundle, or the whole file as base64 with format 'files'.",
        )
    if line.startswith(b"new file mode "):
        patch.created, patch.new_mode = True, _mode(line, number)
        patch.old_path = None
    elif line.startswith(b"new mode "):
        patch.new_mode = _mode(line, number)
    elif line.startswith(b"deleted file mode "):
        patch.deleted = True
        patch.new_path = None
    elif line.startswith((b"rename from ", b"copy from ")):
        patch.old_path = _unquote(rest.removeprefix(b"from "))
        patch.renamed, patch.copied = word == b"rename", word == b"copy"
    elif line.startswith((b"rename to ", b"copy to ")):
        patch.new_path = _unquote(rest.removeprefix(b"to "))
    elif (match := _INDEX.match(line)) is not None:
        old_oid, new_oid, _mode_text = match.groups()
        patch.old_oid = old_oid.decode() if int(old_oid, 16) else ""
        patch.new_oid = new_oid.decode() if int(new_oid, 16) else ""


def _mode(line: bytes, number: int) -> str:
    mode = line.rsplit(b" ", 1)[1].decode("ascii", "replace")
    if mode not in _MODES:
        raise PatchRefused(f"line {number}: files of mode {mode} need a branch or a bundle, not a diff")
    return mode


def _git_header_paths(text: bytes) -> tuple[bytes | None, bytes | None]:
    """The paths in 'a/PATH b/PATH'; None where they can't be told apart, as with spaces in a renamed file."""
    if text.startswith(b'"'):
        end = re.match(rb'"(?:[^"\\]|\\.)*"', text)
        if end is not None:
            return _path(end[0], b"a/"), _path(text[end.end() + 1 :], b"b/")
        return None, None
    half = len(text) // 2
    if text[half : half + 1] == b" " and text[2:half] == text[half + 3 :]:
        return _path(text[:half], b"a/"), _path(text[half + 1 :], b"b/")
    old, _, new = text.partition(b" ")
    return (_path(old, b"a/"), _path(new, b"b/")) if b" " not in new else (None, None)


def _path(text: bytes, prefix: bytes) -> bytes | None:
    """A path of a '---' or '+++' line, without its prefix; None for /dev/null."""
    path = _unquote(text.split(b"\t")[0] if not text.startswith(b'"') else text)
    if path.rstrip() == _NOTHING:
        return None
    return path.removeprefix(prefix)


def _unquote(text: bytes) -> bytes:
    """A path as git quotes it (`core.quotePath`), without quotes and escapes."""
    text = text.rstrip(b"\r\n")
    if len(text) < 2 or not text.startswith(b'"'):
        return text
    end = re.match(rb'"((?:[^"\\]|\\.)*)"', text)
    if end is None:
        return text
    return _ESCAPED.sub(
        lambda match: (
            bytes([int(match[1], 8) & 0xFF]) if len(match[1]) == 3 else _ESCAPES.get(match[1], match[1])
        ),
        end[1],
    )
