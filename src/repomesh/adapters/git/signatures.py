"""Who made a commit: read whatever git knows, written as libgit2 takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pygit2

_NOT_IN_NAMES = re.compile(r"[<>\n\0]")
_TRIMMED = " .,:;\"\\'\t\r"  # at both ends of names and addresses, by git and libgit2
_UNKNOWN_NAME, _UNKNOWN_EMAIL = "unknown", "unknown@repomesh.invalid"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made a commit, and when: seconds since 1970, and the offset from UTC in minutes."""

    name: str
    email: str
    at_s: int
    offset_min: int = 0


def decode(text: bytes, encoding: str | None) -> str:
    """Text of a commit, in the encoding that the commit names; UTF-8 where it names none that is known."""
    try:
        return text.decode(encoding or "utf-8", "replace")
    except (LookupError, UnicodeError):
        return text.decode("utf-8", "replace")


def to_git(signature: Signature) -> pygit2.Signature:
    """The signature for libgit2, which writes no empty names: git itself makes and takes such commits."""
    import pygit2

    name, email = (_NOT_IN_NAMES.sub("", text).strip(_TRIMMED) for text in (signature.name, signature.email))
    return pygit2.Signature(
        name or _UNKNOWN_NAME, email or _UNKNOWN_EMAIL, signature.at_s, signature.offset_min
    )
