"""The files that well-known programs write, by their arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from posixpath import basename, join
from typing import Final

from repomesh.surfaces.hooks.dialects.word_forms import (
    BRACE_CLOSE,
    BRACE_COMMA,
    BRACE_OPEN,
    ShellWord,
    StepBudget,
)
from repomesh.surfaces.hooks.dialects.writes import TargetExtent, WriteTarget

_ESCAPES = re.compile(r"\\(?:[abefnrtv]|0\d{0,3}|x[0-9a-fA-F]{1,2})")
_STEPS_OF_TARGET: Final = 3
_ABBREVIATION_CHARS_MIN: Final = 4  # of an abbreviated option, its dashes included
_BRACES: Final = {ord("{"): BRACE_OPEN, ord(","): BRACE_COMMA, ord("}"): BRACE_CLOSE}
_EXTENDED_GLOB: Final = re.compile(r"[*?+@!]\([^()]*\)")
UNKNOWN_ARGUMENTS = "\ue0ff"
"""A placeholder for arguments that come from elsewhere, as for `xargs`."""


@dataclass(slots=True)
class ProgramCall:
    """A program with its arguments and standard input, and the results of its analysis."""

    name: str
    arguments: list[ShellWord]
    stdin_text: str | None = None
    targets: list[WriteTarget] = field(default_factory=list)
    unresolved: str = ""
    steps: StepBudget = field(default_factory=StepBudget)
    path: str = ""
    """The program as the command names it, with its folder."""
    is_in_definition: bool = False
    """Whether it stands in the body of a function that is being defined, whose parameters are not known."""

    def write(
        self, word: ShellWord, extent: TargetExtent = TargetExtent.FILE, names: Sequence[str] = ()
    ) -> None:
        """Add what a word names to the targets; raises ShellBoundExceeded."""
        forms = word.forms()
        self.steps.take(_STEPS_OF_TARGET * len(forms))
        for form in forms:
            self._write(form, extent, tuple(names))

    def mark_unresolved(self, reason: str) -> None:
        """Record that the program may write anything, for the first reason given."""
        self.unresolved = self.unresolved or reason

    def _write(self, word: ShellWord, extent: TargetExtent, names: tuple[str, ...]) -> None:
        if word.known and UNKNOWN_ARGUMENTS not in word.text:
            if word.glob:
                extent, names = TargetExtent.GLOB, ()
            self.targets.append(WriteTarget(word.text, extent, names))
            return
        known_text = word.text[: word.unknown_from].partition(UNKNOWN_ARGUMENTS)[0]
        folder = known_text.rpartition("/")[0]
        if folder and not word.glob:
            self.targets.append(WriteTarget(folder, TargetExtent.TREE))
        elif folder:
            self.targets.append(
                WriteTarget(folder.partition("*")[0].rpartition("/")[0] or "/", TargetExtent.TREE)
            )
        else:
            self.mark_unresolved(f"what '{self.name}' writes to is only known when it runs")


@dataclass(slots=True)
class ParsedOptions:
    """Parsed arguments: flags, options' values, operands, and the operands after `--`."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[ShellWord]] = field(default_factory=dict)
    operands: list[ShellWord] = field(default_factory=list)
    after_separator: list[ShellWord] | None = None
    long_flags: list[str] = field(default_factory=list)
    """The long ones among the flags."""

    def values_of(self, *names: str) -> list[ShellWord]:
        """The values of these options."""
        return [word for name in (*names, *self._abbreviated(names)) for word in self.values.get(name, [])]

    def has(self, *names: str) -> bool:
        """Whether one of these options is given: `-r` alone or among others, `--long`, or with a value."""
        return any(name in self.flags or name in self.values for name in names) or bool(
            self._abbreviated(names)
        )

    def _abbreviated(self, names: Sequence[str]) -> list[str]:
        """The options given that are abbreviations of `names`, as GNU's programs take them."""
        return [given for given in self.long_flags if is_abbreviation(given, names)]


def is_abbreviation(option: str, names: Iterable[str]) -> bool:
    """Whether a long option is the beginning of another name."""
    return len(option) >= _ABBREVIATION_CHARS_MIN and any(
        name.startswith(option) and name != option for name in names
    )


