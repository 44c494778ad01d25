"""Lock patterns: spelling, matching, and the exact answer to whether two of them may conflict."""

from __future__ import annotations

import re
import time
from fnmatch import fnmatchcase
from functools import cache
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from repomesh.domains.leases.paths import (
    ComparisonBudget,
    InvalidPathPattern,
    ancestors,
    holds,
    is_literal,
    literal_prefix,
    looks_like_file,
    may_conflict,
    normalise,
)
from repomesh.kernel.limits import (
    PATTERN_CHARS_MAX,
    PATTERN_SEGMENTS_MAX,
    PATTERN_WILD_CHARS_MAX,
)

# The reference: each pattern as one regular expression, written from the definitions alone.


def tokens_of(segment: str) -> list[str]:
    """Cut a segment into single characters and whole classes."""
    tokens, at = [], 0
    while at < len(segment):
        end = at + 1
        if segment[at] == "[":
            first = end + 1 if segment[end : end + 1] in ("!", "^") else end
            end = segment.find("]", first + 1) + 1 or end
        tokens.append(segment[at:end])
        at = end
    return tokens


def token_as_regex(token: str) -> str:
    if token in ("*", "?"):
        return {"*": "[^/]*", "?": "[^/]"}[token]
    if len(token) == 1:
        return re.escape(token)
    negated, members = (True, token[2:-1]) if token[1] in "!^" else (False, token[1:-1])
    items = re.findall(r".-.|.", members, re.DOTALL)
    ranges = [(item[0], item[-1]) for item in items if item[0] <= item[-1]]
    inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
    if not inside:
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{inside}]"


@cache
def segment_as_regex(segment: str) -> str:
    glob = "".join(map(token_as_regex, tokens_of(segment)))
    return f"(?:(?=[^/]){glob}|{re.escape(segment)})"


@cache
def reference(pattern: str) -> re.Pattern[str]:
    """A path matches if, with a `/` added, the expression matches it fully. A literal holds what is below."""
    segments = [*pattern.split("/"), *(["**"] if is_literal(pattern) else [])]
    parts = ["(?:[^/]+/)*" if s == "**" else segment_as_regex(s) + "/" for s in segments]
    return re.compile("".join(parts), re.DOTALL)


def reference_matches(pattern: str, path: str) -> bool:
    return reference(pattern).fullmatch(path + "/") is not None


# Segments are made of the characters `! * - ? [ ] ^ a b`. The others below stand for the gaps between these
# in Unicode, where no class made of them can tell two characters apart: whatever two such segments share,
# they share within this alphabet.
CHARS = "!#*-0?[\\]^abc"
CLASSES = ["[a]", "[ab]", "[!a]", "[^a]", "[!-]", "[a-]", "[!-a]", "[--a]", "[]a]", "[!]-b]", "[b-a]", "[[-]"]
TOKENS = ["a", "b", "[", "]", "!", "-", "*", "**", "?", *CLASSES]

NAMES = ["".join(chars) for length in range(1, 5) for chars in product(CHARS, repeat=length)]
JOINED_NAMES = "/".join(NAMES) + "/"


def decided_by_short_names(segment: str) -> bool:
    """Tell whether names of up to 4 characters decide what the segment shares with another such segment.

    In a shortest shared name each character is taken by a token other than `*` on one side at least, or it
    could be left out. So with a `*` in both at most 2 + 2 characters are needed, and without one in either
    the name is as long as that glob, at most 4. `**` is no segment to compare.
    """
    tokens = tokens_of(segment)
    return len(tokens) <= 4 if "*" not in tokens else len(tokens) - tokens.count("*") <= 2 and segment != "**"


@cache
def short_names(segment: str) -> frozenset[str]:
    return frozenset(re.findall(rf"(?<![^/])({segment_as_regex(segment)})/", JOINED_NAMES))


def shared_name(a: str, b: str) -> str | None:
    """Return a name that both segments match, if there is one: a short one, or the own text of one."""
    own = [text for text in (a, b) if reference_matches(a, text) and reference_matches(b, text)]
    return min(own, default=None) or min(short_names(a) & short_names(b), default=None)


