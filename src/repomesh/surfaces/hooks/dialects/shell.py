"""The files that a shell command or a patch writes, as far as they are known without running it.

Good enough to stop an honest agent before it writes files that another has locked, and no more: a program can
hide what it does in many ways, and git's hooks check again before a commit. A command that writes to an
unknown place, or exceeds a bound, counts as writing anything.
"""

from __future__ import annotations

from dataclasses import replace
from posixpath import join, normpath

from repomesh.kernel.limits import SHELL_CHARS_MAX, SHELL_DEPTH_MAX, SHELL_PROGRAMS_MAX
from repomesh.surfaces.hooks.dialects import programs
from repomesh.surfaces.hooks.dialects.assignments import (
    ASSIGNMENT,
    DECLARATIONS,
    DETACHING,
    ResolvedCommand,
    assign,
    assign_list,
    begin_loop,
    declare,
    set_parameters,
)
from repomesh.surfaces.hooks.dialects.folders import (
    UNKNOWN_FOLDERS,
    CommandChain,
    WorkingFolders,
    change_folders,
)
from repomesh.surfaces.hooks.dialects.functions import Functions, head_of_function
from repomesh.surfaces.hooks.dialects.git_commands import apply_patch, git
from repomesh.surfaces.hooks.dialects.group_stdin import GroupStdin
from repomesh.surfaces.hooks.dialects.inline_code import (
    CODE_FILE,
    CODE_HEAD,
    CODE_OPTIONS,
    INTERPRETERS,
    PROCESS,
    scan_code,
)
from repomesh.surfaces.hooks.dialects.links import makes_link, writes_through
from repomesh.surfaces.hooks.dialects.patches import files_of_codex_patch, files_of_patch
from repomesh.surfaces.hooks.dialects.printed_texts import PrintedTexts
from repomesh.surfaces.hooks.dialects.programs import ProgramCall, parse_options
from repomesh.surfaces.hooks.dialects.shell_words import ShellCommand, ShellReader
from repomesh.surfaces.hooks.dialects.table import PROGRAMS, program_of
from repomesh.surfaces.hooks.dialects.variables import UNKNOWN, ScopeKind, Variables
from repomesh.surfaces.hooks.dialects.word_forms import (
    ShellBoundExceeded,
    ShellWord,
    StepBudget,
)
from repomesh.surfaces.hooks.dialects.wrappers import join_words, unwrap
from repomesh.surfaces.hooks.dialects.writes import (
    TargetExtent,
    WriteSet,
    WriteTarget,
    limit_targets,
    resolve_below,
)
from repomesh.surfaces.hooks.dialects.xargs import executed_by_xargs

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "fish", "csh", "tcsh"})
_KEYWORDS = frozenset(
    {"then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "fi", "done", "esac"}
    | {"and", "or", "not", "begin"}  # of fish
)
_OPENING = {"if": ScopeKind.IF, "while": ScopeKind.LOOP, "until": ScopeKind.LOOP}
_CLOSING = {"fi": ScopeKind.IF, "done": ScopeKind.LOOP, "esac": ScopeKind.CASE}
_SCRIPT_OPERANDS = 2  # among which an interpreter's script is: `deno run fix.ts`
_STEPS_OF_COMMAND = 10
_STEPS_OF_PROGRAM = 8
_STEPS_OF_MOVE = 5


def writes_of_patch(text: str) -> WriteSet:
    """The files that a patch touches; unresolved when it names none."""
    paths = files_of_patch(text)
    return limit_targets(WriteSet(tuple(map(WriteTarget, paths)), "" if paths else "its patch names no file"))


def writes_of_command(text: str, folders: WorkingFolders | None = None) -> WriteSet:
    """The files that a shell command writes, with relative paths unchanged; it runs in one of `folders`."""
    patch_targets = tuple(map(WriteTarget, files_of_codex_patch(text.split("\n")))) if "*** " in text else ()
    if len(text) > SHELL_CHARS_MAX:
        return WriteSet((), f"the command has more than {SHELL_CHARS_MAX} characters")
    scan = _Scan()
    try:
        scan.run(text, folders or WorkingFolders(), 0)
    except ShellBoundExceeded as exceeded:
        return limit_targets(WriteSet((*patch_targets, *scan.targets), str(exceeded)))
    return limit_targets(WriteSet((*patch_targets, *scan.targets), scan.unresolved))


class _Scan:
    """Scans the commands of a text, and the commands inside them, and collects their targets."""

    def __init__(self) -> None:
        self.targets: list[WriteTarget] = []
        self.unresolved = ""
        self._programs = 0
        self._steps = StepBudget()
        self._variables = Variables(self._steps)  # of the shell that runs the current program
        self._aliases: dict[str, ShellWord] = {}
        self._links: list[str] = []
        self._function_name = ""  # whose body comes next
        self._function_start = 0  # where the head of the function ends
        self._functions = Functions()
        self._printed = PrintedTexts()
        self._group_stdin = GroupStdin()
        self._upstream: ProgramCall | None = None  # the command before in the pipeline

    def run(
        self, text: str, folders: WorkingFolders, depth: int, variables: Variables | None = None
    ) -> WorkingFolders:
        """Scan `text` as shell commands; returns the working folders after them.

        Raises ShellBoundExceeded.
        """
        if depth > SHELL_DEPTH_MAX:
            raise ShellBoundExceeded(f"it holds commands more than {SHELL_DEPTH_MAX} deep in commands")
        reader, chain, outer_chains, pushed_folders = (
            ShellReader(text, self._steps, variables),
            CommandChain(folders),
            list[CommandChain](),
            list[WorkingFolders](),
        )
        outer_state = self._upstream, self._function_name, self._function_start
        self._upstream, self._function_name = None, ""
        while (command := self._next_command(reader)) is not None:
            for _ in range(command.opens):
                outer_chains.append(chain)
                chain = chain.subshell()
                reader.variables.open(ScopeKind.SUBSHELL)
                self._printed.open_group()
                self._group_stdin.open_group()
            inner_texts, reader.inner = reader.inner, []
            for inner_text in inner_texts:
                self.run(inner_text, chain.current, depth + 1, reader.variables.subshell())
            has_stdin = command.stdin_text is not None or command.stdin_word is not None
            if command.words or command.outputs or command.piped or has_stdin:
                self._scan_command(command, reader, chain, pushed_folders, depth)
            else:
                self._upstream = None
                chain.advance(command.ending)
            for _ in range(command.closes):
                if reader.variables.is_in_case:
                    reader.variables.end_pattern(command.words[-1].text if command.words else "")
                elif outer_chains:
                    reader.variables.close(ScopeKind.SUBSHELL)
                    chain = outer_chains.pop()
                    self._printed.close_group()
                    self._group_stdin.close_group()
            if command.ending != ")":
                reader.variables.advance(command.ending)
        if reader.incomplete:
            self._mark_unresolved("it ends within a quotation or a substitution")
        self._upstream, self._function_name, self._function_start = outer_state
        return chain.current

    def _next_command(self, reader: ShellReader) -> ShellCommand | None:
        """The next command; notes where it begins, if it may hold the head of a function."""
        if not self._function_name:
            self._function_start = reader.at
        return reader.next_command()

    def _scan_command(
        self,
        command: ShellCommand,
        reader: ShellReader,
        chain: CommandChain,
        pushed_folders: list[WorkingFolders],
        depth: int,
    ) -> None:
        """Scan one simple command, and advance the chain's working folders."""
        self._steps.take(_STEPS_OF_COMMAND)
        resolved = self._resolve_command(
            command.words, reader, detached=command.ending in DETACHING, has_list=command.brackets
        )
        words = resolved.words = [word for word in resolved.words if not _vanishes(word)]
        folders = resolved.working_folders(chain.current)
        if command.brackets and resolved.assignments:
            words = resolved.words = []  # an array's values
        assign(resolved, command, reader)
        if command.brackets:
            assign_list(command, reader)
        call = ProgramCall(
            words[0].text.rpartition("/")[2] if words else "",
            _operands(words[1:]),
            command.stdin_text,
            steps=self._steps,
            path=words[0].text if words else "",
        )
        if not resolved.is_test:
            for word in (*command.outputs, *resolved.outputs):
                call.write(word)
        self._collect_targets(call, chain.current)  # the shell opens them, wherever the program runs
        if command.stdin_word is not None and program_of(call.name) in INTERPRETERS:
            call.arguments = [*call.arguments, ShellWord(PROCESS, code=command.stdin_word.code)]
        upstream, self._upstream = self._upstream, call if command.piped else None
        if call.stdin_text is None and upstream is not None:
            call.stdin_text = self._printed.of_call(upstream, folders)
        if call.stdin_text is None and command.stdin_file is not None:
            call.stdin_text = "\n".join(self._printed.of_file(command.stdin_file, folders)) or None
        self._note_printed(call, command, chain.current)
        self._scan_stdin_of_group(call, folders, depth, has_own=upstream is not None)
        moved_to: WorkingFolders | None = None
        if resolved.script is not None:
            self._scan_script(resolved.script, folders, depth, reader.variables)
        if call.name in ("cd", "pushd", "popd"):
            self._steps.take(_STEPS_OF_MOVE * len(folders.paths))
            moved_to = change_folders(call, folders, pushed_folders)
            if _searches_elsewhere(resolved, reader.variables):
                moved_to = UNKNOWN_FOLDERS
        elif call.name == "eval":
            self._steps.take(len(call.arguments))
            moved_to = self._scan_script(
                join_words(call.arguments), folders, depth, reader.variables.subshell()
            )
        elif words and not words[0].known:
            is_array = not words[0].text and any(name.endswith(("[@]", "[*]")) for name in reader.expanded)
            if is_array and not reader.variables.is_in_function:  # a function is read again when it is called
                self._mark_unresolved("the command in its array is only known when it runs")
            self._scan_unnamed(call, folders)
            reader.variables.forget_all()
        elif words and len(words[0].forms()) > 1:
            moved_to = self._scan_possible_names(call, words, folders, depth)
            reader.variables.forget_all()
        elif call.name == "alias":
            self._define_alias(call.arguments)
        elif words:
            if call.name in ("set", "shift"):
                set_parameters(call.name, call.arguments, reader)
            chain.strict = chain.strict or (call.name == "set" and parse_options(call.arguments).has("-e"))
            reader.variables.forget_set_by(replace(call))
            self._variables = reader.variables
            self._scan_program(call, upstream, folders, depth)
        if call.name == "eval":
            reader.variables.forget_all()
        self._function_name = head_of_function(command)
        if self._function_name:
            self._function_start = reader.at
            self._functions.define_subshell(self._function_name, reader)
            reader.variables.begin_repeated(reader.last_places(), reader.at)
        chain.advance(command.ending, moved_to, leaves=call.name in ("exit", "return"))

    def _scan_stdin_of_group(
        self, call: ProgramCall, folders: WorkingFolders, depth: int, *, has_own: bool
    ) -> None:
        """Scan the programs of a group or function that read the standard input behind it.

        A program that reads the one around it is noted; `has_own` if it reads from a pipe.
        """
        readers = self._group_stdin.take_closed()
        name = program_of(call.name)
        if call.stdin_text is None:
            if not has_own and (name in _SHELLS or name in INTERPRETERS):
                self._group_stdin.note(replace(call), folders)
            return
        for reader, reader_folders in [*readers, *self._group_stdin.of_function(call.name)]:
            self._scan_program(replace(reader, stdin_text=call.stdin_text), None, reader_folders, depth + 1)

    def _note_printed(self, call: ProgramCall, command: ShellCommand, folders: WorkingFolders) -> None:
        """Note what a command prints, into files or to the command behind it."""
        group_text = self._printed.take_group_text()
        if not call.name and group_text is not None:  # `}`, or what follows `)`
            call.name, call.stdin_text = "cat", group_text
        if command.outputs or call.name == "tee":
            self._printed.write(call, command.outputs, folders)
        if call.path and not command.outputs and not command.piped:
            self._printed.note(call, folders)

    def _scan_unnamed(self, call: ProgramCall, folders: WorkingFolders) -> None:
        """Scan a program whose name is only known when it runs, as `$CC`: it may write its operands.

        It may be an interpreter, too, with code in an option or on standard input.
        """
        code = replace(call, arguments=[word for word in call.arguments if word.known or word.code])
        scan_code(code, codes="-c -e")
        self._collect_targets(code, folders)
        for word in parse_options(call.arguments).operands:
            if word.known:
                call.write(word, TargetExtent.TREE)
        self._collect_targets(call, folders)

    def _scan_possible_names(
        self, call: ProgramCall, words: list[ShellWord], folders: WorkingFolders, depth: int
    ) -> WorkingFolders | None:
        """Scan a command whose first word stands for several; returns the folders if it may change them."""
        forms = words[0].forms()
        for form in forms:
            others = [other for other in forms if other is not form]
            inner = [word for word in (form, *others, *words[1:]) if not _vanishes(word)]
            self._scan_inner(inner, replace(call), folders, depth)
        moves = any(form.text in ("cd", "pushd", "popd", "eval", "builtin", "command") for form in forms)
        return UNKNOWN_FOLDERS if moves else None

    def _scan_script(
        self,
        script: ShellWord,
        folders: WorkingFolders,
        depth: int,
        variables: Variables | None = None,
        arguments: list[ShellWord] | None = None,
    ) -> WorkingFolders:
        """Scan a word that a shell runs as commands, with its positional parameters if `arguments` are known.

        Returns the working folders after them.
        """
        if not script.known:
            self._mark_unresolved("the commands that it runs are only known when it runs")
            return folders
        moved_to = folders
        for form in script.forms():
            inner = (variables or self._variables).other_shell(arguments)
            moved_to = moved_to.union(self.run(form.text, folders, depth + 1, inner))
        return moved_to

    def _scan_program(
        self, call: ProgramCall, upstream: ProgramCall | None, folders: WorkingFolders, depth: int
    ) -> None:
        name = program_of(call.name)
        self._count_program()
        self._steps.take(_STEPS_OF_PROGRAM + len(call.arguments))
        if depth > SHELL_DEPTH_MAX:
            raise ShellBoundExceeded(f"it holds commands more than {SHELL_DEPTH_MAX} deep in commands")
        if (choices := _option_choices(call.arguments)) is not None:
            for arguments in choices:
                self._scan_program(replace(call, arguments=arguments), upstream, folders, depth)
            return
        if self._scan_function(call, folders, depth) or self._scan_written(call, folders, depth):
            return
        if name in _SHELLS:
            self._scan_shell(call, upstream, folders, depth)
        elif name in ("eval", "trap"):
            self._scan_script(join_words(call.arguments[: None if name == "eval" else 1]), folders, depth)
        elif name in ("fd", "fdfind"):
            self._scan_inner(programs.executed_by_fd(call), call, folders, depth)
        elif name in ("xargs", "parallel"):
            self._scan_xargs(call, upstream, folders, depth)
        elif name == "git":
            folder = git(call)
            self._collect_targets(call, folders if folder is None else folders.change_to(folder))
        elif name in ("patch", "apply_patch"):
            parsed = parse_options(call.arguments, "-p -i -d -o -r --input --directory --strip --output")
            if not parsed.has("--dry-run", "--version", "-v") or name == "apply_patch":
                self._scan_patch(call, parsed, folders)
        elif name == "find":
            for command in programs.executed_by_find(call):
                self._scan_inner(command, call, folders, depth)
            PROGRAMS["find"](call)
            self._collect_targets(call, folders)
        elif name in PROGRAMS:
            call.is_in_definition = name in INTERPRETERS and self._variables.is_in_function
            PROGRAMS[name](call)
            self._collect_targets(call, folders)

    def _scan_function(self, call: ProgramCall, folders: WorkingFolders, depth: int) -> bool:
        """Scan what a function runs that is called with these arguments; returns whether there is one."""
        variables = self._variables
        with self._functions.call(call.name) as bodies:
            for body in bodies:
                self.run(body, folders, depth + 1, variables.of_call(call.arguments))
        self._variables = variables
        return bool(bodies)

    def _scan_written(self, call: ProgramCall, folders: WorkingFolders, depth: int) -> bool:
        """Scan a file that the command itself has written, if a program runs it; returns whether one does."""
        name = program_of(call.name)
        scripts = self._printed.of_file(ShellWord(call.path), folders)  # `./fix.sh`, `uv run fix.py`
        is_code = CODE_FILE.search(call.name) is not None
        operands = parse_options(call.arguments, CODE_OPTIONS).operands[:_SCRIPT_OPERANDS]
        if not scripts and (name in _SHELLS or name in ("source", ".") or name in INTERPRETERS):
            scripts = [text for word in operands for text in self._printed.of_file(word, folders)]
            is_code = name in INTERPRETERS
            is_stdin = operands and operands[0].text == "/dev/stdin"
            if is_stdin and not scripts and call.stdin_text is not None:
                scripts = [call.stdin_text]
        variables = self._variables
        for text in scripts:
            if is_code or CODE_HEAD.match(text):
                code = replace(call, arguments=[], stdin_text=text)
                scan_code(code)
                self._collect_targets(code, folders)
            else:
                arguments = operands[1:] if operands and not is_code else []
                self.run(text, folders, depth + 1, variables.other_shell(arguments))
        self._variables = variables
        return bool(scripts)

    def _scan_patch(self, call: ProgramCall, parsed: programs.ParsedOptions, folders: WorkingFolders) -> None:
        target_folders = (parsed.values_of("-d", "--directory"))[:1]
        if call.name == "apply_patch" and call.stdin_text is None and parsed.operands:
            call.stdin_text = parsed.operands[0].text
        if call.name == "patch" and parsed.operands:
            call.write(parsed.operands[0])
        else:
            apply_patch(call, parsed)
        for word in parsed.values_of("-o", "--output"):
            call.write(word)
        self._collect_targets(call, folders.change_to(target_folders[0]) if target_folders else folders)

    def _scan_inner(
        self, words: list[ShellWord], call: ProgramCall, folders: WorkingFolders, depth: int
    ) -> None:
        """Scan a command that another one runs."""
        resolved = self._resolve_command(words, ShellReader("", self._steps))
        for word in resolved.outputs:
            call.write(word)
        self._collect_targets(call, folders)
        folders = resolved.working_folders(folders)
        if resolved.script is not None:
            self._scan_script(resolved.script, folders, depth)
        if resolved.words:
            inner_call = ProgramCall(
                resolved.words[0].text.rpartition("/")[2],
                resolved.words[1:],
                call.stdin_text,
                steps=self._steps,
                path=resolved.words[0].text,
            )
            self._scan_program(inner_call, None, folders, depth + 1)

    def _scan_shell(
        self, call: ProgramCall, upstream: ProgramCall | None, folders: WorkingFolders, depth: int
    ) -> None:
        """Scan `sh -c 'commands'`, or a shell that reads its commands from standard input."""
        parsed = parse_options(call.arguments, "-c -C -o -O --rcfile --init-file --command")
        scripts = parsed.values_of("-c", "-C", "--command", "--init-command")
        if not scripts and parsed.has("-c") and parsed.operands:
            scripts, parsed.operands = parsed.operands[:1], parsed.operands[1:]
        if scripts:
            for script in scripts:
                self._scan_script(script, folders, depth, arguments=parsed.operands[1:])
        elif parsed.operands and not parsed.has("-s"):
            if parsed.operands[0].text == PROCESS:
                self._mark_unresolved("the commands that it is handed are only known when it runs")
        elif call.stdin_text is not None:
            self.run(call.stdin_text, folders, depth + 1)
        elif upstream is not None:
            self._mark_unresolved("the commands that it is fed are only known when it runs")

    def _scan_xargs(
        self, call: ProgramCall, upstream: ProgramCall | None, folders: WorkingFolders, depth: int
    ) -> None:
        """Scan the command of `xargs`, with the file names that the command before it prints, if known."""
        file_names = programs.found_by(upstream) if upstream is not None else None
        self._scan_inner(executed_by_xargs(call, file_names), call, folders, depth)

    def _keyword(self, keyword: str, reader: ShellReader, *, detached: bool) -> None:
        """Begin or end the part of the command that a keyword stands for."""
        variables = reader.variables
        if keyword == "{":
            self._printed.open_group()
            self._group_stdin.open_group()
            if self._function_name:
                variables.open(ScopeKind.FUNCTION, name=self._function_name, start=self._function_start)
            else:
                variables.open(ScopeKind.GROUP)
            self._function_name = ""
        elif keyword == "}":
            self._printed.close_group()
            function = variables.close_group(detached=detached)
            self._group_stdin.close_group(function[0] if function is not None else "")
            if function is not None:
                self._functions.define(function[0], reader.text[function[1] : reader.at])
        elif keyword in _OPENING:
            variables.open(_OPENING[keyword])
            if keyword != "if":
                variables.begin_repeated(reader.last_places("done"), reader.at)
        elif keyword in _CLOSING:
            variables.close(_CLOSING[keyword], detached=detached)
        elif keyword in ("then", "elif", "else", "do"):
            variables.begin_body(keyword)

    def _resolve_command(
        self, words: list[ShellWord], reader: ShellReader, *, detached: bool = False, has_list: bool = False
    ) -> ResolvedCommand:
        """Resolve a command behind assignments, keywords, aliases and wrappers such as `sudo`."""
        words, at, resolved = list(words), 0, ResolvedCommand([], is_detached=detached, has_list=has_list)
        while at < len(words):
            word = words[at]
            text = word.forms()[0].text
            assignment = ASSIGNMENT.match(word.text)
            if assignment is not None:
                resolved.assignments.append((assignment, word))
                at += 1
            elif len(word.forms()) > 1:
                break
            elif _vanishes(word):
                at += 1
            elif text in ("for", "select"):
                begin_loop(words[at:], reader)
                return resolved
            elif text == "case":
                reader.variables.open(ScopeKind.CASE)
                return resolved
            elif text in DECLARATIONS:
                declare(words[at:], resolved, reader)
                return resolved
            elif text in _KEYWORDS:
                self._keyword(text, reader, detached=detached)
                at += 1
            elif text == "function":
                self._function_name = words[at + 1].text if at + 1 < len(words) else ""
                at += 2
                if reader.expands_what_follows():
                    words[at + 2 :] = [UNKNOWN for _ in words[at + 2 :]]
            elif text == "[[":
                resolved.is_test = True
                return resolved
            elif text in self._aliases and not word.quoted:
                self._count_program()
                words[at : at + 1] = self._expand_alias(text)
            elif (wrapped := unwrap(words, at, self._steps)) is not None:
                self._count_program()
                resolved.is_wrapped = True
                self._steps.take(_STEPS_OF_PROGRAM)
                at = wrapped.at - len(wrapped.prefix)
                words[max(at, 0) : wrapped.at] = wrapped.prefix
                at = max(at, 0)
                resolved.folders += [wrapped.folder] if wrapped.folder is not None else []
                resolved.script = wrapped.script
                resolved.outputs += wrapped.outputs
            else:
                break
        resolved.words = words[at:]
        return resolved

    def _define_alias(self, arguments: list[ShellWord]) -> None:
        """`alias q='rm -f'`."""
        for word in arguments:
            name, equals, _ = word.text.partition("=")
            if equals:
                self._aliases[name] = word.suffix_from(len(name) + 1)

    def _expand_alias(self, name: str) -> list[ShellWord]:
        """The words that an alias stands for; it is removed, since an alias does not expand itself."""
        value = self._aliases.pop(name)
        command = ShellReader(value.text, self._steps).next_command()
        if not value.known or command is None or command.ending or command.outputs:
            self._mark_unresolved("it runs an alias of several commands")
        return command.words if command is not None else []

    def _count_program(self) -> None:
        self._programs += 1
        if self._programs > SHELL_PROGRAMS_MAX:
            raise ShellBoundExceeded(f"it runs more than {SHELL_PROGRAMS_MAX} programs")

    def _collect_targets(self, call: ProgramCall, folders: WorkingFolders) -> None:
        """Collect the targets of a command that runs in one of `folders`, and reset them."""
        self._steps.take((2 + len(self._links)) * len(call.targets) * len(folders.paths))
        links = list[str]()
        for target in call.targets:
            for folder in folders.paths:
                if folder is None and not target.path.startswith(("/", "~")):
                    self._mark_unresolved("the folder in which it writes is only known when it runs")
                else:
                    self._add_target(call, resolve_below(folder or "", target), links)
        self._links += links
        if call.unresolved:
            self._mark_unresolved(call.unresolved)
        call.targets, call.unresolved = [], ""

    def _add_target(self, call: ProgramCall, target: WriteTarget, links: list[str]) -> None:
        """Add a target; `links` are those that the program makes, through which later ones may write."""
        if any(writes_through(link, target, call.name) for link in self._links):
            self._mark_unresolved("it writes through a link that it makes itself")
        self.targets.append(target)
        if makes_link(call):
            links.append(normpath(target.path))
            if target.extent is TargetExtent.INTO and normpath(target.path) == ".":
                links[-1:] = [normpath(join(target.path, name)) for name in target.names]

    def _mark_unresolved(self, reason: str) -> None:
        self.unresolved = self.unresolved or reason


def _vanishes(word: ShellWord) -> bool:
    """Whether a word is no word at all: a variable without a value."""
    return not word.text and word.known and not word.quoted


def _searches_elsewhere(resolved: ResolvedCommand, variables: Variables) -> bool:
    """Whether `HOME` or `CDPATH` is set, and changes where `cd` goes."""
    is_prefixed = any(
        match[1] in ("HOME", "CDPATH") and (len(word.text) > match.end() or not word.known)
        for match, word in resolved.assignments
    )
    return is_prefixed or variables.is_set("HOME", "CDPATH")


def _option_choices(words: list[ShellWord]) -> list[list[ShellWord]] | None:
    """The arguments with each form of the first word that may be an option, code, or nothing; else None."""
    for at, word in enumerate(words):
        if len(word.forms()) > 1 and any(
            form.text[:1] in ("", "-") or " " in form.text for form in word.forms()
        ):
            return [[*words[:at], *([form] if form.text else []), *words[at + 1 :]] for form in word.forms()]
    return None


def _operands(words: list[ShellWord]) -> list[ShellWord]:
    """A program's words; a single operand's braces are expanded to source and target: `mv a.py{,.bak}`."""
    if sum(not word.text.startswith("-") for word in words) != 1 or any(" " in word.text for word in words):
        return words
    return [form for word in words for form in ([word] if word.text.startswith("-") else word.forms())]
