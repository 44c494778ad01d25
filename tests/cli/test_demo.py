"""The demos: their stories happen, and a story that did not happen is not told."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import Shell, git
from repomesh.cli import demo_meeting_checks, demo_repository
from repomesh.cli.demo_checks import CLAIMS, Evidence
from repomesh.cli.demo_verdicts import verdicts


@pytest.mark.slow
def test_every_claim_of_the_story_holds(shell: Shell) -> None:
    done = shell("demo", "--json")
    told = done.json["claims"]
    assert [claim for claim in told if not claim["holds"]] == []
    assert len(told) == len(CLAIMS)
    assert done.code == 0
    assert git(shell.folder, "status", "--porcelain") == ""
    assert not shell.data.exists()


def test_nothing_is_claimed_that_did_not_happen(tmp_path: Path) -> None:
    work = tmp_path / "work"
    demo_repository.prepare(None, work)
    base = git(work, "rev-parse", "HEAD").strip()
    found = verdicts(CLAIMS, Evidence(log=[], metrics="", work=work, base=base))
    assert [each.claim for each in found if each.holds] == []


def test_the_repository_that_one_stands_in_is_cloned(shell: Shell, tmp_path: Path) -> None:
    told = demo_repository.prepare(shell.folder, tmp_path / "work")
    assert str(shell.folder) in told
    assert git(tmp_path / "work", "log", "--format=%s").strip() == "Begin"


@pytest.mark.slow
def test_every_claim_of_the_meeting_holds(shell: Shell) -> None:
    done = shell("demo", "meeting", "--json")
    told = done.json["claims"]
    assert [claim for claim in told if not claim["holds"]] == []
    assert len(told) == len(demo_meeting_checks.CLAIMS)
    assert done.code == 0
    assert not shell.data.exists()


def test_nothing_is_claimed_of_a_meeting_that_was_not_held() -> None:
    seen = demo_meeting_checks.Evidence(log=[])
    found = verdicts(demo_meeting_checks.CLAIMS, seen)
    assert [each.claim for each in found if each.holds] == []
