"""Code in a command's arguments: the files that it writes, as far as its text shows.

Code without a known way of writing counts as writing nothing, so that reading and computing stay possible.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from repomesh.surfaces.hooks.dialects.programs import ProgramCall, in_place, parse_options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord

INTERPRETERS: Final = frozenset(
    {"python", "pypy", "node", "nodejs", "bun", "deno", "tsx", "ts-node", "perl", "ruby", "php", "lua"}
    | {"julia", "Rscript", "pwsh", "powershell"}
)
CODE_FILE: Final = re.compile(r"\.(?:py|[cm]?[jt]sx?|pl|rb|php|lua|jl|R|ps1)\Z")
"""The name of a file with code that is no shell's."""
CODE_HEAD: Final = re.compile(r"#!.*\b(?:python|node|deno|bun|perl|ruby|php)")
"""The first line of such a file."""
CODE_OPTIONS: Final = "-c -e -W -X -m --eval --command -r --require --import --loader"
"""The options of interpreters and shells that take a value, in front of the name of a file."""
PROCESS: Final = "/dev/fd/0"
"""Stands for a process substitution; the word's code is the text that the process prints, if known."""
_CHARS_PER_STEP: Final = 4  # of code that is searched
_WRITING: Final = re.compile(
    r"""
    \bwrite_(?:text|bytes)\b
    | \b(?:writeFile|appendFile|copyFile|createWriteStream|cpSync|rmSync|renameSync)
    | \b(?:unlink|unlinkSync|rmtree|rmdir|removedirs|symlink_to|hardlink_to|touch)\b
    | \bos\.(?:remove|rename|replace|truncate|link|symlink|mkfifo)\b | \.rename\(
    | \bPath\b[^\n]{0,200}\.replace\(\s*(?:['"f][^,)\n]*|\w+)\)
    | \bO_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND)\b
    | \b(?:shutil|fileinput|FileUtils|subprocess|child_process|popen|execSync|spawnSync|importlib|ctypes)\b
    | \bFile\.(?:write|delete|rename|open)\b | \b(?:system|exec|eval|spawn|qx|__import__)\s*[(\["'{]
    | \bfs(?:/promises)?['"]?\)?\.(?:rm|cp|rename|write|truncate)
    | \b(?:file_put_contents|move_uploaded_file)\b | \brename\s*[("'] | (?<![.\w])copy\s*\(\s*['"]
    | \bBun\.write\b | \bDeno\.(?:write|remove|rename|copyFile|create|truncate|symlink|link)
    | \b(?:Set|Add|Clear)-Content\b | \b(?:Out-File|Remove-Item|Move-Item|Copy-Item|New-Item)\b
    """,
    re.VERBOSE,
)
_OPEN_MODE: Final = re.compile(r"""['"](?:[rbU]{0,2}[wax+][bt+]{0,2}['"]|\s{0,20}\+?>)""")
_OPEN: Final = re.compile(r"\bf?open\b")
_OPEN_CHARS: Final = 200  # between `open` and the mode, on one line
_AWK_STATEMENT_END: Final = re.compile(r"[;}\n]")
_AWK_PRINT: Final = re.compile(r"\bprintf?\b")
_AWK_RUNS: Final = re.compile(r"""\bsystem\s*\(|\|\s*["&]""")
_SED_OUTPUT: Final = re.compile(r"(?:^|[;{}\n/|,#!\d$\s]|/[gpiImMe\d]{1,8})[wW]\s+([^\s;}][^\n;}]*)")


def scan_code(call: ProgramCall, valued: str = "", codes: str = "-c") -> None:
    """An interpreter: scans the code in an option's value, or on standard input."""
    parsed = parse_options(call.arguments, f"{codes} {valued}")
    texts = parsed.values_of(*codes.split())
    if not texts and call.stdin_text is not None and (not parsed.operands or parsed.operands[0].text == "-"):
        texts = [ShellWord(call.stdin_text)]
    scripts = [word for word in parsed.operands if word.text != "-"][:1]
    if not texts and scripts and scripts[0].text == PROCESS:
        texts = [ShellWord("", unknown_from=0, code=scripts[0].code)]
    scan_texts(call, texts)


