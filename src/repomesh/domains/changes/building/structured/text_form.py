"""A file's text, apart from what says nothing: byte order mark, line ends, and the last line's end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

from repomesh.domains.changes.building.structured.outcome import NotMergeable

_BOM = "\ufeff"
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a text was written. None where a text is too short to tell."""

    bom: bool = False
    line_end: str | None = None
    ended: bool | None = None


def read_text(content: bytes) -> tuple[str, TextForm]:
    """A file as text with a line feed behind every line, and its form. Raises NotMergeable."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise NotMergeable("the file is no text in UTF-8") from None
    if "\0" in text:
        raise NotMergeable("the file is no text: it holds NUL")
    bom = text.startswith(_BOM)
    text = text.removeprefix(_BOM)
    returns = text.count("\r\n")
    if text.count("\r") != returns or returns not in (0, text.count("\n")):
        raise NotMergeable("the file mixes line ends")
    line_end = "\r\n" if returns else "\n" if "\n" in text else None
    text = text.replace("\r\n", "\n")
    ended = text.endswith("\n") if text else None
    return (text + "\n" if ended is False else text), TextForm(bom, line_end, ended)


def merged_form(base: TextForm, ours: TextForm, theirs: TextForm) -> TextForm:
    """The form of a merged text: each part as the side that changed it has it."""
    return TextForm(
        _merged(base.bom, ours.bom, theirs.bom),
        _merged(base.line_end, ours.line_end, theirs.line_end),
        _merged(base.ended, ours.ended, theirs.ended),
    )


def write_text(text: str, form: TextForm) -> bytes:
    """A text in the form that a file has."""
    if form.ended is False:
        text = text.removesuffix("\n")
    if form.line_end == "\r\n":
        text = text.replace("\n", "\r\n")
    return (_BOM + text if form.bom else text).encode()


def split_lines(text: str) -> list[str]:
    """The lines of a text with their ends; only a line feed ends one."""
    return _LINES.findall(text)


def _merged(base: Value, ours: Value, theirs: Value) -> Value:
    if ours is None or (ours == base and theirs is not None):
        return theirs
    return ours
