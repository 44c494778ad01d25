"""What a lock's text may say beyond one pattern: braces are expanded; what isn't supported is refused.

A sign that means something to a shell or another glob language must not be taken for a character of a name:
the lock would be granted and hold nothing that was meant.
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
    """The patterns that a text stands for: those of its braces as in a shell, else the text itself.

    Raises InvalidResource for more than BRACE_ALTERNATIVES_MAX of them, and for what looks like syntax that
    patterns don't have: extended globs, POSIX classes, sequences, commas outside of braces, negation.
    """
    _refuse_unsupported(text)
    found: list[str] = []
    pending = [text]
    while pending:
        some = pending.pop()
        group = _first_group(some)
        if group is None:
            found.append(some)
        else:
            start, commas, end = group
            parts = [some[cut + 1 : after] for cut, after in pairwise((start, *commas, end))]
            pending += [some[:start] + part + some[end + 1 :] for part in reversed(parts)]
        if len(found) + len(pending) > BRACE_ALTERNATIVES_MAX:
            raise InvalidResource(
                f"{_quoted(text)} stands for more than {BRACE_ALTERNATIVES_MAX} patterns",
                hint="Lock a folder, or write fewer alternatives.",
            )
    return found


def _first_group(text: str) -> tuple[int, list[int], int] | None:
    """Where the first braces with a comma begin, where their commas are and where they end."""
    groups: list[tuple[int, list[int], int]] = []
    open_: list[tuple[int, list[int]]] = []
    for at, token in _tokens(text):
        if token == "{":
            open_.append((at, []))
        elif token == "," and open_:
            open_[-1][1].append(at)
        elif token == "}" and open_:
            start, commas = open_.pop()
            if commas:
                groups.append((start, commas, at))
    return min(groups, default=None)


_GLUED_STARS = re.compile(r"[^/{},]\*\*|\*\*[^/{},]")
_CLASS = re.compile(r"\[[^\]/]+\]")  # in which a star is itself


def _refuse_unsupported(text: str) -> None:
    if (found := _EXTENDED.search(text)) is not None:
        sign = found.group()[0]
        raise _unsupported(text, "an extended glob", f"{_LOCK_EACH} In a name, write '[{sign}]('.")
    if _POSIX_CLASS.search(text):
        raise _unsupported(text, "a POSIX class", "Write the characters: '[A-Za-z]', '[0-9]'.")
    if _SEQUENCE.search(text):
        raise _unsupported(text, "a sequence", "Write a class or the alternatives: '[1-3]', '{1,2,3}'.")
    if _GLUED_STARS.search(_CLASS.sub("x", text)):
        raise InvalidResource(
            f"{_quoted(text)} has '**' beside other characters, where it would match within one folder only",
            hint="Write '**/' for any depth, as in 'src/**/*.py', and one '*' within a name.",
        )
    if text.startswith(("!", "~", ":")):
        what = {"!": "a negation", "~": "a home folder", ":": "a pathspec of git"}[text[0]]
        raise _unsupported(text, what, f"Write a path from the repository's root; in a name, './{text[0]}…'.")
    if _has_bare_comma(text):
        raise InvalidResource(
            f"{_quoted(text)} has a comma outside of braces",
            hint=f"{_LOCK_EACH} In the name of a file, write '[,]'.",
        )


def _has_bare_comma(text: str) -> bool:
    """Whether a comma stands outside of all closed braces."""
    if "," not in text:
        return False
    depth = 0
    unclosed: list[list[int]] = [[]]  # commas at each depth, until their braces close
    for at, token in _tokens(text):
        if token == "{":
            depth += 1
            unclosed.append([])
        elif token == "}" and depth:
            depth -= 1
            unclosed.pop()
        elif token == ",":
            unclosed[-1].append(at)
    return any(unclosed)


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    for match in _TOKEN.finditer(text):
        yield match.start(), match.group()


def _unsupported(text: str, what: str, hint: str) -> InvalidResource:
    return InvalidResource(f"{_quoted(text)} looks like {what}, which locks don't have", hint=hint)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
