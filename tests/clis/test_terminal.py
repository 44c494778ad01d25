"""At a terminal and idle: Claude Code takes what comes to its inbox socket, Codex what is queued for it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import eventually
from clis import plain, terminal
from clis.conftest import there
from clis.model import scripted
from clis.running import Desk, installer
from clis.wires import Text

pytestmark = pytest.mark.clis
KEEPER = """
import json, os, sys
from pathlib import Path
said = json.load(sys.stdin)
kept = {name: os.environ.get(f"CLAUDE_CODE_MESSAGING_{name}") for name in ("SOCKET", "TOKEN")}
Path(__file__).with_name(sys.argv[1]).write_text(json.dumps(said | kept))
"""


def keep(desk: Desk, folder: Path) -> None:
    """Have hooks keep what they are given at start and at the end of a turn."""
    (folder / "keep.py").write_text(KEEPER)
    plain.hooks(desk, f"{sys.executable} {folder / 'keep.py'}", ["SessionStart", "Stop"])


def test_a_line_at_the_inbox_socket_starts_a_turn(tmp_path: Path) -> None:
    desk = Desk.make(there("claude"), tmp_path / "project", tmp_path / "home")
    keep(desk, tmp_path)
    with (
        scripted(Text("done"), Text("done again")) as model,
        terminal.claude(desk, model.url, "Work.") as seat,
    ):
        assert eventually((tmp_path / "Stop").exists)
        kept = json.loads((tmp_path / "SessionStart").read_text())
        lines = (
            {"type": "auth", "token": kept["TOKEN"]},
            {"type": "user", "message": {"role": "user", "content": "Wake up, there is work."}},
        )
        with socket.socket(socket.AF_UNIX) as inbox:
            inbox.connect(kept["SOCKET"])
            inbox.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())
            assert model.wait_for(lambda model: len(model.turns) == 2)
        assert "Wake up, there is work." in model.turns[1]
        assert seat.typed == 0


def test_what_is_queued_starts_a_turn(tmp_path: Path) -> None:
    desk = Desk.make(there("codex"), tmp_path / "project", tmp_path / "home")
    keep(desk, tmp_path)
    with (
        scripted(Text("done"), Text("done again")) as model,
        terminal.codex(desk, model.url, "Work.") as seat,
    ):
        assert eventually((tmp_path / "Stop").exists)
        thread = json.loads((tmp_path / "SessionStart").read_text())["session_id"]
        words = ["queue", "--thread", thread, "--message", "Wake up, there is work."]
        subprocess.run(
            [*installer.command("codex"), *words],
            cwd=desk.folder,
            env=desk.environment(),
            stdin=subprocess.DEVNULL,
            check=True,
            timeout=20,
        )
        assert model.wait_for(lambda model: len(model.turns) == 2)
        assert "Wake up, there is work." in model.turns[1]
        assert seat.typed == 0
