"""Imports sessions from files: one JSON document or JSON lines, with at most one piece in memory.

The server collects the pieces under the import's id and publishes them with the last one: all or nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, TextIO

from repomesh.client.errors import RemoteError
from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

FORMAT = "repomesh.session"
"""The value of `format`, the first key of an exported document."""
VERSION = 1

_READ_CHARS = 65_536
_ITEM_CHARS_MAX = 2 * limits.CONTENT_BODY_BYTES_MAX  # of one item; no export holds a longer one
_PIECE_ITEMS = limits.PAGE_ITEMS_MAX
_PIECE_CHARS = 2_000_000
_WHITESPACE = " \t\r\n"

Item = dict[str, Any]
Numbered = tuple[int, Item]
"""The line on which an item begins, and the item."""

_SESSION = ("title", "participants", "context", "metadata", "status", "reason", "created_by", "created_at")
_MEMORY = (
    "key",
    "type",
    "content",
    "tags",
    "confidence",
    "sources",
    "superseded_by",
    "reason",
    "author",
    "version",
)
_CONTENT = ("artifact_id", "media_type", "url", "content", "content_base64", "author", "version")
_CHUNK = (
    "id",
    "chunk_id",
    "sequence",
    "format",
    "speaker",
    "tags",
    "metadata",
    "content",
    "author",
    "created_at",
)
_FIELDS: dict[str, tuple[str, ...]] = {
    "session": (*_SESSION, "updated_at", "version"),
    "chunk": _CHUNK,
    "memory": ("id", *_MEMORY, "status", "created_at", "updated_at"),
    "memory_version": (*_MEMORY, "change", "at"),
    "artifact": ("id", *_CONTENT, "title", "type", "description", "tags", "created_at", "updated_at"),
    "artifact_version": (*_CONTENT, "at"),
}
"""The fields to send by kind of item; the server derives the others."""

_COUNTED = {"chunk": "chunks", "memory": "memories", "artifact": "artifacts", "task": "tasks"}


class BadFile(InvalidRequest):
    """The file is no session export, or is not complete; the message names the line."""

    hint = "Give a file that 'export' wrote. Nothing was imported."

    @classmethod
    def at(cls, line: int, message: str) -> Self:
        """Return the error about a line (counted from 1)."""
        return cls(f"line {line}: {message}", line=line)


class _JsonReader:
    """Reads JSON values and single characters from a file, in pieces, and counts lines."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._buffer = ""
        self._position = 0
        self._is_at_end = False
        self.line = 1

    def peek(self) -> str:
        """Skip whitespace and return the next character without taking it; empty at the end."""
        while True:
            while self._position < len(self._buffer):
                if self._buffer[self._position] not in _WHITESPACE:
                    return self._buffer[self._position]
                self._advance(self._position + 1)
            if not self._read_more(_READ_CHARS):
                return ""

    def skip(self, sign: str) -> None:
        """Take the character `sign`; raises BadFile if another one comes next."""
        character = self.peek()
        if character != sign:
            problem = f"'{sign}' is expected" + (
                f", not '{character}'" if character else ", and the file ends"
            )
            raise BadFile.at(self.line, problem)
        self._advance(self._position + 1)

    def skip_separator(self, closing: str) -> None:
        """Take the comma between two values, or nothing before the sign `closing`; raises BadFile."""
        if self.peek() == closing:
            return
        self.skip(",")
        if self.peek() == closing:
            raise BadFile.at(self.line, f"a value is expected after ',', not '{closing}'")

    def read_value(self) -> tuple[int, Any]:
        """Take one JSON value; return the line on which it begins and the value. Raises BadFile."""
        self.peek()
        first_line = self.line
        self._buffer, self._position = self._buffer[self._position :], 0
        size = _READ_CHARS
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer)
            except RecursionError:
                raise BadFile.at(first_line, "it nests too deep") from None
            except ValueError as error:
                size = min(size * 2, _ITEM_CHARS_MAX)
                if len(self._buffer) <= _ITEM_CHARS_MAX and self._read_more(size):
                    continue
                line_offset = getattr(error, "lineno", 1) - 1
                reason = getattr(error, "msg", str(error))
                raise BadFile.at(first_line + line_offset, f"is no JSON: {reason}") from None
            # A number may continue in the part that is not read yet.
            if end < len(self._buffer) or isinstance(value, dict | list | str) or not self._read_more(size):
                self._advance(end)
                return first_line, value

    def _advance(self, end: int) -> None:
        self.line += self._buffer.count("\n", self._position, end)
        self._position = end
        if self._position > _READ_CHARS:
            self._buffer, self._position = self._buffer[self._position :], 0

    def _read_more(self, size: int) -> bool:
        if self._is_at_end:
            return False
        try:
            text = self._file.read(size)
        except UnicodeDecodeError:
            raise BadFile.at(self.line, "is no text in UTF-8") from None
        self._is_at_end = not text
        self._buffer += text
        return bool(text)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read_items(file: TextIO) -> Iterator[Numbered]:
    """Yield the items of an export in either form, each with its line; raises BadFile."""
    reader = _JsonReader(file)
    if reader.peek() != "{":
        raise BadFile.at(
            reader.line, "does not begin with an object" if reader.peek() else "the file is empty"
        )
    line, first = _read_first(reader)
    if first is not None:
        yield line, _require_item(line, first)
        while reader.peek():
            line, item = reader.read_value()
            yield line, _require_item(line, item)
        return
    yield from _read_document(reader)
    if reader.peek():
        raise BadFile.at(reader.line, "the document has ended before")


