"""The texts that a command prints and writes to files, where they stand in the command itself.

A program or a shell that is handed such a text, through a pipe or as a file, runs it.
"""

from __future__ import annotations

import re
from posixpath import join, normpath
from typing import Final

from repomesh.surfaces.hooks.dialects.folders import WorkingFolders
from repomesh.surfaces.hooks.dialects.programs import ProgramCall, parse_options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord

_ESCAPE: Final = re.compile(r"\\(0[0-7]{0,3}|[0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", re.DOTALL)
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "", "b": "", "f": "", "v": "", "e": "", "c": ""}
_CONVERSION: Final = re.compile(r"%(?:%|[-+ #0]*\d*(?:\.\d+)?[a-zA-Z])")
_SILENT: Final = frozenset({"cd", "true", ":", "set", "export", "sleep", "local", "touch", "mkdir", "rm"})
_TEXTS_MAX: Final = 8  # kept for one file; of more the first count
_CHARS_PER_STEP: Final = 8


class PrintedTexts:
    """Tracks the files that a command writes, and what its groups print."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}
        self._groups: list[list[str | None]] = [[]]
        self._group_text: str | None = None

    def of_call(self, call: ProgramCall, folders: WorkingFolders) -> str | None:
        """The text that a program prints, None if unknown."""
        known = all(word.full_text is not None and len(word.forms()) == 1 for word in call.arguments)
        if call.name == "cat" and len(call.arguments) == 1 and call.stdin_text is None:
            return "\n".join(self.of_file(call.arguments[0], folders)) or None
        if call.name == "cat":
            return call.stdin_text
        if call.name == "tee":
            return call.stdin_text
        if call.name == "echo" and known:
            return _echoed(call)
        if call.name == "printf" and known and call.arguments:
            return _formatted(call)
        return "" if call.name in _SILENT else None

    # -- files -------------------------------------------------------------------------------------

    def write(self, call: ProgramCall, outputs: list[ShellWord], folders: WorkingFolders) -> None:
        """Keep what a program prints into `outputs`, or `tee` into its operands."""
        names = [*outputs, *(parse_options(call.arguments).operands if call.name == "tee" else [])]
        if not names:
            return
        text = self.of_call(call, folders)
        for path in [path for name in names for path in _paths(name, folders)] if text else []:
            call.steps.take(2)
            texts = self._files.setdefault(path, [])
            if len(texts) < _TEXTS_MAX:
                texts.append(text or "")

    def of_file(self, name: ShellWord, folders: WorkingFolders) -> list[str]:
        """The texts that the command wrote to a file."""
        return [text for path in _paths(name, folders) for text in self._files.get(path, [])]

    # -- groups ------------------------------------------------------------------------------------

    def open_group(self) -> None:
        """Begin `{` or `(`."""
        self._groups.append([])

    def close_group(self) -> None:
        """End the innermost group."""
        if len(self._groups) > 1:
            texts = self._groups.pop()
            known = [text for text in texts if text is not None]
            self._group_text = "".join(known) if texts and len(known) == len(texts) else None
            self._groups[-1].append(self._group_text)

    def note(self, call: ProgramCall, folders: WorkingFolders) -> None:
        """Note that a program prints within the innermost group."""
        if len(self._groups) > 1:
            self._groups[-1].append(self.of_call(call, folders))

    def take_group_text(self) -> str | None:
        """What the group printed that was closed last; None if unknown, or taken already."""
        text, self._group_text = self._group_text, None
        return text


def _paths(name: ShellWord, folders: WorkingFolders) -> list[str]:
    """The paths of a name in each of the working folders."""
    if not name.known or name.glob:
        return []
    return [normpath(join(folder, name.text)) for folder in folders.paths if folder is not None]


def _echoed(call: ProgramCall) -> str:
    words = [word.full_text or "" for word in call.arguments]
    escapes = False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        escapes = escapes or "e" in words[0]
        del words[0]
    text = " ".join(words) + "\n"
    return _unescape(text, call) if escapes else text


def _formatted(call: ProgramCall) -> str | None:
    words = [word.full_text or "" for word in call.arguments]
    if words[0] == "--":
        del words[0]
    if not words or words[0].startswith("-v"):
        return ""
    template, values = _unescape(words[0], call), words[1:]
    slots = [match for match in _CONVERSION.findall(template) if match != "%%"]
    parts: list[str] = []
    while not parts or (values and slots):
        call.steps.take(len(template) // _CHARS_PER_STEP + 1)
        taken = iter(values[: len(slots)])
        del values[: len(slots)]
        parts.append(
            _CONVERSION.sub(lambda match: "%" if match[0] == "%%" else next(taken, ""), template)  # noqa: B023
        )
    return "".join(parts)


def _unescape(text: str, call: ProgramCall) -> str:
    call.steps.take(len(text) // _CHARS_PER_STEP)
    return _ESCAPE.sub(lambda match: _escaped(match[1]), text)


def _escaped(code: str) -> str:
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0].isdigit() and code[0] < "8":
        return chr(int(code, 8) & 0xFF)
    return _LETTERS.get(code, code if code == "\\" else "\\" + code)
