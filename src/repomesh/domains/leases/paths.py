"""Lock patterns: which paths a pattern holds, and whether two patterns may hold the same one.

A pattern is a `/`-separated, case-sensitive path from the root of a repository. In a segment `*` is any run
of characters, `?` one character, `[a-z]` one of a class, `[!a-z]` or `[^a-z]` one outside it; the segment
`**` is any number of whole segments, also none. Nothing but `**` crosses a `/`. File names really contain
brackets (`app/[id]/page.tsx`), so a segment also matches its own text: `[id]` holds `i`, `d` and `[id]`.
A path without wildcards holds the file of this name, or the folder with everything below.

`may_conflict` says yes if and only if some path, existing or not, is held by both patterns. The one
exception: beside a pattern that begins further up, a path whose name looks like a file's (`src/app.py`,
`Makefile`) is taken for a file, so that `**/*.md` and `src/app.py` go together.
Patterns are compared by walking one of them, character by character, through all positions of the other at
once. The positions are the bits of one integer, so the work is bounded by the product of the two lengths
divided by the word size, whatever the patterns are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import xor

from repomesh.kernel.limits import (
    COMPARISON_STEPS_MAX,
    PATTERN_CHARS_MAX,
    PATTERN_SEGMENTS_MAX,
    PATTERN_WILD_CHARS_MAX,
)

_PATTERNS_CACHED = 4_096  # parsed patterns, at most about 10 kB each
_AUTOMATA_CACHED = 2_048  # more than a workspace's patterns; typically 5 kB each
_QUOTED_CHARS_MAX = 80  # of a refused text in a message

_FROM_ROOT = "write it from the root of the repository, like 'src/app.py'"
_FURTHER_UP = "name a folder further up, like 'src/app/**'"

_DOUBLE_STAR = "**"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and no valid UTF-8
_DRIVE = re.compile(r"[A-Za-z]:")
# One class as POSIX reads it: a `]` right after `[`, `[!` or `[^` is a member. Unclosed, `[` is itself.
_CLASS = r"\[[!^]?+.[^\]]*+\]"
_WILDCARD = re.compile(rf"[*?]|{_CLASS}", re.DOTALL)
_TOKEN = re.compile(rf"\*+|{_CLASS}|.", re.DOTALL)

_SPECIAL = re.compile(r"[*?\[\]]")  # of which a wildcard may consist

_Ranges = tuple[tuple[int, int], ...]  # inclusive code points, sorted, apart, without `/`
_Token = str | _Ranges | None  # one character, one of a class, or None for a run of any characters
_Chain = Sequence[_Token]
_Spellings = tuple[_Chain, ...]  # the ways to spell one segment; empty for `**`

# Files without an extension: a pattern that begins further up does not hold what is below these.
_FILE_NAMES = frozenset(
    (
        *("authors", "changelog", "codeowners", "containerfile", "contributing", "copying", "dockerfile"),
        *("gemfile", "jenkinsfile", "justfile", "license", "makefile", "notice", "procfile", "rakefile"),
        *("readme", "todo", "vagrantfile", "version"),
    )
)

_SLASH = (ord("/"), ord("/"))
_UNICODE_MAX = 0x10FFFF


class InvalidPathPattern(ValueError):
    """A lock pattern or path that cannot be used: `problem` says what is wrong, `hint` what to write."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}; {self.hint}"


def normalise(pattern: str) -> str:
    """Return the one spelling of a lock pattern under which it is stored and compared.

    Strips `./`, collapses `//`, `.` segments and repeated `**` segments, and turns a trailing `/` into
    `/**`. Normalising twice changes nothing more.

    Raises `InvalidPathPattern` for an empty pattern, a `..` segment, an absolute path, a backslash, a
    control character or lone surrogate, and for more than `PATTERN_CHARS_MAX` characters (as given or as
    normalised) or `PATTERN_SEGMENTS_MAX` segments.
    """
    return _parse(pattern).text


