"""Assignments in shell commands: `NAME=value` before a program, `export`, `declare`, and names of loops."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from repomesh.surfaces.hooks.dialects.folders import WorkingFolders
from repomesh.surfaces.hooks.dialects.shell_words import ShellCommand, ShellReader
from repomesh.surfaces.hooks.dialects.variables import UNKNOWN, ScopeKind, Variables
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord, alternatives
from repomesh.surfaces.hooks.dialects.word_lists import POSITIONAL

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^\]]*\])?(\+)?=")
"""`NAME=`, `NAME[index]=` or `NAME+=` at the beginning of a word."""
DECLARATIONS = frozenset({"export", "declare", "local", "readonly", "typeset"})
"""The programs of a shell whose arguments assign."""
DETACHING = ("|", "|&", "&")
"""The signs behind a command that runs beside the shell."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_POSIX_SPECIAL = frozenset({":", ".", "source", "eval", "exec", "set", "shift", "trap", "unset", "times"})
"""In some shells an assignment in front of these outlasts them."""
_SHIFT_DIGITS_MAX = 4  # of what `shift` removes
_TRANSFORMING = re.compile(r"-[A-Za-z]*[niul]")  # options of `declare` that give a variable another meaning


@dataclass(slots=True)
class ResolvedCommand:
    """A command without assignments, keywords and wrappers: its words or its shell script, the folders that
    wrappers change to, the files that wrappers write, and whether it is a test, in which `>` compares."""

    words: list[ShellWord]
    is_test: bool = False
    folders: list[ShellWord] = field(default_factory=list)
    script: ShellWord | None = None
    outputs: list[ShellWord] = field(default_factory=list)
    assignments: list[tuple[re.Match[str], ShellWord]] = field(default_factory=list)
    is_wrapped: bool = False
    has_list: bool = False
    """Whether round brackets follow its words, as in `NAME=(values)`."""
    is_detached: bool = False
    """Whether it runs beside the shell, behind or in front of a pipe or `&`."""

    def working_folders(self, folders: WorkingFolders) -> WorkingFolders:
        """The working folders of the program, where the shell's are `folders`."""
        for folder in self.folders:  # bounded: one for each wrapper, and these are counted
            folders = folders.change_to(folder)
        return folders


def assign(resolved: ResolvedCommand, command: ShellCommand, reader: ShellReader) -> None:
    """Apply the assignments in front of a command's program; without a program they last."""
    variables, is_prefix = reader.variables, bool(resolved.words) or resolved.script is not None
    if is_prefix and not resolved.is_wrapped and _leaves_prefix(resolved, variables):
        return
    is_doubtful = is_prefix or resolved.is_wrapped or command.ending in DETACHING
    names = set[str]()
    for match, word in resolved.assignments:
        if _is_list(match, word, resolved):
            continue
        value = word.suffix_from(match.end())
        if match[2] or command.brackets or names & reader.expanded:  # an array, or read before it was set
            value = UNKNOWN
        if match[3]:
            variables.append(match[1], value, doubtful=is_doubtful)
        else:
            variables.assign(match[1], value, doubtful=is_doubtful)
        names.add(match[1])


def assign_list(command: ShellCommand, reader: ShellReader) -> None:
    """`NAME=(words)`, also behind `declare` or `local`."""
    for at, word in enumerate(command.words):
        match = ASSIGNMENT.match(word.text)
        if match is not None and not match[2] and match.end() == len(word.text) and word.known:
            values = [
                value for value in command.words[at + 1 :] if value.text or value.quoted or not value.known
            ]
            is_indexed = any(value.text.startswith("[") for value in values)  # `[1]=value`
            if is_indexed:
                reader.variables.forget([match[1]])
            else:
                reader.variables.assign_list(match[1], values, appends=bool(match[3]))
            return


def _is_list(match: re.Match[str], word: ShellWord, command: ResolvedCommand) -> bool:
    """Whether a word is the head of an array's values, which `assign_list` reads."""
    return command.has_list and not match[2] and match.end() == len(word.text) and word.known


def set_parameters(name: str, arguments: list[ShellWord], reader: ShellReader) -> None:
    """`set -- words` and `shift`: change the positional parameters."""
    if name == "shift":
        count = arguments[0] if arguments else ShellWord("1")
        is_number = count.known and count.text.isdecimal() and len(count.text) < _SHIFT_DIGITS_MAX
        reader.variables.shift(int(count.text) if is_number else None)
        return
    for at, word in enumerate(arguments):
        is_separator = word.text in ("--", "-")
        if is_separator or not word.text.startswith(("-", "+")):
            reader.variables.assign_list(POSITIONAL, arguments[at + is_separator :])
            return
        if word.text == "-o":
            return


def declare(words: list[ShellWord], command: ResolvedCommand, reader: ShellReader) -> None:
    """`export NAME=value`, `declare`, `local`: the words from the program on."""
    program, variables = words[0].text, reader.variables
    if any(_TRANSFORMING.match(word.text) for word in words[1:]) and program != "export":
        variables.stop_tracking()
    is_readonly = program == "readonly" or any(word.text.startswith("-r") for word in words[1:])
    for word in words[1:]:
        match = ASSIGNMENT.match(word.text)
        if not word.known and match is None:
            variables.forget_all()
        elif match is not None and _is_list(match, word, command):
            return
        elif match is not None:
            value = UNKNOWN if match[2] or match[3] else word.suffix_from(match.end())
            is_doubtful = command.is_wrapped or command.is_detached
            variables.assign(match[1], value, doubtful=is_doubtful, readonly=is_readonly)
        elif program not in ("export", "readonly") and _NAME.fullmatch(word.text):
            variables.forget([word.text])


def begin_loop(words: list[ShellWord], reader: ShellReader) -> None:
    """`for NAME in …`, `select NAME in …`: the words from the keyword on."""
    name = _NAME.match(words[1].text) if len(words) > 1 else None
    value = UNKNOWN
    if len(words) > 3 and words[2].text == "in" and words[0].text == "for":
        forms = [form for word in words[3:] for form in word.forms()]
        value = alternatives(forms)
    reader.variables.begin_repeated(reader.last_places("done"), reader.at)
    if name is not None:
        reader.variables.assign(name[0], value)
    reader.variables.open(ScopeKind.LOOP)


def _leaves_prefix(resolved: ResolvedCommand, variables: Variables) -> bool:
    """Whether the assignments in front of a program are its own alone."""
    if not resolved.words:
        return True
    name = resolved.words[0]
    is_single = name.known and len(name.forms()) == 1
    return is_single and name.text not in _POSIX_SPECIAL and not variables.is_function(name.text)
