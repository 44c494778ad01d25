"""Programs that unpack, split, rename and transfer files."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import dirname
from typing import Final

from repomesh.surfaces.hooks.dialects.programs import ProgramCall, parse_options, write_copies
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.writes import TargetExtent

_CURRENT_FOLDER: Final = ShellWord(".")


def _write_into(call: ProgramCall, folders: list[ShellWord]) -> None:
    """The program writes anything below the last of `folders`, or below the current one."""
    for word in folders[-1:] or [_CURRENT_FOLDER]:
        call.write(word, TargetExtent.TREE)


def _seven_zip(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-o -p -x -i")
    verb = parsed.operands[0].text if parsed.operands else ""
    if verb in ("x", "e"):
        _write_into(call, parsed.values_of("-o"))
    elif verb in ("a", "u", "d", "rn"):
        call.write((parsed.operands[1:2] or [_CURRENT_FOLDER])[0])


def _unrar(call: ProgramCall) -> None:
    operands = parse_options(call.arguments).operands
    if operands and operands[0].text in ("x", "e"):
        _write_into(call, [word for word in operands[2:] if word.text.endswith("/")])


def _cpio(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-D --directory -F -O -I -E -H --file")
    if parsed.has("-i", "--extract"):
        _write_into(call, parsed.values_of("-D", "--directory"))
    elif parsed.has("-p", "--pass-through"):
        _write_into(call, parsed.operands)
    for word in parsed.values_of("-O"):
        call.write(word)


def _pax(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-f -s -o -x -b")
    if parsed.has("-r") and parsed.has("-w"):
        _write_into(call, parsed.operands)
    elif parsed.has("-r"):
        _write_into(call, [])
    elif parsed.has("-w"):
        for word in parsed.values_of("-f"):
            call.write(word)


def _extracts(verbs: str, folders: str = "") -> Callable[[ProgramCall], None]:
    """A handler for a program that extracts when its first word holds one of the letters `verbs`."""

    def handle(call: ProgramCall) -> None:
        mode = call.arguments[0].text.lstrip("-") if call.arguments else ""
        if mode and any(letter in mode for letter in verbs):
            _write_into(call, parse_options(call.arguments, folders).values_of(*folders.split()))

    return handle


def _unpack(folders: str) -> Callable[[ProgramCall], None]:
    def handle(call: ProgramCall) -> None:
        parsed = parse_options(call.arguments, folders)
        if not parsed.has("-l", "-L", "--list"):
            _write_into(call, parsed.values_of(*folders.split()))

    return handle


def _python_archive(call: ProgramCall) -> None:
    """`python -m zipfile` and `python -m tarfile`."""
    parsed = parse_options(call.arguments)
    if parsed.has("-e", "--extract"):
        _write_into(call, parsed.operands[1:])
    elif parsed.has("-c", "--create"):
        for word in parsed.operands[:1]:
            call.write(word)


def _split(call: ProgramCall) -> None:
    """`split file prefix`, `csplit -f prefix file pattern`: every name that begins with the prefix."""
    valued_options = (
        "-a -b -C -l -n --suffix-length --bytes --lines --number --filter --additional-suffix -f --prefix"
    )
    parsed = parse_options(call.arguments, valued_options)
    if call.name == "csplit":
        prefixes = parsed.values_of("-f", "--prefix") or [ShellWord("xx")]
    else:
        prefixes = parsed.operands[1:2] or [ShellWord("x")]
    for word in prefixes:
        call.write(ShellWord(word.text + "*", True, word.unknown_from))


_EX_MODE: Final = re.compile(r"-[A-Za-z]*[eE]")


def _rename(call: ProgramCall) -> None:
    """The files get new names in their folders, which are only known when it runs."""
    parsed = parse_options(call.arguments, "-e")
    if parsed.has("-n", "--nono", "--no-act"):
        return
    skipped = 0 if "-e" in parsed.values else 1
    for word in parsed.operands[skipped:]:
        call.write(word, TargetExtent.TREE)
        call.write(ShellWord(dirname(word.text) or ".", word.glob, word.unknown_from), TargetExtent.TREE)


def _transfer(call: ProgramCall) -> None:
    """`scp`: writes the last operand, unless that is on another machine."""
    operands = parse_options(call.arguments, "-i -o -P -F -l -c -J -S").operands
    if len(operands) >= 2 and ":" not in operands[-1].text.partition("/")[0]:
        sources = [_basename_of_remote(word) for word in operands[:-1]]
        write_copies(call, sources, operands[-1])


def _basename_of_remote(word: ShellWord) -> ShellWord:
    machine, colon, path = word.text.partition(":")
    return ShellWord(path, word.glob, word.unknown_from) if colon and "/" not in machine else word


def _copy_out(call: ProgramCall) -> None:
    """`docker cp`, `kubectl cp`: writes the last operand, unless that is in a container."""
    parsed = parse_options(
        call.arguments, "-n --namespace -c --container --context -H --host -f --file -p --project-name"
    )
    operands = parsed.operands
    while operands and operands[0].text in ("container", "compose"):
        operands = operands[1:]
    if len(operands) == 3 and operands[0].text == "cp" and ":" not in operands[2].text.partition("/")[0]:
        write_copies(call, [_basename_of_remote(operands[1])], operands[2])


def _aria(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-d --dir -o --out -i -x -s -k")
    if not (parsed.values_of("-o", "--out") and not parsed.values_of("-d", "--dir")):
        _write_into(call, parsed.values_of("-d", "--dir"))
    for word in parsed.values_of("-o", "--out"):
        call.write(word)


def _editor(call: ProgramCall) -> None:
    """An editor writes the files it opens; its commands may write others."""
    # In Ex mode `-s` means silent; otherwise it names a script file.
    is_silent = call.name == "ex" or any(_EX_MODE.match(word.text) for word in call.arguments)
    script = "" if is_silent else "-s"
    parsed = parse_options(call.arguments, f"-c --cmd -S {script} -u -i --eval -l --load -f --funcall")
    for word in parsed.operands:
        if not word.text.startswith("+"):
            call.write(word)
    scripts = parsed.values_of("-c", "--cmd", "--eval", "-S", "-l", "--load")
    scripts += [word for word in parsed.operands if word.text.startswith("+")]
    for word in scripts:
        if any(sign in word.text for sign in ("w ", "write ", "sav", "!", "write-", "delete", "rename")):
            call.mark_unresolved(f"what the commands of '{call.name}' write can't be told")


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
