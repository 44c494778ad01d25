"""What repomesh puts into models' contexts: characters, and tokens beside them.

A model reads the list of tools and the instructions once a session, what its hooks print, its own calls and
their results. The story is that of two agents who divide a piece of work: they meet, one asks and the other
answers, one claims a task with its lock, edits, is told no once, and reports.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from bench.mcp import rpc
from bench.messages import ask
from bench.report import Report
from bench.servers import Running, repomesh
from bench.tokens import count


class Context:
    """What one model has read, and how to have it read more: its tools and its CLI's hooks."""

    def __init__(self, server: Running, project: Path, name: str) -> None:
        self.name = name
        self.texts: list[str] = []
        self._server = server
        self._project = project
        self._session_id = str(uuid.uuid4())
        self._identity = {"Authorization": f"Bearer {server.token}", "X-Repomesh-Agent": name}

    def start(self) -> str:
        """Read what stands there before the first word: instructions, tools, and the briefing."""
        self.hook("SessionStart")  # by which the agent is registered
        self._read(self._rpc("server/discover", {})["instructions"])
        self._read(_compact(self._rpc("tools/list", {})["tools"]))
        return "".join(self.texts)

    def hook(self, event: str, tool: str = "Bash", **arguments: str) -> str:
        """Read what a hook of the CLI prints."""
        said = {
            "session_id": self._session_id,
            "cwd": str(self._project),
            "transcript_path": str(self._project / f"{self.name}.jsonl"),
            "hook_event_name": event,
            "tool_name": tool,
            "tool_input": arguments,
        }
        request = urllib.request.Request(
            f"{self._server.url}/v1/hooks/claude/{event}",
            data=json.dumps(said).encode(),
            headers=self._identity,
        )
        with urllib.request.urlopen(request) as answer:
            printed = answer.read().decode()
        shown = _shown(json.loads(printed)) if printed else ""
        self._read(shown)
        return shown

    def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool: the model writes the arguments and reads the result."""
        result = self._rpc("tools/call", {"name": tool, "arguments": arguments})
        text = "\n".join(part["text"] for part in result["content"])
        self._read(_compact({"name": tool, "arguments": arguments}))
        self._read(text)
        assert not result.get("isError") or tool == "acquire_locks", text
        return result.get("structuredContent") or _first_object(text)

    def _read(self, text: str) -> None:
        self.texts.append(text)

    def _rpc(self, method: str, params: dict[str, Any]) -> Any:
        headers, body = rpc(method, params)
        headers |= self._identity | {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._server.url}/mcp", data=body, headers=headers)
        with urllib.request.urlopen(request) as answer:
            said = json.loads(answer.read())
        assert "result" in said, said
        return said["result"]


def measure(report: Report, folder: Path) -> None:
    """A start, a delivered message, a claim with its lock, and the whole story."""
    project = folder / "project"
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    with repomesh(project / ".repomesh") as server:
        (project / ".repomesh/connect").mkdir()
        parts = _story(server, project)
    for name, text in parts.items():
        report.note(f"{name}, characters", len(text), "")
        report.note(f"{name}, tokens", count(text), "")


def _story(server: Running, project: Path) -> dict[str, str]:
    alice, bob = Context(server, project, "alice"), Context(server, project, "bob")
    task = ask(
        server, "/v1/tasks", server.token, {"goal": "Accept trailing commas", "scope": ["src/parser/**"]}
    )
    start = alice.start()
    bob.start()
    sent = alice.call("send_message", to=["bob"], body="Who reads the tokens of a list? I would change it.")
    delivered = bob.hook("PostToolUse")
    bob.call(
        "send_message", parent_message_id=sent["id"], body="Only parser/list.py; go on, I stay in the lexer."
    )
    alice.hook("PostToolUse")
    mark = len(alice.texts)
    claimed = alice.call("claim_task", task_id=task["id"], take_locks=True)
    claim = "".join(alice.texts[mark:])
    alice.hook("PreToolUse", "Edit", file_path=str(project / "src/parser/list.py"))
    denied = bob.hook("PreToolUse", "Edit", file_path=str(project / "src/parser/list.py"))
    held = {"task_id": task["id"], "fencing_token": claimed["fencing_token"]}
    alice.call("finish_task", **held, outcome="done", result="Done, with tests.")
    alice.call("send_message", to=["bob"], body="Trailing commas are in; the parser is free again.")
    bob.hook("UserPromptSubmit")
    bob.hook("Stop")
    return {
        "a start: instructions, tools, briefing": start,
        "a message delivered by a hook": delivered,
        "a claim with its lock": claim,
        "an edit denied": denied,
        "a story of two agents, both contexts": "".join(alice.texts + bob.texts),
    }


def _shown(printed: dict[str, Any]) -> str:
    """What of a hook's answer the CLI puts before its model."""
    specific = printed.get("hookSpecificOutput", {})
    shown = printed.get("reason") or specific.get("additionalContext") or specific["permissionDecisionReason"]
    return str(shown)


def _first_object(text: str) -> Any:
    return json.JSONDecoder().raw_decode(text)[0]


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