def brute_force_conflict(a: str, b: str) -> bool:
    """Try all paths of up to 4 segments, for patterns of up to 3, over the names that can matter.

    As with characters, 4 segments decide for 3: in a shortest shared path each name is taken by a segment
    other than `**` on one side at least. If by one on both sides, any name that those two share will do; if
    by one and a `**`, any name of the one, such as its own text.
    """
    left = [segment for segment in a.split("/") if segment != "**"]
    right = [segment for segment in b.split("/") if segment != "**"]
    shared = {shared_name(s, t) for s in left for t in right}
    names = {name for name in (*left, *right, *shared) if name is not None} or {"a"}
    longest = 4 if "**" in a.split("/") and "**" in b.split("/") else 3
    paths = ("/".join(path) for n in range(1, longest + 1) for path in product(sorted(names), repeat=n))
    return any(reference_matches(a, path) and reference_matches(b, path) for path in paths)


SEGMENTS = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=3).map("".join)
CHOSEN = SEGMENTS.filter(decided_by_short_names) | st.just("**")
PATTERNS = st.lists(CHOSEN, min_size=1, max_size=3).map("/".join).map(normalise)

WILD_CHARS = st.sampled_from("aab*?[]!^-é日.") | st.characters(exclude_categories=["Cc", "Cs"])
WILD_SEGMENTS = st.just("**") | st.text(WILD_CHARS, min_size=1, max_size=12)


def usable(pattern: str) -> bool:
    try:
        return bool(normalise(pattern))
    except InvalidPathPattern:
        return False


WILD_PATTERNS = st.lists(WILD_SEGMENTS, min_size=1, max_size=6).map("/".join).filter(usable)
PATHS = st.lists(st.text("ab[]!^-*?é", min_size=1, max_size=5), min_size=1, max_size=5).map("/".join)