def is_literal(pattern: str) -> bool:
    """Tell whether the pattern is free of wildcards and so holds exactly one path."""
    return _parse(pattern).literal


def literal_prefix(pattern: str) -> str:
    """Return the leading whole segments free of wildcards: `src` of `src/*/a.py`, `''` for none."""
    return "/".join(_parse(pattern).prefix)


def ancestors(prefix: str) -> list[str]:
    """Return `''` and every ancestor of a literal prefix, outermost first, itself included.

    If two patterns may conflict, then the literal prefix of one is among the ancestors of the other's: an
    index on the prefix finds all candidates by equality with these and by the range below the prefix.
    """
    if not prefix:
        return [""]
    slashes = [index for index, char in enumerate(prefix) if char == "/"]
    return ["", *(prefix[:slash] for slash in slashes), prefix]


def looks_like_file(path: str) -> bool:
    """Whether a path's last segment is a usual name of a file: has an extension, or is like `Makefile`."""
    name = path.rpartition("/")[2]
    return "." in name[1:] or name.lower() in _FILE_NAMES


class ComparisonBudget:
    """Counts the work of comparing patterns, and whether one request has used up its share."""

    def __init__(self, steps_max: int = COMPARISON_STEPS_MAX) -> None:
        self._steps_max = steps_max
        self.taken = 0

    @property
    def exhausted(self) -> bool:
        """Whether more was done than one request may cost."""
        return self.taken > self._steps_max


def holds(pattern: str, name: str, budget: ComparisonBudget | None = None) -> bool:
    """Tell whether the pattern holds a file by its exact name: no character of the name is special.

    The name is one that git or a file system has, from the root of the repository: it may contain anything
    but NUL, also backslashes, control characters and undecodable bytes (as lone surrogates), and any depth.
    """
    return _holds_segments(_parse(pattern), tuple(name.split("/")), budget)


def holds_any(patterns: Iterable[str], name: str) -> bool:
    """Tell whether one of the patterns holds a file by its exact name (see `holds`)."""
    return any(holds(pattern, name) for pattern in patterns)


def holds_below(pattern: str, folder: str, budget: ComparisonBudget | None = None) -> bool:
    """Tell whether the pattern holds a folder by its exact name, or some path below it; `''` is the root."""
    parsed, segments = _parse(pattern), tuple(folder.split("/")) if folder else ()
    shared_count = min(len(parsed.prefix), len(segments))
    if parsed.prefix[:shared_count] != segments[:shared_count]:
        return False
    if shared_count == len(segments) or parsed.literal or parsed.subtree:
        return True
    return _share_a_path(
        [(part,) for part in segments[shared_count:]], _automaton(parsed), budget, below=True
    )


def may_conflict(a: str, b: str, budget: ComparisonBudget | None = None) -> bool:
    """Tell whether some path, existing or not, is held by both patterns. Symmetric and reflexive."""
    upper, lower = sorted((_parse(a), _parse(b)), key=_depth)
    shared_count = len(upper.prefix)
    if lower.prefix[:shared_count] != upper.prefix:
        return False
    if upper.literal or upper.subtree or upper.text == lower.text:
        return True
    is_folder = lower.literal and not looks_like_file(lower.text)
    if not is_folder and _names_differ(upper, lower):
        return False
    if lower.literal:
        segments: list[_Spellings] = [(name,) for name in lower.segments[shared_count:]]
    else:
        segments = _spell_segments(lower, shared_count)
    return _share_a_path(segments, _automaton(upper), budget, below=is_folder)


def _names_differ(a: _Pattern, b: _Pattern) -> bool:
    """Whether the last names begin or end differently, so that no path can match both patterns."""
    beginnings_fit = a.begins.startswith(b.begins) or b.begins.startswith(a.begins)
    return not (beginnings_fit and (a.ends.endswith(b.ends) or b.ends.endswith(a.ends)))


