"""The demos: their stories happen, and a story that did not happen is not told."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.running import Shell, git
from repomesh.cli.demo import meeting_checks, queue_checks, repository
from repomesh.cli.demo.checks import CLAIMS, DemoRecord
from repomesh.cli.demo.meeting import EVIDENCE
from repomesh.cli.demo.verdicts import check_claims

Tampering = Callable[[meeting_checks.MeetingRecord], object]


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
    repository.prepare(None, work)
    base = git(work, "rev-parse", "HEAD").strip()
    found = check_claims(CLAIMS, DemoRecord(log=[], metrics="", work=work, base=base))
    assert [each.claim for each in found if each.holds] == []


def test_the_repository_that_one_stands_in_is_cloned(shell: Shell, tmp_path: Path) -> None:
    told = repository.prepare(shell.folder, tmp_path / "work")
    assert str(shell.folder) in told
    assert git(tmp_path / "work", "log", "--format=%s").strip() == "Begin"


def test_nothing_is_claimed_of_a_meeting_that_was_not_held() -> None:
    found = check_claims(meeting_checks.CLAIMS, meeting_checks.MeetingRecord(log=[]))
    assert [each.claim for each in found if each.holds] == []


@pytest.mark.slow
def test_every_claim_of_the_meeting_holds_and_falls_with_what_proves_it(shell: Shell) -> None:
    done = shell("demo", "meeting", "--json", "--keep")
    scratch = Path(done.json["scratch"])
    kept = json.loads((scratch / EVIDENCE).read_text())
    shutil.rmtree(scratch)
    told = done.json["claims"]
    assert [claim for claim in told if not claim["holds"]] == []
    assert len(told) == len(meeting_checks.CLAIMS)
    assert done.code == 0
    assert not shell.data.exists()
    for claim in meeting_checks.CLAIMS:
        seen = meeting_checks.MeetingRecord(**copy.deepcopy(kept))
        TAMPERINGS[claim.__name__](seen)
        assert not check_claims([claim], seen)[0].holds, claim.__name__


def _lacking(type_: str) -> Tampering:
    """The log without the events of a type."""

    def tamper(seen: meeting_checks.MeetingRecord) -> None:
        seen.log = [event for event in seen.log if event["type"] != type_]

    return tamper


def _first(type_: str, change: Callable[[Any], object]) -> Tampering:
    """The first event of a type changed."""
    return lambda seen: change(seen.first(type_))


def _went_on_without_end(seen: meeting_checks.MeetingRecord) -> None:
    """The dead one's turn goes on."""
    _lacking("meeting.turn_skipped")(seen)
    _lacking("meeting.opinion_presented")(seen)


TAMPERINGS: dict[str, Tampering] = {
    "took_their_seats": lambda seen: setattr(seen, "sockets", 1),
    "was_killed_in_its_turn": lambda seen: seen.exit_codes.update(ben=0),
    "went_on_without_it": _went_on_without_end,
    "waited_no_longer_for_the_slow_one": lambda seen: setattr(seen, "metrics", ""),
    "spoke_one_at_a_time": _lacking("meeting.turn_skipped"),
    "voted_when_all_were_heard": _first("meeting.vote_cast", lambda event: event.update(seq=1)),
    "disagreed_first": _first("meeting.round_completed", lambda event: event["data"].update(agreed=True)),
    "dissenters_spoke_first": lambda seen: seen.request("cleo", 2)["data"].update(agent_name="ada"),
    "decided_against_one": _first(
        "meeting.consensus_reached", lambda event: event["data"]["decision"].update(dissent=[])
    ),
    "made_its_task": _first("meeting.completed", lambda event: event.update(at="later")),
    "wrote_the_minutes": lambda seen: setattr(seen, "minutes", seen.minutes.replace("Dissented", "Agreed")),
    "log_is_gapless": _lacking("decision.recorded"),
}
"""For each claim something without which it must not hold."""


@pytest.mark.slow
def test_every_claim_of_the_merge_queue_holds(shell: Shell) -> None:
    done = shell("demo", "queue", "--json")
    assert [claim for claim in done.json["claims"] if not claim["holds"]] == []
    assert len(done.json["claims"]) == len(queue_checks.CLAIMS)
    assert done.code == 0


def test_nothing_is_claimed_of_a_queue_that_landed_nothing(tmp_path: Path) -> None:
    found = check_claims(queue_checks.CLAIMS, queue_checks.QueueRecord(log=[], work=tmp_path))
    assert [each.claim for each in found if each.holds] == []
