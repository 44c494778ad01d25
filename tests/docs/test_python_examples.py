"""The Python examples of the client's page run in their order, as programs, and print what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from cli.running import Shell, running, shell
from docs.test_examples import environment

__all__ = ["running", "shell"]

PAGE = Path(__file__).parents[2] / "docs" / "python-client.md"
EXAMPLE = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def test_the_examples_print_what_the_page_says(running: Shell) -> None:
    text = PAGE.read_text()
    examples = EXAMPLE.findall(text)
    assert len(examples) == text.count("```python")
    for code, printed in examples:
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=running.folder, env=environment(running), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, printed), done.stderr
