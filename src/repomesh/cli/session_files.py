"""Sessions as files: one thing a line in JSON, or Markdown for people; never more than a page in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from repomesh.cli import output
from repomesh.kernel.errors import InvalidRequest

if TYPE_CHECKING:
    from repomesh.client.client import Client

_BATCH_CHUNKS = 100
_BATCH_CHARS = 2_000_000
_PIECE_CHARS = 1_000_000

Item = dict[str, Any]


async def whole(client: Client, session_id: str) -> AsyncIterator[Item]:
    """Everything of a session in its order, with contents that come in pieces put together."""
    async for item in client.items("session.export", session_id=session_id):
        if item["what"] == "chunk" and item["truncated"]:
            place = {"session_id": session_id, "chunk_id": item["chunk_id"]}
            item |= {"content": "".join([piece async for piece in _pieces(client, "chunk.read", place)])}
            item["truncated"] = False
        elif item["what"] == "artifact" and item["url"] is None:
            place = {"session_id": session_id, "artifact_id": item["artifact_id"]}
            item |= await _content(client, place)
        yield item


async def _pieces(client: Client, name: str, place: dict[str, Any]) -> AsyncIterator[str]:
    offset: int | None = 0
    while offset is not None:
        part = await client.call_json(name, place | {"offset": offset, "max_chars": _PIECE_CHARS})
        yield part["content"]
        offset = part["next_offset"]


async def _content(client: Client, place: dict[str, Any]) -> dict[str, str]:
    # Base64 joins without a seam: each piece but the last holds a multiple of three bytes.
    first = await client.call_json("artifact.read", place | {"max_chars": 200})
    pieces = [piece async for piece in _pieces(client, "artifact.read", place)]
    return {"content" if first["encoding"] == "text" else "content_base64": "".join(pieces)}


def as_line(item: Item) -> str:
    """One thing as a line of JSON."""
    return f"{json.dumps(item, ensure_ascii=False)}\n"


def as_markdown(item: Item) -> str:
    """One thing as a person reads it."""
    return _MARKDOWN[item["what"]](item)


def _session(item: Item) -> str:
    about = [f"# {item['title']}", f"Session `{item['id']}`, {item['status']}, made {item['created_at']}."]
    if item["participants"]:
        about.append(f"With {', '.join(item['participants'])}.")
    return output.clean("\n\n".join(about)) + "\n\n"


def _chunk(item: Item) -> str:
    title = f"## {item['sequence']} {item['speaker']}".rstrip()
    body = item["content"] if item["format"] != "json" else _fenced(item["content"], "json")
    return f"{output.clean(title)}\n\n{output.clean(body)}\n\n"


def _memory(item: Item) -> str:
    content = item["content"]
    text = content if isinstance(content, str) else _fenced(json.dumps(content, ensure_ascii=False), "json")
    mark = "" if item["status"] == "current" else f" ({item['status']}: {item['reason']})"
    return output.clean(f"## {item['type']}: {item['key']}{mark}\n\n{text}\n\n")


def _artifact(item: Item) -> str:
    about = f"## {item['type']}: {item['title']}\n\n`{item['artifact_id']}`, version {item['version']}\n\n"
    if item["url"] is not None:
        return output.clean(f"{about}<{item['url']}>\n\n")
    if "content" not in item:
        return output.clean(f"{about}{item['media_type']}, {item['bytes']} bytes\n\n")
    return output.clean(f"{about}{_fenced(item['content'], '')}\n\n")


def _task(item: Item) -> str:
    task = item["task"]
    return output.clean(f"## task: {task['goal']}\n\n`{item['key']}`, {task['status']}. {task['note']}\n\n")


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


_MARKDOWN: dict[str, Callable[[Item], str]] = {
    "session": _session,
    "chunk": _chunk,
    "memory": _memory,
    "artifact": _artifact,
    "task": _task,
}


@contextmanager
def progress(stream: TextIO, written: TextIO) -> Iterator[Callable[[Item], None]]:
    """Shows how far an export is, where a person looks on and does not see it `written`."""
    if not stream.isatty() or written.isatty():
        yield lambda _item: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("exporting", total=None)

        def step(item: Item) -> None:
            if item["what"] == "session":
                counts = item["counts"]
                total = sum(counts[name] for name in ("chunks", "memories", "artifacts", "tasks"))
                bar.update(task, total=total + 1)
            bar.advance(task)

        yield step


async def take_in(client: Client, lines: Iterable[str], session_id: str | None) -> dict[str, Any]:
    """Make a session of an export; answers its id and how much of each sort it has."""
    items = _read(lines)
    first = next(items, None)
    if first is None or first["what"] != "session":
        raise InvalidRequest(
            "the file does not begin with a session", hint="Give a file that 'export' wrote."
        )
    made = session_id or first["id"]
    about = {name: first[name] for name in ("title", "participants", "context", "metadata")}
    await client.call_json("session.create", about | {"session_id": made})
    counts = {"chunks": 0, "memories": 0, "artifacts": 0, "tasks_left_out": 0}
    batch: list[Item] = []
    corrected: list[tuple[str, Item]] = []
    for item in items:
        if item["what"] == "chunk":
            batch.append(item)
            if len(batch) == _BATCH_CHUNKS or sum(len(one["content"]) for one in batch) > _BATCH_CHARS:
                await _send_chunks(client, made, batch)
            counts["chunks"] += 1
        elif item["what"] == "memory":
            kept = await _send_memory(client, made, item)
            if item["status"] != "current":
                corrected.append((kept["id"], item))
            counts["memories"] += 1
        elif item["what"] == "artifact":
            await _send_artifact(client, made, item)
            counts["artifacts"] += 1
        else:
            counts["tasks_left_out"] += 1
    await _send_chunks(client, made, batch)
    for memory_id, item in corrected:
        await _correct(client, memory_id, item)
    for status, action in (("paused", "pause"), ("completed", "complete")):
        if first["status"] == status:
            await client.call_json(f"session.{action}", {"session_id": made, "reason": first["reason"]})
    return {"session_id": made} | counts


def _read(lines: Iterable[str]) -> Iterator[Item]:
    for number, line in enumerate(lines, 1):
        try:
            item = json.loads(line)
            known = isinstance(item, dict) and item.get("what") in _MARKDOWN
        except ValueError:
            known = False
        if not known:
            raise InvalidRequest(
                f"line {number} is none of an export", hint="Give a file that 'export' wrote."
            )
        yield item


async def _send_chunks(client: Client, session_id: str, batch: list[Item]) -> None:
    fields = ("content", "chunk_id", "sequence", "format", "speaker", "tags", "metadata")
    chunks = [{name: item[name] for name in fields} for item in batch]
    batch.clear()
    if chunks:
        await client.call_json("chunk.add_many", {"session_id": session_id, "chunks": chunks})


async def _send_memory(client: Client, session_id: str, item: Item) -> Item:
    fields = {name: item[name] for name in ("key", "content", "type", "tags", "confidence", "sources")}
    kept: Item = await client.call_json("memory.store", fields | {"session_id": session_id})
    return kept


async def _correct(client: Client, memory_id: str, item: Item) -> None:
    fields = {"memory_id": memory_id, "reason": item["reason"]}
    if item["status"] == "superseded":
        await client.call_json("memory.supersede", fields | {"by": item["superseded_by"]})
    else:
        await client.call_json("memory.retract", fields)


async def _send_artifact(client: Client, session_id: str, item: Item) -> None:
    names = ("artifact_id", "title", "type", "description", "media_type", "tags")
    content = {
        name: item[name] for name in ("content", "content_base64", "url") if item.get(name) is not None
    }
    fields = {name: item[name] for name in names} | content | {"session_id": session_id}
    await client.call_json("artifact.add", fields)
