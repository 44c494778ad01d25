"""The collision set: git leaves each case in conflict; merges are right, and what is in doubt is kept."""

from __future__ import annotations

from pathlib import Path

from collision_set import cases, git_conflicts, outcomes, structured, table
from repomesh.domains.changes.building.structured.merging import merge_contents
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repositories import Scratch

ROOT = Path(__file__).parents[3]
UNREADABLE = {  # with a key twice, or of a kind that nothing reads
    "json/duplicate_key_edited",
    "yaml/duplicate_key_edited",
    "lists/owner_each",
    "markdown/paragraph_edited",
}


def test_the_set_is_large_enough_and_a_third_of_it_are_true_conflicts() -> None:
    assert len(cases()) >= 90
    assert len({case.language for case in cases()}) >= 7
    for half in ("development", "reported"):
        assert sum(not case.merged for case in cases(half)) >= len(cases(half)) / 3


def test_git_leaves_each_case_in_conflict(tmp_path: Path) -> None:
    assert git_conflicts(Scratch(tmp_path / "repository"), cases()) == {case.name for case in cases()}


def test_the_sides_of_the_cases_are_what_their_languages_allow() -> None:
    """Else a case would be kept because it can't be read."""
    broken = []
    for case in cases():
        for version in (case.base, case.ours, case.theirs, *case.merged):
            try:
                merge_contents(case.path, version, version, version, (case.path,) if case.append_only else ())
            except NotMergeable:
                broken.append(case.name)
    assert set(broken) == UNREADABLE


def test_cases_of_the_development_half_are_merged_rightly_or_kept() -> None:
    found = outcomes(cases("development"), structured)
    assert found == {case.name: "merged" if case.merged else "kept" for case in cases("development")}


def test_no_case_of_the_reported_half_is_harmed_and_nearly_all_others_are_merged() -> None:
    """Only numbers are looked at, so that no merger is made for a case of this half."""
    among = cases("reported")
    found = outcomes(among, structured)
    merged = sum(found[case.name] == "merged" for case in among if case.merged)
    assert sum(outcome == "harmful" for outcome in found.values()) == 0
    assert merged >= 0.9 * sum(bool(case.merged) for case in among)


def test_the_documentation_shows_the_present_figures(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "merge-queue.md").read_text()
    for row in table("reported", tmp_path)[2:]:
        own = row.split(" |")[:6]  # the rest is of git, and may change with it
        assert " |".join(own) in text
