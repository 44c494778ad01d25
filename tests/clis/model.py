"""A model that plays a script: a real HTTP server that agent CLIs take for their vendor's.

A script is a list of steps. Every request that asks for the next step of the conversation takes one; what a
CLI asks beside that (titles, token counts, probes of quotas and models) is answered without taking any. Every
request is kept whole.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from clis.wires import Answer, ChatCompletions, GenerateContent, Json, Messages, Responses, Text, Wire

PATIENCE_S = 60.0
"""How long tests wait for a CLI to come somewhere; seconds when the machine is quiet."""
HOLD_S = 120.0
"""How long a step waits for its event; what is waited for longer than a test may take has failed."""
_SUMMING_UP = "create a detailed summary of the conversation"
"""How those CLIs that offer their tools even then ask for what takes the place of a conversation."""
SUMMARY = Text(
    "<analysis>It is all here.</analysis><summary>The work so far.</summary>"
    "<state_snapshot><overall_goal>The work so far.</overall_goal></state_snapshot>"
)
_CONVERSATION = ("system", "systemInstruction", "instructions", "messages", "contents", "input")
END = Text("I am done.")
"""What is said when the script is over."""


@dataclass(frozen=True, repr=False)
class Asked:
    """One request of a CLI: where to, with what, when, and the number of the step that it took, if any."""

    path: str
    body: Json
    at: float
    tools: list[str]
    step: int | None

    @property
    def text(self) -> str:
        """The conversation and its instructions, as a model would read them."""
        return "\n".join(_strings({name: self.body.get(name) for name in _CONVERSATION}))

    @property
    def everything(self) -> str:
        """All texts, those of the tools included."""
        return "\n".join(_strings(self.body))

    def __contains__(self, words: str) -> bool:
        return words in self.text

    def __repr__(self) -> str:
        return f"Asked(step {self.step}, …{self.text[-1500:]!r})"


@dataclass
class Step:
    """One answer of the model, made when its turn comes: a value, or a function of the request.

    `reached` is set when the CLI waits for it, and it is given once `go` is set.
    """

    answer: Answer | Callable[[Asked], Answer]
    go: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)

    def given(self, asked: Asked) -> Answer:
        return self.answer(asked) if callable(self.answer) else self.answer


class ScriptedModel:
    """The server; `url` is where it listens."""

    def __init__(self, *steps: Step | Answer) -> None:
        self.steps = [step if isinstance(step, Step) else Step(step) for step in steps]
        self.asked: list[Asked] = []
        self.url = ""
        self._taken = 0
        self._summary = SUMMARY
        self._changed = threading.Condition()

    @property
    def turns(self) -> list[Asked]:
        """The requests of the conversation itself, those after the end of the script included."""
        return [asked for asked in self.asked if asked.step is not None]

    def wait_for(self, true: Callable[[ScriptedModel], bool], seconds: float = PATIENCE_S) -> bool:
        """Waits until something is true of what was asked; answers whether it came."""
        with self._changed:
            return self._changed.wait_for(lambda: true(self), seconds)

    async def answer(self, request: Request) -> Response:
        """Answer any request of any CLI."""
        path = request.url.path
        raw = await request.body()
        body: Json = json.loads(raw) if raw else {}
        wire = _wire(path)
        if wire is None or request.method != "POST":
            self._note(Asked(path, body, time.time(), [], None))
            return _aside(path)
        if "count_tokens" in path or ":countTokens" in path:
            self._note(Asked(path, body, time.time(), [], None))
            return JSONResponse({"input_tokens": 100, "totalTokens": 100})
        said = await self._play(wire, path, body, request)
        model = body.get("model", "scripted")
        if wire.streamed(path, body):
            return StreamingResponse(wire.events(said, model), media_type="text/event-stream")
        return JSONResponse(wire.whole(said, model))

    async def _play(self, wire: Wire, path: str, body: Json, request: Request) -> Answer:
        newest = "\n".join(_strings(wire.last(body)))
        if _SUMMING_UP in newest or not wire.main(path, body):
            self._note(Asked(path, body, time.time(), wire.tools(body), None))
            return self._summary
        taken, self._taken = self._taken, self._taken + 1
        asked = Asked(path, body, time.time(), wire.tools(body), taken)
        step = self.steps[taken] if taken < len(self.steps) else Step(END)
        self._note(asked)
        step.reached.set()
        until = time.monotonic() + HOLD_S
        while step.go is not None and not step.go.is_set():
            if time.monotonic() > until or await request.is_disconnected():
                break
            await asyncio.sleep(0.02)
        given = step.given(asked)
        # Some reckon with the length of what was summed up, and give up when that is not shorter after.
        self._summary = replace(SUMMARY, tokens=given.tokens)
        return given

    def _note(self, asked: Asked) -> None:
        with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()


@contextmanager
def scripted(*steps: Step | Answer) -> Iterator[ScriptedModel]:
    """A model that plays these steps, until the block ends."""
    model = ScriptedModel(*steps)
    app = Starlette(routes=[Route("/{path:path}", model.answer, methods=["GET", "POST", "HEAD"])])
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    web = _Web(config)
    thread = threading.Thread(target=web.run, name="model")
    thread.start()
    while not web.started and thread.is_alive():
        thread.join(0.01)
    model.url = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield model
    finally:
        for step in model.steps:
            if step.go is not None:
                step.go.set()
        web.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the model did not stop"


class _Web(uvicorn.Server):
    """uvicorn in a thread, where there are no signals to handle."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _wire(path: str) -> Wire | None:
    if path.endswith("/chat/completions"):
        return ChatCompletions()
    if path.endswith("/responses"):
        return Responses()
    if "/messages" in path:
        return Messages()
    if "/models/" in path and ":" in path:
        return GenerateContent()
    return None


def _aside(path: str) -> Response:
    """What is asked beside the conversation: which models there are; the rest is not there."""
    if path.rstrip("/").endswith("/models"):
        limits = {"context_window": 128_000, "max_context_window_tokens": 128_000}
        model = {"id": "scripted", "object": "model", "owned_by": "tests", "capabilities": {"limits": limits}}
        return JSONResponse({"object": "list", "data": [model], "models": []})
    return JSONResponse({"error": {"type": "not_found_error", "message": path}}, status_code=404)


def _strings(value: Any) -> Iterator[str]:
    """All texts within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