class TestMayConflict:
    @pytest.mark.parametrize(
        ("a", "b", "conflict"),
        [
            ("src/*/a.py", "src/b/**", True),
            ("src/*/a.py", "src/b/*.ts", False),
            ("src/a.py", "src/A.py", False),
            ("src/**", "src", True),
            ("src/*", "src", True),  # a folder is held with all below it
            ("src", "src/app/deep/x.py", True),
            ("src", "srcs/x.py", False),
            ("**/*.py", "src", True),
            ("**/*.py", "README.md", False),  # a file's name, beside a pattern from further up
            ("**/*.py", "Makefile", False),
            ("Makefile", "Makefile/**", True),
            ("src/", "src/app/deep/x.py", True),
            ("**/*.py", "docs/**", True),
            ("**/*.py", "docs/*.md", False),
            ("**/tests/**", "src/**/unit/*", True),
            ("a/**/b", "a/b", True),
            ("a/**/b", "a/**/c", False),
            ("*a", "b*", True),
            ("a*b", "b*a", False),
            ("*", "a/b", False),
            ("?*", "*??", True),
            ("[a-m]*", "[n-z]*", False),
            ("[a-m]*", "[m-z]*", True),
            ("[!a]", "[^b]", True),
            ("[b-a]", "*", True),  # the name `[b-a]`
            ("[b-a]", "?", False),
            ("[.-0]", "[!.0]", False),  # only the `/` between them
            ("[!]", "!", False),  # unclosed
            ("app/[id]/page.tsx", "app/[slug]/page.tsx", False),
            ("app/[id]/page.tsx", "app/[dir]/page.tsx", True),  # the name `d`
            ("app/[id]/**", "app/[[]id]/page.tsx", True),  # the name `[id]`
            ("app/[id]/x", "app/*]/x", True),
            ("x**y", "x/y", False),  # `**` inside a segment is `*`
            ("a[b/c]d", "abd", False),  # a class ends with its segment
            ("日*", "[一-龯]本", True),
        ],
    )
    def test_examples(self, a: str, b: str, conflict: bool) -> None:
        assert may_conflict(a, b) is conflict
        assert may_conflict(b, a) is conflict

    def test_equals_brute_force_for_all_pairs_of_short_segments(self) -> None:
        segments = {"".join(tokens) for n in (1, 2) for tokens in product(TOKENS, repeat=n)}
        segments = set(filter(decided_by_short_names, segments))
        for a, b in combinations_with_replacement(sorted(segments), 2):
            assert may_conflict(a, b) == (shared_name(a, b) is not None), (a, b)

    def test_equals_brute_force_for_all_pairs_of_short_patterns(self) -> None:
        # Any two of these segments that share a name share one of these names; paths as argued above.
        segments = ["a", "*", "?b", "[ab]", "[!a]", "**"]
        names = ["a", "b", "ab", "[ab]", "[!a]"]
        paths = ["/".join(path) for n in range(1, 6) for path in product(names, repeat=n)]
        held: dict[str, int] = {}
        for pattern in {normalise("/".join(p)) for n in (1, 2, 3) for p in product(segments, repeat=n)}:
            held[pattern] = sum(1 << at for at, path in enumerate(paths) if reference_matches(pattern, path))
        for a, b in combinations_with_replacement(sorted(held), 2):
            assert may_conflict(a, b) == bool(held[a] & held[b]), (a, b)

    @settings(max_examples=1000, deadline=None)
    @given(PATTERNS, PATTERNS)
    @example("[a]/**/[!a]", "**/[a]")
    @example("**/[ab]/**", "[!a]/**/[b-a]")
    def test_equals_brute_force(self, a: str, b: str) -> None:
        assume(not is_literal(a) and not is_literal(b))  # below a folder paths are longer; see above
        assert may_conflict(a, b) == brute_force_conflict(a, b)

    @settings(max_examples=300, deadline=None)
    @given(PATTERNS, PATTERNS, st.sampled_from(["?*" * 60, "[!a][b]*" * 15, "a*" * 60]))
    def test_is_as_exact_behind_a_long_segment(self, a: str, b: str, long: str) -> None:
        assume(not is_literal(a) and not is_literal(b))  # beside a long segment they are no folders
        # The long segment takes many machine words of positions and surely shares a name with `*`.
        assert may_conflict(f"{long}/{a}", f"*/{b}") == may_conflict(a, b)
        assert may_conflict(f"*/{a}", f"{long}/{b}") == may_conflict(a, b)

    @settings(deadline=None)
    @given(PATHS.filter(usable), st.data())
    def test_sees_every_two_generalisations_of_one_path(self, path: str, data: st.DataObject) -> None:
        a, b = data.draw(generalisations(path)), data.draw(generalisations(path))
        assert holds(a, path)
        assert holds(b, path)
        assert may_conflict(a, b)

    @given(WILD_PATTERNS, WILD_PATTERNS)
    def test_is_symmetric_and_reflexive(self, a: str, b: str) -> None:
        assert may_conflict(a, b) == may_conflict(b, a)
        assert may_conflict(a, a)

    @given(WILD_PATTERNS, PATHS.filter(usable).filter(is_literal))
    def test_with_a_file_is_matching(self, pattern: str, path: str) -> None:
        file = f"{path}.py"
        if holds(pattern, file):
            assert may_conflict(pattern, file)
        elif not is_literal(pattern) and not normalise(pattern).startswith(f"{file}/"):
            assert not may_conflict(pattern, file)

    @given(st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join), PATHS.filter(usable).filter(is_literal))
    def test_with_a_folder_is_with_all_below(self, pattern: str, path: str) -> None:
        if not looks_like_file(path):
            assert may_conflict(pattern, path) == may_conflict(pattern, f"{path}/**")

    def test_answers_the_hardest_patterns(self) -> None:
        """No bound on time, as machines differ; `-s` shows what it takes here."""
        classes = "".join(f"[!{chr(0x4E00 + 2 * n)}]" for n in range(63))
        for label, a, b in [
            ("stars", "*a" * 128, "*b" * 128),
            ("question marks", "?" * 256, "?" * 255 + "*"),
            ("classes", "*" + classes, classes.replace("!", "^") + "*"),
            ("one wide class", f"[!{classes.replace('!', '')[:200]}]*", "*" + classes),
            ("segments", "/".join(["**", "*[!a]*[!b]*?*[!c]*?"] * 11), "/".join(["*[!c]*[a-y]*", "**"] * 16)),
            ("a long path", ("a" * 12 + "/") * 61 + "*b", "**/" + "*a*b" * 60),
        ]:
            budget = ComparisonBudget()
            start = time.perf_counter()
            may_conflict(a, b, budget)
            print(f"{label}: {(time.perf_counter() - start) * 1e3:.1f} ms, {budget.taken} steps")
            assert budget.taken <= 2 * PATTERN_CHARS_MAX


