"""What well-known programs write, by their arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from posixpath import basename, join
from typing import Final

from repomesh.surfaces.hooks.dialects.word_forms import ShellWord, StepBudget
from repomesh.surfaces.hooks.dialects.writes import TargetExtent, WriteTarget

_ESCAPES = re.compile(r"\\(?:[abefnrtv]|0\d{0,3}|x[0-9a-fA-F]{1,2})")
_STEPS_OF_TARGET: Final = 3
UNTOLD = "\ue0ff"
"""Stands for arguments that come from elsewhere, as `xargs` gets them."""


@dataclass(slots=True)
class ProgramCall:
    """A program with its arguments, and what the analysis of it yields."""

    name: str
    arguments: list[ShellWord]
    fed: str | None = None
    targets: list[WriteTarget] = field(default_factory=list)
    unresolved: str = ""
    steps: StepBudget = field(default_factory=StepBudget)

    def write(
        self, word: ShellWord, extent: TargetExtent = TargetExtent.FILE, names: Sequence[str] = ()
    ) -> None:
        """The program writes what a word names. Raises ShellBoundExceeded."""
        forms = word.forms()
        self.steps.take(_STEPS_OF_TARGET * len(forms))
        for form in forms:
            self._write(form, extent, tuple(names))

    def anything(self, reason: str) -> None:
        """The program may write anything."""
        self.unresolved = self.unresolved or reason

    def _write(self, word: ShellWord, extent: TargetExtent, names: tuple[str, ...]) -> None:
        if word.known and UNTOLD not in word.text:
            if word.glob:
                extent, names = TargetExtent.GLOB, ()
            self.targets.append(WriteTarget(word.text, extent, names))
            return
        known = word.text[: word.unknown_from].partition(UNTOLD)[0]
        folder = known.rpartition("/")[0]
        if folder and not word.glob:
            self.targets.append(WriteTarget(folder, TargetExtent.TREE))
        elif folder:
            self.targets.append(
                WriteTarget(folder.partition("*")[0].rpartition("/")[0] or "/", TargetExtent.TREE)
            )
        else:
            self.anything(f"what '{self.name}' writes to is only known when it runs")


@dataclass(slots=True)
class ParsedOptions:
    """Arguments taken apart: flags, the values of those that have one, and the other words."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[ShellWord]] = field(default_factory=dict)
    operands: list[ShellWord] = field(default_factory=list)
    behind: list[ShellWord] | None = None

    def given(self, *names: str) -> list[ShellWord]:
        """The values of these options."""
        return [word for name in names for word in self.values.get(name, [])]

    def has(self, *names: str) -> bool:
        """Whether one of these flags is given, as `-r` alone or among others, as `--recursive`, or valued."""
        return any(name in self.flags or name in self.values for name in names)


def options(arguments: Sequence[ShellWord], valued: str = "") -> ParsedOptions:
    """Take arguments apart; `valued` names the options, blank between, that take a value."""
    takes = frozenset(valued.split())
    found = ParsedOptions()
    words = iter(arguments)
    for word in words:
        text = word.text
        if text == "--":
            found.behind = list(words)
            found.operands += found.behind
        elif text.startswith("--"):
            name, equals, value = text.partition("=")
            found.flags.add(name)
            if equals:
                found.values.setdefault(name, []).append(word.behind(len(name) + 1))
            elif name in takes and (following := next(words, None)) is not None:
                found.values.setdefault(name, []).append(following)
            _ = value
        elif text.startswith("-") and len(text) > 1:
            _short(found, word, takes, words)
        else:
            found.operands.append(word)
    return found


def _short(found: ParsedOptions, word: ShellWord, takes: frozenset[str], words: Iterator[ShellWord]) -> None:
    """`-abc`: each letter is a flag, until one that takes the rest, or the next word, as its value."""
    text = word.text
    found.flags.add(text)
    for letter in dict.fromkeys(text[1:]):
        flag = "-" + letter
        found.flags.add(flag)
        if flag in takes:
            at = text.index(letter, 1)
            value = word.behind(at + 1) if at + 1 < len(text) else next(words, None)
            if value is not None:
                found.values.setdefault(flag, []).append(value)
            return


