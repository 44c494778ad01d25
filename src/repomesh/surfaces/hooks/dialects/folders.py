"""The folders that the commands of a shell run in: several, where a `cd` before them may have failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import join, normpath

from repomesh.kernel.limits import SHELL_FOLDERS_MAX
from repomesh.surfaces.hooks.dialects.programs import ProgramCall, options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord

_CHAINED = frozenset({"&&", "||", "|", "|&"})


@dataclass(frozen=True, slots=True)
class WorkingFolders:
    """Where a command may run. A path may be relative; None stands for a folder that can't be told."""

    paths: tuple[str | None, ...] = ("",)

    def joined(self, place: ShellWord) -> WorkingFolders:
        """The folders that `cd place` leads to."""
        [*forms] = place.forms()
        if len(forms) != 1 or not forms[0].known or forms[0].glob:
            return WorkingFolders((None,))
        text = forms[0].text
        if text.startswith(("/", "~")):
            return WorkingFolders((text,))
        return _bounded(None if path is None else normpath(join(path, text)) for path in self.paths)

    def with_(self, other: WorkingFolders) -> WorkingFolders:
        """These and the others."""
        return _bounded((*self.paths, *other.paths))


UNKNOWN = WorkingFolders((None,))


def _bounded(paths: Iterable[str | None]) -> WorkingFolders:
    distinct = tuple(dict.fromkeys("" if path == "." else path for path in paths))
    return WorkingFolders(distinct) if len(distinct) <= SHELL_FOLDERS_MAX else UNKNOWN


class CommandChain:
    """Commands joined by `&&`, `||` and pipes: where the next of them runs, and what runs behind them."""

    def __init__(self, start: WorkingFolders) -> None:
        self.here = start
        self.strict = False
        """Whether a command that fails ends the shell, as behind `set -e`."""
        self._possible = start
        self._moved: WorkingFolders | None = None
        self._either = False
        self._joined = False

    def inner(self) -> CommandChain:
        """That of a subshell, which changes nothing out here."""
        chain = CommandChain(self.here)
        chain.strict = self.strict
        return chain

    def go_on(self, operator: str, moved: WorkingFolders | None = None, *, leaves: bool = False) -> None:
        """Pass the operator behind a command.

        `moved` is where a `cd` leads; `leaves` says that the command ends the shell, as in `cd x || exit`.
        """
        if moved is not None:
            alone = not self._joined and operator in (";", "\n", "")
            self._possible = moved if self.strict and alone else self._possible.with_(moved)
            self._moved = moved
            if operator == "&&":
                self.here = self.here.with_(moved) if self._either else moved
        elif leaves and self._either and self._moved is not None:
            self._possible = self._moved
        self._joined = operator in _CHAINED
        if operator == "||":
            self._either = True
            self.here = self._possible
        elif not self._joined:
            self.here = self._possible
            self._moved, self._either = None, False


def moved(call: ProgramCall, folders: WorkingFolders, before: list[WorkingFolders]) -> WorkingFolders:
    """The folders after `cd`, `pushd` or `popd`; `before` are those that `pushd` left."""
    if call.name == "popd":
        return before.pop() if before else UNKNOWN
    if call.name == "pushd":
        before.append(folders)
    operands = options(call.arguments).operands
    if not operands:
        return WorkingFolders(("~",))
    return UNKNOWN if operands[0].text == "-" else folders.joined(operands[0])
