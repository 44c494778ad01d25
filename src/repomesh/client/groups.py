"""What the generated methods of the typed client share: sending a request, paging, and the blocking form."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from contextlib import aclosing
from datetime import date
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

from repomesh.client.client import Client

if TYPE_CHECKING:
    from repomesh.domains.messaging.events.models import Event

T = TypeVar("T")
GroupT = TypeVar("GroupT")
MeshT = TypeVar("MeshT", bound="AsyncClientBase")

ListOf: TypeAlias = list[T] | tuple[T, ...]
"""A list or a tuple. `Sequence[str]` would also take a plain string, and send its letters."""

_END: Any = object()


class OperationGroup:
    """Base of the generated groups: the operations of one area."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def _call(self, name: str, fields: Mapping[str, object], idempotency_key: str | None = None) -> Any:
        """Run an operation and return its result model. A field that is None is not sent."""
        return await self._client.call_model(name, _json(fields), idempotency_key=idempotency_key)

    async def _iterate(self, name: str, fields: Mapping[str, object]) -> AsyncGenerator[Any]:
        """Yield each item of a list, page after page."""
        cursor: str | None = None
        while True:
            page = await self._call(name, {**fields, "cursor": cursor})
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _events(self, fields: Mapping[str, object]) -> AsyncGenerator[Event]:
        """Yield the events that match, without end; the stream is opened again when it breaks."""
        from repomesh.client.stream import follow
        from repomesh.domains.messaging.events.models import Event

        async with aclosing(follow(self._client, **_json(fields))) as events:
            async for event in events:
                yield Event.model_validate(event, extra="ignore")


class AsyncClientBase:
    """Base of `AsyncMesh`: owns the connection, closed at the end of `async with`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def url(self) -> str:
        """The server's address."""
        return self._client.url

    def act_as(self, agent: str | None) -> None:
        """Send further requests as this agent, by name or id; None acts as the token's own principal."""
        self._client.act_as(agent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(type_, error, trace)


class EventLoopThread:
    """An event loop in a thread of its own, on which blocking callers run coroutines."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="repomesh-client", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether coroutines can be run."""
        return self._loop is not None

    def start(self) -> None:
        """Start the thread and wait until its loop runs."""
        self._thread.start()
        self._started.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result, or raise what it raises.

        When the wait is interrupted (Ctrl-C), the coroutine is cancelled. Raises RuntimeError outside the
        `with` block.
        """
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("the client is used outside its 'with' block")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop, cancelling what still runs on it, and wait for the thread."""
        loop, self._loop = self._loop, None
        if loop is not None and self._stop is not None:
            loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started.set()
        await self._stop.wait()


class BlockingGroup(Generic[GroupT]):
    """Base of the generated blocking groups: each method runs that of the asynchronous group."""

    def __init__(self, thread: EventLoopThread, group: GroupT) -> None:
        self._thread = thread
        self._group = group

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._thread.run(coroutine)

    def _each(self, items: AsyncGenerator[T]) -> Generator[T]:
        try:
            while (item := self._thread.run(_next(items))) is not _END:
                yield item
        finally:
            if self._thread.is_running:  # else the end of the loop has closed it
                self._thread.run(_close(items))


class SyncClientBase(Generic[MeshT]):
    """Base of `SyncMesh`: owns the connection and the thread, both ended at the end of `with`."""

    def __init__(self, mesh: MeshT) -> None:
        self._mesh = mesh
        self._thread = EventLoopThread()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._mesh.url

    def act_as(self, agent: str | None) -> None:
        """Send further requests as this agent, by name or id; None acts as the token's own principal."""
        self._mesh.act_as(agent)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.run(self._mesh.__aexit__(type_, error, trace))
        finally:
            self._thread.stop()


async def _next(items: AsyncGenerator[T]) -> T:
    return await anext(items, _END)


async def _close(items: AsyncGenerator[Any]) -> None:
    await items.aclose()


def _json(fields: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields that are given, as JSON values."""
    return {name: _json_value(value) for name, value in fields.items() if value is not None}


def _json_value(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _json_value(item) for name, item in value.items()}
    dump: Callable[..., Any] | None = getattr(value, "model_dump", None)  # a request inside a request
    return value if dump is None else dump(mode="json")
