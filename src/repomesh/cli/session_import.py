"""Sessions read from files: an export as one JSON document, or one thing a line, a piece at a time in memory.

The server keeps the pieces under the import's id and shows nothing of them before the last: all or nothing.
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
"""What a document says that it is, in its first key `format`."""
VERSION = 1

_READ_CHARS = 65_536
_ITEM_CHARS_MAX = 2 * limits.CONTENT_BODY_BYTES_MAX  # of one thing; no export holds a longer one
_PIECE_ITEMS = limits.PAGE_ITEMS_MAX
_PIECE_CHARS = 2_000_000
_WHITESPACE = " \t\r\n"

Item = dict[str, Any]
Numbered = tuple[int, Item]
"""A thing and the line on which it begins."""

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
"""What is sent of each thing; the others follow from these."""

_COUNTED = {"chunk": "chunks", "memory": "memories", "artifact": "artifacts", "task": "tasks"}


class BadFile(InvalidRequest):
    """The file is no export, or is not whole; the message says on which line."""

    hint = "Give a file that 'export' wrote. Nothing was imported."

    @classmethod
    def at(cls, line: int, message: str) -> Self:
        """The refusal of what stands on a line (counted from 1)."""
        return cls(f"line {line}: {message}", line=line)


class _JsonReader:
    """The text of a file as far as it was read and not taken yet."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held = ""
        self._at = 0
        self._ended = False
        self.line = 1

    def peek(self) -> str:
        """The next character that is no whitespace; empty at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in _WHITESPACE:
                    return self._held[self._at]
                self._take(self._at + 1)
            if not self._more(_READ_CHARS):
                return ""

    def sign(self, sign: str) -> None:
        """Take one character; raises BadFile for another."""
        found = self.peek()
        if found != sign:
            what = f"'{sign}' is expected" + (f", not '{found}'" if found else ", and the file ends")
            raise BadFile.at(self.line, what)
        self._take(self._at + 1)

    def value(self) -> tuple[int, Any]:
        """Take one JSON value; answers the line on which it begins, too. Raises BadFile."""
        self.peek()
        begin = self.line
        self._held, self._at = self._held[self._at :], 0
        size = _READ_CHARS
        while True:
            try:
                made, end = _DECODER.raw_decode(self._held)
            except RecursionError:
                raise BadFile.at(begin, "it nests too deep") from None
            except ValueError as error:
                size = min(size * 2, _ITEM_CHARS_MAX)
                if len(self._held) <= _ITEM_CHARS_MAX and self._more(size):
                    continue
                at = getattr(error, "lineno", 1) - 1
                why = getattr(error, "msg", str(error))
                raise BadFile.at(begin + at, f"is no JSON: {why}") from None
            # A number may go on in what was not read yet.
            if end < len(self._held) or isinstance(made, dict | list | str) or not self._more(size):
                self._take(end)
                return begin, made

    def _take(self, end: int) -> None:
        self.line += self._held.count("\n", self._at, end)
        self._at = end
        if self._at > _READ_CHARS:
            self._held, self._at = self._held[self._at :], 0

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        try:
            read = self._file.read(size)
        except UnicodeDecodeError:
            raise BadFile.at(self.line, "is no text in UTF-8") from None
        self._ended = not read
        self._held += read
        return bool(read)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read_items(file: TextIO) -> Iterator[Numbered]:
    """The things of an export, whichever way it was written, each with its line; raises BadFile."""
    text = _JsonReader(file)
    if text.peek() != "{":
        raise BadFile.at(text.line, "does not begin with an object" if text.peek() else "the file is empty")
    line, first = _read_first(text)
    if first is not None:
        yield line, _require_item(line, first)
        while text.peek():
            line, item = text.value()
            yield line, _require_item(line, item)
        return
    yield from _read_document(text)
    if text.peek():
        raise BadFile.at(text.line, "the document has ended before")


def _read_first(text: _JsonReader) -> tuple[int, Item | None]:
    """The first thing of a file that has one a line; None where it is a document, whose head is read."""
    line = text.line
    text.sign("{")
    fields: Item = {}
    is_document = False
    while text.peek() != "}":
        _, name = text.value()
        text.sign(":")
        if not isinstance(name, str):
            raise BadFile.at(line, "a key is no text")
        is_document = is_document or (not fields and name == "format")
        if is_document and name == "items":
            return line, None
        fields[name] = text.value()[1]
        if is_document and fields["format"] != FORMAT:
            raise BadFile.at(line, f"the format is not '{FORMAT}'")
        if is_document and fields.get("version", VERSION) != VERSION:
            raise BadFile.at(line, f"the version is not {VERSION}")
        if text.peek() == ",":
            text.sign(",")
    text.sign("}")
    return line, fields


def _read_document(text: _JsonReader) -> Iterator[Numbered]:
    text.sign("[")
    while text.peek() != "]":
        line, item = text.value()
        yield line, _require_item(line, item)
        if text.peek() != "]":
            text.sign(",")
    text.sign("]")
    while text.peek() == ",":
        text.sign(",")
        text.value()
        text.sign(":")
        text.value()
    text.sign("}")


def _require_item(line: int, item: Any) -> Item:
    if not isinstance(item, dict) or item.get("what") not in (*_FIELDS, "task"):
        raise BadFile.at(line, "is none of the things that an export holds")
    return item


async def import_session(
    client: Client, file: TextIO, session_id: str | None, *, resume: bool
) -> dict[str, Any]:
    """Make a session of an export, whole or not at all; answers its id and how much of each sort it has.

    With `resume` an import of the same file that broke off goes on. Raises BadFile, RemoteError.
    """
    items = read_items(file)
    line, first = next(items)
    if first["what"] != "session" or not isinstance(first.get("id"), str):
        raise BadFile.at(line, "the first thing is not a session")
    made = session_id or first["id"]
    digest = hashlib.sha256(json.dumps([made, first], sort_keys=True).encode()).hexdigest()[:32]
    sending = _ImportUpload(client, digest, made)
    try:
        await sending.begin(line, first, resume=resume)
        async_counts = await sending.rest(items, first.get("counts"))
    except InvalidRequest:
        await sending.drop()
        raise
    return {"session_id": made} | async_counts


class _ImportUpload:
    """One import on its way."""

    def __init__(self, client: Client, import_id: str, session_id: str) -> None:
        self._client = client
        self._about = {"import_id": import_id, "session_id": session_id}
        self._passed = 0
        self._sent = 0
        self._piece: list[Numbered] = []
        self._chars = 0

    async def begin(self, line: int, first: Item, *, resume: bool) -> None:
        """Send the session itself, or pass over what was sent before."""
        if resume:
            try:
                before = await self._client.call_json(
                    "session.import_progress", {"import_id": self._about["import_id"]}
                )
                self._passed = before["taken"]
            except RemoteError as error:
                if error.code != "import_not_found":
                    raise
        await self._add(line, first)

    async def rest(self, items: Iterator[Numbered], counted: Any) -> dict[str, int]:
        """Send the other things, and with the last of them have all become visible."""
        counts = dict.fromkeys(("chunks", "memories", "artifacts", "tasks"), 0)
        line = 1
        for line, item in items:
            if (sort := _COUNTED.get(item["what"])) is not None:
                counts[sort] += 1
            if item["what"] != "task":
                await self._add(line, item)
        for sort, count in counts.items():
            if isinstance(counted, dict) and isinstance(counted.get(sort), int) and count < counted[sort]:
                raise BadFile.at(line, f"the file was cut: it holds {count} of {counted[sort]} {sort}")
        await self._send(done=True)
        counts["tasks_left_out"] = counts.pop("tasks")
        return counts

    async def drop(self) -> None:
        """Have the server forget what was sent."""
        await self._client.call_json("session.drop_import", {"import_id": self._about["import_id"]})

    async def _add(self, line: int, item: Item) -> None:
        if self._passed > 0:
            self._passed -= 1
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
            await self._client.call_json("session.import", self._about | piece)
        except RemoteError as error:
            raise self._placed(error) from None
        self._sent += len(self._piece)
        self._piece, self._chars = [], 0

    def _placed(self, error: RemoteError) -> Exception:
        """The server's refusal of an item, with the line on which it stands."""
        number = error.details.get("item")
        place = None if not isinstance(number, int) else number - 1 - self._sent
        for one in error.details.get("errors", ()):
            parts = str(one.get("field", "")).split(".")
            if place is None and parts[0] == "items" and len(parts) > 1 and parts[1].isdigit():
                place = int(parts[1])
                break
        if place is None or not 0 <= place < len(self._piece):
            return error
        line, item = self._piece[place]
        return BadFile.at(line, f"{item['what']}: {error.message}")
