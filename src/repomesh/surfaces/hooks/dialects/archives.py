"""Programs that unpack, split, rename and transfer files."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import dirname
from typing import Final

from repomesh.surfaces.hooks.dialects.programs import ProgramCall, options, put
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.writes import TargetExtent

_HERE: Final = ShellWord(".")


def _into(call: ProgramCall, folders: list[ShellWord]) -> None:
    """Anything below the last of the folders, or below the current one."""
    for word in folders[-1:] or [_HERE]:
        call.write(word, TargetExtent.TREE)


def _seven_zip(call: ProgramCall) -> None:
    found = options(call.arguments, "-o -p -x -i")
    verb = found.operands[0].text if found.operands else ""
    if verb in ("x", "e"):
        _into(call, found.given("-o"))
    elif verb in ("a", "u", "d", "rn"):
        call.write((found.operands[1:2] or [_HERE])[0])


def _unrar(call: ProgramCall) -> None:
    operands = options(call.arguments).operands
    if operands and operands[0].text in ("x", "e"):
        _into(call, [word for word in operands[2:] if word.text.endswith("/")])


def _cpio(call: ProgramCall) -> None:
    found = options(call.arguments, "-D --directory -F -O -I -E -H --file")
    if found.has("-i", "--extract"):
        _into(call, found.given("-D", "--directory"))
    elif found.has("-p", "--pass-through"):
        _into(call, found.operands)
    for word in found.given("-O"):
        call.write(word)


def _pax(call: ProgramCall) -> None:
    found = options(call.arguments, "-f -s -o -x -b")
    if found.has("-r") and found.has("-w"):
        _into(call, found.operands)
    elif found.has("-r"):
        _into(call, [])
    elif found.has("-w"):
        for word in found.given("-f"):
            call.write(word)


def _extracts(verbs: str, folders: str = "") -> Callable[[ProgramCall], None]:
    """A program whose first word, with or without a dash, begins with one of the letters `verbs`."""

    def handle(call: ProgramCall) -> None:
        first = call.arguments[0].text.lstrip("-") if call.arguments else ""
        if first and any(letter in first for letter in verbs):
            _into(call, options(call.arguments, folders).given(*folders.split()))

    return handle


def _unpack(folders: str) -> Callable[[ProgramCall], None]:
    def handle(call: ProgramCall) -> None:
        found = options(call.arguments, folders)
        if not found.has("-l", "-L", "--list"):
            _into(call, found.given(*folders.split()))

    return handle


def _python_archive(call: ProgramCall) -> None:
    """`python -m zipfile` and `python -m tarfile`."""
    found = options(call.arguments)
    if found.has("-e", "--extract"):
        _into(call, found.operands[1:])
    elif found.has("-c", "--create"):
        for word in found.operands[:1]:
            call.write(word)


def _split(call: ProgramCall) -> None:
    """`split file prefix`, `csplit -f prefix file pattern`: every name that begins with the prefix."""
    valued = (
        "-a -b -C -l -n --suffix-length --bytes --lines --number --filter --additional-suffix -f --prefix"
    )
    found = options(call.arguments, valued)
    if call.name == "csplit":
        prefixes = found.given("-f", "--prefix") or [ShellWord("xx")]
    else:
        prefixes = found.operands[1:2] or [ShellWord("x")]
    for word in prefixes:
        call.write(ShellWord(word.text + "*", True, word.unknown_from))


_EX_MODE: Final = re.compile(r"-[A-Za-z]*[eE]")


def _rename(call: ProgramCall) -> None:
    """The files get names that only running it would tell, in the folders where they are."""
    found = options(call.arguments, "-e")
    if found.has("-n", "--nono", "--no-act"):
        return
    skipped = 0 if "-e" in found.values else 1
    for word in found.operands[skipped:]:
        call.write(word, TargetExtent.TREE)
        call.write(ShellWord(dirname(word.text) or ".", word.glob, word.unknown_from), TargetExtent.TREE)


def _transfer(call: ProgramCall) -> None:
    """`scp`: what comes to lie at the last operand, unless that is on another machine."""
    operands = options(call.arguments, "-i -o -P -F -l -c -J -S").operands
    if len(operands) >= 2 and ":" not in operands[-1].text.partition("/")[0]:
        sources = [_basename_of_remote(word) for word in operands[:-1]]
        put(call, sources, operands[-1])


def _basename_of_remote(word: ShellWord) -> ShellWord:
    machine, colon, path = word.text.partition(":")
    return ShellWord(path, word.glob, word.unknown_from) if colon and "/" not in machine else word


def _copy_out(call: ProgramCall) -> None:
    """`docker cp`, `kubectl cp`: what comes to lie at the last operand, unless that is in a container."""
    found = options(
        call.arguments, "-n --namespace -c --container --context -H --host -f --file -p --project-name"
    )
    operands = found.operands
    while operands and operands[0].text in ("container", "compose"):
        operands = operands[1:]
    if len(operands) == 3 and operands[0].text == "cp" and ":" not in operands[2].text.partition("/")[0]:
        put(call, [_basename_of_remote(operands[1])], operands[2])


def _aria(call: ProgramCall) -> None:
    found = options(call.arguments, "-d --dir -o --out -i -x -s -k")
    if not (found.given("-o", "--out") and not found.given("-d", "--dir")):
        _into(call, found.given("-d", "--dir"))
    for word in found.given("-o", "--out"):
        call.write(word)


def _editor(call: ProgramCall) -> None:
    """An editor that runs commands may write other files than those that it opens."""
    # In Ex mode `-s` is silence; else it names a file of keys.
    silent = call.name == "ex" or any(_EX_MODE.match(word.text) for word in call.arguments)
    script = "" if silent else "-s"
    found = options(call.arguments, f"-c --cmd -S {script} -u -i --eval -l --load -f --funcall")
    for word in found.operands:
        if not word.text.startswith("+"):
            call.write(word)
    scripts = found.given("-c", "--cmd", "--eval", "-S", "-l", "--load")
    scripts += [word for word in found.operands if word.text.startswith("+")]
    for word in scripts:
        if any(sign in word.text for sign in ("w ", "write ", "sav", "!", "write-", "delete", "rename")):
            call.anything(f"what the commands of '{call.name}' write can't be told")


ARCHIVES: Final[dict[str, Callable[[ProgramCall], None]]] = {
    **dict.fromkeys(("7z", "7za", "7zr", "7zz"), _seven_zip),
    **dict.fromkeys(("unrar", "rar"), _unrar),
    "cpio": _cpio,
    "pax": _pax,
    "ar": _extracts("x", "--output"),
    "jar": _extracts("x", "-C"),
    "unar": _unpack("-o -output-directory"),
    "dtrx": _unpack(""),
    "bsdunzip": _unpack("-d"),
    **dict.fromkeys(("split", "csplit", "gsplit"), _split),
    **dict.fromkeys(("rename", "prename", "file-rename", "mmv"), _rename),
    "scp": _transfer,
    **dict.fromkeys(("docker", "podman", "nerdctl", "kubectl", "oc"), _copy_out),
    **dict.fromkeys(("zipfile", "tarfile"), _python_archive),
    "aria2c": _aria,
    **dict.fromkeys(("ex", "vi", "vim", "nvim", "view", "emacs", "nano", "micro", "helix", "hx"), _editor),
}