def parse_options(arguments: Sequence[ShellWord], valued: str = "") -> ParsedOptions:
    """Parse arguments; `valued` names the options that take a value, separated by blanks."""
    valued_options = frozenset(valued.split())
    parsed = ParsedOptions()
    words = iter(arguments)
    for word in words:
        text = word.text
        if text == "--":
            parsed.after_separator = list(words)
            parsed.operands += parsed.after_separator
        elif text.startswith("--"):
            name, equals, value = text.partition("=")
            if name not in parsed.flags:
                parsed.flags.add(name)
                parsed.long_flags.append(name)
            if equals:
                parsed.values.setdefault(name, []).append(word.suffix_from(len(name) + 1))
            elif _takes_value(name, valued_options) and (next_word := next(words, None)) is not None:
                parsed.values.setdefault(name, []).append(next_word)
            _ = value
        elif text.startswith("-") and len(text) > 1:
            _parse_short(parsed, word, valued_options, words)
        else:
            parsed.operands.append(word)
    return parsed


def _takes_value(name: str, valued_options: frozenset[str]) -> bool:
    return name in valued_options or is_abbreviation(name, valued_options)


def _parse_short(
    parsed: ParsedOptions, word: ShellWord, valued_options: frozenset[str], words: Iterator[ShellWord]
) -> None:
    """Parse `-abc`: each letter is a flag, until one that takes the rest, or the next word, as its value."""
    text = word.text
    parsed.flags.add(text)
    for letter in dict.fromkeys(text[1:]):
        flag = "-" + letter
        parsed.flags.add(flag)
        if flag in valued_options:
            index = text.index(letter, 1)
            is_joined = index + 1 < len(text) or not word.known  # `-p1`, `-p$N`
            value = word.suffix_from(index + 1) if is_joined else next(words, None)
            if value is not None:
                parsed.values.setdefault(flag, []).append(value)
            return


Handler = Callable[[ProgramCall], None]

# -- programs --------------------------------------------------------------------------------------


def _operands(extent: TargetExtent, skipped: int = 0, valued: str = "") -> Handler:
    def handle(call: ProgramCall) -> None:
        parsed = parse_options(call.arguments, valued)
        start = 0 if "--reference" in parsed.values else skipped
        for word in parsed.operands[start:]:
            call.write(word, extent)

    return handle


def copy(call: ProgramCall) -> None:
    """`cp`, `mv`, `install`, `ln`: writes the last operand, or the copies inside it."""
    parsed = parse_options(
        call.arguments, "-t --target-directory -S --suffix -m --mode -o --owner -g --group"
    )
    operands = parsed.operands
    if _makes_hard_links(call.name, parsed):  # through the new name, a later command writes the same file
        for word in (
            operands if parsed.has("-t", "--target-directory") else operands[: len(operands) - 1 or 1]
        ):
            call.write(word)
    if parsed.has("-T", "--no-target-directory") and len(operands) > 1:
        call.write(operands[-1], TargetExtent.TREE)
    if call.name == "install" and parsed.has("-d", "--directory"):
        return
    if call.name == "mv":
        for word in operands if parsed.has("-t", "--target-directory") else operands[:-1]:
            call.write(word, TargetExtent.TREE)
    destinations = parsed.values_of("-t", "--target-directory")
    if not destinations and len(operands) == 1 and call.name == "ln":
        destinations, operands = [ShellWord(".")], operands
    elif not destinations and len(operands) > 1:
        destinations, operands = operands[-1:], operands[:-1]
    for destination in destinations:
        write_copies(call, operands, destination)


def _makes_hard_links(program: str, parsed: ParsedOptions) -> bool:
    if parsed.has("-s", "--symbolic", "--symbolic-link"):
        return False
    return program in ("ln", "gln", "link") or (program in ("cp", "gcp") and parsed.has("-l", "--link"))


