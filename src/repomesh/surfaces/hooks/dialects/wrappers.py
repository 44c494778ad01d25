"""Programs that run another program: finds its words and its working folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from repomesh.surfaces.hooks.dialects.remote_formatters import is_formatter
from repomesh.surfaces.hooks.dialects.shell_words import ShellReader
from repomesh.surfaces.hooks.dialects.table import program_of
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord, StepBudget


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """The arguments of a wrapper.

    `valued` are options that take a value, `skipped` is the number of words before the program; where `verbs`
    are given, one of them comes first.
    """

    valued: str = ""
    skipped: int = 0
    verbs: str = ""
    folder: str = ""
    """Options whose value is the folder that the program runs in."""
    script: str = ""
    """Options whose value is a shell's command."""
    elsewhere: str = ""
    """Options with which the program runs in other folders, as those of a workspace's packages."""
    output: str = ""
    """Options whose value is a file that the wrapper itself writes."""
    writes_skipped: bool = False
    """Whether the words before the program, or those beside a script, are files that the wrapper writes."""


@dataclass(frozen=True, slots=True)
class WrappedCommand:
    """The command that a wrapper runs: words, a script, or both; its folder; files the wrapper writes.

    The words are those of `prefix`, which the wrapper spells differently, and the wrapper's own from `at` on.
    """

    at: int
    prefix: list[ShellWord] = field(default_factory=list)
    folder: ShellWord | None = None
    script: ShellWord | None = None
    outputs: list[ShellWord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _OptionNames:
    """A wrapper's options that take a value, by the kind of value."""

    folders: frozenset[str]
    scripts: frozenset[str]
    outputs: frozenset[str]
    elsewhere: frozenset[str]
    valued: frozenset[str]


@cache
def _option_names(wrapper: _Wrapper) -> _OptionNames:
    folders, scripts, outputs, elsewhere, valued = (
        frozenset(names.split())
        for names in (wrapper.folder, wrapper.script, wrapper.output, wrapper.elsewhere, wrapper.valued)
    )
    return _OptionNames(folders, scripts, outputs, elsewhere, valued | folders | scripts | outputs)


_PYTHON_RUN: Final = "--with -p --python --extra --group --env-file --index-url"
_NPM_ELSEWHERE: Final = "-w --workspace --workspaces -ws"
_UNKNOWN_FOLDER: Final = ShellWord("", unknown_from=0)
_WRAPPERS: Final[dict[str, _Wrapper]] = {
    "sudo": _Wrapper("-u -g -h -p -C -R -T -U --user --group", folder="-D --chdir"),
    "doas": _Wrapper("-u -C"),
    "env": _Wrapper("-u --unset", folder="-C --chdir", script="-S --split-string"),
    "command": _Wrapper(),
    "builtin": _Wrapper(),
    "exec": _Wrapper("-a"),
    "nohup": _Wrapper(),
    "coproc": _Wrapper(),
    "setsid": _Wrapper(),
    "time": _Wrapper("-f --format", output="-o --output"),
    "nice": _Wrapper("-n --adjustment"),
    "ionice": _Wrapper("-c -n -p"),
    "chrt": _Wrapper("-p", skipped=1),
    "taskset": _Wrapper("", skipped=1),
    "flock": _Wrapper("-w -E --wait --timeout", skipped=1, script="-c --command", writes_skipped=True),
    "stdbuf": _Wrapper("-i -o -e"),
    "unbuffer": _Wrapper(),
    "timeout": _Wrapper("-k -s --kill-after --signal", skipped=1),
    "gtimeout": _Wrapper("-k -s --kill-after --signal", skipped=1),
    "busybox": _Wrapper(),
    "caffeinate": _Wrapper("-t -w"),
    "xvfb-run": _Wrapper("-n -s -e -f -p"),
    "strace": _Wrapper("-e -s -p", output="-o --output"),
    "ltrace": _Wrapper("-e -s -p", output="-o --output"),
    "perf": _Wrapper("-e -F -p", verbs="record stat", output="-o --output"),
    "watch": _Wrapper("-n --interval"),
    "script": _Wrapper(
        "-E",
        skipped=1,
        script="-c --command",
        output="-T -O -I -B --log-out --log-in --log-io",
        writes_skipped=True,
    ),
    "su": _Wrapper("-s -g -G --shell", skipped=1, script="-c --command"),
    "direnv": _Wrapper("", skipped=1, verbs="exec"),
    "npx": _Wrapper("-p --package -w --workspace", script="-c --call", elsewhere=_NPM_ELSEWHERE),
    "bunx": _Wrapper("-p --package"),
    "pnpx": _Wrapper(),
    "shx": _Wrapper(),
    "cross-env": _Wrapper(),
    "uvx": _Wrapper(f"{_PYTHON_RUN} --from"),
    "npm": _Wrapper(
        "-w --workspace -p --package",
        verbs="exec x run run-script",
        folder="-C --prefix",
        script="-c --call",
        elsewhere=_NPM_ELSEWHERE,
    ),
    "pnpm": _Wrapper(
        "--filter -F", verbs="exec dlx run", folder="-C --dir", elsewhere="--filter -F -r --recursive"
    ),
    "yarn": _Wrapper("", verbs="exec dlx run", folder="--cwd"),
    "bun": _Wrapper("--filter", verbs="x run", folder="--cwd", elsewhere="--filter"),
    "rustup": _Wrapper("", skipped=1, verbs="run"),
    "uv": _Wrapper(f"{_PYTHON_RUN} --project", verbs="run", folder="--directory"),
    "pipx": _Wrapper("--spec --python", verbs="run"),
    "poetry": _Wrapper("-P --project", verbs="run", folder="-C --directory"),
    "pdm": _Wrapper("-p --project", verbs="run"),
    "rye": _Wrapper("", verbs="run"),
    "hatch": _Wrapper("-e --env", verbs="run"),
    "pipenv": _Wrapper("", verbs="run"),
    "conda": _Wrapper("-n --name -p --prefix", verbs="run", folder="--cwd"),
    "mamba": _Wrapper("-n --name -p --prefix", verbs="run", folder="--cwd"),
    "bundle": _Wrapper("--gemfile", verbs="exec"),
    "mise": _Wrapper("", verbs="exec x", folder="-C --cd"),
    "asdf": _Wrapper("", verbs="exec"),
    "nix": _Wrapper("", verbs="run shell develop"),
    "dotenv": _Wrapper("-e -f"),
}
_VERBS: Final = frozenset(
    {"install", "i", "add", "remove", "rm", "uninstall", "un", "up", "update", "upgrade", "link", "unlink"}
    | {"version", "pkg", "set", "init", "import", "patch", "patch-commit", "test", "start", "build"}
)
"""What package managers do themselves, where another word is a program's name."""
_SKIPPED_WORDS: Final = frozenset({"--", "run"})  # in front of the program, behind the verb: `hatch run -- x`
_LINT_SCRIPT: Final = re.compile(r"lint[:_-][\w:-]+|[\w:-]+[:_-]lint")  # `npm run lint:js`
_VERSION: Final = re.compile(r"(?<=[\w.-])(?:@|[=<>~!]=)[\w.^~*-]+$")  # `prettier@3`, `ruff==0.5`


def unwrap(words: list[ShellWord], start: int, steps: StepBudget) -> WrappedCommand | None:
    """The command that the word at `start` runs, if it is a wrapper such as `sudo` or `npx`; else None.

    Raises ShellBoundExceeded.
    """
    name = _name(words[start])
    if program_of(name) in ("python", "pypy"):
        return _unwrap_python_module(words, start)
    wrapper = _WRAPPERS.get(name)
    if wrapper is None or len(words) - start < 2:
        return None
    parsed = _WrapperOptions(steps)
    command = _unwrap_command(words, start, name, wrapper, parsed)
    return None if command is None else replace(command, outputs=parsed.outputs)


def _unwrap_command(
    words: list[ShellWord], start: int, name: str, wrapper: _Wrapper, parsed: _WrapperOptions
) -> WrappedCommand | None:
    at = parsed.options(words, start + 1, wrapper)
    if wrapper.verbs:
        if name == "yarn" and at + 2 < len(words) and words[at].text == "workspace":
            parsed.is_elsewhere = True
            at += 2
        if name == "uv" and at < len(words) and words[at].text == "tool":  # `uv tool run`
            at += 1
        if at >= len(words):
            return None
        if words[at].text in wrapper.verbs.split():
            at = parsed.options(words, at + 1, wrapper)
        elif name not in ("yarn", "pnpm") or words[at].text in _VERBS:  # these run a program by its name, too
            return None
    if name == "uv" and at < len(words) and words[at].text == "-":  # a Python script on standard input
        return WrappedCommand(at, [ShellWord("python3")], parsed.folder)
    if wrapper.writes_skipped:
        parsed.outputs += words[at : at + wrapper.skipped]
    if wrapper.skipped and parsed.script is None:
        at = parsed.options(words, at + wrapper.skipped, wrapper) if wrapper.script else at + wrapper.skipped
    while at < len(words) and words[at].text in _SKIPPED_WORDS and wrapper.verbs:
        at += 1
    if name == "watch":  # its words are a shell's command, joined
        parsed.steps.take(len(words) - at)
        return WrappedCommand(len(words), folder=parsed.folder, script=join_words(words[at:]))
    if name == "env" and parsed.script is not None and parsed.script.known:
        script_command = ShellReader(parsed.script.text, parsed.steps).next_command()
        return WrappedCommand(at, script_command.words if script_command is not None else [], parsed.folder)
    if parsed.script is not None:
        return WrappedCommand(len(words), folder=parsed.folder, script=parsed.script)
    if at < len(words) and (wrapper.verbs or name in ("npx", "bunx", "pnpx", "uvx")):
        program = _strip_version(words[at])
        behind = at + 1
        if name in ("npm", "pnpm", "yarn", "bun"):
            behind = _skip_separator(words, behind, wrapper, parsed)
            if _LINT_SCRIPT.fullmatch(program.text) and not is_formatter(program):
                program = ShellWord("lint")
        is_unknown = parsed.is_elsewhere and is_formatter(program)
        return WrappedCommand(behind, [program], _UNKNOWN_FOLDER if is_unknown else parsed.folder)
    return WrappedCommand(at, folder=parsed.folder)


def _skip_separator(words: list[ShellWord], at: int, wrapper: _Wrapper, parsed: _WrapperOptions) -> int:
    """The index of a script's first argument: `npm run lint -w web -- --fix` has options before the `--`."""
    if at >= len(words) or not words[at].text.startswith("-"):
        return at
    parsed.steps.take(len(words) - at)
    behind = parsed.options(words, at, wrapper)
    return behind if words[behind - 1].text == "--" else at


class _WrapperOptions:
    """The parsed options of a wrapper."""

    def __init__(self, steps: StepBudget) -> None:
        self.steps = steps
        self.folder: ShellWord | None = None
        self.script: ShellWord | None = None
        self.outputs: list[ShellWord] = []
        self.is_elsewhere = False

    def options(self, words: list[ShellWord], at: int, wrapper: _Wrapper) -> int:
        """Parse the options from `at` on; returns the index of the next word."""
        names = _option_names(wrapper)
        while at < len(words) and words[at].text.startswith("-") and words[at].text != "--":
            if words[at].text == "-" and wrapper.verbs:
                return at
            self.steps.take(2)
            option, equals, _ = words[at].text.partition("=")
            value: ShellWord | None = None
            if equals and option in names.valued:
                value = words[at].suffix_from(len(option) + 1)
            elif (
                len(option) > 2
                and not option.startswith("--")
                and (
                    option[:2] in names.folders or option[:2] in names.scripts or option[:2] in names.outputs
                )
            ):
                option, value = option[:2], words[at].suffix_from(2)
            elif option in names.valued and at + 1 < len(words):
                at += 1
                value = words[at]
            self.is_elsewhere = self.is_elsewhere or option in names.elsewhere
            if option in names.folders:
                self.folder = value
            elif option in names.scripts:
                self.script = value
            elif option in names.outputs and value is not None:
                self.outputs.append(value)
            at += 1
        return at + (at < len(words) and words[at].text == "--")


def _unwrap_python_module(words: list[ShellWord], start: int) -> WrappedCommand | None:
    """`python -m black src` runs the module as a program."""
    for at in range(start + 1, len(words)):
        word = words[at]
        if word.text == "-m" and at + 1 < len(words):
            return WrappedCommand(at + 1)
        if word.text.startswith("-m") and len(word.text) > 2:
            return WrappedCommand(at + 1, [word.suffix_from(2)])
        if not word.text.startswith("-") or word.text in ("-", "-c"):
            return None
    return None


def _name(word: ShellWord) -> str:
    return word.forms()[0].text.rpartition("/")[2]


def join_words(words: list[ShellWord]) -> ShellWord:
    """Join the words to one text, as `eval` does."""
    return ShellWord(
        " ".join(word.text for word in words), unknown_from=None if all(w.known for w in words) else 0
    )


def _strip_version(word: ShellWord) -> ShellWord:
    """The program's name in `prettier@3` or `nixpkgs#black`."""
    return ShellWord(
        _VERSION.sub("", word.text).rpartition("#")[2], word.glob, word.unknown_from, word.quoted
    )
