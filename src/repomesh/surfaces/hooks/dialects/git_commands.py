"""What commands of git write into the work tree. What they commit is for git's own hooks to check."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from repomesh.surfaces.hooks.dialects.patches import patched
from repomesh.surfaces.hooks.dialects.programs import ParsedOptions, ProgramCall, copy, options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.writes import TargetExtent

_BEFORE = "-C -c --git-dir --work-tree --namespace --exec-path --config-env"
_WHOLE = ShellWord(".")


def git(call: ProgramCall) -> ShellWord | None:
    """Handle a command of git; answers the folder that it is told to work in."""
    folder, work_tree, arguments, at = None, None, call.arguments, 0
    takes = _BEFORE.split()
    while at < len(arguments) and arguments[at].text.startswith("-"):
        option = arguments[at]
        at += 1
        if option.text in takes and at < len(arguments):
            value = arguments[at]
            at += 1
            if option.text == "-C":
                folder = value
            elif option.text == "--work-tree":
                work_tree = value
            elif option.text == "-c" and value.text.lower().startswith("alias."):
                call.anything("it runs an alias that it defines itself")
        elif option.text.startswith("--work-tree="):
            work_tree = ShellWord(option.text.partition("=")[2], option.glob, option.unknown_from)
    if at < len(arguments):
        handle = _VERBS.get(arguments[at].text)
        if handle is not None:
            call.arguments, call.name = arguments[at + 1 :], arguments[at].text
            handle(call)
            call.name = f"git {call.name}"
    if work_tree is not None and call.targets:
        call.write(work_tree, TargetExtent.TREE)
    return folder


def _whole(call: ProgramCall) -> None:
    call.write(_WHOLE, TargetExtent.WORK_TREE)


def _paths(call: ProgramCall, words: Sequence[ShellWord]) -> None:
    for word in words:
        text = word.text
        if text.startswith(":"):  # magic: from the root, all but, ...
            call.write(_WHOLE, TargetExtent.WORK_TREE)
            call.anything("what its pathspec means is not looked at")
        elif any(sign in text for sign in "*?["):  # git's own wildcards match across folders
            folder = re.split(r"[*?\[]", text, maxsplit=1)[0].rpartition("/")[0]
            call.write(ShellWord(folder or ".", unknown_from=word.unknown_from), TargetExtent.TREE)
        else:
            call.write(word, TargetExtent.TREE)


def _from_file(call: ProgramCall, found: ParsedOptions) -> bool:
    if found.has("--pathspec-from-file"):
        call.anything("the paths are read from a file")
        return True
    return False


def _rm(call: ProgramCall) -> None:
    found = options(call.arguments, "--pathspec-from-file")
    if not found.has("--cached", "-n", "--dry-run") and not _from_file(call, found):
        _paths(call, found.operands)


def _mv(call: ProgramCall) -> None:
    call.name = "mv"
    if not options(call.arguments).has("-n", "--dry-run"):
        copy(call)


def _restore(call: ProgramCall) -> None:
    found = options(call.arguments, "-s --source --pathspec-from-file")
    if found.has("--staged", "-S") and not found.has("--worktree", "-W"):
        return
    if not _from_file(call, found):
        _paths(call, found.operands)


def _checkout(call: ProgramCall) -> None:
    found = options(call.arguments, "-b -B --orphan --pathspec-from-file --conflict")
    if _from_file(call, found):
        return
    if found.behind is not None:
        if found.behind:
            _paths(call, found.behind)
        else:
            _whole(call)
    elif found.has("-b", "-B", "--orphan"):
        if found.operands:
            _whole(call)
    elif found.has("-h", "--help"):
        pass
    elif len(found.operands) == 1:  # a branch, or a path: the one is looked up where the other is
        if found.operands[0].text not in ("HEAD", "@"):
            call.write(found.operands[0], TargetExtent.TREE)
            _whole(call)
    else:
        _paths(call, found.operands)
    if found.has("-f", "--force", "-m", "--merge") or "-" in (word.text for word in call.arguments):
        _whole(call)


def _switch(call: ProgramCall) -> None:
    found = options(call.arguments, "-c -C --create --force-create --orphan --conflict")
    if not found.has("-c", "-C", "--create", "--force-create", "--orphan") or found.operands:
        _whole(call)


def _stash(call: ProgramCall) -> None:
    found = options(call.arguments, "-m --message")
    verb = found.operands[0].text if found.operands and found.behind is None else "push"
    if verb not in ("list", "show", "drop", "clear", "create", "store"):
        if found.behind:
            _paths(call, found.behind)
        else:
            _whole(call)


def _reset(call: ProgramCall) -> None:
    if options(call.arguments).has("--hard", "--merge", "--keep"):
        _whole(call)


def _clean(call: ProgramCall) -> None:
    found = options(call.arguments, "-e --exclude")
    if found.has("-n", "--dry-run"):
        return
    if found.operands:
        _paths(call, found.operands)
    else:
        _whole(call)


def _apply(call: ProgramCall) -> None:
    found = options(call.arguments, "-p -C --directory --include --exclude --whitespace")
    reads = found.has("--check", "--stat", "--numstat", "--summary", "--cached", "-h")
    if reads and not found.has("--apply", "--index"):
        return
    apply_patch(call, found)


def apply_patch(call: ProgramCall, found: ParsedOptions) -> None:
    """A patch is applied: the one that the command is fed, else one that only running it would tell."""
    named = found.given("-i", "--input")
    paths = patched(call.fed) if call.fed is not None and not named else []
    if not paths:
        call.anything("which files its patch changes can't be told without reading it")
    for path in paths:
        call.write(ShellWord(path))


def _am(call: ProgramCall) -> None:
    if not options(call.arguments).has("--abort", "--quit", "--show-current-patch"):
        call.anything("which files its patches change can't be told without reading them")


def _pick(call: ProgramCall) -> None:
    if not options(call.arguments).has("--quit"):
        _whole(call)


def _checkout_index(call: ProgramCall) -> None:
    found = options(call.arguments, "--prefix --stage")
    if found.has("-a", "--all"):
        _whole(call)
    _paths(call, found.operands)


def _verbs(*harmless: str) -> Callable[[ProgramCall], None]:
    """A command that rewrites the work tree, but with one of these words or options first."""

    def handle(call: ProgramCall) -> None:
        found = options(call.arguments)
        first = found.operands[0].text if found.operands else ""
        if first not in harmless and not found.has(*(one for one in harmless if one.startswith("-"))):
            _whole(call)

    return handle


def _read_tree(call: ProgramCall) -> None:
    found = options(call.arguments, "--index-output --prefix")
    if found.has("-u", "--reset") and not found.has("-n", "--dry-run"):
        _whole(call)


def _rebase(call: ProgramCall) -> None:
    """What it brings is committed work; `--exec` runs commands in between."""
    found = options(call.arguments, "-x --exec -s -X --onto")
    if found.has("-x", "--exec"):
        call.anything("it runs commands between the commits")
    if found.has("--autostash"):
        _whole(call)


def _stashes(call: ProgramCall) -> None:
    """`merge` and `pull`: committed work, but with `--autostash` what is not committed is set aside."""
    if options(call.arguments, "-s -X -m -F").has("--autostash"):
        _whole(call)


def _made(call: ProgramCall) -> None:
    """`clone`, `worktree add`: a folder that is made, where one is named; removed or moved ones alike."""
    found = options(
        call.arguments, "-b -B -o -c -u -j --branch --origin --depth --reference --filter --config"
    )
    operands = found.operands
    if call.name == "worktree":
        if operands and operands[0].text in ("add", "remove", "move"):
            for word in operands[1 : 2 if operands[0].text == "add" else None]:
                call.write(word, TargetExtent.TREE)
    elif len(operands) > 1:
        call.write(operands[1], TargetExtent.TREE)


def _output(call: ProgramCall) -> None:
    """`git diff --output=file` and its like."""
    for word in options(call.arguments, "--output").given("--output"):
        call.write(word)


def _format_patch(call: ProgramCall) -> None:
    found = options(call.arguments, "-o --output-directory")
    for word in found.given("-o", "--output-directory"):
        call.write(word, TargetExtent.TREE)


def _merge_file(call: ProgramCall) -> None:
    found = options(call.arguments, "-L --marker-size")
    if not found.has("-p", "--stdout"):
        for word in found.operands[:1]:
            call.write(word)


def _archive(call: ProgramCall) -> None:
    found = options(call.arguments, "-o --output --format --prefix --remote")
    for word in found.given("-o", "--output"):
        call.write(word)


def _config(call: ProgramCall) -> None:
    found = options(call.arguments, "-f --file --type --default --blob")
    reads = found.has("-l", "--list", "--get", "--get-all", "--get-regexp", "--get-urlmatch")
    if not reads and len(found.operands) > 1 and found.operands[0].text not in ("get", "list"):
        for word in found.given("-f", "--file"):
            call.write(word)


_VERBS: dict[str, Callable[[ProgramCall], None]] = {
    "config": _config,
    "rm": _rm,
    "mv": _mv,
    "restore": _restore,
    "checkout": _checkout,
    "switch": _switch,
    "stash": _stash,
    "reset": _reset,
    "clean": _clean,
    "apply": _apply,
    "am": _am,
    "cherry-pick": _pick,
    "revert": _pick,
    "checkout-index": _checkout_index,
    "archive": _archive,
    "read-tree": _read_tree,
    "sparse-checkout": _verbs("list", "check-rules"),
    "bisect": _verbs("log", "view", "visualize", "terms", "help"),
    "submodule": _verbs("status", "summary", "", "init", "sync"),
    "filter-branch": _verbs("--help"),
    "filter-repo": _verbs("--analyze", "--help"),
    "mergetool": _verbs("--tool-help"),
    "lfs": _verbs(
        "ls-files", "status", "track", "untrack", "env", "version", "fetch", "push", "install", "locks", ""
    ),
    "rebase": _rebase,
    "merge": _stashes,
    "pull": _stashes,
    "worktree": _made,
    "clone": _made,
    "diff": _output,
    "log": _output,
    "show": _output,
    "format-patch": _format_patch,
    "merge-file": _merge_file,
}
"""What `merge`, `rebase` and `pull` bring is committed work; git refuses to run over uncommitted changes,
and the commits that they make are checked by git's hooks."""