def write_copies(call: ProgramCall, sources: Sequence[ShellWord], destination: ShellWord) -> None:
    """The program puts `sources` at `destination`, or into it where that is a folder."""
    names = [basename(form.text.rstrip("/")) for word in sources for form in word.forms()]
    any_unknown = any(not form.known or form.glob for word in sources for form in word.forms())
    if any_unknown or any(name in ("", ".", "..") or UNKNOWN_ARGUMENTS in name for name in names):
        call.write(destination, TargetExtent.TREE)
    else:
        call.write(destination, TargetExtent.INTO, names)


def _rsync(call: ProgramCall) -> None:
    valued_options = (
        "-e --rsh --exclude --include --exclude-from --include-from --files-from -f --filter --bwlimit"
    )
    parsed = parse_options(call.arguments, valued_options)
    if parsed.has("-n", "--dry-run") or len(parsed.operands) < 2:
        return
    if parsed.has("--remove-source-files"):
        for word in parsed.operands[:-1]:
            call.write(word, TargetExtent.TREE)
    target = parsed.operands[-1]
    if ":" not in target.text.partition("/")[0]:  # else it lies on another machine
        call.write(target, TargetExtent.TREE)


def in_place(call: ProgramCall) -> None:
    """`sed -i`, `perl -i`: writes all operands, except a script that is no option's value."""
    valued_options = (
        "-e -f --expression --file -l -I -M -m" if call.name != "sed" else "-e -f --expression --file -l"
    )
    words = [word for word in call.arguments if word.text.startswith("-")]
    letters = "nrEsuzbpwla0"
    is_editing = any(
        "--in-place".startswith(word.text.partition("=")[0])
        if word.text.startswith("--")
        else word.text[1:].lstrip(letters).startswith("i")
        for word in words
        if word.text != "--"
    )
    if not is_editing:
        return
    parsed = parse_options([_strip_backup_suffix(word) for word in call.arguments], valued_options)
    has_script_option = parsed.has("-e", "-f", "--expression", "--file")
    for word in parsed.operands[0 if has_script_option else 1 :]:
        call.write(word)


def _strip_backup_suffix(word: ShellWord) -> ShellWord:
    """`-i.bak` as `-i`: what follows is no flag. `-ie` of perl is `-i` with a suffix, too."""
    text = word.text
    if text.startswith("-") and not text.startswith("--") and "i" in text:
        before, _, after = text.partition("i")
        script = "e" if after == "e" or before.endswith("e") else ""
        return ShellWord(
            f"{before}i{script}" if after in ("", "e") else f"{before}i", word.glob, word.unknown_from
        )
    return word


def _dd(call: ProgramCall) -> None:
    for word in call.arguments:
        if word.text.startswith("of="):
            call.write(word.suffix_from(3))


def _tar(call: ProgramCall) -> None:
    arguments = list(call.arguments)
    if arguments and not arguments[0].text.startswith("-"):  # `tar xzf a.tgz`
        arguments[0] = ShellWord("-" + arguments[0].text)
    parsed = parse_options(arguments, "-f --file -C --directory -T --files-from -X --exclude")
    if parsed.has("-x", "--extract", "--get") and not parsed.has("-O", "--to-stdout"):
        folders = parsed.values_of("-C", "--directory")
        for word in folders[-1:] or [ShellWord(".")]:
            call.write(word, TargetExtent.TREE)
    elif parsed.has("-c", "-r", "-u", "--create", "--append", "--update"):
        for word in parsed.values_of("-f", "--file"):
            call.write(word)


