"""Claude Code at a terminal: idle, it takes what comes to its inbox socket."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from cli.running import eventually
from clis import plain, terminal
from clis.conftest import there
from clis.model import scripted
from clis.running import Desk
from clis.wires import Text

pytestmark = pytest.mark.clis
KEEPER = """
import json, os, sys
from pathlib import Path
sys.stdin.read()
kept = {name: os.environ[f"CLAUDE_CODE_MESSAGING_{name}"] for name in ("SOCKET", "TOKEN")}
Path(__file__).with_name(sys.argv[1]).write_text(json.dumps(kept))
"""


def test_a_line_at_the_inbox_socket_starts_a_turn(tmp_path: Path) -> None:
    desk = Desk.make(there("claude"), tmp_path / "project", tmp_path / "home")
    keeper = tmp_path / "keep.py"
    keeper.write_text(KEEPER)
    plain.hooks(desk, f"{sys.executable} {keeper}", ["SessionStart", "Stop"])
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
