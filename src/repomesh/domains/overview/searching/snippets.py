"""Snippets: the parts of a text that show by which words it was found, with marks around them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from repomesh.domains.overview.searching.ranking import StemMatcher
from repomesh.kernel.limits import SNIPPET_CHARS, SNIPPET_PARTS_MAX, SNIPPET_SPOTS_MAX, SNIPPET_STEP_CHARS
from repomesh.kernel.words import folded_text, is_paired, locate_words, parts

Spot = tuple[int, int, str]
"""(start, end, stem) of one match in a text."""


def find_spots(text: str, matcher: StemMatcher) -> list[Spot]:
    """Find the matches of searched stems in a text, until each stem was found once.

    The text is searched step by step; a part that can't hold any stem costs little.
    """
    roots = [_root(stem) for stem in matcher.stems]
    missing_stems, spots = set(matcher.stems), list[Spot]()
    for start, part in parts(text, SNIPPET_STEP_CHARS):
        if not _may_hold(part, roots):
            continue
        for begin, end, word in locate_words(part, matcher.stems):
            stem = matcher[word]
            if stem is not None and (stem in missing_stems or len(spots) < SNIPPET_SPOTS_MAX):
                spots.append((start + begin, start + end, stem))
                missing_stems.discard(stem)
        if not missing_stems or len(spots) >= SNIPPET_SPOTS_MAX:
            break
    return spots


def snippet(text: str, spots: Sequence[Spot], length: int = SNIPPET_CHARS) -> str:
    """Return the part of a text with most matches, on one line, with marks around them.

    Matches too far away get a part of their own, up to SNIPPET_PARTS_MAX. Without spots, the beginning.
    """
    starts = _part_starts(spots, length)
    share = length // len(starts)
    excerpt, last_end = "", 0
    for start in sorted(starts):
        begin = max(last_end, start - share // 4)
        if begin > last_end:
            begin = text.find(" ", begin, start) + 1 or begin
        end = min(len(text), begin + share)
        if end <= begin:
            continue
        gap = "…" if begin > last_end else ""
        marked = _mark_spots(
            text, [spot for spot in spots if begin <= spot[0] and spot[1] <= end], begin, end
        )
        line = " ".join(marked.split())
        excerpt = f"{excerpt} {gap} {line}" if excerpt and gap else f"{excerpt}{gap}{line}"
        last_end = end
    return f"{excerpt}…" if last_end < len(text) else excerpt


def _root(stem: str) -> str:
    """A text that every form of a stem contains."""
    return stem[:-1] if len(stem) > 3 and stem.isascii() and stem.isalpha() else stem


def _may_hold(part: str, roots: Collection[str]) -> bool:
    folded = part.lower() if part.isascii() else folded_text(part)
    return any(root in folded for root in roots)


def _part_starts(spots: Sequence[Spot], length: int) -> list[int]:
    """The starts of the parts to be shown: the fewest that hold all stems found, or SNIPPET_PARTS_MAX."""
    all_stems = {stem for _, _, stem in spots}
    starts: list[int] = []
    for count in range(1, SNIPPET_PARTS_MAX + 1):
        starts, covered_stems = [], set[str]()
        for _ in range(count):
            uncovered_spots = [spot for spot in spots if spot[2] not in covered_stems]
            start, held_stems = _best_part(uncovered_spots, length // count)
            starts.append(start)
            covered_stems |= held_stems
        if covered_stems == all_stems:
            break
    return starts


def _best_part(spots: Sequence[Spot], length: int) -> tuple[int, set[str]]:
    """The start of the part with the most different stems, the first of several, and these stems."""
    best_start, best_stems = (spots[0][0] if spots else 0), set[str]()
    all_stems = {stem for _, _, stem in spots}
    for index, (start, _, _) in enumerate(spots):
        stems_within = {stem for _, end, stem in spots[index : index + 50] if end <= start + length * 3 // 4}
        if len(stems_within) > len(best_stems) or not best_stems:
            best_start, best_stems = start, stems_within or {spots[index][2]}
            if best_stems == all_stems:
                break
    return best_start, best_stems


def _mark_spots(text: str, spots: Sequence[Spot], begin: int, end: int) -> str:
    pieces, last_end = [], begin
    for start, stop in _merge_spots(spots):
        pieces += [text[last_end:start], "**", text[start:stop], "**"]
        last_end = stop
    return "".join([*pieces, text[last_end:end]])


def _merge_spots(spots: Sequence[Spot]) -> list[tuple[int, int]]:
    """The ranges of spots; those that overlap, as pairs of letters do, are merged."""
    ranges: list[tuple[int, int]] = []
    for start, end, stem in sorted(spots):
        touches = ranges and start < ranges[-1][1] + is_paired(stem)
        if touches:
            ranges[-1] = ranges[-1][0], max(end, ranges[-1][1])
        else:
            ranges.append((start, end))
    return ranges
