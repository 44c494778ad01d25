"""The claims of the demo's merge queue, each checked in git and in the event log.

The docstring of a claim is the sentence that the demo prints.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repomesh.cli.demo import repository
from repomesh.cli.demo.verdicts import ClaimNotFound, RunRecord, log_is_gapless, require

SUBMITTED = 24


@dataclass(kw_only=True)
class QueueRecord(RunRecord):
    """What a run left behind: its changes by their keys, and the repository."""

    work: Path
    target: str = "main"
    ids: dict[str, str] = field(default_factory=dict)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def change(self, key: str) -> dict[str, Any]:
        """The change of this key; raises ClaimNotFound."""
        if key not in self.changes:
            raise ClaimNotFound(f"there is no change '{key}'")
        return self.changes[key]

    def require_state(self, key: str, state: str) -> dict[str, Any]:
        """The change of this key, which must be in a state; raises ClaimNotFound."""
        change = self.change(key)
        require(change["state"] == state, f"'{key}' is {change['state']}: {change['reason']}")
        return change

    def git(self, *words: str) -> str:
        """What git prints in the work tree; raises ClaimNotFound when it fails."""
        try:
            return repository.git(self.work, *words).strip()
        except (subprocess.CalledProcessError, OSError) as error:
            raise ClaimNotFound(f"git {words[0]} failed: {error}") from None


def all_were_submitted(record: QueueRecord) -> str:
    """Eight agents submitted 24 changes."""
    submitted = {event["subject"]: event["actor"] for event in record.events("change.submitted")}
    first = [key for key in record.ids if key != "title-repaired"]
    require(len(first) == SUBMITTED, f"{len(first)} were submitted")
    require(all(f"change/{record.ids[key]}" in submitted for key in first), "the log lacks some of them")
    return f"{len(first)} changes of {len(set(submitted.values()))} agents"


def each_landed_once(record: QueueRecord) -> str:
    """Every change that landed is on the branch exactly once."""
    trailers = record.git("log", "--format=%(trailers:key=Repomesh-Change,valueonly)", record.target).split()
    landed = [change["id"] for change in record.changes.values() if change["state"] == "landed"]
    require(
        bool(landed) and sorted(trailers) == sorted(landed), f"{len(trailers)} commits, {len(landed)} changes"
    )
    return f"{len(landed)} changes, {len(trailers)} commits with their trailers"


def the_branch_is_straight(record: QueueRecord) -> str:
    """The branch only moved forward, one change a commit."""
    count = int(record.git("rev-list", "--count", record.target))
    straight = int(record.git("rev-list", "--count", "--first-parent", record.target))
    landed = sum(change["state"] == "landed" for change in record.changes.values())
    require(count == straight == landed + 1, f"{count} commits, {landed} landed")
    return f"{count} commits without a merge"


def the_collision_went_back(record: QueueRecord) -> str:
    """Of two changes of one line, one landed; the other went back, was repaired, and landed."""
    states = {key: record.change(key)["state"] for key in ("title-a", "title-b")}
    require(sorted(states.values()) == ["landed", "superseded"], str(states))
    repaired = record.require_state("title-repaired", "landed")
    returned = record.first(
        "change.returned",
        "of the collision",
        lambda event: event["data"]["change"]["error_class"] == "conflict",
    )
    return f"returned in event {returned['seq']}; repaired as {repaired['landed_commit'][:12]}"


def functions_were_merged(record: QueueRecord) -> str:
    """Two functions added at one place were both kept, which git alone calls a conflict."""
    changes = [record.require_state(key, "landed") for key in ("greet-a", "greet-b")]
    require("structured" in [change["merged_by"] for change in changes], "git merged them alone")
    text = record.git("show", f"{record.target}:greeter.py")
    require("def moin" in text and "def servus" in text, "one of them is missing")
    return "greeter.py has both; one was merged by structure"


def the_broken_one_did_not_land(record: QueueRecord) -> str:
    """What fails a check went back with the check's output."""
    change = record.require_state("broken", "returned")
    require("BROKEN" in change["checks"][0]["output"], "without its output")
    return f"'{change['checks'][0]['name']}' ended with {change['checks'][0]['exit_code']}"


def the_flaky_one_landed(record: QueueRecord) -> str:
    """A check that failed once and then passed is marked, and held nothing up."""
    change = record.require_state("weather", "landed")
    require(any(check["flaky"] for check in change["checks"]), "no check is marked as flaky")
    return "the check 'weather' is marked as flaky"


def a_person_approved(record: QueueRecord) -> str:
    """A change of the rules waited for a person, and names who approved it."""
    change = record.require_state("rules", "landed")
    waited = record.first(
        "change.waiting", "for approval", lambda event: event["data"]["change"]["id"] == change["id"]
    )
    message = record.git("log", "-1", "--format=%B", change["landed_commit"])
    require("Approved-by: pat" in message, "its commit names nobody")
    return f"waited in event {waited['seq']}; {change['landed_commit'][:12]} names pat"


def the_dead_landed_nothing(record: QueueRecord) -> str:
    """The change of an agent whose task was taken over went back: it lands nothing for it."""
    change = record.require_state("late-rules", "returned")
    require(change["error_class"] == "fencing", f"its error is {change['error_class']}")
    return str(change["reason"])


def the_stack_landed_in_order(record: QueueRecord) -> str:
    """A change that builds on another landed behind it."""
    first, second = (record.require_state(key, "landed") for key in ("first-floor", "second-floor"))
    require(first["id"] in second["depends_on"], "it does not depend on it")
    record.git("merge-base", "--is-ancestor", first["landed_commit"], second["landed_commit"])
    return f"{first['landed_commit'][:12]} before {second['landed_commit'][:12]}"


def nobody_lost_a_branch(record: QueueRecord) -> str:
    """Every branch of an author is still there."""
    require(bool(record.ids), "there are no changes")
    for key in record.ids:
        record.git("rev-parse", "--verify", f"refs/heads/{key}")
    return f"{len(record.ids)} branches"


CLAIMS: tuple[Callable[[QueueRecord], str], ...] = (
    all_were_submitted,
    each_landed_once,
    the_branch_is_straight,
    the_collision_went_back,
    functions_were_merged,
    the_broken_one_did_not_land,
    the_flaky_one_landed,
    a_person_approved,
    the_dead_landed_nothing,
    the_stack_landed_in_order,
    nobody_lost_a_branch,
    log_is_gapless,
)
"""In the order in which they are told."""
