"""The shell variables of a command: each has all values that it may have, or is unknown.

An assignment that may not happen, as behind `&&` or in the body of an `if` or loop, adds a value. One in a
subshell ends with it. What sets a variable in another way makes it unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from repomesh.surfaces.hooks.dialects.programs import ProgramCall
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord, StepBudget, alternatives
from repomesh.surfaces.hooks.dialects.word_lists import POSITIONAL, WordList, WordLists

UNKNOWN: Final = ShellWord("", unknown_from=0)
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_BARE_NAME: Final = re.compile(r"(?:(?<![\w${])|(?<=\{)(?=\w+:?=))([A-Za-z_]\w*)")
_ARITHMETIC_CHANGE: Final = re.compile(r"=|\+\+|--")
_CHARS_PER_STEP: Final = 8  # of a text in which names are searched
_SETTERS: Final = frozenset({"read", "mapfile", "readarray", "getopts", "let", "unset", "wait", "vared"})
_SPECIAL_NAMES: Final = ("HOME", "PWD", "TMPDIR", "CDPATH", "IFS")
"""Variables that the reader gives a meaning, in the commands of another shell, too."""
_CHAINED: Final = frozenset({"&&", "||", "|", "|&"})


class ScopeKind(StrEnum):
    """The part of a command that a scope stands for."""

    CHAIN = "chain"
    """The commands behind `&&`, `||` or `|`, each of which may not run."""
    SUBSHELL = "subshell"
    IF = "if"
    CASE = "case"
    LOOP = "loop"
    GROUP = "group"
    FUNCTION = "function"


@dataclass(slots=True)
class _Scope:
    """What the commands of one part assign."""

    kind: ScopeKind
    exhaustive: bool = False
    """Whether one of the branches runs."""
    is_behind_or: bool = False
    has_body: bool = False
    """Whether its `then` or `do` has been read; of a `case`, a pattern behind the last `;;`."""
    name: str = ""
    """Of a function."""
    start: int = 0
    """Where the body of a function begins in the text."""
    branches: int = 0
    """How many have ended."""
    before: dict[str, ShellWord | None] = field(default_factory=dict)
    """The values before the current branch, of variables that it sets."""
    results: dict[str, list[ShellWord | None]] = field(default_factory=dict)
    """The values behind earlier branches."""
    assigned: dict[str, list[ShellWord | None]] = field(default_factory=dict)
    """Every value assigned in any branch: a command that fails, or `break`, may leave any of them."""


class Variables:
    """Tracks variables over the commands of one shell."""

    def __init__(self, steps: StepBudget, values: dict[str, ShellWord | None] | None = None) -> None:
        self._steps = steps
        self._values: dict[str, ShellWord | None] = values if values is not None else {}
        self._scopes: list[_Scope] = []
        self._functions: dict[str, tuple[str, ...]] = {}
        self._readonly: set[str] = set()
        self._untracked = False
        self._lists = WordLists(steps)

    def get(self, name: str) -> ShellWord | None:
        """The value of a variable, with a form for each possible one; None if it was never set."""
        return UNKNOWN if self._untracked else self._values.get(name)

    def possible_lists(self, name: str) -> tuple[WordList, ...] | None:
        """The lists that an array, or `@` for the positional parameters, may be; None if unknown."""
        if self._untracked or (name == POSITIONAL and self.is_in_function):
            return None
        return self._lists.get(name)

    def positional(self, number: int) -> ShellWord | None:
        """The positional parameter of a number, with a form for each possible one; None if unknown."""
        return None if self.is_in_function else self._lists.positional(number)

    @property
    def is_in_function(self) -> bool:
        """Whether the definition of a function is read, whose parameters are those of its calls."""
        return any(scope.kind is ScopeKind.FUNCTION for scope in self._scopes)

    def is_function(self, name: str) -> bool:
        """Whether a function of this name is defined."""
        return name in self._functions

    def is_set(self, *names: str) -> bool:
        """Whether one of these variables may have been set to anything but an empty text."""
        values = [self.get(name) for name in names]
        return any(value is not None and (bool(value.text) or not value.known) for value in values)

    def subshell(self) -> Variables:
        """The variables of a command substitution."""
        self._steps.take(len(self._values))
        inner = Variables(self._steps, dict(self._values))
        inner._untracked = self._untracked
        inner._lists = self._lists.copy()
        return inner

    def of_call(self, arguments: Iterable[ShellWord]) -> Variables:
        """The variables of a function that is called with `arguments`."""
        inner = self.subshell()
        inner._lists.assign(POSITIONAL, arguments)
        return inner

    def other_shell(self, arguments: Iterable[ShellWord] | None = None) -> Variables:
        """The variables of another shell, as that of `sh -c`, with its positional parameters if known."""
        names = [name for name in _SPECIAL_NAMES if self.get(name) is not None]
        inner = Variables(self._steps, dict.fromkeys(names, UNKNOWN))
        if arguments is not None:
            inner._lists.assign(POSITIONAL, arguments)
        return inner

    # -- assignments -------------------------------------------------------------------------------

    def assign(self, name: str, value: ShellWord, *, doubtful: bool = False, readonly: bool = False) -> None:
        """Set a variable; `doubtful` if that may not happen, or not in this shell."""
        if doubtful or name in self._readonly:
            value = self._union([self._values.get(name), value])
        if readonly:
            self._readonly.add(name)
        self._lists.forget(name)
        self._set(name, value)

    def assign_list(self, name: str, words: Iterable[ShellWord], *, appends: bool = False) -> None:
        """Set an array, or `@` for the positional parameters; `appends` for `NAME+=(words)`."""
        change = self._lists.append if appends else self._lists.assign
        change(name, words, doubtful=self._is_doubtful or name in self._readonly)
        self._set(name, UNKNOWN)

    def shift(self, count: int | None) -> None:
        """Remove the first positional parameters: `count` of them, None for an unknown number."""
        is_repeated = any(scope.kind is ScopeKind.LOOP for scope in self._scopes)
        self._lists.shift(count, doubtful=self._is_doubtful, repeated=is_repeated)

    @property
    def _is_doubtful(self) -> bool:
        """Whether the current command may not run."""
        return any(scope.kind is not ScopeKind.GROUP for scope in self._scopes)

    def append(self, name: str, value: ShellWord, *, doubtful: bool = False) -> None:
        """`NAME+=value`."""
        before = self._values.get(name)
        joined = UNKNOWN
        if before is not None and before.known and value.known:
            self._steps.take((len(before.text) + len(value.text)) // _CHARS_PER_STEP)
            joined = ShellWord(before.text + value.text, before.glob or value.glob)
        self.assign(name, joined, doubtful=doubtful)

    def forget(self, names: Iterable[str]) -> None:
        """Make variables unknown."""
        for name in names:
            self._lists.forget(name)
            self._set(name, UNKNOWN)

    def forget_all(self) -> None:
        """Make all variables unknown that were set, as behind `source`."""
        self.forget(list(self._values))

    def stop_tracking(self) -> None:
        """Make all variables unknown for good, as behind `declare -n`."""
        self._untracked = True

    def forget_calculated(self, text: str) -> None:
        """Forget the variables of an arithmetic expression that may change them."""
        if _ARITHMETIC_CHANGE.search(text) is not None:
            names = _NAME.findall(text)
            self._steps.take(len(names))
            self.forget(names)

    def forget_set_by(self, call: ProgramCall) -> None:
        """Forget what a shell's own command or a function sets."""
        if call.name in ("source", ".", "eval"):
            self.forget_all()
        elif call.name in _SETTERS or (call.name == "printf" and _has_variable_option(call)):
            self._forget_named(call)
        elif call.name == "trap":
            if any("=" in word.text or "read" in word.text for word in call.arguments[:1]):
                self.stop_tracking()  # it may run behind any command
        elif call.name in self._functions:
            self.forget(self._functions[call.name])

    def _forget_named(self, call: ProgramCall) -> None:
        if any(not word.known or len(word.forms()) > 1 for word in call.arguments):
            self.forget_all()
            return
        names = [name for word in call.arguments for name in _NAME.findall(word.text)]
        self._steps.take(len(names))
        self.forget([*names, "REPLY", "MAPFILE", "OPTARG"])
        if call.name == "read" and call.stdin_text:
            for name in names:
                self._set(name, ShellWord("", unknown_from=0, code=call.stdin_text))

    def _set(self, name: str, value: ShellWord | None) -> None:
        self._steps.take(1)
        if self._scopes:
            scope = self._scopes[-1]
            scope.before.setdefault(name, self._values.get(name))
            scope.assigned.setdefault(name, []).append(value)
        self._values[name] = value

    def _union(self, values: list[ShellWord | None]) -> ShellWord:
        forms = [form for value in values for form in (value if value is not None else UNKNOWN).forms()]
        self._steps.take(len(forms))
        distinct = {(form.text, form.glob, form.unknown_from, form.code): form for form in forms}
        return alternatives(list(distinct.values()))

    # -- scopes ------------------------------------------------------------------------------------

    def open(self, kind: ScopeKind, *, name: str = "", start: int = 0, is_behind_or: bool = False) -> None:
        """Begin a part of the command; `name` and `start` are those of a function's body."""
        self._scopes.append(
            _Scope(
                kind, exhaustive=kind is ScopeKind.GROUP, name=name, start=start, is_behind_or=is_behind_or
            )
        )

    def close(self, kind: ScopeKind, *, detached: bool = False) -> None:
        """End the innermost part of a kind, and all in it; `detached` if it ran in a subshell after all."""
        depth = len(self._scopes)
        while depth and self._scopes[depth - 1].kind not in (kind, ScopeKind.SUBSHELL):
            depth -= 1
        if not depth or self._scopes[depth - 1].kind is not kind:
            return
        while len(self._scopes) > depth:
            self._close_last()
        scope = self._scopes[-1]
        scope.exhaustive = scope.exhaustive and not detached
        self._close_last()

    def close_group(self, *, detached: bool) -> tuple[str, int] | None:
        """`}` ends a group, or the body of a function: returns its name and where its body begins."""
        self._close_chain()
        if not self._scopes:
            return None
        scope = self._scopes[-1]
        is_function = scope.kind is ScopeKind.FUNCTION
        self.close(ScopeKind.FUNCTION if is_function else ScopeKind.GROUP, detached=detached)
        return (scope.name, scope.start) if is_function else None

    def begin_body(self, keyword: str) -> None:
        """`then`, `elif`, `else` or `do`."""
        self._close_chain()
        scope = self._scopes[-1] if self._scopes else None
        if keyword == "do":
            if scope is None or scope.kind is not ScopeKind.LOOP or scope.has_body:
                self.open(ScopeKind.LOOP)
            self._scopes[-1].has_body = True
        elif scope is not None and scope.kind is ScopeKind.IF:
            if keyword == "then" and not scope.has_body:
                self._commit_condition(scope)
            elif keyword != "then":
                self._end_branch(scope)
                scope.exhaustive = keyword == "else"
            scope.has_body = True

    @property
    def is_in_case(self) -> bool:
        """Whether the next `)` ends a pattern of `case`."""
        kinds = [scope.kind for scope in self._scopes[-2:] if scope.kind is not ScopeKind.CHAIN]
        return kinds[-1:] == [ScopeKind.CASE]

    def end_pattern(self, pattern: str) -> None:
        """`)` behind a pattern of `case`."""
        self._close_chain()
        scope = self._scopes[-1]
        scope.exhaustive = scope.exhaustive or pattern == "*"
        scope.has_body = True

    def advance(self, operator: str) -> None:
        """Process the operator behind a command."""
        scope = self._scopes[-1] if self._scopes else None
        is_chain = scope is not None and scope.kind is ScopeKind.CHAIN
        is_behind_or = scope is not None and is_chain and scope.is_behind_or
        if is_chain and (operator != "&&" or is_behind_or):
            self._close_last()
            is_chain = False
        if operator in _CHAINED and not is_chain:
            self.open(ScopeKind.CHAIN, is_behind_or=is_behind_or or operator == "||")
        elif operator in (";;", ";&", ";;&") and self._scopes and self._scopes[-1].kind is ScopeKind.CASE:
            self._end_branch(self._scopes[-1], falls_through=operator != ";;")

    def begin_repeated(self, last_places: dict[str, int], at: int) -> None:
        """Forget the variables named behind `at`: what begins there may run again, or later."""
        self._steps.take(len(self._values))
        self.forget([name for name in self._values if last_places.get(name, -1) >= at])

    def _close_chain(self) -> None:
        if self._scopes and self._scopes[-1].kind is ScopeKind.CHAIN:
            self._close_last()

    def _close_last(self) -> None:
        """End the innermost scope: its values replace those before, or are added to them."""
        scope = self._scopes[-1]
        self._scopes.pop()
        if scope.kind is ScopeKind.SUBSHELL:
            self._steps.take(len(scope.before))
            self._values.update(scope.before)
            return
        if scope.kind is not ScopeKind.CASE or scope.has_body:
            self._end_branch(scope)
        if scope.kind is ScopeKind.FUNCTION:
            self._functions[scope.name] = tuple(scope.assigned)
        for name, assigned in scope.assigned.items():
            results = scope.results.get(name, []) if scope.exhaustive else assigned
            is_certain = scope.exhaustive and len(results) >= scope.branches
            self._note_assigned(name, assigned)
            first = self._values.get(name)
            self._set(name, self._union([*results, *([] if is_certain else [first])]))

    def _note_assigned(self, name: str, values: list[ShellWord | None]) -> None:
        """Hand the values assigned in an inner scope to the one around it."""
        if self._scopes:
            self._steps.take(len(values))
            noted = self._scopes[-1].assigned.setdefault(name, [])
            noted += [value for value in values if value not in noted[-1:]]

    def _end_branch(self, scope: _Scope, *, falls_through: bool = False) -> None:
        """Keep the values of a branch for the end of its scope, and go back to those before it."""
        self._steps.take(len(scope.before))
        scope.branches += 1
        for name, before in scope.before.items():
            after = self._values.get(name)
            scope.results.setdefault(name, []).append(after)
            self._values[name] = self._union([before, after]) if falls_through else before
        scope.before = {}
        scope.has_body = scope.has_body and scope.kind is not ScopeKind.CASE

    def _commit_condition(self, scope: _Scope) -> None:
        """Assignments in the condition of an `if` happen in any case."""
        outer = self._scopes[-2] if len(self._scopes) > 1 else None
        for name, before in scope.before.items():
            if outer is not None:
                outer.before.setdefault(name, before)
                self._steps.take(len(scope.assigned[name]))
                outer.assigned.setdefault(name, []).extend(scope.assigned[name])
        scope.before, scope.assigned = {}, {}


def last_places(text: str, end: int, steps: StepBudget) -> dict[str, int]:
    """Where each name stands last in a text, before `end`, other than to be expanded."""
    steps.take(end // _CHARS_PER_STEP)
    return {match[0]: match.start() for match in _BARE_NAME.finditer(text, 0, end)}


def _has_variable_option(call: ProgramCall) -> bool:
    return any(word.text.startswith("-v") for word in call.arguments[:1])