def scan_texts(call: ProgramCall, texts: Sequence[ShellWord]) -> None:
    """Scan code that an interpreter runs."""
    for word in texts:
        text = word.text if word.known else word.code or word.text
        call.steps.take(len(text) // _CHARS_PER_STEP)
        if _WRITING.search(text) or _opens_to_write(text):
            call.mark_unresolved(f"what the code of '{call.name}' writes can't be told without running it")
        elif not word.known and not text.strip() and not call.is_in_definition:
            call.mark_unresolved(f"the code of '{call.name}' is only known when it runs")


def javascript(call: ProgramCall) -> None:
    """`node`: `-pe` and `-p -e` are `-e`, whose result is printed."""
    words = [ShellWord("-e") if word.text == "-pe" else word for word in call.arguments]
    has_code = any(word.text in ("-e", "--eval") for word in words)
    call.arguments = [word for word in words if not (has_code and word.text in ("-p", "--print"))]
    scan_code(call, codes="-e --eval -p --print")


def powershell(call: ProgramCall) -> None:
    """`-Command`, which may be shortened, takes the rest as code; `-EncodedCommand` hides it."""
    for at, word in enumerate(call.arguments):
        option = word.text.lower()
        if len(option) > 1 and "-command".startswith(option):
            scan_texts(call, call.arguments[at + 1 :])
            return
        if option in ("-e", "-ec") or (len(option) > 2 and "-encodedcommand".startswith(option)):
            call.mark_unresolved("its code is encoded")
            return
    scan_code(call)


def _opens_to_write(text: str) -> bool:
    """Whether `open` stands shortly before a mode that writes."""
    for mode in _OPEN_MODE.finditer(text):
        preceding = text[max(mode.start() - _OPEN_CHARS, 0) : mode.start()].rpartition("\n")[2]
        if "open" in preceding and _OPEN.search(preceding):
            return True
    return False


def awk(call: ProgramCall) -> None:
    """`-i inplace` edits its files; a program may print to files and run commands."""
    parsed = parse_options(call.arguments, "-f --file -v --assign -F -i --include -e --source")
    programs = parsed.values_of("-e", "--source")
    operands = parsed.operands
    if not programs and not parsed.has("-f", "--file"):
        programs, operands = operands[:1], operands[1:]
    includes = parsed.values_of("-i", "--include")
    if any(word.text.startswith("inplace") for word in includes):
        for word in operands:
            if "=" not in word.text.partition("/")[0]:
                call.write(word)
    for program in programs:
        if _AWK_RUNS.search(program.text):
            call.mark_unresolved("it runs commands in awk")
        for statement in _AWK_STATEMENT_END.split(program.text):
            call.steps.take(1)
            print_match = _AWK_PRINT.search(statement)
            _, redirect, output = (
                statement[print_match.end() :].partition(">") if print_match else ("", "", "")
            )
            if redirect and output.removeprefix(">").strip():
                _write_of_awk(call, output.removeprefix(">").strip())


def _write_of_awk(call: ProgramCall, output: str) -> None:
    literal = re.fullmatch(r'"([^"\\]*)"', output)
    if literal is not None:
        call.write(ShellWord(literal[1]))
    elif not re.fullmatch(r"[\d.]+\)*", output):  # a comparison
        call.mark_unresolved("the files that awk prints to are only known when it runs")


def sed(call: ProgramCall) -> None:
    """`-i` edits its files; `w` in a script names files to write."""
    in_place(call)
    parsed = parse_options(call.arguments, "-e -f --expression --file -l")
    scripts = parsed.values_of("-e", "--expression")
    if not scripts and not parsed.has("-f", "--file"):
        scripts = parsed.operands[:1]
    for script in scripts:
        call.steps.take(len(script.text) // _CHARS_PER_STEP)
        for name in _SED_OUTPUT.findall(script.text):
            call.write(ShellWord(name, unknown_from=None if script.known else 0))


def in_place_or_code(call: ProgramCall) -> None:
    """`perl` and `ruby`: `-i` edits files, `-e` is code."""
    in_place(call)
    scan_code(call, codes="-e -E")