def _holds_segments(parsed: _Pattern, segments: tuple[str, ...], budget: ComparisonBudget | None) -> bool:
    prefix_length = len(parsed.prefix)
    if segments[:prefix_length] != parsed.prefix:
        return False
    if parsed.literal or parsed.subtree:
        return True
    if not (segments[-1].startswith(parsed.begins) and segments[-1].endswith(parsed.ends)):
        return False
    return _share_a_path([(name,) for name in segments[prefix_length:]], _automaton(parsed), budget)


def _depth(pattern: _Pattern) -> tuple[int, bool]:
    return len(pattern.prefix), not pattern.literal


# Parsing


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A normalised pattern and what is cheap to derive from it."""

    text: str
    segments: tuple[str, ...]
    prefix: tuple[str, ...]  # the leading segments free of wildcards
    literal: bool
    subtree: bool  # the prefix, then `**` and nothing else
    begins: str  # the last segment up to what may be a wildcard
    ends: str  # the last segment behind what may be a wildcard


@lru_cache(maxsize=_PATTERNS_CACHED)
def _parse(pattern: str) -> _Pattern:
    segments = _split(pattern)
    if forbidden := _FORBIDDEN.search(pattern):
        raise _pattern_error(pattern, f"contains {forbidden.group()!r}", "write printable characters only")
    if pattern.endswith("/"):
        segments.append(_DOUBLE_STAR)
    segments = [
        segments[0],
        *(segment for previous, segment in pairwise(segments) if not previous == segment == _DOUBLE_STAR),
    ]
    text = "/".join(segments)
    if len(text) > PATTERN_CHARS_MAX:  # the added `/**` can be what is too much
        raise _pattern_error(text, f"has more than {PATTERN_CHARS_MAX} characters", _FURTHER_UP)
    if len(segments) > PATTERN_SEGMENTS_MAX:
        raise _pattern_error(text, f"has more than {PATTERN_SEGMENTS_MAX} segments", _FURTHER_UP)
    first_wild = next(
        (index for index, segment in enumerate(segments) if _WILDCARD.search(segment)), len(segments)
    )
    literal, subtree = first_wild == len(segments), segments[first_wild:] == [_DOUBLE_STAR]
    if len("/".join(segments[first_wild:])) > PATTERN_WILD_CHARS_MAX:
        problem = f"has more than {PATTERN_WILD_CHARS_MAX} characters from its first wildcard on"
        raise _pattern_error(text, problem, "write it with fewer wildcards, or lock several patterns")
    fixed_parts = [segments[-1]] if literal else _SPECIAL.split(segments[-1])
    return _Pattern(
        text, tuple(segments), tuple(segments[:first_wild]), literal, subtree, fixed_parts[0], fixed_parts[-1]
    )


def _split(text: str) -> list[str]:
    """Split into segments without empty and `.` ones, or refuse what is no path inside a repository."""
    if len(text) > PATTERN_CHARS_MAX:
        raise _pattern_error(text, f"has more than {PATTERN_CHARS_MAX} characters", _FURTHER_UP)
    segments = [segment for segment in text.split("/") if segment not in ("", ".")]
    if text.startswith("/") or (segments and _DRIVE.match(segments[0])):
        raise _pattern_error(text, "is absolute", _FROM_ROOT)
    if not segments:
        raise _pattern_error(text, "is empty", f"{_FROM_ROOT}, or '**' for everything")
    if "\\" in text:
        raise _pattern_error(text, "contains a backslash", "write '/' instead; brackets need no escape")
    if ".." in segments:
        raise _pattern_error(text, "contains a '..' segment", f"{_FROM_ROOT}, without '..'")
    return segments


def _pattern_error(text: str, problem: str, hint: str) -> InvalidPathPattern:
    quoted = text if len(text) <= _QUOTED_CHARS_MAX else text[:_QUOTED_CHARS_MAX] + "…"
    return InvalidPathPattern(f"the pattern {quoted!r} {problem}", hint)


# Segments and classes


def _spell_segment(segment: str) -> _Spellings:
    """Return the ways to spell a segment: as a glob and, if that does not cover it, as its own text."""
    if segment == _DOUBLE_STAR:
        return ()
    chain: list[_Token] = []
    has_class = False
    for token in _TOKEN.findall(segment):
        if token[0] == "*":
            chain.append(None)
        elif token == "?":
            chain.append(_ANY)
        elif len(token) == 1:
            chain.append(token)
        elif ranges := _class_ranges(token):
            chain.append(ranges)
            has_class = True
        else:  # an empty class, like `[z-a]`, matches nothing: only the text remains
            return (segment,)
    return (chain, segment) if has_class else (chain,)


def _class_ranges(token: str) -> _Ranges:
    """Return what a class such as `[!a-z_]` matches. A range that runs backwards holds nothing."""
    negated = token[1] in "!^"
    members = token[2:-1] if negated else token[1:-1]
    ranges: list[tuple[int, int]] = []
    index = 0
    while index < len(members):
        is_range = members[index + 1 : index + 2] == "-" and index + 2 < len(members)
        last = index + 2 if is_range else index
        if members[index] <= members[last]:
            ranges.append((ord(members[index]), ord(members[last])))
        index = last + 1
    outside = ranges if negated else _complement(ranges)
    return _complement([*outside, _SLASH])


def _complement(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    """Return all code points outside the ranges, which may overlap and come in any order."""
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    if start <= _UNICODE_MAX:
        gaps.append((start, _UNICODE_MAX))
    return tuple(gaps)


_ANY = _complement([_SLASH])


def _ranges(token: _Token) -> _Ranges:
    if isinstance(token, str):
        return ((ord(token), ord(token)),)
    return token or ()


# The automaton


class _Automaton:
    """A pattern as positions, the bits of one integer.

    In order, each way to spell a segment takes one bit per token and one for its end, and `**` takes one
    bit; the last bit stands for the end of the pattern. So what follows a segment is its successor's first.
    """

    def __init__(self, segments: Iterable[str]) -> None:
        self.spellings = [_spell_segment(segment) for segment in segments]
        self.firsts: list[int] = []  # the first bit of each segment, then the last bit
        self.double_stars = self.ends = 0
        self.globs = self.texts = 0  # where a segment has two spellings: the bits of the one and the other
        token_bits: list[tuple[_Token, int]] = []
        bit = 1
        for spellings in self.spellings:
            self.firsts.append(bit)
            spans: list[int] = []
            for chain in spellings:
                start = bit
                token_bits += [(token, bit << index) for index, token in enumerate(chain)]
                bit <<= len(chain)
                self.ends |= bit
                bit <<= 1
                spans.append(bit - start)
            if len(spans) > 1:
                self.globs |= spans[0]
                self.texts |= spans[1]
            if not spellings:
                self.double_stars |= bit
                bit <<= 1
        self.firsts.append(bit)
        self.heads = sum(self.firsts)
        self.tokens = (bit - 1) ^ self.ends ^ self.double_stars
        self.stars = sum(token_bit for token, token_bit in token_bits if token is None)
        self._index_tokens(token_bits)

    def _index_tokens(self, token_bits: list[tuple[_Token, int]]) -> None:
        """Prepare `accepting`: cut Unicode where the accepting bits change, and build a tree of unions."""
        characters: set[str] = set()
        changes: defaultdict[int, int] = defaultdict(int, {0: 0})
        for token, token_bit in token_bits:
            if isinstance(token, str):
                characters.add(token)
            for low, high in _ranges(token):
                changes[low] ^= token_bit
                changes[high + 1] ^= token_bit
        self._cuts = sorted(changes)
        leaves = list(accumulate((changes[cut] for cut in self._cuts), xor))
        self._tree = [0] * len(leaves) + leaves
        for node in range(len(leaves) - 1, 0, -1):
            self._tree[node] = self._tree[2 * node] | self._tree[2 * node + 1]
        self.masks: dict[_Token, int] = {
            character: self._bits_accepting(ord(character), ord(character)) for character in characters
        }
        self.masks[_ANY] = self.tokens ^ self.stars  # no class here is empty

    def accepting(self, token: str | _Ranges) -> int:
        """Return the bits, `*` aside, that share a character with a token that `masks` does not know."""
        mask = 0
        for low, high in _ranges(token):
            mask |= self._bits_accepting(low, high)
        if isinstance(token, str) and token.isascii():
            self.masks[token] = mask  # names are made of these, and there are only 128
        return mask

    def _bits_accepting(self, low: int, high: int) -> int:
        """Return the bits that accept some code point from low to high."""
        tree, size = self._tree, len(self._cuts)
        left = bisect_right(self._cuts, low) - 1 + size
        right = bisect_right(self._cuts, high) + size
        mask = 0
        while left < right:
            mask |= tree[left] | tree[right - 1]
            left, right = (left + 1) >> 1, right >> 1
        return mask


@lru_cache(maxsize=_AUTOMATA_CACHED)
def _cached_automaton(segments: tuple[str, ...]) -> _Automaton:
    return _Automaton(segments)


def _automaton(pattern: _Pattern) -> _Automaton:
    """Return the automaton of what follows the literal prefix, at most PATTERN_WILD_CHARS_MAX characters."""
    return _cached_automaton(pattern.segments[len(pattern.prefix) :])


def _spell_segments(pattern: _Pattern, first_index: int) -> list[_Spellings]:
    """Return the segments of a pattern from `first_index` on, each as the ways to spell it."""
    names: list[_Spellings] = [(name,) for name in pattern.prefix[first_index:]]
    return names + _automaton(pattern).spellings


# The comparison


def _share_a_path(
    segments: Sequence[_Spellings],
    automaton: _Automaton,
    budget: ComparisonBudget | None,
    *,
    below: bool = False,
) -> bool:
    """Tell whether the segments and a pattern share a path; with `below` it may go on behind the segments.

    The first bit of a position is in `reach` if the segments so far can spell all that stands before it.
    """
    reach = automaton.firsts[0]
    reach |= (reach & automaton.double_stars) << 1
    for spellings in segments:
        if not reach:
            return False
        if budget is not None:
            budget.taken += 1 + sum(map(len, spellings))
        if spellings:
            reach = _advance_over_name(spellings, reach, automaton) | (reach & automaton.double_stars)
            # `**` may be empty; it never stands twice in a row.
            reach |= (reach & automaton.double_stars) << 1
        else:  # a `**` takes any further segments, as each of them matches at least one name
            reach = automaton.heads & -(reach & -reach)
    return bool(reach) if below else bool(reach & automaton.firsts[-1])


def _advance_over_name(spellings: _Spellings, reach: int, automaton: _Automaton) -> int:
    """Return the first bits reached after one name that both the spellings and a segment match.

    Adding a run of ones to its own first bit carries to the bit after the run: that is how a first bit
    skips a glob to the text that follows it, and how the end of a glob skips that text.
    """
    state = reach | ((automaton.globs + (reach & automaton.globs)) & ~automaton.globs)
    state |= (state & automaton.stars) << 1
    ends = 0
    for chain in spellings:
        ends |= _advance_over_chain(chain, state, automaton) & automaton.ends
    reached = ends << 1
    return (reached | (automaton.texts + (reached & automaton.texts))) & ~automaton.texts


def _advance_over_chain(chain: _Chain, state: int, automaton: _Automaton) -> int:
    """Return the bits reached from `state` after a text that both the chain and the pattern match.

    A bit at a `*` is always accompanied by the next one, since a `*` may be empty.
    """
    stars, tokens, masks = automaton.stars, automaton.tokens, automaton.masks
    for token in chain:
        if token is None:  # every later bit of the spelling: again a carry through a run of ones
            state |= (tokens + (state & tokens)) ^ tokens
        else:
            mask = masks.get(token)
            state = (state & (automaton.accepting(token) if mask is None else mask)) << 1 | (state & stars)
            state |= (state & stars) << 1
        if not state:
            break
    return state
