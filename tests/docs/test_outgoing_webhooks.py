"""What the page says of webhooks that go out is so."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from fault.running import free_port
from harness import Mesh
from receiver import eventually
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@pytest.mark.settings(webhook_hosts=["127.0.0.1"])
async def test_the_receiver_of_the_page_takes_what_is_sent(mesh: Mesh) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    port = free_port()
    made = await mesh.post("/v1/webhooks", url=f"http://127.0.0.1:{port}/", types=["chat"])
    environment = os.environ | {"WEBHOOK_SECRET": made["secret"], "PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        await eventually(lambda: _answers(port))
        alice = await mesh.agent("alice")
        await alice.post("/v1/events", type="chat.message", data={"text": "hello"})
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        assert line.decode().strip() == "repomesh.chat.message {'text': 'hello'}"
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def test_the_table_of_attempts_is_that_of_the_code() -> None:
    (row,) = re.findall(r"\| next attempt in \|(.*)\| dead letter \|", PAGE)
    told = [int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+) (s|min|h)", row)]
    assert tuple(told) == limits.WEBHOOK_RETRIES_S
