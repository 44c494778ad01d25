"""Snippets: the parts of a text that show by which words it was found, with marks around them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from repomesh.domains.overview.ranking import StemMatcher
from repomesh.kernel.limits import SNIPPET_CHARS, SNIPPET_PARTS_MAX, SNIPPET_SPOTS_MAX, SNIPPET_STEP_CHARS
from repomesh.kernel.words import folded_text, is_paired, locate_words, parts

Spot = tuple[int, int, str]
"""(start, end, what was asked for) of one match in a text."""


def find_spots(text: str, asked: StemMatcher) -> list[Spot]:
    """Where what is asked for stands in a text, until each of it was met once.

    The text is looked through step by step; one that can't hold any of it costs little.
    """
    roots = [_root(stem) for stem in asked.stems]
    missing, found = set(asked.stems), list[Spot]()
    for start, part in parts(text, SNIPPET_STEP_CHARS):
        if not _may_hold(part, roots):
            continue
        for at, end, word in locate_words(part, asked.stems):
            if (stem := asked[word]) is not None:
                found.append((start + at, start + end, stem))
                missing.discard(stem)
        if not missing or len(found) >= SNIPPET_SPOTS_MAX:
            break
    return found


def snippet(text: str, spots: Sequence[Spot], length: int = SNIPPET_CHARS) -> str:
    """The part of a text with most of what was asked for, on one line, with marks around it.

    What stands too far away gets a part of its own, up to three together. Without spots, the beginning.
    """
    starts = _starts(spots, length)
    share = length // len(starts)
    shown, last = "", 0
    for start in sorted(starts):
        begin = max(last, start - share // 4)
        if begin > last:
            begin = text.find(" ", begin, start) + 1 or begin
        end = min(len(text), begin + share)
        if end <= begin:
            continue
        gap = "…" if begin > last else ""
        marked = _marked(text, [spot for spot in spots if begin <= spot[0] and spot[1] <= end], begin, end)
        line = " ".join(marked.split())
        shown = f"{shown} {gap} {line}" if shown and gap else f"{shown}{gap}{line}"
        last = end
    return f"{shown}…" if last < len(text) else shown


def _root(stem: str) -> str:
    """What every form of a stem holds."""
    return stem[:-1] if len(stem) > 3 and stem.isascii() and stem.isalpha() else stem


def _may_hold(part: str, roots: Collection[str]) -> bool:
    folded = part.lower() if part.isascii() else folded_text(part)
    return any(root in folded for root in roots)


def _starts(spots: Sequence[Spot], length: int) -> list[int]:
    """Where the parts to be shown begin: the fewest that hold all that was found, or as many as may be."""
    everything = {stem for _, _, stem in spots}
    starts: list[int] = []
    for count in range(1, SNIPPET_PARTS_MAX + 1):
        starts, covered = [], set[str]()
        for _ in range(count):
            left = [spot for spot in spots if spot[2] not in covered]
            start, held = _best(left, length // count)
            starts.append(start)
            covered |= held
        if covered == everything:
            break
    return starts


def _best(spots: Sequence[Spot], length: int) -> tuple[int, set[str]]:
    """Where the part with the most different words begins, the first of several, and these words."""
    best_start, best = (spots[0][0] if spots else 0), set[str]()
    for index, (start, _, _) in enumerate(spots):
        within = {stem for _, end, stem in spots[index : index + 50] if end <= start + length * 3 // 4}
        if len(within) > len(best) or not best:
            best_start, best = start, within or {spots[index][2]}
    return best_start, best


def _marked(text: str, spots: Sequence[Spot], begin: int, end: int) -> str:
    parts_, last = [], begin
    for start, stop in _joined(spots):
        parts_ += [text[last:start], "**", text[start:stop], "**"]
        last = stop
    return "".join([*parts_, text[last:end]])


def _joined(spots: Sequence[Spot]) -> list[tuple[int, int]]:
    """The stretches of some spots, of which those that overlap, as pairs of letters do, are one."""
    joined: list[tuple[int, int]] = []
    for start, end, stem in sorted(spots):
        touches = joined and start < joined[-1][1] + is_paired(stem)
        if touches:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
