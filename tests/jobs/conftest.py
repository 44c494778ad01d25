"""Workers that look often."""

from __future__ import annotations

import pytest

from repomesh.kernel import limits


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first webhook is found by looking, and no test needs to wait as long for it as a user may."""
    monkeypatch.setattr(limits, "LOG_POLL_S", 0.05)
