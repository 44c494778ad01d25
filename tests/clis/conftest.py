"""A desk for each of the agent CLIs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clis.running import REQUIRED, Desk, installer


@pytest.fixture(params=REQUIRED)
def cli(request: pytest.FixtureRequest) -> str:
    """Runs the test once with each CLI; skips those that are not installed, but never in CI."""
    return there(str(request.param))


def there(name: str) -> str:
    """The CLI of this name, installed; skips where it is not, but in CI it is installed."""
    if installer.missing([name]):
        if os.environ.get("CI") != "true":
            pytest.skip(f"{name} is not installed; 'make clis' does that")
        for missing in installer.missing([name]):
            installer.install(missing)
    return name


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests connected is not remembered here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def desk(cli: str, tmp_path: Path) -> Desk:
    """Where the CLI works; see `running.Desk`."""
    return Desk.make(cli, tmp_path / "project", tmp_path / "home")
