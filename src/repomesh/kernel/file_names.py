"""Exact names of files in requests, whatever bytes they are made of.

Git and file systems know names as bytes, JSON only Unicode. So a name is percent-encoded (RFC 3986, section
2.1): `%` is always `%25`, and what is no UTF-8 is `%XX` per byte. In memory such a byte is a lone surrogate,
as `os.fsdecode` makes it (PEP 383).
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from repomesh.kernel.limits import LITERAL_PATH_BYTES_MAX

ROOT = "."
"""How the root of the repository is written where a folder is asked for; in memory it is `''`."""

_ENCODED = re.compile(r"(?:[^%\x00\ud800-\udfff]|%[0-9A-Fa-f]{2})+")


def is_utf8(path: Path) -> bool:
    """Whether a path is valid UTF-8, so that databases, JSON and settings files can hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def encode(name: str) -> str:
    """The name as percent-encoded ASCII."""
    return quote(size_checked(name), safe="/") or ROOT


def decode(text: str) -> str:
    """The name that was written. Raises ValueError with what is wrong with it."""
    if text == ROOT:
        return ""
    if _ENCODED.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is not percent-encoded: write '%' as '%25', other bytes as '%XX'")
    raw = unquote_to_bytes(text)
    if b"\0" in raw or not {b"", b".", b".."}.isdisjoint(raw.split(b"/")):
        raise ValueError(f"{text[:80]!r} is no exact name: write it like 'src/app.py', without './' or '..'")
    return raw.decode("utf-8", "surrogateescape")


def shown(name: str) -> str:
    """The name as valid Unicode, to be shown: what is no UTF-8 becomes U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def size_checked(name: str) -> bytes:
    """The name as bytes. Raises ValueError when it is longer than any that can be checked out."""
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) > LITERAL_PATH_BYTES_MAX:
        raise ValueError(f"its name has {len(raw)} bytes, more than {LITERAL_PATH_BYTES_MAX}")
    return raw
