"""The proxy's process, spoken to by hand over its pipes."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tooling import OLDER, line, proxy_command, told

Answer = dict[str, Any]


class Pipes:
    """One proxy; answers are kept by the id of their request."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._answers: dict[Any, Answer] = {}

    def send(self, *messages: Answer) -> None:
        """Write requests, one a line."""
        self.raw(*(json.dumps(message).encode() for message in messages))

    def raw(self, *lines: bytes) -> None:
        """Write lines as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(line + b"\n" for line in lines))

    async def answer(self, id_: Any) -> Answer:
        """The answer to the request of this id."""
        assert self.process.stdout is not None
        async with asyncio.timeout(40):
            while id_ not in self._answers:
                read = await self.process.stdout.readline()
                assert read, "the proxy ended"
                message = json.loads(read)
                self._answers[message.get("id")] = message
        return self._answers.pop(id_)

    async def call(self, tool: str, /, id_: Any = "call", **arguments: Any) -> Any:
        """Call a tool in the stateless revision; raises ToolRefused."""
        self.send(calling(tool, id_, **arguments))
        return told((await self.answer(id_))["result"])

    async def end(self, number: int | None = None) -> int:
        """Close its input, or send it a signal; answers its exit code."""
        if number is not None:
            self.process.send_signal(number)
        elif self.process.stdin is not None:
            self.process.stdin.close()
        async with asyncio.timeout(20):
            return await self.process.wait()


def calling(tool: str, id_: Any = "call", *, stateless: bool = True, **arguments: Any) -> Answer:
    """A call of a tool."""
    request: Answer = line("tools/call", stateless=stateless, id_=id_, name=tool, arguments=arguments)
    return request


def hello(id_: Any = "hello") -> Answer:
    """The older handshake's first request."""
    who = {"name": "Hand", "version": "1"}
    request: Answer = line(
        "initialize", stateless=False, id_=id_, protocolVersion=OLDER, capabilities={}, clientInfo=who
    )
    return request


@asynccontextmanager
async def proxy(url: str, token: str, agent: str | None = None, **options: Any) -> AsyncIterator[Pipes]:
    """A proxy that runs until the block ends."""
    how = proxy_command(url, token, agent)
    pipes = {"stdin": PIPE, "stdout": PIPE} | options
    process = await asyncio.create_subprocess_exec(how["command"], *how["args"], env=how["env"], **pipes)
    try:
        yield Pipes(process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
