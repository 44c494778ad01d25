"""Installing the CLIs: once, whole, and again where something broke off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clis.running import installer

NPM = """#!/bin/sh
# Stands for npm and the registry: makes the package that it is asked for, or breaks off.
echo "$@" >> "$CALLS"
if [ -e "$CALLS.broken" ]; then rm "$CALLS.broken"; echo "the registry hung up" >&2; exit 1; fi
for last; do :; done
mkdir -p "node_modules/${last%@*}/bin"
program="node_modules/${last%@*}/bin/claude.exe"
printf '#!/bin/sh\\necho %s\\n' "${last##*@}" > "$program"
chmod +x "$program"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and an npm of the test's own; answers the file in which its calls stand."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "npm").write_text(NPM)
    (tools / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("REPOMESH_CLIS", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_it_is_installed_once(calls: Path) -> None:
    installer.install("claude")
    installer.install("claude")
    assert installer.pinned()["claude"].installed
    assert len(calls.read_text().splitlines()) == 1


def test_one_that_broke_off_is_made_anew(calls: Path) -> None:
    installer.install("claude")
    (installer.pinned()["claude"].folder / "complete").unlink()
    installer.pinned()["claude"].path.write_text("half of it")
    assert "claude" in installer.missing(["claude"])
    installer.install("claude")
    assert installer.pinned()["claude"].installed
    assert "half of it" not in installer.pinned()["claude"].path.read_text()


def test_one_that_no_longer_answers_is_made_anew(calls: Path) -> None:
    installer.install("claude")
    program = installer.pinned()["claude"].path
    program.write_text("#!/bin/sh\nexit 1\n")
    installer.install("claude")
    assert "exit 1" not in program.read_text()


def test_a_registry_that_hangs_up_is_asked_again(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(f"{calls}.broken").touch()
    installer.install("claude")
    assert installer.pinned()["claude"].installed
    assert "the registry hung up" in capsys.readouterr().err


def test_without_npm_it_says_what_to_do(calls: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="apt install npm"):
        installer.install("claude")
