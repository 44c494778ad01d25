"""The working folders of a shell's commands: several, where a `cd` before them may have failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import join, normpath

from repomesh.kernel.limits import SHELL_FOLDERS_MAX
from repomesh.surfaces.hooks.dialects.programs import ProgramCall, parse_options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord

_CHAINED = frozenset({"&&", "||", "|", "|&"})


@dataclass(frozen=True, slots=True)
class WorkingFolders:
    """The folders in which a command may run. A path may be relative; None stands for an unknown folder."""

    paths: tuple[str | None, ...] = ("",)

    def change_to(self, place: ShellWord) -> WorkingFolders:
        """The folders after `cd place`."""
        return _limit_folders(path for form in place.forms() for path in self._change_to_form(form).paths)

    def _change_to_form(self, form: ShellWord) -> WorkingFolders:
        if not form.known or form.glob:
            return WorkingFolders((None,))
        text = form.text
        if text.startswith(("/", "~")):
            return WorkingFolders((text,))
        return _limit_folders(None if path is None else normpath(join(path, text)) for path in self.paths)

    def union(self, other: WorkingFolders) -> WorkingFolders:
        """These folders and those of `other`."""
        return _limit_folders((*self.paths, *other.paths))


UNKNOWN_FOLDERS = WorkingFolders((None,))


def _limit_folders(paths: Iterable[str | None]) -> WorkingFolders:
    distinct = tuple(dict.fromkeys("" if path == "." else path for path in paths))
    return WorkingFolders(distinct) if len(distinct) <= SHELL_FOLDERS_MAX else UNKNOWN_FOLDERS


class CommandChain:
    """Tracks the working folders over commands joined by `&&`, `||`, pipes and `;`."""

    def __init__(self, start: WorkingFolders) -> None:
        self.current = start
        self.strict = False
        """Whether a command that fails ends the shell, as behind `set -e`."""
        self._possible_folders = start
        self._last_cd_folders: WorkingFolders | None = None
        self._is_behind_or = False
        self._is_in_chain = False

    def subshell(self) -> CommandChain:
        """The chain of a subshell, whose folders do not affect this one."""
        chain = CommandChain(self.current)
        chain.strict = self.strict
        return chain

    def advance(
        self, operator: str, cd_folders: WorkingFolders | None = None, *, leaves: bool = False
    ) -> None:
        """Process the operator behind a command.

        `cd_folders` are those after a `cd`; `leaves`: the command ends the shell, as in `cd x || exit`.
        """
        if cd_folders is not None:
            is_standalone = not self._is_in_chain and operator in (";", "\n", "")
            self._possible_folders = (
                cd_folders if self.strict and is_standalone else self._possible_folders.union(cd_folders)
            )
            self._last_cd_folders = cd_folders
            if operator == "&&":
                self.current = self.current.union(cd_folders) if self._is_behind_or else cd_folders
        elif leaves and self._is_behind_or and self._last_cd_folders is not None:
            self._possible_folders = self._last_cd_folders
        self._is_in_chain = operator in _CHAINED
        if operator == "||":
            self._is_behind_or = True
            self.current = self._possible_folders
        elif not self._is_in_chain:
            self.current = self._possible_folders
            self._last_cd_folders, self._is_behind_or = None, False


def change_folders(
    call: ProgramCall, folders: WorkingFolders, pushed_folders: list[WorkingFolders]
) -> WorkingFolders:
    """The folders after `cd`, `pushd` or `popd`; `pushed_folders` is the stack of `pushd`."""
    if call.name == "popd":
        return pushed_folders.pop() if pushed_folders else UNKNOWN_FOLDERS
    if call.name == "pushd":
        pushed_folders.append(folders)
    operands = parse_options(call.arguments).operands
    if not operands:
        return WorkingFolders(("~",))
    if any(word.text == "-" for word in operands):
        return UNKNOWN_FOLDERS
    changed = folders.change_to(operands[0])
    for word in operands[1:]:  # the other values that a variable may have
        changed = changed.union(folders.change_to(word))
    return changed
