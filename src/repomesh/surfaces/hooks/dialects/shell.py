"""Which files a shell command or a patch writes, as far as can be told without running it.

Good enough to stop an honest agent before it writes what another holds, and no more: a program can hide what
it does in many ways, and `git` checks again before a commit. What can be told to write, but not where, counts
as writing anything; what is past a bound, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from repomesh.kernel.limits import SHELL_CHARS_MAX, SHELL_DEPTH_MAX, SHELL_PROGRAMS_MAX
from repomesh.surfaces.hooks.dialects import programs
from repomesh.surfaces.hooks.dialects.folders import CommandChain, WorkingFolders, moved
from repomesh.surfaces.hooks.dialects.git_commands import apply_patch, git
from repomesh.surfaces.hooks.dialects.patches import of_codex, patched
from repomesh.surfaces.hooks.dialects.programs import UNTOLD, ProgramCall, options
from repomesh.surfaces.hooks.dialects.shell_words import PROCESS, ShellCommand, ShellReader
from repomesh.surfaces.hooks.dialects.table import PROGRAMS, program_of
from repomesh.surfaces.hooks.dialects.word_forms import (
    ShellBoundExceeded,
    ShellWord,
    StepBudget,
    alternatives,
)
from repomesh.surfaces.hooks.dialects.wrappers import joined, unwrap
from repomesh.surfaces.hooks.dialects.writes import TargetExtent, WriteSet, WriteTarget, below, bounded

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash"})
_KEYWORDS = frozenset(
    {"then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "fi", "done", "esac"}
)
_STEPS_OF_COMMAND = 10
_STEPS_OF_PROGRAM = 8
_STEPS_OF_MOVE = 5
_DECLARES = frozenset({"export", "declare", "local", "readonly", "typeset"})


def writes_of_patch(text: str) -> WriteSet:
    """The files that a patch touches; anything, when it names none."""
    paths = patched(text)
    return bounded(WriteSet(tuple(map(WriteTarget, paths)), "" if paths else "its patch names no file"))


def writes_of_command(text: str) -> WriteSet:
    """What a shell command writes, relative paths as they stand."""
    patch = tuple(map(WriteTarget, of_codex(text.split("\n")))) if "*** " in text else ()
    if len(text) > SHELL_CHARS_MAX:
        return WriteSet((), f"the command has more than {SHELL_CHARS_MAX} characters")
    scan = _Scan()
    try:
        scan.run(text, WorkingFolders(), 0)
    except ShellBoundExceeded as bound:
        return bounded(WriteSet((*patch, *scan.targets), str(bound)))
    return bounded(WriteSet((*patch, *scan.targets), scan.unresolved))


@dataclass(slots=True)
class _Called:
    """A command: the words from the program's name on, the folders that it is moved to, and a shell's command
    in their place; what wrappers before it write; and whether it is a test, in which `>` compares."""

    words: list[ShellWord]
    tested: bool = False
    folders: list[ShellWord] = field(default_factory=list)
    script: ShellWord | None = None
    outputs: list[ShellWord] = field(default_factory=list)

    def inside(self, folders: WorkingFolders) -> WorkingFolders:
        """The folders that the program runs in, where the command is run in these."""
        for place in self.folders:  # each came with a wrapper, and these are counted
            folders = folders.joined(place)
        return folders


class _Scan:
    """Goes through the commands of a text, and those inside of them, and collects what they write."""

    def __init__(self) -> None:
        self.targets: list[WriteTarget] = []
        self.unresolved = ""
        self._programs = 0
        self._steps = StepBudget()
        self._aliases: dict[str, ShellWord] = {}
        self._handed: ProgramCall | None = None  # the command before in the pipeline

    def run(self, text: str, folders: WorkingFolders, depth: int) -> WorkingFolders:
        """Read `text` as the commands of a shell; returns where one behind them may run.

        Raises ShellBoundExceeded.
        """
        if depth > SHELL_DEPTH_MAX:
            raise ShellBoundExceeded(f"it holds commands more than {SHELL_DEPTH_MAX} deep in commands")
        reader, chain, outer, before = (
            ShellReader(text, self._steps),
            CommandChain(folders),
            list[CommandChain](),
            list[WorkingFolders](),
        )
        while (command := reader.next_command()) is not None:
            for _ in range(command.opens):
                outer.append(chain)
                chain = chain.inner()
            inner, reader.inner = reader.inner, []
            for part in inner:
                self.run(part, chain.here, depth + 1)
            if command.words or command.outputs or command.piped:
                self._simple(command, reader, chain, before, depth)
            else:
                self._handed = None
                chain.go_on(command.ending)
            for _ in range(min(command.closes, len(outer))):
                chain = outer.pop()
        if reader.torn:
            self._anything("it ends within a quotation or a substitution")
        return chain.here

    def _simple(
        self,
        command: ShellCommand,
        reader: ShellReader,
        chain: CommandChain,
        before: list[WorkingFolders],
        depth: int,
    ) -> None:
        """One simple command, and what it does to where the next one runs."""
        self._steps.take(_STEPS_OF_COMMAND)
        called = self._called(command.words, reader)
        words, folders = called.words, called.inside(chain.here)
        call = ProgramCall(
            words[0].text.rpartition("/")[2] if words else "",
            _operands(words[1:]),
            command.fed,
            steps=self._steps,
        )
        if not called.tested:
            for word in (*command.outputs, *called.outputs):
                call.write(word)
        self._collect(call, chain.here)  # the shell opens them, wherever the program runs
        handed, self._handed = self._handed, call if command.piped else None
        if call.fed is None and handed is not None:
            call.fed = _printed(handed)
        place: WorkingFolders | None = None
        if called.script is not None:
            self._script(called.script, folders, depth)
        if call.name in ("cd", "pushd", "popd"):
            self._steps.take(_STEPS_OF_MOVE * len(folders.paths))
            place = moved(call, folders, before)
        elif call.name == "eval":
            self._steps.take(len(call.arguments))
            place = self._script(joined(call.arguments), folders, depth)
        elif words and not words[0].known:
            self._unnamed(call, folders)
        elif call.name == "alias":
            self._define(call.arguments)
        elif words:
            chain.strict = chain.strict or (call.name == "set" and options(call.arguments).has("-e"))
            self._program(call, handed, folders, depth)
        chain.go_on(command.ending, place, leaves=call.name in ("exit", "return"))

    def _unnamed(self, call: ProgramCall, folders: WorkingFolders) -> None:
        """A program that only running would name, as `$CC`: it may write what it is given."""
        for word in options(call.arguments).operands:
            if word.known:
                call.write(word, TargetExtent.TREE)
        self._collect(call, folders)

    def _script(self, script: ShellWord, folders: WorkingFolders, depth: int) -> WorkingFolders:
        """A word that a shell runs as commands; returns where one behind them may run."""
        if script.known:
            return self.run(script.text, folders, depth + 1)
        self._anything("the commands that it runs are only known when it runs")
        return folders

    def _program(
        self, call: ProgramCall, handed: ProgramCall | None, folders: WorkingFolders, depth: int
    ) -> None:
        name = program_of(call.name)
        self._count_program()
        self._steps.take(_STEPS_OF_PROGRAM + len(call.arguments))
        if depth > SHELL_DEPTH_MAX:
            raise ShellBoundExceeded(f"it holds commands more than {SHELL_DEPTH_MAX} deep in commands")
        if name in _SHELLS:
            self._shell(call, handed, folders, depth)
        elif name in ("eval", "trap"):
            self._script(joined(call.arguments[: None if name == "eval" else 1]), folders, depth)
        elif name in ("fd", "fdfind"):
            self._again(programs.executed_by_fd(call), call, folders, depth)
        elif name in ("xargs", "parallel"):
            self._xargs(call, handed, folders, depth)
        elif name == "git":
            place = git(call)
            self._collect(call, folders if place is None else folders.joined(place))
        elif name in ("patch", "apply_patch"):
            found = options(call.arguments, "-p -i -d -o -r --input --directory --strip --output")
            if not found.has("--dry-run", "--version", "-v") or name == "apply_patch":
                self._patch(call, found, folders)
        elif name == "find":
            for part in programs.executed_by_find(call):
                self._again(part, call, folders, depth)
            PROGRAMS["find"](call)
            self._collect(call, folders)
        elif name in PROGRAMS:
            PROGRAMS[name](call)
            self._collect(call, folders)

    def _patch(self, call: ProgramCall, found: programs.ParsedOptions, folders: WorkingFolders) -> None:
        place = (found.given("-d", "--directory"))[:1]
        if call.name == "apply_patch" and call.fed is None and found.operands:
            call.fed = found.operands[0].text
        if call.name == "patch" and found.operands:
            call.write(found.operands[0])
        else:
            apply_patch(call, found)
        self._collect(call, folders.joined(place[0]) if place else folders)

    def _again(self, words: list[ShellWord], call: ProgramCall, folders: WorkingFolders, depth: int) -> None:
        """A command that another one runs."""
        called = self._called(words, ShellReader("", self._steps))
        for word in called.outputs:
            call.write(word)
        self._collect(call, folders)
        folders = called.inside(folders)
        if called.script is not None:
            self._script(called.script, folders, depth)
        if called.words:
            inner = ProgramCall(
                called.words[0].text.rpartition("/")[2], called.words[1:], call.fed, steps=self._steps
            )
            self._program(inner, None, folders, depth + 1)

    def _shell(
        self, call: ProgramCall, handed: ProgramCall | None, folders: WorkingFolders, depth: int
    ) -> None:
        """`sh -c 'commands'`, or a shell that is fed its commands."""
        found = options(call.arguments, "-c -o -O --rcfile --init-file")
        scripts = found.given("-c")
        if not scripts and found.has("-c") and found.operands:
            scripts = found.operands[:1]
        if scripts:
            self._script(scripts[0], folders, depth)
        elif found.operands and not found.has("-s"):
            if found.operands[0].text == PROCESS:
                self._anything("the commands that it is handed are only known when it runs")
        elif call.fed is not None:
            self.run(call.fed, folders, depth + 1)
        elif handed is not None:
            self._anything("the commands that it is fed are only known when it runs")

    def _xargs(
        self, call: ProgramCall, handed: ProgramCall | None, folders: WorkingFolders, depth: int
    ) -> None:
        """What `xargs` hands on is what the command before it names, else it can't be told."""
        takes = {
            "-I",
            "-n",
            "-P",
            "-L",
            "-d",
            "-s",
            "-E",
            "-a",
            "-j",
            "--max-args",
            "--max-procs",
            "--delimiter",
        }
        arguments, at, place = call.arguments, 0, ""
        while at < len(arguments) and arguments[at].text.startswith("-"):
            option = arguments[at].forms()[0].text
            at += 1
            if option in takes and at < len(arguments):
                value = arguments[at]
                at += 1
                place = value.forms()[0].text if option == "-I" else place
            elif option.startswith("-I"):
                place = option[2:]
        rest = arguments[at:]
        found = programs.found_by(handed) if handed is not None else None
        given = found if found is not None else [ShellWord(UNTOLD)]
        if place or call.name == "parallel":
            place = place or "{}"
            words = [self._filled(word, place, given) for word in rest]
            self._steps.take(sum(map(len, words)))
            parts = [part for some in words for part in some]
        else:
            parts = [*rest, *given]
        self._again(parts, call, folders, depth)

    @staticmethod
    def _filled(word: ShellWord, place: str, given: list[ShellWord]) -> list[ShellWord]:
        text = word.forms()[0].text
        if text == place:
            return given
        return (
            [ShellWord(text.replace(place, UNTOLD), word.glob, word.unknown_from)]
            if place in text
            else [word]
        )

    def _called(self, words: list[ShellWord], reader: ShellReader) -> _Called:
        """What a command comes to, behind assignments, keywords and programs such as `sudo`."""
        words, at, called = list(words), 0, _Called([])
        while at < len(words):
            word = words[at]
            text = word.forms()[0].text
            assigned = _ASSIGNMENT.match(text)
            if assigned is not None:
                reader.variables[assigned[1]] = word.behind(assigned.end())
                at += 1
            elif text == "for" and len(words) > at + 3 and words[at + 2].text == "in":
                values = [form for value in words[at + 3 :] for form in value.forms()]
                reader.variables[words[at + 1].text] = alternatives(values)
                return called
            elif text in _KEYWORDS or text in _DECLARES:
                at += 1
            elif text == "function":
                at += 2
            elif text == "[[":
                called.tested = True
                return called
            elif text in self._aliases and not word.quoted:
                self._count_program()
                words[at : at + 1] = self._aliased(text)
            elif (wrapped := unwrap(words, at, self._steps)) is not None:
                self._count_program()
                self._steps.take(_STEPS_OF_PROGRAM)
                at = wrapped.at - len(wrapped.before)
                words[max(at, 0) : wrapped.at] = wrapped.before
                at = max(at, 0)
                called.folders += [wrapped.folder] if wrapped.folder is not None else []
                called.script = wrapped.script
                called.outputs += wrapped.outputs
            else:
                break
        called.words = words[at:]
        return called

    def _define(self, arguments: list[ShellWord]) -> None:
        """`alias q='rm -f'`."""
        for word in arguments:
            name, equals, _ = word.text.partition("=")
            if equals:
                self._aliases[name] = word.behind(len(name) + 1)

    def _aliased(self, name: str) -> list[ShellWord]:
        """The words that an alias stands for; it is forgotten then, as within itself."""
        value = self._aliases.pop(name)
        command = ShellReader(value.text, self._steps).next_command()
        if not value.known or command is None or command.ending or command.outputs:
            self._anything("it runs an alias of several commands")
        return command.words if command is not None else []

    def _count_program(self) -> None:
        self._programs += 1
        if self._programs > SHELL_PROGRAMS_MAX:
            raise ShellBoundExceeded(f"it runs more than {SHELL_PROGRAMS_MAX} programs")

    def _collect(self, call: ProgramCall, folders: WorkingFolders) -> None:
        """Take over what was found of a command that runs in one of `folders`."""
        self._steps.take(2 * len(call.targets) * len(folders.paths))
        for target in call.targets:
            for folder in folders.paths:
                if folder is None and not target.path.startswith(("/", "~")):
                    self._anything("the folder in which it writes is only known when it runs")
                else:
                    self.targets.append(below(folder or "", target))
        if call.unresolved:
            self._anything(call.unresolved)
        call.targets, call.unresolved = [], ""

    def _anything(self, reason: str) -> None:
        self.unresolved = self.unresolved or reason


def _operands(words: list[ShellWord]) -> list[ShellWord]:
    """A program's words; where only one is no option, its braces are source and target: `mv a.py{,.bak}`."""
    if sum(not word.text.startswith("-") for word in words) != 1:
        return words
    return [form for word in words for form in ([word] if word.text.startswith("-") else word.forms())]


def _printed(call: ProgramCall) -> str | None:
    """What a program prints, where it prints what it is given."""
    if call.name == "cat":
        return call.fed
    if call.name == "echo" and all(word.known for word in call.arguments):
        return " ".join(word.text for word in call.arguments)
    return None
