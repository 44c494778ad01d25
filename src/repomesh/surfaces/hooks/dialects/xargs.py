"""The commands that `xargs` and `parallel` run."""

from __future__ import annotations

import re
import shlex
from typing import Final

from repomesh.surfaces.hooks.dialects.programs import UNKNOWN_ARGUMENTS, ProgramCall
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.wrappers import join_words

_VALUED: Final = frozenset(
    {"-I", "-n", "-P", "-L", "-d", "-s", "-E", "-a", "-j", "--max-args", "--max-procs", "--delimiter"}
)

_SOURCES: Final = frozenset({":::", ":::+", "::::", "::::+"})
"""The words of `parallel` behind which arguments or files of arguments stand."""
_PLACE: Final = re.compile(r"\{(?:[./]|//|/\.|[-\d./]+|#|%)?\}")
"""Where `parallel` puts an argument: `{}` as it is, the others a part of it."""


def executed_by_xargs(call: ProgramCall, file_names: list[ShellWord] | None) -> list[ShellWord]:
    """The command with the file names that it is fed, None if they are unknown; raises ShellBoundExceeded."""
    if call.name == "parallel":
        return _executed_by_parallel(call, file_names)
    command, placeholder = _command(call.arguments)
    operands = file_names if file_names is not None else [ShellWord(UNKNOWN_ARGUMENTS)]
    if not placeholder:
        return [*command, *operands]
    words = [_fill_placeholder(word, placeholder, operands) for word in command]
    call.steps.take(sum(map(len, words)))
    return [part for filled_words in words for part in filled_words]


def _executed_by_parallel(call: ProgramCall, file_names: list[ShellWord] | None) -> list[ShellWord]:
    """`parallel COMMAND ::: ARGUMENTS`: a shell runs the command's words, joined, with the arguments in it.

    Without a place for them they stand at its end; without a command they are commands themselves.
    """
    words, _placeholder = _command(call.arguments)
    call.steps.take(len(words))
    source = next((at for at, word in enumerate(words) if word.text in _SOURCES), len(words))
    command, given = words[:source], words[source + 1 :]
    if source < len(words) and words[source].text in (":::", ":::+") and _are_plain(given):
        operands = given
    else:
        operands = (file_names if source == len(words) else None) or [ShellWord(UNKNOWN_ARGUMENTS)]
    if not command:
        return [ShellWord("sh"), ShellWord("-c"), ShellWord("\n".join(word.text for word in operands))]
    names = " ".join(_quoted(word) for word in operands)
    template = join_words(command)
    script = _PLACE.sub(lambda place: names if place[0] == "{}" else UNKNOWN_ARGUMENTS, template.text)
    call.steps.take(len(script))
    if _PLACE.search(template.text) is None:
        script = f"{script} {names}"
    return [ShellWord("sh"), ShellWord("-c"), ShellWord(script, unknown_from=template.unknown_from)]


def _are_plain(words: list[ShellWord]) -> bool:
    return all(word.known and word.text not in _SOURCES for word in words)


def _quoted(word: ShellWord) -> str:
    is_plain = word.known and not word.glob and UNKNOWN_ARGUMENTS not in word.text
    return shlex.quote(word.text) if is_plain else word.text


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
