"""Exports sessions as JSON or Markdown, with at most one page of items in memory."""

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
PROGRESS_AFTER_S = 1.0  # a shorter export shows no progress bar

Item = dict[str, Any]


async def export_items(client: Client, session_id: str) -> AsyncIterator[Item]:
    """Yield all items of a session in order, with their whole contents."""
    async for item in client.items("session.export", session_id=session_id):
        if item["what"] == "chunk" and item["truncated"]:
            address = {"session_id": session_id, "chunk_id": item["chunk_id"]}
            item |= {
                "content": "".join([piece async for piece in _read_pieces(client, "chunk.read", address)])
            }
            item["truncated"] = False
        elif item["what"] in ("artifact", "artifact_version") and item["url"] is None:
            address = {"session_id": session_id, "artifact_id": item["artifact_id"]}
            address["at_version"] = item["version"]
            item |= await _read_content(client, address)
        yield item


async def _read_pieces(client: Client, name: str, address: dict[str, Any]) -> AsyncIterator[str]:
    offset: int | None = 0
    while offset is not None:
        part = await client.call_json(name, address | {"offset": offset, "max_chars": _PIECE_CHARS})
        yield part["content"]
        offset = part["next_offset"]


async def _read_content(client: Client, address: dict[str, Any]) -> dict[str, str]:
    # Base64 pieces can be joined: each but the last encodes a multiple of three bytes.
    beginning = await client.call_json("artifact.read", address | {"max_chars": 200})
    pieces = [piece async for piece in _read_pieces(client, "artifact.read", address)]
    return {"content" if beginning["encoding"] == "text" else "content_base64": "".join(pieces)}


class JsonLinesExport:
    """Writes each item as one line of JSON."""

    head = ""
    tail = ""

    def __call__(self, item: Item) -> str:
        """Return the text of one item."""
        return f"{output.as_json_text(item)}\n"


class JsonExport:
    """Writes one JSON document, whose `items` are streamed."""

    head = f'{{"format":"{FORMAT}","version":{VERSION},"items":['
    tail = "\n]}\n"

    def __init__(self) -> None:
        self._separator = "\n"

    def __call__(self, item: Item) -> str:
        """Return the text of one item, with the separator before it."""
        text = f"{self._separator}{output.as_json_text(item)}"
        self._separator = ",\n"
        return text


class MarkdownExport:
    """Writes each item as Markdown; earlier versions are left out."""

    head = ""
    tail = ""

    def __call__(self, item: Item) -> str:
        """Return the text of one item."""
        write = _MARKDOWN.get(item["what"])
        return "" if write is None else write(item)


WRITERS: dict[str, Callable[[], JsonLinesExport | JsonExport | MarkdownExport]] = {
    "json": JsonExport,
    "jsonl": JsonLinesExport,
    "markdown": MarkdownExport,
}
"""The exporter of each format."""


def _session(item: Item) -> str:
    paragraphs = [
        f"# {item['title']}",
        f"Session `{item['id']}`, {item['status']}, made {item['created_at']}.",
    ]
    if item["participants"]:
        paragraphs.append(f"With {', '.join(item['participants'])}.")
    return clean("\n\n".join(paragraphs)) + "\n\n"


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
    head = f"## {item['type']}: {item['title']}\n\n`{item['artifact_id']}`, version {item['version']}\n\n"
    if item["url"] is not None:
        return clean(f"{head}<{item['url']}>\n\n")
    if "content" not in item:
        return clean(f"{head}{item['media_type']}, {item['bytes']} bytes\n\n")
    return clean(f"{head}{_fence(item['content'], '')}\n\n")


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
    """Yield a function to call with each item; it shows a progress bar on `stream` after `after_s` seconds.

    No bar is shown unless `stream` is a terminal, nor when the export goes to the terminal `written`.
    """
    if not stream.isatty() or (written.isatty() and not to_file):
        yield lambda _item: None
        return
    from rich.console import Console
    from rich.progress import Progress

    # Rich must not redirect the export to the lines above the bar.
    bar = Progress(console=Console(file=stream), transient=True, redirect_stdout=False, redirect_stderr=False)
    bar_task = bar.add_task("exporting", total=None)
    started_at = time.monotonic()

    def step(item: Item) -> None:
        if item["what"] == "session":
            counts = item["counts"]
            total = sum(counts[name] for name in ("chunks", "memories", "artifacts", "tasks"))
            bar.update(bar_task, total=total + 1)
        bar.advance(bar_task)
        if not bar.live.is_started and time.monotonic() - started_at >= after_s:
            bar.start()

    try:
        yield step
    finally:
        if bar.live.is_started:
            bar.stop()
