"""Runs the programs of the fault tests as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run_program(name: str, *arguments: object, **environment: str) -> str:
    """What a program of `programs.py` printed."""
    done = subprocess.run(
        [sys.executable, HERE / "programs.py", name, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)} | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
