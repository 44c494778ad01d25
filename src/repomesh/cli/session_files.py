"""Sessions written to files: JSON, or Markdown for people; never more than a page in memory."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from repomesh.cli import output
from repomesh.cli.session_import import FORMAT, VERSION
from repomesh.views.terminal_text import clean

if TYPE_CHECKING:
    from repomesh.client.client import Client

_PIECE_CHARS = 1_000_000
PROGRESS_AFTER_S = 1.0  # an export that is over sooner needs no bar

Item = dict[str, Any]


async def export_items(client: Client, session_id: str) -> AsyncIterator[Item]:
    """Everything of a session in its order, with contents that come in pieces put together."""
    async for item in client.items("session.export", session_id=session_id):
        if item["what"] == "chunk" and item["truncated"]:
            place = {"session_id": session_id, "chunk_id": item["chunk_id"]}
            item |= {"content": "".join([piece async for piece in _read_pieces(client, "chunk.read", place)])}
            item["truncated"] = False
        elif item["what"] in ("artifact", "artifact_version") and item["url"] is None:
            place = {"session_id": session_id, "artifact_id": item["artifact_id"]}
            place["at_version"] = item["version"]
            item |= await _read_content(client, place)
        yield item


async def _read_pieces(client: Client, name: str, place: dict[str, Any]) -> AsyncIterator[str]:
    offset: int | None = 0
    while offset is not None:
        part = await client.call_json(name, place | {"offset": offset, "max_chars": _PIECE_CHARS})
        yield part["content"]
        offset = part["next_offset"]


async def _read_content(client: Client, place: dict[str, Any]) -> dict[str, str]:
    # Base64 joins without a seam: each piece but the last holds a multiple of three bytes.
    first = await client.call_json("artifact.read", place | {"max_chars": 200})
    pieces = [piece async for piece in _read_pieces(client, "artifact.read", place)]
    return {"content" if first["encoding"] == "text" else "content_base64": "".join(pieces)}


class JsonLinesExport:
    """One thing a line of JSON; what a thing is stands in `what`."""

    head = ""
    tail = ""

    def __call__(self, item: Item) -> str:
        """The text of one thing."""
        return f"{output.as_json_text(item)}\n"


class JsonExport:
    """One JSON document, whose `items` are written as they come."""

    head = f'{{"format":"{FORMAT}","version":{VERSION},"items":['
    tail = "\n]}\n"

    def __init__(self) -> None:
        self._separator = "\n"

    def __call__(self, item: Item) -> str:
        """The text of one thing, with what stands between it and the one before."""
        text = f"{self._separator}{output.as_json_text(item)}"
        self._separator = ",\n"
        return text


class MarkdownExport:
    """Each thing as a person reads it; earlier versions are left out."""

    head = ""
    tail = ""

    def __call__(self, item: Item) -> str:
        """The text of one thing."""
        write = _MARKDOWN.get(item["what"])
        return "" if write is None else write(item)


WRITERS: dict[str, Callable[[], JsonLinesExport | JsonExport | MarkdownExport]] = {
    "json": JsonExport,
    "jsonl": JsonLinesExport,
    "markdown": MarkdownExport,
}
"""What makes an export of each format."""


def _session(item: Item) -> str:
    about = [f"# {item['title']}", f"Session `{item['id']}`, {item['status']}, made {item['created_at']}."]
    if item["participants"]:
        about.append(f"With {', '.join(item['participants'])}.")
    return clean("\n\n".join(about)) + "\n\n"


def _chunk(item: Item) -> str:
    title = f"## {item['sequence']} {item['speaker']}".rstrip()
    body = item["content"] if item["format"] != "json" else _fence(item["content"], "json")
    return f"{clean(title)}\n\n{clean(body)}\n\n"


def _memory(item: Item) -> str:
    content = item["content"]
    text = content if isinstance(content, str) else _fence(json.dumps(content, ensure_ascii=False), "json")
    mark = "" if item["status"] == "current" else f" ({item['status']}: {item['reason']})"
    return clean(f"## {item['type']}: {item['key']}{mark}\n\n{text}\n\n")


def _artifact(item: Item) -> str:
    about = f"## {item['type']}: {item['title']}\n\n`{item['artifact_id']}`, version {item['version']}\n\n"
    if item["url"] is not None:
        return clean(f"{about}<{item['url']}>\n\n")
    if "content" not in item:
        return clean(f"{about}{item['media_type']}, {item['bytes']} bytes\n\n")
    return clean(f"{about}{_fence(item['content'], '')}\n\n")


def _task(item: Item) -> str:
    task = item["task"]
    return clean(f"## task: {task['goal']}\n\n`{item['key']}`, {task['status']}. {task['note']}\n\n")


def _fence(text: str, language: str) -> str:
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
def progress(
    stream: TextIO, written: TextIO, *, to_file: bool = False, after_s: float = PROGRESS_AFTER_S
) -> Iterator[Callable[[Item], None]]:
    """Shows how far an export is, where a person looks on and does not see it `written`, after a while."""
    if not stream.isatty() or (written.isatty() and not to_file):
        yield lambda _item: None
        return
    from rich.console import Console
    from rich.progress import Progress

    # What is written meanwhile goes where it was sent, not above the bar.
    bar = Progress(console=Console(file=stream), transient=True, redirect_stdout=False, redirect_stderr=False)
    task = bar.add_task("exporting", total=None)
    begun = time.monotonic()

    def step(item: Item) -> None:
        if item["what"] == "session":
            counts = item["counts"]
            total = sum(counts[name] for name in ("chunks", "memories", "artifacts", "tasks"))
            bar.update(task, total=total + 1)
        bar.advance(task)
        if not bar.live.is_started and time.monotonic() - begun >= after_s:
            bar.start()

    try:
        yield step
    finally:
        if bar.live.is_started:
            bar.stop()
