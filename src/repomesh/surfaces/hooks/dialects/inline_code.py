"""Code in a command's arguments: what it writes, as far as its text shows it.

Code that names no way of writing is taken to write nothing, so that looking and computing stay possible.
"""

from __future__ import annotations

import re
from typing import Final

from repomesh.surfaces.hooks.dialects.programs import ProgramCall, in_place, options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord

_CHARS_PER_STEP: Final = 4  # of code that is searched
_WRITING: Final = re.compile(
    r"""
    \bwrite_(?:text|bytes)\b
    | \b(?:writeFile|appendFile|copyFile|createWriteStream|cpSync|rmSync|renameSync)
    | \b(?:unlink|unlinkSync|rmtree|rmdir|removedirs|symlink_to|hardlink_to|touch)\b
    | \bos\.(?:remove|rename|replace|truncate|link|symlink|mkfifo)\b | \.rename\(
    | \bO_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND)\b
    | \b(?:shutil|fileinput|FileUtils|subprocess|child_process|popen|execSync|spawnSync|importlib|ctypes)\b
    | \bFile\.(?:write|delete|rename|open)\b | \b(?:system|exec|eval|spawn|qx|__import__)\s*[(\["'{]
    | \bfs(?:/promises)?['"]?\)?\.(?:rm|cp|rename|write|truncate)
    | \b(?:file_put_contents|move_uploaded_file)\b | \brename\s*[("'] | (?<![.\w])copy\s*\(\s*['"]
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


def code(call: ProgramCall, valued: str = "", codes: str = "-c") -> None:
    """An interpreter: the code that it gets as an option's value, or is fed."""
    found = options(call.arguments, f"{codes} {valued}")
    texts = found.given(*codes.split())
    if not texts and call.fed is not None and (not found.operands or found.operands[0].text == "-"):
        texts = [ShellWord(call.fed)]
    for word in texts:
        call.steps.take(len(word.text) // _CHARS_PER_STEP)
        if _WRITING.search(word.text) or _opens_to_write(word.text):
            call.anything(f"what the code of '{call.name}' writes can't be told without running it")


def _opens_to_write(text: str) -> bool:
    """Whether `open` stands shortly before a mode in which files are written."""
    for mode in _OPEN_MODE.finditer(text):
        before = text[max(mode.start() - _OPEN_CHARS, 0) : mode.start()].rpartition("\n")[2]
        if "open" in before and _OPEN.search(before):
            return True
    return False


def awk(call: ProgramCall) -> None:
    """`-i inplace` edits its files; a program may print to files and run commands."""
    found = options(call.arguments, "-f --file -v --assign -F -i --include -e --source")
    programs = found.given("-e", "--source")
    operands = found.operands
    if not programs and not found.has("-f", "--file"):
        programs, operands = operands[:1], operands[1:]
    includes = found.given("-i", "--include")
    if any(word.text.startswith("inplace") for word in includes):
        for word in operands:
            if "=" not in word.text.partition("/")[0]:
                call.write(word)
    for program in programs:
        if _AWK_RUNS.search(program.text):
            call.anything("it runs commands in awk")
        for statement in _AWK_STATEMENT_END.split(program.text):
            call.steps.take(1)
            printing = _AWK_PRINT.search(statement)
            _, redirected, output = statement[printing.end() :].partition(">") if printing else ("", "", "")
            if redirected and output.removeprefix(">").strip():
                _write_of_awk(call, output.removeprefix(">").strip())


def _write_of_awk(call: ProgramCall, output: str) -> None:
    literal = re.fullmatch(r'"([^"\\]*)"', output)
    if literal is not None:
        call.write(ShellWord(literal[1]))
    elif not re.fullmatch(r"[\d.]+\)*", output):  # a comparison
        call.anything("the files that awk prints to are only known when it runs")


def sed(call: ProgramCall) -> None:
    """`-i` edits its files; `w` in a script names files to write."""
    in_place(call)
    found = options(call.arguments, "-e -f --expression --file -l")
    scripts = found.given("-e", "--expression")
    if not scripts and not found.has("-f", "--file"):
        scripts = found.operands[:1]
    for script in scripts:
        call.steps.take(len(script.text) // _CHARS_PER_STEP)
        for name in _SED_OUTPUT.findall(script.text):
            call.write(ShellWord(name, unknown_from=None if script.known else 0))


def in_place_or_code(call: ProgramCall) -> None:
    """`perl` and `ruby`: `-i` edits files, `-e` is code."""
    in_place(call)
    code(call, codes="-e -E")