def _unzip(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-d -x")
    if not parsed.has("-l", "-t", "-p", "-Z", "-v", "-z"):
        for word in parsed.values.get("-d", [ShellWord(".")]):
            call.write(word, TargetExtent.TREE)


def _compress(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-S --suffix")
    if parsed.has("-c", "--stdout", "-l", "--list", "-t", "--test"):
        return
    for word in parsed.operands:
        call.write(word)
        stem, dot, ending = word.text.rpartition(".")
        call.write(
            ShellWord(stem) if dot and ending in ("gz", "bz2", "xz", "zst") else ShellWord(word.text + ".gz")
        )


def _outputs(valued: str, *output_options: str) -> Handler:
    def handle(call: ProgramCall) -> None:
        parsed = parse_options(call.arguments, valued)
        for name in output_options:
            for word in parsed.values_of(name):
                call.write(word)

    return handle


def _operands_from(count: int) -> Handler:
    def handle(call: ProgramCall) -> None:
        for word in parse_options(call.arguments, "-f -s -w").operands[count:]:
            call.write(word)

    return handle


def found_by(call: ProgramCall) -> list[ShellWord] | None:
    """The file names that a program prints, for a following `xargs`. None if they are unknown."""
    if call.name == "find":
        roots, names = _find_roots(call.arguments)
        if not names:
            return [
                ShellWord(join(root.text, UNKNOWN_ARGUMENTS), root.glob, root.unknown_from) for root in roots
            ]
        call.steps.take(_STEPS_OF_TARGET * len(roots) * len(names))
        return [_anywhere_below(root, name) for root in roots for name in names]
    if call.name in ("echo", "printf"):
        return _printed_words(call)
    if call.name in ("grep", "rg", "ag", "fgrep", "egrep", "fd", "ls"):
        parsed = parse_options(
            call.arguments, "-e -f -A -B -C -m --include --exclude --exclude-dir -g -t --type"
        )
        skipped = 0 if call.name == "ls" or parsed.has("-e", "-f") else 1
        folders = parsed.operands[skipped:]
        return [
            ShellWord(join(word.text, UNKNOWN_ARGUMENTS), word.glob, word.unknown_from) for word in folders
        ] or None
    return None


def _printed_words(call: ProgramCall) -> list[ShellWord]:
    """The words of what `echo` and `printf` print."""
    printed = []
    for word in call.arguments:
        if word.text.startswith("-") and call.name == "echo":
            continue
        if not word.known or word.glob or "%" in word.text:
            printed.append(ShellWord(UNKNOWN_ARGUMENTS) if not word.known else word)
        else:
            printed += [ShellWord(text) for text in _ESCAPES.sub(" ", word.text).split()]
    return printed


def executed_by_fd(call: ProgramCall) -> list[ShellWord]:
    """The command that `fd -x` runs, with placeholders for the found names; empty without one."""
    words = call.arguments
    for index, word in enumerate(words):
        if word.text in ("-x", "-X", "--exec", "--exec-batch"):
            command = words[index + 1 :]
            return [
                ShellWord(UNKNOWN_ARGUMENTS) if part.text.startswith("{") else part for part in command
            ] + [ShellWord(UNKNOWN_ARGUMENTS)]
    return []


def _find_roots(arguments: Sequence[ShellWord]) -> tuple[list[ShellWord], list[ShellWord]]:
    """The folders where `find` begins, and the name patterns it filters by; none for complex expressions."""
    roots: list[ShellWord] = []
    for word in arguments:
        if word.text.startswith(("-", "(", "!")) and word.text not in ("-L", "-H", "-P"):
            break
        if not word.text.startswith("-"):
            roots.append(word)
    texts = [word.text for word in arguments]
    names = [arguments[index + 1] for index, text in enumerate(texts[:-1]) if text in ("-name", "-iname")]
    is_exact = "-iname" not in texts and all(word.known and "/" not in word.text for word in names)
    is_simple = is_exact and not {"!", "-not", "-o", "-or", ","} & set(texts)
    if "-o" in texts and is_exact and texts.count("-o") == len(names) - 1 and "!" not in texts:
        is_simple = "-not" not in texts and not any(text in ("-path", "-regex", "-newer") for text in texts)
    return roots or [ShellWord(".")], names if is_simple else []


def _anywhere_below(root: ShellWord, name: ShellWord) -> ShellWord:
    return ShellWord(join(root.text, "**", name.text), True, root.unknown_from)


def _find(call: ProgramCall) -> None:
    texts = [word.text for word in call.arguments]
    for at, text in enumerate(texts[:-1]):
        if text in ("-fprint", "-fprintf", "-fprint0", "-fls"):
            call.write(call.arguments[at + 1])
    if "-delete" in texts:
        _write_found(call)


def _write_found(call: ProgramCall) -> None:
    roots, names = _find_roots(call.arguments)
    for root in roots:
        call.steps.take(1)
        if names:
            for name in names:
                call.write(_anywhere_below(root, name))
        else:
            call.write(root, TargetExtent.TREE)


def executed_by_find(call: ProgramCall) -> list[list[ShellWord]]:
    """The commands that `find -exec` runs, with what it finds in the place of `{}`."""
    commands = []
    words = call.arguments
    file_names = found_by(call) or []
    at = 0
    while at < len(words):
        if words[at].text in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i in range(at + 1, len(words)) if words[i].text in (";", "+")), len(words))
            command: list[ShellWord] = []
            for part in words[at + 1 : end]:
                replaced = file_names if part.forms()[0].text == "{}" else [part]
                call.steps.take(len(replaced))
                command += replaced
            commands.append(command)
            at = end
        at += 1
    return commands


