"""Writes `samples/CLI/EVENT….json`: what each CLI gives its hooks, with ids, times and folders made the same.

`python tests/clis/sampling.py [CLI …]` runs the real CLIs. The dialects are tested against these files: what
a new version changes shows here as a difference.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clis import plain, terminal, tools
from clis.model import scripted
from clis.running import REQUIRED, Desk
from clis.wires import Answer, Text

SAMPLES: Final = Path(__file__).with_name("samples")
RECORDER: Final = """
import sys, time
from pathlib import Path
Path(__file__).with_name(f"{time.time_ns()}-{sys.argv[1]}.json").write_text(sys.stdin.read())
"""
FULL: Final = {"claude": 990_000, "codex": 500_000, "gemini": 900_000, "copilot": 125_000, "qwen": 190_000}
"""A length in tokens at which each CLI compacts what was said; Gemini does so only between prompts."""
_SAME: Final = (
    (r"session-\d{4}-\d\d-\d\dT\d\d-\d\d-[0-9a-f]{8}", "session-2026-01-02T03-04-00000000"),
    (r"rollout-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "rollout-2026-01-02T03-04-05"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "2026-01-02T03:04:05.678Z"),
    (r'"timestamp":\s*\d{13}', '"timestamp": 1767323045678'),
    (r"sessions/\d{4}/\d\d/\d\d/", "sessions/2026/01/02/"),
    (r"\b(call|toolu)_[0-9a-z_]+", r"\1_1"),
    (r'"duration_ms":\s*\d+', '"duration_ms": 10'),
    (r'"agent_id":\s*"[0-9a-f]+"', '"agent_id": "a1"'),
    (r"agent-[0-9a-f]{16,}", "agent-a1"),
    (r"PGID: \d+", "PGID: 1234"),
    (r'"command":\s*"[^"]*/python[0-9.]*"', '"command": "/usr/bin/python3"'),
    (r'"[^"]*/echo_mcp.py"', '"/home/ann/echo_mcp.py"'),
)


class Recorder:
    """Hooks that keep what they are given."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "record.py").write_text(RECORDER)
        plain.hooks(desk, f"{sys.executable} {folder / 'record.py'}")

    def recorded(self) -> list[tuple[str, Any]]:
        """Event and input of each call, in order, made the same for every run."""
        calls = sorted(self.folder.glob("*.json"))
        return [(path.stem.partition("-")[2], json.loads(self._same(path.read_text()))) for path in calls]

    def _same(self, text: str) -> str:
        folder = str(self.desk.folder)
        mangled = re.sub(r"[/_]", "-", folder)
        text = text.replace(folder, "/home/ann/project").replace(str(self.desk.home), "/home/ann")
        text = text.replace(mangled, "-home-ann-project").replace(folder[1:], "home/ann/project")
        ids: dict[str, str] = {}
        text = re.sub(
            r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            lambda match: ids.setdefault(match[0], f"00000000-0000-4000-8000-{len(ids) + 1:012}"),
            text,
        )
        for pattern, same in _SAME:
            text = re.sub(pattern, same, text)
        return text


def work(desk: Desk) -> list[Answer]:
    """Every manner of tool once, and the end of a turn."""
    patch = "apply_patch <<'EOF'\n*** Begin Patch\n*** Delete File: made.txt\n*** End Patch\nEOF\n"
    return [
        tools.write(desk.cli, desk.folder, "made.txt", "one\ntwo\n"),
        *tools.look(desk.cli, desk.folder, "made.txt"),
        tools.edit(desk.cli, desk.folder, "made.txt", "one", "three"),
        tools.shell(desk.cli, "ls"),
        tools.mcp(desk.cli, "echo", "echo", words="ping"),
        *([tools.shell("codex", patch)] if desk.cli == "codex" else []),
        Text("done"),
    ]


def long(desk: Desk) -> list[Answer]:
    """A conversation that grows too long between its tool calls."""
    first = tools.shell(desk.cli, "seq 2000")
    return [replace(first, tokens=FULL[desk.cli]), tools.shell(desk.cli, "true"), Text("done")]


def forbidden(desk: Desk) -> list[Answer]:
    """A tool that nobody has allowed."""
    return [tools.shell(desk.cli, "touch made.txt"), Text("done")]


def label(event: str, given: Any) -> str:
    """The name of a sample: its event, and the tool where there is one."""
    tool = given.get("tool_name", given.get("toolName"))
    detail = tool or given.get("trigger") or given.get("notification_type")
    if given.get("source") == "compact":
        detail = "compact"
    if tool == "Bash" and "*** Begin Patch" in json.dumps(given):
        detail = "Bash-patch"
    return f"{event}.{detail.replace('/', '-')}" if detail else event


def sample(cli: str, where: Path) -> dict[str, Any]:
    """Run a CLI; answers the first input under each name."""
    found: dict[str, Any] = {}
    for play, allowed, words in (
        (work, True, []),
        (long, True, ["-c", "model_auto_compact_token_limit=20000"] if cli == "codex" else []),
        (forbidden, False, []),
    ):
        at = where / play.__name__
        desk = Desk.make(cli, at / "project", at / "home")
        recorder = Recorder(desk, at / "recorder")
        plain.echo_server(desk)
        with (
            scripted(*play(desk)) as model,
            desk.running(model.url, "Work.", *words, allowed=allowed) as run,
        ):
            run.wait()
        for event, given in recorder.recorded():
            found.setdefault(label(event, given), given)
    if cli == "claude":
        found["Notification.permission_prompt"] = waiting_for_a_person(where / "terminal")
    return found


def waiting_for_a_person(where: Path) -> Any:
    """What Claude Code's hook is given when it asks at its terminal, and nobody is there for a while."""
    desk = Desk.make("claude", where / "project", where / "home")
    recorder = Recorder(desk, where / "recorder")
    with (
        scripted(*forbidden(desk)) as model,
        terminal.claude(desk, model.url, "Work.", "--permission-mode", "default"),
    ):
        for _ in range(200):
            asked = [given for event, given in recorder.recorded() if event == "Notification"]
            if asked:
                return asked[0]
            time.sleep(0.1)
    raise SystemExit("Claude Code did not say that it waits for a person")


def main() -> None:
    """Sample those named, or all that have hooks."""
    for cli in sys.argv[1:] or REQUIRED:
        with tempfile.TemporaryDirectory(prefix="sampling") as where:
            found = sample(cli, Path(where))
        folder = SAMPLES / cli
        folder.mkdir(parents=True, exist_ok=True)
        for name, given in found.items():
            (folder / f"{name}.json").write_text(json.dumps(given, indent=2) + "\n")
        print(cli, *found)


if __name__ == "__main__":
    main()