Handler = Callable[[ProgramCall], None]

# -- programs --------------------------------------------------------------------------------------


def _operands(extent: TargetExtent, skipped: int = 0, valued: str = "") -> Handler:
    def handle(call: ProgramCall) -> None:
        found = options(call.arguments, valued)
        start = 0 if "--reference" in found.values else skipped
        for word in found.operands[start:]:
            call.write(word, extent)

    return handle


def copy(call: ProgramCall) -> None:
    """`cp`, `mv`, `install`, `ln`: the last operand, or what comes to lie in it."""
    found = options(call.arguments, "-t --target-directory -S --suffix -m --mode -o --owner -g --group")
    operands = found.operands
    if found.has("-T", "--no-target-directory") and len(operands) > 1:
        call.write(operands[-1], TargetExtent.TREE)
    if call.name == "install" and found.has("-d", "--directory"):
        return
    if call.name == "mv":
        for word in operands if found.has("-t", "--target-directory") else operands[:-1]:
            call.write(word, TargetExtent.TREE)
    into = found.given("-t", "--target-directory")
    if not into and len(operands) == 1 and call.name == "ln":
        into, operands = [ShellWord(".")], operands
    elif not into and len(operands) > 1:
        into, operands = operands[-1:], operands[:-1]
    for place in into:
        put(call, operands, place)


def put(call: ProgramCall, sources: Sequence[ShellWord], place: ShellWord) -> None:
    """The program puts `sources` at `place`, or into it where that is a folder."""
    names = [basename(form.text.rstrip("/")) for word in sources for form in word.forms()]
    whole = any(not form.known or form.glob for word in sources for form in word.forms())
    if whole or any(name in ("", ".", "..") or UNTOLD in name for name in names):
        call.write(place, TargetExtent.TREE)
    else:
        call.write(place, TargetExtent.INTO, names)


def _rsync(call: ProgramCall) -> None:
    valued = "-e --rsh --exclude --include --exclude-from --include-from --files-from -f --filter --bwlimit"
    found = options(call.arguments, valued)
    if found.has("-n", "--dry-run") or len(found.operands) < 2:
        return
    if found.has("--remove-source-files"):
        for word in found.operands[:-1]:
            call.write(word, TargetExtent.TREE)
    last = found.operands[-1]
    if ":" not in last.text.partition("/")[0]:  # else it lies on another machine
        call.write(last, TargetExtent.TREE)


def in_place(call: ProgramCall) -> None:
    """`sed -i`, `perl -i`: all files, without the script when it is no option's value."""
    valued = "-e -f --expression --file -l -I -M -m" if call.name != "sed" else "-e -f --expression --file -l"
    words = [word for word in call.arguments if word.text.startswith("-")]
    letters = "nrEsuzbpwla0"
    edits = any(
        word.text.startswith("--in-place") or word.text[1:].lstrip(letters).startswith("i")
        for word in words
        if not word.text.startswith("--") or word.text.startswith("--in-place")
    )
    if not edits:
        return
    found = options([_without_suffix(word) for word in call.arguments], valued)
    scripted = found.has("-e", "-f", "--expression", "--file")
    for word in found.operands[0 if scripted else 1 :]:
        call.write(word)


def _without_suffix(word: ShellWord) -> ShellWord:
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
            call.write(word.behind(3))


def _tar(call: ProgramCall) -> None:
    arguments = list(call.arguments)
    if arguments and not arguments[0].text.startswith("-"):  # `tar xzf a.tgz`
        arguments[0] = ShellWord("-" + arguments[0].text)
    found = options(arguments, "-f --file -C --directory -T --files-from -X --exclude")
    if found.has("-x", "--extract", "--get") and not found.has("-O", "--to-stdout"):
        folders = found.given("-C", "--directory")
        for word in folders[-1:] or [ShellWord(".")]:
            call.write(word, TargetExtent.TREE)
    elif found.has("-c", "-r", "-u", "--create", "--append", "--update"):
        for word in found.given("-f", "--file"):
            call.write(word)