def _curl(call: ProgramCall) -> None:
    valued_options = "-o --output --output-dir -H -X -d --data -u -A -e --url -b -c --cookie-jar"
    parsed = parse_options(call.arguments, valued_options)
    outputs = parsed.values_of("-o", "--output")
    if parsed.has("-O", "--remote-name", "--remote-name-all"):
        operands = [*parsed.operands, *parsed.values_of("--url")]
        outputs += [ShellWord(basename(word.text.partition("?")[0].rstrip("/"))) for word in operands]
    for folder in parsed.values_of("--output-dir")[-1:]:
        outputs = [_join_folder(folder, word) for word in outputs]
    for word in outputs:
        call.write(word)


def _join_folder(folder: ShellWord, word: ShellWord) -> ShellWord:
    """A relative name below a folder."""
    if word.text.startswith("/"):
        return word
    base = folder.text.rstrip("/") + "/"
    unknown = folder.unknown_from
    if unknown is None and word.unknown_from is not None:
        unknown = len(base) + word.unknown_from
    return ShellWord(base + word.text, folder.glob or word.glob, unknown)


def _wget(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-O --output-document -o -P --directory-prefix --header -U")
    for word in parsed.values_of("-O", "--output-document"):
        call.write(word)
    if not parsed.has("-O", "--output-document"):
        for word in parsed.values_of("-P", "--directory-prefix"):
            call.write(word, TargetExtent.TREE)


def _openssl(call: ProgramCall) -> None:
    """Its options have one dash and whole words: `-out FILE`."""
    for option, word in pairwise(call.arguments):
        if option.text in ("-out", "-keyout", "-writerand", "-CAserial"):
            call.write(word)


def _rewrite_object(call: ProgramCall) -> None:
    """`objcopy`, `strip`: write the output that is named, else the input in its place."""
    options = "-I -O -F -B -j -R -K -N -G -W -L -o --input-target --output-target --target --only-section"
    parsed = parse_options(call.arguments, f"{options} --remove-section --add-section --strip-symbol")
    outputs = parsed.values_of("-o") or (parsed.operands[-1:] if call.name == "objcopy" else parsed.operands)
    for word in outputs:
        call.write(word)


def _sqlite(call: ProgramCall) -> None:
    """`sqlite3 FILE SQL`: its options have one dash and whole words."""
    valued = {"-cmd", "-init", "-separator", "-nullvalue", "-newline", "-mmap", "-maxsize", "-vfs"}
    words = iter(call.arguments)
    for word in words:
        if word.text in ("-readonly", "--readonly"):
            return
        if word.text in valued:
            next(words, None)
        elif not word.text.startswith("-"):
            call.write(word)
            return


def _xxd(call: ProgramCall) -> None:
    for word in parse_options(call.arguments, "-c -g -l -s -n -o -R").operands[1:]:
        call.write(word)


def _pip(call: ProgramCall) -> None:
    parsed = parse_options(
        call.arguments,
        "-t --target --prefix --root --src -d --dest -w --wheel-dir -r -c -e -i -o --output-file",
    )
    if any(word.text in ("compile", "export") for word in parsed.operands[:2]):
        for word in parsed.values_of("-o", "--output-file"):
            call.write(word)
    for word in parsed.values_of(
        "-t", "--target", "--prefix", "--root", "--src", "-d", "--dest", "-w", "--wheel-dir"
    ):
        call.write(word, TargetExtent.TREE)


def _pip_compile(call: ProgramCall) -> None:
    """`pip-compile requirements.in` writes `requirements.txt`, unless an output is named."""
    parsed = parse_options(call.arguments, "-o --output-file --extra -c --constraint -P --upgrade-package")
    outputs = parsed.values_of("-o", "--output-file")
    sources = parsed.operands or [ShellWord("requirements.in")]
    if not parsed.has("--dry-run", "-n", "--help", "-h"):
        for word in outputs or [
            replace(word, text=f"{word.text.removesuffix('.in')}.txt") for word in sources
        ]:
            call.write(word)


def _gh(call: ProgramCall) -> None:
    """`gh pr checkout 3` switches the branch."""
    if [word.text for word in parse_options(call.arguments, "-R --repo").operands[:2]] == ["pr", "checkout"]:
        call.write(ShellWord("."), TargetExtent.WORK_TREE)


_TREE = _operands(TargetExtent.TREE)


def _delete_globs(call: ProgramCall) -> None:
    """`rimraf`, `del`: they expand patterns themselves, quoted ones too."""
    write_patterns(call, parse_options(call.arguments, "--backoff --max-retries --retry-delay").operands)


def write_patterns(call: ProgramCall, words: Sequence[ShellWord]) -> None:
    """The program writes what `words` name, in which it expands patterns itself, quoted ones too.

    A word behind `!` names what it leaves out.
    """
    for word in words:
        if not word.text.startswith("!"):
            text = word.text if not word.known else _EXTENDED_GLOB.sub("*", word.text)
            text = text.translate(_BRACES) if "{" in text and "}" in text else text
            is_pattern = word.glob or any(sign in text for sign in "*?[")
            call.write(ShellWord(text, is_pattern, word.unknown_from), TargetExtent.TREE)


PROGRAMS: dict[str, Handler] = {
    **dict.fromkeys(("rm", "rmdir", "unlink", "shred", "trash"), _TREE),
    **dict.fromkeys(("rimraf", "del", "del-cli"), _delete_globs),
    "touch": _operands(TargetExtent.FILE, valued="-d -t -r --reference --date"),
    "truncate": _operands(TargetExtent.FILE, valued="-s -r --size --reference"),
    "tee": _operands(TargetExtent.FILE),
    "sponge": _operands(TargetExtent.FILE),
    "ed": _operands(TargetExtent.FILE, valued="-p"),
    "mkfifo": _operands(TargetExtent.FILE, valued="-m"),
    "chmod": _operands(TargetExtent.TREE, skipped=1),
    **dict.fromkeys(("cp", "mv", "install", "ln", "link", "gcp", "gmv", "gln"), copy),
    **dict.fromkeys(("objcopy", "strip"), _rewrite_object),
    **dict.fromkeys(("sqlite3", "sqlite"), _sqlite),
    "rsync": _rsync,
    "dd": _dd,
    **dict.fromkeys(("tar", "gtar", "bsdtar"), _tar),
    "unzip": _unzip,
    "zip": _operands_from(0),
    **dict.fromkeys(("gzip", "gunzip", "bzip2", "bunzip2", "xz", "unxz", "zstd"), _compress),
    "sort": _outputs("-o --output -k -t -S -T", "-o", "--output"),
    "uniq": _operands_from(1),
    **dict.fromkeys(("dos2unix", "unix2dos", "mac2unix"), _operands(TargetExtent.FILE)),
    **dict.fromkeys(
        ("gcc", "g++", "cc", "c++", "clang", "clang++", "ld", "rustc", "ghc", "swiftc", "pandoc", "dot"),
        _outputs("-o --output -I -L -l -D -T", "-o", "--output"),
    ),
    **dict.fromkeys(
        ("iconv", "gpg", "gpg2", "age", "jo", "yq", "xmllint"), _outputs("-o --output", "-o", "--output")
    ),
    "openssl": _openssl,
    "xxd": _xxd,
    **dict.fromkeys(("pip", "pip3", "uv"), _pip),  # `uv pip`
    "pip-compile": _pip_compile,
    "gh": _gh,
    "find": _find,
    "curl": _curl,
    "wget": _wget,
}
