"""Hooks as a CLI would call them, over the real HTTP application."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from harness import Mesh, Speaker

EVENTS: dict[str, dict[str, str]] = {
    "claude": {
        "start": "SessionStart",
        "prompt": "UserPromptSubmit",
        "before": "PreToolUse",
        "after": "PostToolUse",
        "stop": "Stop",
        "end": "SessionEnd",
    },
    "gemini": {
        "start": "SessionStart",
        "prompt": "BeforeAgent",
        "before": "BeforeTool",
        "after": "AfterTool",
        "stop": "AfterAgent",
        "end": "SessionEnd",
    },
    "copilot": {
        "start": "sessionStart",
        "prompt": "userPromptSubmitted",
        "before": "preToolUse",
        "after": "postToolUse",
        "stop": "agentStop",
        "end": "sessionEnd",
    },
}
EVENTS |= {"codex": EVENTS["claude"], "qwen": EVENTS["claude"]}


@dataclass
class Cli:
    """One session of a CLI, as its hooks tell of it."""

    mesh: Mesh
    name: str = "claude"
    session_id: str = "s1"
    cwd: str = "/nowhere"
    transcript: str | None = None
    token: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def call(self, event: str, **said: Any) -> httpx.Response:
        """Call a hook by the CLI's own name of the event."""
        copilot = self.name == "copilot"
        body = {"sessionId" if copilot else "session_id": self.session_id, "cwd": self.cwd}
        if self.transcript is not None:
            body["transcriptPath" if copilot else "transcript_path"] = self.transcript
        speaker = Speaker(self.mesh.http, self.token or self.mesh.token)
        path = f"/v1/hooks/{self.name}/{event}"
        content = json.dumps(body | said)  # which may hold half of a surrogate pair
        headers = {"Content-Type": "application/json"} | self.headers
        return await speaker.request("POST", path, content=content, headers=headers)

    async def hook(self, moment: str, **said: Any) -> Any:
        """Call a hook; answers what it prints as JSON, None for nothing. Waits for what is done behind it."""
        response = await self.call(EVENTS[self.name][moment], **said)
        assert response.status_code in (200, 204), response.text
        await self.settled()
        return json.loads(response.content) if response.content else None

    async def settled(self) -> None:
        """Wait for what the server does behind its answers."""
        await self.mesh.server.hooks.service.settled()
        await self.mesh.server.transcripts.settled()
        await self.mesh.server.implicit_heartbeats.stop()

    async def told(self, moment: str, **said: Any) -> str:
        """The text that reaches the model; empty for nothing."""
        return text_of(await self.hook(moment, **said))

    async def agent(self) -> str:
        """The name of the session's agent."""
        items = (await self.mesh.get("/v1/cli-sessions", cli=self.name, live=False))["items"]
        return next(str(one["agent_name"]) for one in items if one["session_id"] == self.session_id)

    async def state(self) -> str:
        """Whether the session's model works or waits."""
        items = (await self.mesh.get("/v1/cli-sessions", cli=self.name))["items"]
        return next(str(one["state"]) for one in items if one["session_id"] == self.session_id)

    def write(self, text: str) -> None:
        """Write down in the transcript what the model was given."""
        assert self.transcript is not None
        with Path(self.transcript).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"text": text}) + "\n")


def text_of(printed: Any) -> str:
    """The text for the model in what a hook printed, in whichever dialect."""
    if printed is None:
        return ""
    inner = printed.get("hookSpecificOutput", printed)
    for name in ("additionalContext", "permissionDecisionReason", "reason"):
        if name in inner:
            return str(inner[name])
    raise AssertionError(f"nothing in it is for the model: {printed}")


def boundary_of(text: str) -> str:
    """The boundary of the envelope in a text."""
    begin = text.index("[repomesh rm") + len("[repomesh ")
    return text[begin : text.index(":", begin)]


def git(folder: Path, *words: str) -> None:
    """Run git in a folder."""
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    subprocess.run(command, check=True, capture_output=True)


def repository(folder: Path) -> Path:
    """A repository with one commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "README.md").write_text("hello\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "begin")
    return folder
