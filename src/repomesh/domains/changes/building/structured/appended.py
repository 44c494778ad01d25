"""Files to which lines are only added, such as a changelog: what both sides added is kept."""

from __future__ import annotations

from collections.abc import Sequence

from repomesh.domains.changes.building.structured.differences import merged_lines
from repomesh.domains.changes.building.structured.text_form import split_lines


def merge_appended(base: str, ours: str, theirs: str) -> str:
    """The lines of both sides, ours first. Raises NotMergeable where they changed the same lines."""
    return "".join(merged_lines(split_lines(base), split_lines(ours), split_lines(theirs), _joined))


def _joined(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """What both inserted at one place; entries and headings that both begin or end with stand once."""
    begin = 0
    while begin < min(len(ours), len(theirs)) and ours[begin] == theirs[begin]:
        begin += 1
    while begin and not (_is_entry(ours, begin) and _is_entry(theirs, begin)):
        begin -= 1
    end, shorter = 0, min(len(ours), len(theirs)) - begin
    while end < shorter and ours[-1 - end] == theirs[-1 - end]:
        end += 1
    while end and not _is_entry(ours, len(ours) - end):
        end -= 1
    mine, others = ours[begin : len(ours) - end], theirs[begin : len(theirs) - end]
    gap = ["\n"] if mine and others and others[0].startswith("#") and mine[-1].strip() else []
    return [*ours[:begin], *mine, *gap, *others, *ours[len(ours) - end :]]


def _is_entry(lines: Sequence[str], index: int) -> bool:
    """Whether something begins at a line: it is not the rest of an entry, which is indented."""
    return index >= len(lines) or not lines[index][:1].isspace() or not lines[index].strip()