def _unzip(call: ProgramCall) -> None:
    found = options(call.arguments, "-d -x")
    if not found.has("-l", "-t", "-p", "-Z", "-v", "-z"):
        for word in found.values.get("-d", [ShellWord(".")]):
            call.write(word, TargetExtent.TREE)


def _compress(call: ProgramCall) -> None:
    found = options(call.arguments, "-S --suffix")
    if found.has("-c", "--stdout", "-l", "--list", "-t", "--test"):
        return
    for word in found.operands:
        call.write(word)
        stem, dot, ending = word.text.rpartition(".")
        call.write(
            ShellWord(stem) if dot and ending in ("gz", "bz2", "xz", "zst") else ShellWord(word.text + ".gz")
        )


def _outputs(valued: str, *named: str) -> Handler:
    def handle(call: ProgramCall) -> None:
        found = options(call.arguments, valued)
        for name in named:
            for word in found.given(name):
                call.write(word)

    return handle


def _last(count: int) -> Handler:
    def handle(call: ProgramCall) -> None:
        for word in options(call.arguments, "-f -s -w").operands[count:]:
            call.write(word)

    return handle


def found_by(call: ProgramCall) -> list[ShellWord] | None:
    """The words that a program prints as names of files: what `xargs` behind it hands on. None if untold."""
    if call.name == "find":
        roots, names = _find_roots(call.arguments)
        if not names:
            return [ShellWord(join(root.text, UNTOLD), root.glob, root.unknown_from) for root in roots]
        call.steps.take(_STEPS_OF_TARGET * len(roots) * len(names))
        return [_anywhere_below(root, name) for root in roots for name in names]
    if call.name in ("echo", "printf"):
        return _printed_words(call)
    if call.name in ("grep", "rg", "ag", "fgrep", "egrep", "fd", "ls"):
        found = options(call.arguments, "-e -f -A -B -C -m --include --exclude --exclude-dir -g -t --type")
        skipped = 0 if call.name == "ls" or found.has("-e", "-f") else 1
        folders = found.operands[skipped:]
        return [ShellWord(join(word.text, UNTOLD), word.glob, word.unknown_from) for word in folders] or None
    return None


def _printed_words(call: ProgramCall) -> list[ShellWord]:
    """The words of what `echo` and `printf` print."""
    printed = []
    for word in call.arguments:
        if word.text.startswith("-") and call.name == "echo":
            continue
        if not word.known or word.glob or "%" in word.text:
            printed.append(ShellWord(UNTOLD) if not word.known else word)
        else:
            printed += [ShellWord(text) for text in _ESCAPES.sub(" ", word.text).split()]
    return printed


def executed_by_fd(call: ProgramCall) -> list[ShellWord]:
    """The command that `fd -x` runs, with names that only running it would tell; empty without one."""
    words = call.arguments
    for at, word in enumerate(words):
        if word.text in ("-x", "-X", "--exec", "--exec-batch"):
            rest = words[at + 1 :]
            return [ShellWord(UNTOLD) if part.text.startswith("{") else part for part in rest] + [
                ShellWord(UNTOLD)
            ]
    return []


def _find_roots(arguments: Sequence[ShellWord]) -> tuple[list[ShellWord], list[ShellWord]]:
    """Where `find` begins, and the names that it is narrowed to; no names when that is not so simple."""
    roots: list[ShellWord] = []
    for word in arguments:
        if word.text.startswith(("-", "(", "!")) and word.text not in ("-L", "-H", "-P"):
            break
        if not word.text.startswith("-"):
            roots.append(word)
    texts = [word.text for word in arguments]
    names = [arguments[at + 1] for at, text in enumerate(texts[:-1]) if text in ("-name", "-iname")]
    exact = "-iname" not in texts and all(word.known and "/" not in word.text for word in names)
    simple = exact and not {"!", "-not", "-o", "-or", ","} & set(texts)
    if "-o" in texts and exact and texts.count("-o") == len(names) - 1 and "!" not in texts:
        simple = "-not" not in texts and not any(text in ("-path", "-regex", "-newer") for text in texts)
    return roots or [ShellWord(".")], names if simple else []


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
    found = found_by(call) or []
    at = 0
    while at < len(words):
        if words[at].text in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i in range(at + 1, len(words)) if words[i].text in (";", "+")), len(words))
            command: list[ShellWord] = []
            for part in words[at + 1 : end]:
                filled = found if part.forms()[0].text == "{}" else [part]
                call.steps.take(len(filled))
                command += filled
            commands.append(command)
            at = end  # what is in it is that command's own
        at += 1
    return commands


