"""Looks up in git and in the log what came of a campaign, and compares it with a serial oracle."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fault.landings.campaigns import Outcome
from fault.landings.edits import apply_all
from fault.landings.trees import Draft, Folder
from fault.landings.workshop import Workshop

_TRAILER = "%(trailers:key=Repomesh-Change,valueonly,separator=%x2C)"
_SHOWN = 5


def check(outcome: Outcome) -> None:
    """Assert that everything landed exactly once, as if by one author after another, and nothing is lost."""
    shown = {one.id: outcome.line.get(f"/v1/changes/{one.id}") for one in outcome.submissions}
    commits = _landed_commits(outcome.workshop)
    check_states(outcome, shown)
    check_exactly_once(outcome, shown, commits)
    check_trees(outcome, commits)
    check_nothing_lost(outcome, shown)
    check_only_forward(outcome.workshop)
    check_log(outcome, shown)


def check_states(outcome: Outcome, shown: dict[str, Any]) -> None:
    """Every submission that was acknowledged has ended; of each work the last one landed."""
    last = {one.work.number: one.id for one in outcome.submissions}
    assert set(last) == {work.number for work in outcome.plan.works}
    wrong = [
        (change["id"], change["state"], change["reason"])
        for change in shown.values()
        if change["state"] != ("landed" if change["id"] in last.values() else "superseded")
    ]
    assert not wrong[:_SHOWN]


def check_exactly_once(outcome: Outcome, shown: dict[str, Any], commits: list[tuple[str, str, str]]) -> None:
    """Each landed change is one commit of the branch, and each commit but the first is a landed change."""
    counts = Counter(change_id for _commit, _tree, change_id in commits)
    assert not [(id_, count) for id_, count in counts.items() if count != 1][:_SHOWN]
    by_change = {change_id: commit for commit, _tree, change_id in commits}
    landed = {id_: change["landed_commit"] for id_, change in shown.items() if change["state"] == "landed"}
    assert by_change == landed
    position = {change_id: place for place, (_commit, _tree, change_id) in enumerate(commits)}
    for id_ in landed:
        for before in shown[id_]["depends_on"]:
            assert position[before] < position[id_], f"{id_} landed before {before}"


def check_trees(outcome: Outcome, commits: list[tuple[str, str, str]]) -> None:
    """Each landed commit has the tree that its author's edits make of the one before it."""
    edits = {one.id: one.edits for one in outcome.submissions}
    tree = Folder.of(outcome.plan.files)
    for commit, expected, change_id in commits:
        draft = Draft(tree.read)
        apply_all(edits[change_id], draft)
        for path, file in draft.changed.items():
            tree.write(path, file)
        assert tree.id == expected, (commit, edits[change_id], outcome.workshop.git("show", commit))


def check_nothing_lost(outcome: Outcome, shown: dict[str, Any]) -> None:
    """What every author handed in is as it was, and a ref keeps it."""
    listed = outcome.workshop.git("for-each-ref", "--format=%(objectname) %(refname)")
    pins = {name: commit for commit, _, name in (line.partition(" ") for line in listed.splitlines())}
    for one in outcome.submissions:
        assert shown[one.id]["head_commit"] == one.head
        assert pins.get(f"refs/repomesh/changes/{one.id}/1") == one.head, one
    outcome.workshop.git("fsck", "--connectivity-only", "--no-dangling")


def check_only_forward(workshop: Workshop) -> None:
    """The branch was only ever moved to commits further on in its first-parent history."""
    history = workshop.git("rev-list", "--first-parent", "--reverse", "main").split()
    position = {commit: place for place, commit in enumerate(history)}
    moves = workshop.git("reflog", "show", "--format=%H", "refs/heads/main").split()[::-1]
    places = [position[commit] for commit in moves]
    assert places == sorted(set(places))
    assert moves[-1] == history[-1]


def check_log(outcome: Outcome, shown: dict[str, Any]) -> None:
    """The log says of each change that landed that it did, once, and of no other."""
    landed: Counter[str] = Counter()
    cursor = ""
    while True:
        page = outcome.line.get(f"/v1/events?type=change.landed&limit=200{cursor}")
        landed.update(event["data"]["change"]["id"] for event in page["items"])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert set(landed.values()) <= {1}
    assert set(landed) == {id_ for id_, change in shown.items() if change["state"] == "landed"}


def _landed_commits(workshop: Workshop) -> list[tuple[str, str, str]]:
    """The commits of main but the first, oldest first: (commit, tree, id of the change)."""
    text = workshop.git("log", "--first-parent", "--reverse", f"--format=%H %T {_TRAILER}", "main")
    lines = [line.split(" ") for line in text.splitlines()]
    return [(commit, tree, change_id) for commit, tree, change_id in lines[1:]]