def _read_first(reader: _JsonReader) -> tuple[int, Item | None]:
    """Return the first line and item of JSON lines; item None for a document, read up to its `items`."""
    line = reader.line
    reader.skip("{")
    fields: Item = {}
    is_document = False
    while reader.peek() != "}":
        _, name = reader.read_value()
        reader.skip(":")
        if not isinstance(name, str):
            raise BadFile.at(line, "a key is no text")
        is_document = is_document or (not fields and name == "format")
        if is_document and name == "items":
            return line, None
        fields[name] = reader.read_value()[1]
        if is_document and fields["format"] != FORMAT:
            raise BadFile.at(line, f"the format is not '{FORMAT}'")
        if is_document and fields.get("version", VERSION) != VERSION:
            raise BadFile.at(line, f"the version is not {VERSION}")
        reader.skip_separator("}")
    reader.skip("}")
    return line, fields


def _read_document(reader: _JsonReader) -> Iterator[Numbered]:
    reader.skip("[")
    while reader.peek() != "]":
        line, item = reader.read_value()
        yield line, _require_item(line, item)
        reader.skip_separator("]")
    reader.skip("]")
    while reader.peek() == ",":
        reader.skip(",")
        reader.read_value()
        reader.skip(":")
        reader.read_value()
    reader.skip("}")


def _require_item(line: int, item: Any) -> Item:
    if not isinstance(item, dict) or item.get("what") not in (*_FIELDS, "task"):
        raise BadFile.at(line, "is none of the things that an export holds")
    return item


async def import_session(
    client: Client, file: TextIO, session_id: str | None, *, resume: bool
) -> dict[str, Any]:
    """Import a session from an export, whole or not at all; returns its id and the number of items by kind.

    With `resume` an interrupted import of the same file is continued. Raises BadFile and RemoteError.
    """
    items = read_items(file)
    line, session = next(items)
    if session["what"] != "session" or not isinstance(session.get("id"), str):
        raise BadFile.at(line, "the first thing is not a session")
    new_id = session_id or session["id"]
    digest = hashlib.sha256(json.dumps([new_id, session], sort_keys=True).encode()).hexdigest()[:32]
    upload = _ImportUpload(client, digest, new_id)
    try:
        await upload.begin(line, session, resume=resume)
        counts = await upload.send_rest(items, session.get("counts"))
    except InvalidRequest:
        await upload.drop()
        raise
    return {"session_id": new_id} | counts


class _ImportUpload:
    """Sends the items of one import in pieces."""

    def __init__(self, client: Client, import_id: str, session_id: str) -> None:
        self._client = client
        self._ids = {"import_id": import_id, "session_id": session_id}
        self._to_skip = 0
        self._sent = 0
        self._piece: list[Numbered] = []
        self._chars = 0

    async def begin(self, line: int, first: Item, *, resume: bool) -> None:
        """Add the session itself; with `resume` skip the items that the server has already."""
        if resume:
            try:
                progress = await self._client.call_json(
                    "session.import_progress", {"import_id": self._ids["import_id"]}
                )
                self._to_skip = progress["taken"]
            except RemoteError as error:
                if error.code != "import_not_found":
                    raise
        await self._add(line, first)

    async def send_rest(self, items: Iterator[Numbered], expected: Any) -> dict[str, int]:
        """Send the other items, the last piece of which publishes the session; returns their number by kind.

        Raises BadFile if there are fewer items than the session `counted`.
        """
        counts = dict.fromkeys(("chunks", "memories", "artifacts", "tasks"), 0)
        line = 1
        for line, item in items:
            if (kind := _COUNTED.get(item["what"])) is not None:
                counts[kind] += 1
            if item["what"] != "task":
                await self._add(line, item)
        for kind, count in counts.items():
            if isinstance(expected, dict) and isinstance(expected.get(kind), int) and count < expected[kind]:
                raise BadFile.at(line, f"the file was cut: it holds {count} of {expected[kind]} {kind}")
        await self._send(done=True)
        counts["tasks_left_out"] = counts.pop("tasks")
        return counts

    async def drop(self) -> None:
        """Make the server drop the pieces that were sent."""
        await self._client.call_json("session.drop_import", {"import_id": self._ids["import_id"]})

    async def _add(self, line: int, item: Item) -> None:
        if self._to_skip > 0:
            self._to_skip -= 1
            self._sent += 1
            return
        fields = {name: item[name] for name in _FIELDS[item["what"]] if name in item}
        size = len(json.dumps(fields))
        if self._piece and (len(self._piece) == _PIECE_ITEMS or self._chars + size > _PIECE_CHARS):
            await self._send(done=False)
        self._piece.append((line, {"what": item["what"]} | fields))
        self._chars += size

    async def _send(self, *, done: bool) -> None:
        piece = {"after": self._sent, "items": [item for _line, item in self._piece], "done": done}
        try:
            await self._client.call_json("session.import", self._ids | piece)
        except RemoteError as error:
            raise self._locate_error(error) from None
        self._sent += len(self._piece)
        self._piece, self._chars = [], 0

    def _locate_error(self, error: RemoteError) -> Exception:
        """Return the server's error about an item with the item's line; any other error unchanged."""
        number = error.details.get("item")
        index = None if not isinstance(number, int) else number - 1 - self._sent
        for field_error in error.details.get("errors", ()):
            parts = str(field_error.get("field", "")).split(".")
            if index is None and parts[0] == "items" and len(parts) > 1 and parts[1].isdigit():
                index = int(parts[1])
                break
        if index is None or not 0 <= index < len(self._piece):
            return error
        line, item = self._piece[index]
        return BadFile.at(line, f"{item['what']}: {error.message}")