@st.composite
def generalisations(draw: st.DrawFn, path: str) -> str:
    """Patterns that match the path, by replacing parts of it with wildcards."""
    segments: list[str] = []
    for name in path.split("/"):
        if draw(st.booleans()):
            segments.append("".join(draw(st.sampled_from(wider(char))) for char in name))
        else:
            segments.append(draw(st.sampled_from([name, "*", "**", "**/*"])))
        if draw(st.booleans()):
            segments.append("**")
    return "/".join(segments)


def wider(char: str) -> list[str]:
    """Tokens that match the character wherever they stand."""
    itself = [char, f"[{char}-{char}]", f"[-{char}]"] if char.isalnum() else []
    return ["?", "*", "**", "[!z]", *itself]


class TestMatches:
    @pytest.mark.parametrize(
        ("pattern", "path", "held"),
        [
            ("src/**", "src", True),
            ("src/**", "src/a/b.py", True),
            ("src/**/b.py", "src/b.py", True),
            ("src/*", "src/a/b.py", False),
            ("app/[id]/page.tsx", "app/[id]/page.tsx", True),
            ("app/[id]/page.tsx", "app/i/page.tsx", True),
            ("app/[id]/page.tsx", "app/id/page.tsx", False),
            ("app/[...slug]/*", "app/[...slug]/page.tsx", True),
            ("app/[[...slug]]/*", "app/[[...slug]]/page.tsx", True),
            ("[]]", "]", True),
            ("[!]]", "]", False),
            ("[a-]", "-", True),
            ("*", "Icon\r", True),  # a name found on real disks
            ("**", "**", True),
            ("a/*", "a/**", True),  # nothing in a path is a wildcard
            ("a/b", "a/**", False),
        ],
    )
    def test_examples(self, pattern: str, path: str, held: bool) -> None:
        assert holds(pattern, path) is held

    @settings(max_examples=800)
    @given(WILD_PATTERNS.map(normalise) | PATTERNS, PATHS)
    def test_equals_the_reference(self, pattern: str, path: str) -> None:
        assert holds(pattern, path) == reference_matches(pattern, path)

    @settings(max_examples=400)
    @given(
        st.text("aab*?[]!-", min_size=1, max_size=8).filter(lambda s: s != "**"),
        st.text("ab[]!-", min_size=1),
    )
    def test_agrees_with_the_standard_library_in_one_segment(self, segment: str, name: str) -> None:
        assert holds(segment, name) == (fnmatchcase(name, segment) or name == segment)

    def test_takes_the_longest_path(self) -> None:
        assert holds("**/a", "a/" * 2_047 + "a")  # as deep as Linux allows


