"""The commands that `xargs` and `parallel` run."""

from __future__ import annotations

from typing import Final

from repomesh.surfaces.hooks.dialects.programs import UNKNOWN_ARGUMENTS, ProgramCall
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord

_VALUED: Final = frozenset(
    {"-I", "-n", "-P", "-L", "-d", "-s", "-E", "-a", "-j", "--max-args", "--max-procs", "--delimiter"}
)


def executed_by_xargs(call: ProgramCall, file_names: list[ShellWord] | None) -> list[ShellWord]:
    """The command with the file names that it is fed, None if they are unknown; raises ShellBoundExceeded."""
    command, placeholder = _command(call.arguments)
    operands = file_names if file_names is not None else [ShellWord(UNKNOWN_ARGUMENTS)]
    if not placeholder and call.name != "parallel":
        return [*command, *operands]
    words = [_fill_placeholder(word, placeholder or "{}", operands) for word in command]
    call.steps.take(sum(map(len, words)))
    return [part for filled_words in words for part in filled_words]


def _command(arguments: list[ShellWord]) -> tuple[list[ShellWord], str]:
    """The words behind the options, and the placeholder that `-I` names."""
    at, placeholder = 0, ""
    while at < len(arguments) and arguments[at].text.startswith("-"):
        option = arguments[at].forms()[0].text
        at += 1
        if option in _VALUED and at < len(arguments):
            value = arguments[at]
            at += 1
            placeholder = value.forms()[0].text if option == "-I" else placeholder
        elif option.startswith("-I"):
            placeholder = option[2:]
    return arguments[at:], placeholder


def _fill_placeholder(word: ShellWord, placeholder: str, operands: list[ShellWord]) -> list[ShellWord]:
    text = word.forms()[0].text
    if text == placeholder:
        return operands
    if placeholder not in text:
        return [word]
    return [ShellWord(text.replace(placeholder, UNKNOWN_ARGUMENTS), word.glob, word.unknown_from)]
