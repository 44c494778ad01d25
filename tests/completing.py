"""A language model's endpoint that answers what a test tells it to, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


class Model:
    """What was asked of it, and what it answers: a text, or a status with a body."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: str | tuple[int, bytes] = "A summary."
        self.hold = threading.Event()
        self.hold.set()
        self.heard = threading.Event()
        self.url = ""

    def made(self, _asked: dict[str, Any]) -> bytes:
        """The body of its answer."""
        return _completion(str(self.answer))

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.asked.append(json.loads(body) | {"path": handler.path})
        self.keys.append(handler.headers["Authorization"])
        self.heard.set()
        self.hold.wait(20)
        status, raw = self.answer if isinstance(self.answer, tuple) else (200, self.made(self.asked[-1]))
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)


def _completion(text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode()


@contextmanager
def serving_model() -> Iterator[Model]:
    """The endpoint while the block runs."""
    with serving(Model()) as model:
        yield model


Served = TypeVar("Served", bound=Model)


@contextmanager
def serving(model: Served) -> Iterator[Served]:
    """Any such endpoint while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            model._answer(self)

        def log_message(self, *_about: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield model
    finally:
        model.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