def _curl(call: ProgramCall) -> None:
    valued = "-o --output --output-dir -H -X -d --data -u -A -e --url -b -c --cookie-jar"
    found = options(call.arguments, valued)
    outputs = found.given("-o", "--output")
    if found.has("-O", "--remote-name", "--remote-name-all"):
        operands = [*found.operands, *found.given("--url")]
        outputs += [ShellWord(basename(word.text.partition("?")[0].rstrip("/"))) for word in operands]
    for folder in found.given("--output-dir")[-1:]:
        outputs = [_within(folder, word) for word in outputs]
    for word in outputs:
        call.write(word)


def _within(folder: ShellWord, word: ShellWord) -> ShellWord:
    """A relative name below a folder."""
    if word.text.startswith("/"):
        return word
    base = folder.text.rstrip("/") + "/"
    unknown = folder.unknown_from
    if unknown is None and word.unknown_from is not None:
        unknown = len(base) + word.unknown_from
    return ShellWord(base + word.text, folder.glob or word.glob, unknown)


def _wget(call: ProgramCall) -> None:
    found = options(call.arguments, "-O --output-document -o -P --directory-prefix --header -U")
    for word in found.given("-O", "--output-document"):
        call.write(word)
    if not found.has("-O", "--output-document"):
        for word in found.given("-P", "--directory-prefix"):
            call.write(word, TargetExtent.TREE)


def _openssl(call: ProgramCall) -> None:
    """Its options have one dash and whole words: `-out FILE`."""
    for option, word in pairwise(call.arguments):
        if option.text in ("-out", "-keyout", "-writerand", "-CAserial"):
            call.write(word)


def _xxd(call: ProgramCall) -> None:
    for word in options(call.arguments, "-c -g -l -s -n -o -R").operands[1:]:
        call.write(word)


def _pip(call: ProgramCall) -> None:
    found = options(call.arguments, "-t --target --prefix --root --src -d --dest -w --wheel-dir -r -c -e -i")
    for word in found.given(
        "-t", "--target", "--prefix", "--root", "--src", "-d", "--dest", "-w", "--wheel-dir"
    ):
        call.write(word, TargetExtent.TREE)


_TREE = _operands(TargetExtent.TREE)

PROGRAMS: dict[str, Handler] = {
    **dict.fromkeys(("rm", "rmdir", "unlink", "shred", "trash"), _TREE),
    "touch": _operands(TargetExtent.FILE, valued="-d -t -r --reference --date"),
    "truncate": _operands(TargetExtent.FILE, valued="-s -r --size --reference"),
    "tee": _operands(TargetExtent.FILE),
    "sponge": _operands(TargetExtent.FILE),
    "ed": _operands(TargetExtent.FILE, valued="-p"),
    "mkfifo": _operands(TargetExtent.FILE, valued="-m"),
    "chmod": _operands(TargetExtent.TREE, skipped=1),
    **dict.fromkeys(("cp", "mv", "install", "ln", "gcp", "gmv"), copy),
    "rsync": _rsync,
    "dd": _dd,
    **dict.fromkeys(("tar", "gtar", "bsdtar"), _tar),
    "unzip": _unzip,
    "zip": _last(0),
    **dict.fromkeys(("gzip", "gunzip", "bzip2", "bunzip2", "xz", "unxz", "zstd"), _compress),
    "sort": _outputs("-o --output -k -t -S -T", "-o", "--output"),
    "uniq": _last(1),
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
    "find": _find,
    "curl": _curl,
    "wget": _wget,
}
