"""Lists of the longest texts: a real server answers others meanwhile, and stays as large as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from fault.running import AT_FULL_SIZE, Process
from fault.watching import GROWTH_BYTES_MAX, STALL_S_MAX, resident_bytes, watched
from repomesh.kernel import limits
from repomesh.kernel.settings import Settings
from tooling import STATELESS, line

pytestmark = pytest.mark.fault

LETTER = "\U00020000"  # four bytes in UTF-8, and in memory
MESSAGES = 36 if AT_FULL_SIZE else 3
SMALLER = 200 if AT_FULL_SIZE else 5
AT_ONCE = 4

MEASURED_MAX = 3  # a server that keeps others waiting does so each time
MOST = {"limit": limits.PAGE_ITEMS_MAX, "max_chars": limits.MAX_CHARS_MAX}
WHOLE = {"limit": limits.PAGE_ITEMS_MAX}

READS: dict[str, tuple[str, dict[str, Any]]] = {
    "inbox": ("/v1/messages/inbox", MOST),
    "inbox of few characters": ("/v1/messages/inbox", {"limit": 200, "max_chars": 20_000}),
    "wait": ("/v1/messages/wait", MOST | {"timeout_s": 1}),
    "log": ("/v1/messages", MOST),
    "log by words": ("/v1/messages", MOST | {"text": "wanted"}),
    "outbox": ("/v1/messages/outbox", MOST),
    "thread": ("/v1/messages/{message}/thread", MOST),
    "channel": ("/v1/channels/long/messages", MOST),
    "what a person needs": ("/v1/inbox", {"limit": 200, "max_chars": limits.MAX_CHARS_MAX}),
    "one message": ("/v1/messages/{message}", {}),
    "chunks": ("/v1/sessions/talk/chunks", WHOLE),
    "chunks within a budget": ("/v1/sessions/talk/chunks", MOST),
    "export": ("/v1/sessions/talk/export", WHOLE),
    "memories": ("/v1/memories", WHOLE),
    "memories within a budget": ("/v1/memories", MOST),
    "tasks": ("/v1/tasks", WHOLE),
    "decisions": ("/v1/decisions", WHOLE),
    "events": ("/v1/events", WHOLE | {"type": "test"}),
    "events within a budget": ("/v1/events", MOST | {"type": "test"}),
    "search": ("/v1/search", {"text": "wanted", "limit": 200}),
    "recall": ("/v1/recall", {"text": "wanted", "max_chars": limits.MAX_CHARS_MAX}),
    "artifacts": ("/v1/sessions/talk/artifacts", WHOLE),
    "artifact": ("/v1/sessions/talk/artifacts/a0/content", {"max_chars": limits.MAX_CHARS_MAX}),
}
MOST_CHARS = {"max_chars": limits.MAX_CHARS_MAX}
CALLS: dict[str, dict[str, Any]] = {
    "read_inbox": MOST_CHARS,
    "wait_for_messages": MOST_CHARS | {"timeout_s": 1},
    "read_thread": MOST_CHARS | {"message_id": "{message}"},
    "list_tasks": MOST_CHARS,
    "recall": MOST_CHARS | {"text": "wanted"},
}
"""Tools, each with its arguments: what they answer is read through for a model."""
RESOURCE = f"repomesh://session/talk?max_chars={limits.MAX_CHARS_MAX}"
READERS = {"outbox": "writer"}


@pytest.fixture
def process(settings: Settings) -> Iterator[Process]:
    started = Process(settings.data, settings.database_url, messages_per_minute=1_000_000)
    started.start()
    yield started
    started.stop()


def test_pages_of_the_longest_texts_cost_others_little(process: Process) -> None:
    headers = {"Authorization": f"Bearer {process.token}", "X-Repomesh-Agent": "reader"}
    with httpx.Client(base_url=process.url, headers=headers, timeout=120) as client:
        message = fill(client)
        read(client, "/v1/messages/inbox", {"limit": 1, "max_chars": 20_000})
        cost = Cost(process)
        for name, (path, params) in READS.items():
            path, reader = path.format(message=message), READERS.get(name)
            cost.measure(name, lambda path=path, params=params, by=reader: read(client, path, params, by))
    cost.check()


def test_tools_that_read_the_longest_texts_cost_others_little(process: Process) -> None:
    headers = {"Authorization": f"Bearer {process.token}", "X-Repomesh-Agent": "reader"}
    with httpx.Client(base_url=process.url, headers=headers, timeout=120) as client:
        message = fill(client)
        call(client, "read_inbox", {"max_chars": 20_000})
        cost = Cost(process)
        for tool, arguments in CALLS.items():
            given = arguments | {"message_id": message} if "message_id" in arguments else arguments
            cost.measure(tool, lambda tool=tool, given=given: call(client, tool, given))
        cost.measure("session as a resource", lambda: ask(client, "resources/read", RESOURCE, uri=RESOURCE))
    cost.check()


class Cost:
    """What reads cost others: how long their answers took meanwhile, and how much the server grew."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._before = resident_bytes(process)
        self._slow: dict[str, float] = {}
        self._grown: dict[str, int] = {}

    def measure(self, name: str, read: Callable[[], int]) -> None:
        """Do it several times at once, and again where others waited for long: the machine may be busy."""
        for _ in range(MEASURED_MAX):
            with watched(self._process) as took, ThreadPoolExecutor(AT_ONCE) as pool:
                sizes = [one.result() for one in [pool.submit(read) for _ in range(AT_ONCE)]]
            self._slow[name] = max(took)
            if self._slow[name] <= STALL_S_MAX:
                break
        self._grown[name] = resident_bytes(self._process) - self._before
        if AT_FULL_SIZE:
            grown = self._grown[name] >> 20
            print(
                f"{name}: {max(sizes):,} characters, slowest {max(took):.3f} s, {grown} MB more", flush=True
            )

    def check(self) -> None:
        """Name what cost too much."""
        assert {name: grown for name, grown in self._grown.items() if grown > GROWTH_BYTES_MAX} == {}
        assert {name: s for name, s in self._slow.items() if s > STALL_S_MAX} == {}


