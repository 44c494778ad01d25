"""Terminal sessions in the documents: each page with ```console blocks is one story at a real terminal.

A line that begins with `$ ` is typed, and so are lines behind it that begin with `> `. Below stands what the
terminal shows: `…` stands for anything within a line, and a line of it alone for any lines. Write a page by
typing its commands; `python tests/docs/consoles.py PAGE…` fills in what they answer.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS = 100
_ROWS = 50
_STORY_S = 240  # for all commands of a page
_MARK = "\x1e"
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What differs each time: ids, times, versions, addresses.
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "…"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC|\+00:00)?"), "…"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "…"),
    (re.compile(r"\bprocess +\d+"), "process …"),
    (re.compile(r"/tmp/[^/ ]+/shop"), "…/shop"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:…"),
    (re.compile(r"\brpm_[\w-]+"), "rpm_…"),
    (re.compile(r"\b(in|ago|for|another) \d+(\.\d+)? ?(s|min|h|ms)\b"), r"\1 …"),
    (re.compile(r"\b\d+ (s|min) ago\b"), "…"),
    (re.compile(r"\bnow(?= \[|  )"), "…"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "…"),
    (re.compile(r"\b\d{8}T\d{6}-\d+\b"), "…"),
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{8}\b"), "…"),
    (re.compile(r"\b[\d,]+ bytes"), "… bytes"),
)


@dataclass
class Step:
    """One command with what the page says that it answers."""

    command: str
    expected: list[str] = field(default_factory=list)


def stories(page: str) -> list[list[Step]]:
    """The steps of each block of a page."""
    blocks = []
    for block in _BLOCK.findall(page):
        steps: list[Step] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:]))
            elif line.startswith("> ") and steps and not steps[-1].expected:
                steps[-1].command += "\n" + line[2:]
            else:
                assert steps, f"no command before: {line}"
                steps[-1].expected.append(line)
        blocks.append(steps)
    return blocks


def typed(commands: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """What a terminal shows for each of the commands, which one shell runs in `folder`."""
    script = "".join(f"{command}\nprintf '{_MARK}'\n" for command in commands)
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, COLUMNS, 0, 0))
    shown: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(main, 65_536):
                shown.append(chunk)
        except OSError:  # the other side is closed: all was read
            return

    reading = threading.Thread(target=read)
    reading.start()
    plain = environment | {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(COLUMNS), "LINES": str(_ROWS)}
    try:
        subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=plain,
            stdin=subprocess.DEVNULL,
            stdout=side,
            stderr=side,
            timeout=_STORY_S,
            check=False,
        )
    finally:
        os.close(side)
        reading.join(10)
        os.close(main)
    text = _STYLE.sub("", b"".join(shown).decode().replace("\r\n", "\n"))
    parts = text.split(_MARK)
    assert len(parts) == len(commands) + 1, text
    return [part.strip("\n") for part in parts[:-1]]


def differs(expected: list[str], shown: str) -> bool:
    """Whether what was shown is not what the page says."""
    wanted = [line.rstrip() for line in expected]
    pattern = "\n".join(
        r"[^\0]*?" if line.strip() == "…" else r"[^\n]*?".join(map(re.escape, line.split("…")))
        for line in wanted
    )
    lines = "\n".join(line.rstrip() for line in shown.splitlines())
    return re.fullmatch(pattern, lines) is None


def filled(page: str, shown: list[str]) -> str:
    """The page with what its commands answer now, and a sign where that differs each time."""
    answers = iter(shown)

    def block(steps: list[Step]) -> str:
        lines = []
        for step in steps:
            first, *more = step.command.split("\n")
            lines += [f"$ {first}", *(f"> {line}" for line in more)]
            answer = next(answers)
            if step.expected and not differs(step.expected, answer):
                lines += step.expected
            else:
                lines += [_steady(line.rstrip()) for line in answer.splitlines()]
        return "```console\n" + "\n".join(lines) + "\n```"

    told = iter(stories(page))
    return _BLOCK.sub(lambda _: block(next(told)), page)


def _steady(line: str) -> str:
    for pattern, sign in _VARYING:
        line = pattern.sub(sign, line)
    return line


def environment(home: Path) -> dict[str, str]:
    """What a reader has: the commands on the path, a name for git, and nothing of repomesh's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REPOMESH_", "GIT_", "XDG_"))
    }
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "REPOMESH_PORT": "0",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _PERSON.items()},
    }


_PERSON = {"NAME": "Ann", "EMAIL": "ann@example.org"}


def play(page: Path, folder: Path) -> list[str]:
    """Type the whole page in a new project; answers what each command showed."""
    home, project = folder / "home", folder / "shop"
    home.mkdir(parents=True)
    (project / "src").mkdir(parents=True)
    (project / "src" / "app.py").write_text("print('hello')\n")
    variables = environment(home)
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Begin"]):
        subprocess.run(["git", *words], cwd=project, env=variables, check=True)
    commands = [step.command for block in stories(page.read_text()) for step in block]
    try:
        return typed(commands, project, variables)
    finally:
        subprocess.run(
            ["repomesh", "down"], cwd=project, env=variables, capture_output=True, check=False, timeout=60
        )


def main(pages: list[str]) -> None:
    """Write the answers into pages."""
    for name in pages:
        with tempfile.TemporaryDirectory() as folder:
            page = Path(name)
            page.write_text(filled(page.read_text(), play(page, Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
