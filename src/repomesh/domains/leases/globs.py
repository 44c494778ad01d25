"""Syntax in a lock's text beyond one pattern: braces are expanded; what isn't supported is refused.

A sign that means something to a shell or another glob language must not be taken for a character of a name:
the lock would be granted and protect none of the files that were meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from repomesh.domains.leases.errors import InvalidResource
from repomesh.kernel.limits import BRACE_ALTERNATIVES_MAX

_EXTENDED = re.compile(r"[@+!?*]\(")
_POSIX_CLASS = re.compile(r"\[([:.=])[^\[\]]*\1\]")
_SEQUENCE = re.compile(r"\{(?:-?[0-9]{1,9}|[A-Za-z])\.\.(?:-?[0-9]{1,9}|[A-Za-z])(?:\.\.-?[0-9]{1,9})?\}")
_TOKEN = re.compile(r"\[[!^]?+.[^\]]*+\]|.", re.DOTALL)  # a whole class, in which nothing else is special

_LOCK_EACH = "Lock each by itself, or write braces: 'src/{a,b}.ts'."


def alternatives(text: str) -> list[str]:
    """Return the patterns that a text stands for: its braces expanded as in a shell, else the text itself.

    Raises InvalidResource for more than BRACE_ALTERNATIVES_MAX of them, and for what looks like syntax that
    patterns don't have: extended globs, POSIX classes, sequences, commas outside of braces, negation.
    """
    _refuse_unsupported(text)
    patterns: list[str] = []
    pending = [text]
    while pending:
        pattern = pending.pop()
        group = _first_group(pattern)
        if group is None:
            patterns.append(pattern)
        else:
            start, commas, end = group
            parts = [pattern[begin + 1 : stop] for begin, stop in pairwise((start, *commas, end))]
            pending += [pattern[:start] + part + pattern[end + 1 :] for part in reversed(parts)]
        if len(patterns) + len(pending) > BRACE_ALTERNATIVES_MAX:
            raise InvalidResource(
                f"{_quote(text)} stands for more than {BRACE_ALTERNATIVES_MAX} patterns",
                hint="Lock a folder, or write fewer alternatives.",
            )
    return patterns


def _first_group(text: str) -> tuple[int, list[int], int] | None:
    """Where the first braces with a comma begin, where their commas are and where they end."""
    groups: list[tuple[int, list[int], int]] = []
    open_groups: list[tuple[int, list[int]]] = []
    for index, token in _tokens(text):
        if token == "{":
            open_groups.append((index, []))
        elif token == "," and open_groups:
            open_groups[-1][1].append(index)
        elif token == "}" and open_groups:
            start, commas = open_groups.pop()
            if commas:
                groups.append((start, commas, index))
    return min(groups, default=None)


_GLUED_STARS = re.compile(r"[^/{},]\*\*|\*\*[^/{},]")
_CLASS = re.compile(r"\[[^\]/]+\]")  # in which a star is itself


def _refuse_unsupported(text: str) -> None:
    if (extended_glob := _EXTENDED.search(text)) is not None:
        sign = extended_glob.group()[0]
        raise _unsupported_error(text, "an extended glob", f"{_LOCK_EACH} In a name, write '[{sign}]('.")
    if _POSIX_CLASS.search(text):
        raise _unsupported_error(text, "a POSIX class", "Write the characters: '[A-Za-z]', '[0-9]'.")
    if _SEQUENCE.search(text):
        raise _unsupported_error(text, "a sequence", "Write a class or the alternatives: '[1-3]', '{1,2,3}'.")
    if _GLUED_STARS.search(_CLASS.sub("x", text)):
        raise InvalidResource(
            f"{_quote(text)} has '**' beside other characters, where it would match within one folder only",
            hint="Write '**/' for any depth, as in 'src/**/*.py', and one '*' within a name.",
        )
    if text.startswith(("!", "~", ":")):
        feature = {"!": "a negation", "~": "a home folder", ":": "a pathspec of git"}[text[0]]
        raise _unsupported_error(
            text, feature, f"Write a path from the repository's root; in a name, './{text[0]}…'."
        )
    if _has_bare_comma(text):
        raise InvalidResource(
            f"{_quote(text)} has a comma outside of braces",
            hint=f"{_LOCK_EACH} In the name of a file, write '[,]'.",
        )


def _has_bare_comma(text: str) -> bool:
    """Whether a comma stands outside of all closed braces."""
    if "," not in text:
        return False
    depth = 0
    unclosed: list[list[int]] = [[]]  # commas at each depth, until their braces close
    for index, token in _tokens(text):
        if token == "{":
            depth += 1
            unclosed.append([])
        elif token == "}" and depth:
            depth -= 1
            unclosed.pop()
        elif token == ",":
            unclosed[-1].append(index)
    return any(unclosed)


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    for match in _TOKEN.finditer(text):
        yield match.start(), match.group()


def _unsupported_error(text: str, feature: str, hint: str) -> InvalidResource:
    return InvalidResource(f"{_quote(text)} looks like {feature}, which locks don't have", hint=hint)


def _quote(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