@pytest.mark.parametrize("stream", ["events", "socket"])
def test_streams_of_the_longest_events_cost_others_little(process: Process, stream: str) -> None:
    headers = {"Authorization": f"Bearer {process.token}", "X-Repomesh-Agent": "reader"}
    with httpx.Client(base_url=process.url, headers=headers, timeout=120) as client:
        fill(client)
        last = client.get("/v1/events", params={"limit": 1}).json()["last_seq"]
        cost = Cost(process)
        replay = {"events": replay_events, "socket": replay_socket}[stream]
        cost.measure(stream, lambda: replay(process, last))
    cost.check()


def fill(client: httpx.Client) -> str:
    """Make as many long texts as the lists have pages for; answers the first message's id."""
    del client.headers["X-Repomesh-Agent"]
    for name in ("reader", "writer"):
        post(client, "/v1/agents/register", name=name)
    client.headers["X-Repomesh-Agent"] = "writer"
    post(client, "/v1/channels", name="long")
    post(client, "/v1/sessions", session_id="talk", title="Talk")
    ids: list[str] = []
    for number in range(MESSAGES):
        body = "wanted " + LETTER * (limits.TEXT_CHARS_MAX - 7)
        where = {"parent_message_id": ids[0]} if ids else {"to": ["#long", "reader"]}
        ids.append(post(client, "/v1/messages", body=body, **where)["id"])
        content = "wanted " + LETTER * (limits.CHUNK_BYTES_MAX // 4 - 2)
        post(client, "/v1/sessions/talk/chunks", chunk_id=f"c{number}", content=content)
        artifact = {"artifact_id": f"a{number}", "title": LETTER * limits.LABEL_CHARS_MAX}
        post(client, "/v1/sessions/talk/artifacts", **artifact, content=body)
    for number in range(SMALLER):
        text = f"wanted {number} " + LETTER * (limits.MEMORY_CHARS_MAX - 100)
        post(client, "/v1/memories", key=f"k{number}", content=text)
        post(client, "/v1/tasks", goal=f"task {number}", description=text)
        data = {"text": LETTER * (limits.EVENT_DATA_CHARS_MAX - 100)}
        post(client, "/v1/events", type="test.long", data=data)
    del client.headers["X-Repomesh-Agent"]
    for number in range(SMALLER):  # which agents record none
        rationale = LETTER * limits.RATIONALE_CHARS_MAX
        post(client, "/v1/decisions", topic=f"topic {number}", decision="yes", rationale=rationale)
    client.headers["X-Repomesh-Agent"] = "reader"
    post(client, "/v1/channels/long/join")
    return ids[0]


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    content = json.dumps(body, ensure_ascii=False).encode()
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code < 300, (path, answer.text[:500])
    return answer.json()


def read(client: httpx.Client, path: str, params: dict[str, Any], agent: str | None = None) -> int:
    """How many characters an answer has, which `agent` reads where it is not the usual reader."""
    headers = {"X-Repomesh-Agent": agent} if agent else {}
    answer = client.get(path, params=params, headers=headers)
    assert answer.status_code == 200, (path, answer.text[:500])
    if not path.endswith("/content"):  # whose budget is that of the text in it
        assert len(answer.text) <= params.get("max_chars", len(answer.text)), path
    return len(answer.text)


def call(client: httpx.Client, tool: str, arguments: dict[str, Any]) -> int:
    """How many characters a tool's result has."""
    return ask(client, "tools/call", tool, name=tool, arguments=arguments)


def ask(client: httpx.Client, method: str, about: str, **params: Any) -> int:
    """How many characters the answer to a request of MCP has."""
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": STATELESS}
    headers |= {"Mcp-Method": method, "Mcp-Name": about}
    answer = client.post("/mcp", json=line(method, **params), headers=headers)
    assert answer.status_code == 200, answer.text[:500]
    # Behind 15 seconds the answer is a stream of events, of which the first are pings.
    text = answer.text if answer.text.startswith("{") else answer.text.rpartition("data: ")[2]
    result = json.loads(text)["result"]
    assert not result.get("isError"), answer.text[:500]
    return len(answer.text)


def replay_socket(process: Process, last: int) -> int:
    """Read the whole log over a WebSocket."""
    headers = {"Authorization": f"Bearer {process.token}"}
    size = 0
    url = process.url.replace("http", "ws", 1) + "/v1/ws"
    with connect(url, additional_headers=headers, max_size=None, open_timeout=60) as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "all", "after": 0}))
        while True:
            frame = socket.recv(timeout=60)
            size += len(frame)
            if json.loads(frame).get("event", {}).get("seq") == last:
                return size


def replay_events(process: Process, last: int) -> int:
    """Read the whole log as a stream."""
    size = 0
    headers = {"Authorization": f"Bearer {process.token}"}
    url = f"{process.url}/v1/stream"
    with httpx.stream("GET", url, params={"after": 0}, headers=headers, timeout=120) as stream:
        for text in stream.iter_lines():
            size += len(text)
            if text == f"id: {last}":
                break
    return size
