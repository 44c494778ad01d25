"""One agent of the demo, as a process of its own: it speaks MCP and nothing else, with the official client.

It stands in for a model: its actions are scripted here, the answers it gets are not. The server, the other
agents and the repository are real.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.client import Client, ConnectMode
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation

AUTHORS, INVENTORY, README = "survey/authors.md", "survey/inventory.md", "README.md"
CHANNEL = "work"
_PATIENCE_S = 60.0
_PRESENT_EVERY_S = 0.7


class ToolRefused(Exception):
    """A tool answered with an error; `answer` is its error document."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['code']}: {answer['message']}")
        self.code: str = answer["code"]
        self.answer = answer


class DemoAgent:
    """An agent that calls MCP tools and works in the current folder."""

    def __init__(self, name: str, tools: Client) -> None:
        self.name = name
        self._tools = tools
        self._working: asyncio.Task[None] | None = None

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its answer; raises ToolRefused."""
        result = await self._tools.call_tool(tool, arguments)
        answer: dict[str, Any] = json.loads(result.content[0].text)  # type: ignore[union-attr]
        if result.is_error:
            raise ToolRefused(answer)
        return answer

    async def register(self, *capabilities: str) -> None:
        """Register, and call a tool regularly to stay present."""
        await self.call("register_agent", name=self.name, program="repomesh demo", capabilities=capabilities)
        self._working = asyncio.create_task(self._stay_present())

    async def join(self, *capabilities: str) -> None:
        """Register, and join the channel."""
        await self.register(*capabilities)
        await self.call("join_channel", channel=CHANNEL, create=True)

    async def _stay_present(self) -> None:
        while True:
            await asyncio.sleep(_PRESENT_EVERY_S)
            await self.call("list_tasks", limit=1)

    async def find(self, **criteria: Any) -> str:
        """Wait for an active agent that fits, and return its name."""
        while True:
            answer = await self.call("list_agents", status="active", **criteria)
            if answer["items"]:
                description = ", ".join(f"{key} '{value}'" for key, value in criteria.items())
                print_line(f"found {answer['items'][0]['name']} by {description}")
                return str(answer["items"][0]["name"])
            await asyncio.sleep(0.1)

    async def wait_for(self, fits: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        """Wait for `count` messages that fit; every message is acknowledged."""
        messages: list[dict[str, Any]] = []
        while len(messages) < count:
            messages += [message for message in await self.listen(2) if fits(message)]
        return messages

    async def listen(self, seconds: float) -> list[dict[str, Any]]:
        """Wait up to `seconds` for messages, acknowledge them and return them."""
        answer = await self.call("wait_for_messages", timeout_s=seconds)
        for message in answer["items"]:
            await self.call("acknowledge_message", message_id=message["id"])
        return list(answer["items"])

    async def claim(self, task_id: str) -> dict[str, Any]:
        """Claim a task and lock its scope, as soon as the server allows it; returns the claim."""
        while True:
            try:
                return await self.call("claim_task", task_id=task_id, take_locks=True)
            except ToolRefused as refused:
                if refused.code not in ("dependencies_unmet", "task_claimed", "lock_conflict"):
                    raise
                await self.listen(0.5)

    async def commit(self, path: str, text: str, message: str) -> str:
        """Write a file and commit it under a lock of the shared index; returns the short commit id."""
        _write(path, text)
        lock = await self.call("acquire_locks", resources=["git:index"], wait_s=20, note=message)
        await git("add", "--", path)
        await git(*self._identity(), "commit", "--quiet", "--message", message, "--", path)
        await self.call("release_locks", fencing_token=lock["fencing_token"])
        return (await git("rev-parse", "--short", "HEAD")).strip()

    def _identity(self) -> list[str]:
        values = {
            "user.name": self.name,
            "user.email": f"{self.name}@agents.invalid",
            "commit.gpgsign": "false",
            "core.hooksPath": os.devnull,
        }
        return [word for key, value in values.items() for word in ("-c", f"{key}={value}")]


async def ada(me: DemoAgent) -> None:
    """Creates the tasks, lists the authors, and at last links both parts from the readme."""
    await me.join("history", "writing")
    ben, cleo = await me.find(capability="survey", name_prefix="b"), await me.find(name_prefix="cleo")
    authors = await _create_task(me, "Say who wrote it", AUTHORS, "history", priority=5)
    inventory = await _create_task(me, "Say what is in it", INVENTORY, "survey", priority=5)
    link = await _create_task(
        me, "Lead readers to both", README, "writing", dependencies=[authors, inventory]
    )
    question = await me.call(
        "send_message",
        to=[ben, cleo],
        subject="Who takes the inventory?",
        body=f"It is task `{inventory}`; the other one waits for it: `{link}`.",
        ack_required=True,
    )
    await me.wait_for(lambda message: message["thread_id"] == question["thread_id"], count=2)
    await me.call("send_message", to=[f"#{CHANNEL}"], body=f"Three tasks are up; I take `{authors}`.")
    claimed = await me.claim(authors)
    names = (await git("shortlog", "--summary", "--numbered", "HEAD")).splitlines()
    rows = [tuple(part.strip() for part in line.split("\t", 1)) for line in names]
    lines = [
        "# Authors",
        "",
        "| commits | author |",
        "|---|---|",
        *(f"| {n} | {author} |" for n, author in rows),
    ]
    commit = await me.commit(AUTHORS, "\n".join(lines) + "\n", "Say who wrote it")
    await _finish_task(me, claimed, f"{AUTHORS} names {len(rows)} authors, commit {commit}")
    claimed = await me.claim(link)
    context = await me.call("get_task_context", task_id=link)
    results = [dependency["result"] for dependency in context["dependencies"]]
    print_line(f"read what came of the tasks before: {'; '.join(results)}")
    links = f"\n\nSee [who wrote this]({AUTHORS}) and [what is in it]({INVENTORY}).\n"
    commit = await me.commit(README, _read(README).rstrip("\n") + links, "Lead readers to both")
    await _finish_task(me, claimed, f"{README} leads to both, commit {commit}")
    await me.call("send_message", to=[f"#{CHANNEL}"], body="All three tasks are done. Thank you!")


async def ben(me: DemoAgent) -> None:
    """Writes half of the inventory; then it is killed, with its task claimed and its file locked."""
    await me.join("survey")
    (question,) = await me.wait_for(lambda message: message["subject"].startswith("Who takes"))
    await me.call(
        "send_message", parent_message_id=question["id"], body="I take it: files and lines by type."
    )
    claimed = await me.claim(await _task_id(me, "Say what is in it"))
    _write(INVENTORY, "\n".join((await _inventory())[:5]))
    await me.call(
        "send_message", to=[f"#{CHANNEL}"], body=f"I hold {INVENTORY} and am half-way.", task_id=_id(claimed)
    )
    print_line(
        f"is half-way through {INVENTORY}, with fencing token {claimed['fencing_token']}", mark="half-way"
    )
    await asyncio.Event().wait()


async def cleo(me: DemoAgent) -> None:
    """Is refused twice, waits, and finishes the task of ben."""
    await me.join("survey", "writing")
    (question,) = await me.wait_for(lambda message: message["subject"].startswith("Who takes"))
    await me.call("send_message", parent_message_id=question["id"], body="Let Ben do it; I help where I can.")
    await me.wait_for(lambda message: message["sender_name"] == "ben")
    await _expect_refusal(me, "acquire_locks", resources=[INVENTORY], note="only to correct a word")
    await _expect_refusal(me, "claim_task", task_id=await _task_id(me, "Lead readers to both"))
    await me.call("send_message", to=["ben"], body="You hold the file that I wanted. I wait.")
    print_line("was told no twice and waits", mark="told no")
    claimed = await me.claim(await _task_id(me, "Say what is in it"))
    context = await me.call("get_task_context", task_id=_id(claimed))
    reclaimed = next(event for event in context["events"] if event["type"] == "task.reclaimed")
    print_line(f"was given ben's task and his lock, because: {reclaimed['text']}")
    lines = await _inventory()
    commit = await me.commit(INVENTORY, "\n".join(lines) + "\n", "Say what is in it")
    await _finish_task(
        me, claimed, f"{INVENTORY} is whole ({lines[-1].lower().rstrip('.')}), commit {commit}"
    )
    await me.wait_for(lambda message: message["body"].startswith("All three"))


async def _create_task(me: DemoAgent, goal: str, path: str, capability: str, **fields: Any) -> str:
    """Create a task for one file and return its id."""
    task = await me.call("create_task", goal=goal, scope=[path], capabilities=[capability], **fields)
    return str(task["id"])


async def _task_id(me: DemoAgent, goal: str) -> str:
    """Return the id of the task with this goal."""
    page = await me.call("list_tasks", limit=50)
    return next(str(task["id"]) for task in page["items"] if task["goal"] == goal)


async def _finish_task(me: DemoAgent, claimed: dict[str, Any], result: str) -> None:
    """Finish a task, which also releases its locks."""
    token = claimed["fencing_token"]
    await me.call("finish_task", task_id=_id(claimed), fencing_token=token, outcome="done", result=result)
    print_line(f"has finished '{claimed['task']['goal']}': {result}")


async def _expect_refusal(me: DemoAgent, tool: str, **arguments: Any) -> None:
    """Call a tool that must refuse; raises RuntimeError if it does not."""
    try:
        await me.call(tool, **arguments)
    except ToolRefused as refused:
        print_line(f"was told no by {tool}: {refused.answer['message']}")
    else:
        raise RuntimeError(f"{tool} granted what somebody else has")


def _id(claimed: dict[str, Any]) -> str:
    return str(claimed["task"]["id"])


async def _inventory() -> list[str]:
    """Count files and lines by type; returns lines of Markdown."""
    return _count_lines((await git("ls-files", "-z")).split("\0"))


def _count_lines(names: list[str]) -> list[str]:
    files, lines = Counter[str](), Counter[str]()
    for path in map(Path, names):
        if path.is_file() and path.parts[0] != "survey":
            type_ = path.suffix or "(none)"
            files[type_] += 1
            lines[type_] += path.read_bytes().count(b"\n")
    rows = [f"| {type_} | {count} | {lines[type_]} |" for type_, count in files.most_common()]
    total = f"Together {files.total()} files with {lines.total()} lines."
    return ["# Inventory", "", "| type | files | lines |", "|---|---|---|", *rows, "", total]


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else "# Readme\n"


def _write(path: str, text: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


async def git(*words: str) -> str:
    """Run git and return its output; raises RuntimeError if it fails."""
    process = await asyncio.create_subprocess_exec(
        "git", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"git {words[0]}: {err.decode().strip()}")
    return out.decode(errors="replace")


def print_line(text: str, **marks: str) -> None:
    """Print a line of the story as JSON, with marks for `DemoRun.watch`."""
    print(json.dumps({"text": text} | marks), flush=True)


@asynccontextmanager
async def connected(url: str, token: str, mode: ConnectMode) -> AsyncIterator[Client]:
    """Open the official client at the server's endpoint."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(
            streamable_http_client(f"{url}/mcp", http_client=http),
            mode=mode,
            client_info=Implementation(name="repomesh-demo", version="1"),
        ) as client,
    ):
        yield client


ROLES: dict[str, tuple[Callable[[DemoAgent], Awaitable[None]], ConnectMode]] = {
    "ada": (ada, "auto"),
    "ben": (ben, "legacy"),  # the older handshake, as some CLIs still speak it
    "cleo": (cleo, "auto"),
}
"""The part and the connect mode of each agent."""


async def play(name: str) -> None:
    """Play the part of an agent to its end."""
    part, mode = ROLES[name]
    async with (
        asyncio.timeout(_PATIENCE_S),
        connected(os.environ["REPOMESH_URL"], os.environ["REPOMESH_TOKEN"], mode) as tools,
    ):
        await part(DemoAgent(name, tools))


if __name__ == "__main__":
    asyncio.run(play(sys.argv[1]))