class TestNormalise:
    @pytest.mark.parametrize(
        ("pattern", "normal"),
        [
            ("././src//./a.py", "src/a.py"),
            ("src/", "src/**"),
            ("src/./", "src/**"),
            ("src/**/", "src/**"),
            ("**/**/a/**/**/b", "**/a/**/b"),
            ("a**b/***", "a**b/***"),
            (".github/..x/...", ".github/..x/..."),
            ("app/[id", "app/[id"),
        ],
    )
    def test_examples(self, pattern: str, normal: str) -> None:
        assert normalise(pattern) == normal

    @given(WILD_PATTERNS)
    def test_is_idempotent(self, pattern: str) -> None:
        assert normalise(normalise(pattern)) == normalise(pattern)

    @pytest.mark.parametrize(
        ("pattern", "problem", "hint"),
        [
            ("", "is empty", "'**' for everything"),
            ("./", "is empty", "'**' for everything"),
            ("/src/a.py", "is absolute", "from the root of the repository"),
            ("C:\\src", "is absolute", "from the root of the repository"),
            ("./c:/src", "is absolute", "from the root of the repository"),
            ("src/../a.py", "'..' segment", "without '..'"),
            ("src\\a.py", "backslash", "write '/' instead"),
            ("src/\0", r"contains '\x00'", "printable characters"),
            ("src/a\n", r"contains '\n'", "printable characters"),
            ("src/\x7f", r"contains '\x7f'", "printable characters"),
            ("src/\ud800", r"contains '\ud800'", "printable characters"),
            ("a" * (PATTERN_CHARS_MAX + 1), "more than 1024 characters", "a folder further up"),
            ("a" * (PATTERN_CHARS_MAX - 2) + "/", "more than 1024 characters", "a folder further up"),
            ("/".join("a" * (PATTERN_SEGMENTS_MAX + 1)), "more than 64 segments", "a folder further up"),
            ("a/" * PATTERN_SEGMENTS_MAX, "more than 64 segments", "a folder further up"),
            (
                "*" + "a" * PATTERN_WILD_CHARS_MAX,
                "more than 256 characters from its first wild",
                "fewer wild",
            ),
        ],
    )
    def test_refusals_say_what_to_write_instead(self, pattern: str, problem: str, hint: str) -> None:
        with pytest.raises(InvalidPathPattern) as refused:
            normalise(pattern)
        assert problem in refused.value.problem
        assert hint in refused.value.hint
        assert str(refused.value) == f"{refused.value.problem}; {refused.value.hint}"
        assert len(str(refused.value)) < 300

    def test_takes_what_is_just_within_the_limits(self) -> None:
        assert len(normalise("a" * PATTERN_CHARS_MAX)) == PATTERN_CHARS_MAX
        assert len(normalise("a" * (PATTERN_CHARS_MAX - 3) + "/")) == PATTERN_CHARS_MAX
        assert (
            len(normalise("a" * 500 + "/*" + "a" * (PATTERN_WILD_CHARS_MAX - 1)))
            == 501 + PATTERN_WILD_CHARS_MAX
        )
        deep = "a/" * (PATTERN_SEGMENTS_MAX - 1)
        assert normalise(deep + "a") == deep + "a"
        assert normalise(deep) == deep + "**"


class TestLiteralPrefix:
    @pytest.mark.parametrize(
        ("pattern", "prefix", "literal"),
        [
            ("src/*/a.py", "src", False),
            ("a/b.py", "a/b.py", True),
            ("./a//b.py", "a/b.py", True),
            ("app/[id]/x", "app", False),
            ("app/[id/x", "app/[id/x", True),
            ("app/x]/[]", "app/x]/[]", True),
            ("app/[z-a]", "app", False),
            ("**", "", False),
        ],
    )
    def test_examples(self, pattern: str, prefix: str, literal: bool) -> None:
        assert literal_prefix(pattern) == prefix
        assert is_literal(pattern) is literal

    def test_ancestors_run_from_the_root_to_the_prefix_itself(self) -> None:
        assert ancestors("") == [""]
        assert ancestors("src") == ["", "src"]
        assert ancestors("src/app/[id") == ["", "src", "src/app", "src/app/[id"]

    @settings(max_examples=300)
    @given(PATTERNS, PATTERNS)
    @example("src/**", "src")
    @example("a/[a]", "a/a/**")
    def test_patterns_that_may_conflict_find_each_other_by_prefix(self, a: str, b: str) -> None:
        prefix_a, prefix_b = literal_prefix(a), literal_prefix(b)
        related = prefix_a in ancestors(prefix_b) or prefix_b in ancestors(prefix_a)
        assert related or not may_conflict(a, b)
