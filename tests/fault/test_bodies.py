"""Bodies made to cost much: a real server goes on answering others, and its memory stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from fault.running import Process
from fault.watching import GROWTH_BYTES_MAX, STALL_S_MAX, resident_bytes, watched
from repomesh.kernel import limits

pytestmark = pytest.mark.fault

LARGE = limits.TEXT_BODY_BYTES_MAX - 1_000
MEBIBYTE = limits.BODY_BYTES_MAX - 1_000


def items(item: bytes, size: int) -> bytes:
    return b"[" + b",".join([item] * (size // (len(item) + 1) - 1)) + b"]"


ATTACKS: dict[str, tuple[str, bytes]] = {
    "wrong items of a list": ("/v1/messages", b'{"to": %s}' % items(b"1", LARGE)),
    "wrong items, few enough to be looked at": (
        "/v1/tasks",
        b'{"goal": "x", "tags": %s}' % items(b"1", limits.JSON_VALUES_MAX),
    ),
    "objects in a list": ("/v1/messages", b'{"to": %s}' % items(b"{}", LARGE)),
    "unknown keys": ("/v1/tokens", b"{%s}" % b",".join(b'"%d":1' % n for n in range(MEBIBYTE // 12))),
    "depth": ("/v1/tokens", b'{"label": ' + b"[" * (MEBIBYTE // 2)),
    "a long number": ("/v1/tokens", b'{"label": ' + b"9" * MEBIBYTE + b"}"),
    "values of a chunk": (
        "/v1/sessions/s/chunks",
        b'{"content": %s}' % items(b"{}", limits.CONTENT_BODY_BYTES_MAX - 1_000),
    ),
    "a batch of nothing": (
        "/v1/webhook",
        b'{"type": "collaborative_session_command", "command": "batch", "data": {"commands": %s}}'
        % items(b"{}", LARGE),
    ),
    "a tool's arguments": (
        "/mcp",
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call",'
        b' "params": {"name": "x", "arguments": {"a": %s}}}' % items(b"{}", LARGE),
    ),
    "a hook's input": ("/v1/hooks/claude/Stop", b'{"a": %s}' % items(b"{}", MEBIBYTE)),
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    started = Process(tmp_path_factory.mktemp("bodies") / "data")
    started.start()
    yield started
    started.stop()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_body_made_to_cost_much_costs_others_little(process: Process, attack: str) -> None:
    path, body = ATTACKS[attack]
    before = resident_bytes(process)
    headers = {"Authorization": f"Bearer {process.token}", "Content-Type": "application/json"}
    with watched(process) as took, httpx.Client(base_url=process.url, headers=headers, timeout=60) as client:
        for _ in range(3):
            assert client.post(path, content=body).status_code == 422
    assert max(took) <= STALL_S_MAX
    assert resident_bytes(process) - before <= GROWTH_BYTES_MAX
