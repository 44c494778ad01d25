"""The files that git commands write into the work tree. Commits are checked by git's own hooks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from posixpath import join

from repomesh.surfaces.hooks.dialects.patches import files_of_patch
from repomesh.surfaces.hooks.dialects.programs import ParsedOptions, ProgramCall, copy, parse_options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.writes import TargetExtent

_GLOBAL_OPTIONS = "-C -c --git-dir --work-tree --namespace --exec-path --config-env"
_CURRENT_FOLDER = ShellWord(".")
_UNREAD_PATCH = "which files its patch changes can't be told without reading it"
_STRIP_DIGITS_MAX = 3  # of the number behind `-p`; no path has as many folders


def git(call: ProgramCall) -> ShellWord | None:
    """Handle a git command; returns the folder that `-C` names, or None."""
    folder, work_tree, arguments, at = None, None, call.arguments, 0
    valued_options = _GLOBAL_OPTIONS.split()
    while at < len(arguments) and arguments[at].text.startswith("-"):
        option = arguments[at]
        at += 1
        if option.text in valued_options and at < len(arguments):
            value = arguments[at]
            at += 1
            if option.text == "-C":
                folder = value
            elif option.text == "--work-tree":
                work_tree = value
            elif option.text == "-c" and value.text.lower().startswith("alias."):
                call.mark_unresolved("it runs an alias that it defines itself")
        elif option.text.startswith("--work-tree="):
            work_tree = ShellWord(option.text.partition("=")[2], option.glob, option.unknown_from)
    if at < len(arguments):
        for verb in arguments[at].forms():
            if not verb.known:
                call.mark_unresolved("which command of git it runs is only known when it runs")
            handle = _VERBS.get(verb.text)
            if handle is not None:
                call.arguments, call.name = arguments[at + 1 :], verb.text
                handle(call)
                call.name = f"git {call.name}"
    if work_tree is not None and call.targets:
        call.write(work_tree, TargetExtent.TREE)
    return folder


def _write_work_tree(call: ProgramCall) -> None:
    call.write(_CURRENT_FOLDER, TargetExtent.WORK_TREE)


def _write_paths(
    call: ProgramCall, words: Sequence[ShellWord], extent: TargetExtent = TargetExtent.TREE
) -> None:
    for word in words:
        text = word.text
        if text == ":/" and extent is TargetExtent.CHECKOUT:
            _write_work_tree(call)
        elif text.startswith(":"):  # magic: from the root, all but, ...
            call.write(_CURRENT_FOLDER, TargetExtent.WORK_TREE)
            call.mark_unresolved("what its pathspec means is not looked at")
        elif any(sign in text for sign in "*?["):  # git's own wildcards match across folders
            folder = re.split(r"[*?\[]", text, maxsplit=1)[0].rpartition("/")[0]
            call.write(ShellWord(folder or ".", unknown_from=word.unknown_from), TargetExtent.TREE)
        else:
            call.write(word, extent)


def _restore_paths(call: ProgramCall, words: Sequence[ShellWord]) -> None:
    """Write paths as git has them; the whole of a linked work tree is its owner's own."""
    _write_paths(call, words, TargetExtent.CHECKOUT)


def _reads_paths_from_file(call: ProgramCall, parsed: ParsedOptions) -> bool:
    if parsed.has("--pathspec-from-file"):
        call.mark_unresolved("the paths are read from a file")
        return True
    return False


def _rm(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "--pathspec-from-file")
    if not parsed.has("--cached", "-n", "--dry-run") and not _reads_paths_from_file(call, parsed):
        _write_paths(call, parsed.operands)


def _mv(call: ProgramCall) -> None:
    call.name = "mv"
    if not parse_options(call.arguments).has("-n", "--dry-run"):
        copy(call)


def _restore(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-s --source --pathspec-from-file")
    if parsed.has("--staged", "-S") and not parsed.has("--worktree", "-W"):
        return
    if not _reads_paths_from_file(call, parsed):
        _restore_paths(call, parsed.operands)


def _checkout(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-b -B --orphan --pathspec-from-file --conflict")
    if _reads_paths_from_file(call, parsed):
        return
    if parsed.after_separator is not None:
        if parsed.after_separator:
            _restore_paths(call, parsed.after_separator)
        else:
            _write_work_tree(call)
    elif parsed.has("-b", "-B", "--orphan"):
        if parsed.operands:
            _write_work_tree(call)
    elif parsed.has("-h", "--help"):
        pass
    elif len(parsed.operands) == 1:  # a branch or a path
        if parsed.operands[0].text not in ("HEAD", "@"):
            _checkout_one(call, parsed.operands[0])
    else:
        _restore_paths(call, parsed.operands)
    if parsed.has("-f", "--force", "-m", "--merge") or "-" in (word.text for word in call.arguments):
        _write_work_tree(call)


def _checkout_one(call: ProgramCall, word: ShellWord) -> None:
    """`git checkout WORD`, a branch or a path."""
    _restore_paths(call, [word])
    _write_work_tree(call)


def _switch(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-c -C --create --force-create --orphan --conflict")
    if not parsed.has("-c", "-C", "--create", "--force-create", "--orphan") or parsed.operands:
        _write_work_tree(call)


def _stash(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-m --message")
    verb = parsed.operands[0].text if parsed.operands and parsed.after_separator is None else "push"
    if verb not in ("list", "show", "drop", "clear", "create", "store"):
        if parsed.after_separator:
            _restore_paths(call, parsed.after_separator)
        else:
            _write_work_tree(call)


def _reset(call: ProgramCall) -> None:
    if parse_options(call.arguments).has("--hard", "--merge", "--keep"):
        _write_work_tree(call)


def _clean(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-e --exclude")
    if parsed.has("-n", "--dry-run"):
        return
    if parsed.operands:
        _restore_paths(call, parsed.operands)
    else:
        _write_work_tree(call)


def _apply(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-p -C --directory --include --exclude --whitespace")
    is_dry_run = parsed.has("--check", "--stat", "--numstat", "--summary", "--cached", "-h")
    if is_dry_run and not parsed.has("--apply", "--index"):
        return
    if any(word.text != "-" for word in parsed.operands):
        call.mark_unresolved(_UNREAD_PATCH)
    else:
        apply_patch(call, parsed)


def apply_patch(call: ProgramCall, parsed: ParsedOptions) -> None:
    """A patch is applied: the one on standard input, else one whose files are only known when it runs.

    `git apply` takes the names from the top of the work tree, those of a plain diff from its working folder:
    both count.
    """
    is_git = call.name == "apply"
    strip = parsed.values_of("-p", "--strip")[-1:]
    if strip and not (strip[0].known and strip[0].text.isdecimal()):
        call.mark_unresolved(_UNREAD_PATCH)
        return
    patch_files = parsed.values_of("-i", "--input")
    paths: list[str] = []
    if call.stdin_text is not None and not patch_files:
        levels = int(strip[0].text[:_STRIP_DIGITS_MAX]) if strip else None
        paths = files_of_patch(call.stdin_text, levels, by_name=call.name == "patch")
    if not paths:
        call.mark_unresolved(_UNREAD_PATCH)
    if is_git:
        _write_from_top(call, paths, parsed.values_of("--directory")[-1:] or [ShellWord("")])
    else:
        for path in paths:
            call.write(ShellWord(path))


def _write_from_top(call: ProgramCall, paths: Sequence[str], folders: Sequence[ShellWord]) -> None:
    """Write paths below one of `folders`, from the top of the work tree and from the working folder."""
    for folder in folders:
        if not folder.known:
            call.mark_unresolved(_UNREAD_PATCH)
        for form in folder.forms():
            names = [join(form.text, path) for path in paths]
            for name in names:
                call.write(ShellWord(name))
            call.write(_CURRENT_FOLDER, TargetExtent.FROM_TOP, names)


def _am(call: ProgramCall) -> None:
    if not parse_options(call.arguments).has("--abort", "--quit", "--show-current-patch"):
        call.mark_unresolved("which files its patches change can't be told without reading them")


def _pick(call: ProgramCall) -> None:
    """`cherry-pick`, `revert`; `--abort` refuses to overwrite uncommitted changes, as that of `merge`."""
    if not parse_options(call.arguments).has("--quit", "--abort"):
        _write_work_tree(call)


def _checkout_index(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "--prefix --stage")
    if parsed.has("-a", "--all"):
        _write_work_tree(call)
    _write_paths(call, parsed.operands)


def _rewrites_unless(*harmless: str) -> Callable[[ProgramCall], None]:
    """A handler for a command that rewrites the work tree, unless one of these words or options is first."""

    def handle(call: ProgramCall) -> None:
        parsed = parse_options(call.arguments)
        first = parsed.operands[0].text if parsed.operands else ""
        if first not in harmless and not parsed.has(
            *(option for option in harmless if option.startswith("-"))
        ):
            _write_work_tree(call)

    return handle


_rewrites_of_submodule = _rewrites_unless("status", "summary", "", "init", "sync")


def _submodule(call: ProgramCall) -> None:
    """`submodule update` writes below the folders of submodules alone."""
    operands = parse_options(call.arguments, "--reference --depth -j --jobs --filter").operands
    if not operands or operands[0].text != "update":
        _rewrites_of_submodule(call)
    elif len(operands) > 1:
        _write_paths(call, operands[1:])
    else:
        call.write(_CURRENT_FOLDER, TargetExtent.SUBMODULES)


def _read_tree(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "--index-output --prefix")
    if parsed.has("-u", "--reset") and not parsed.has("-n", "--dry-run"):
        _write_work_tree(call)


def _rebase(call: ProgramCall) -> None:
    """`rebase` brings committed work only; `--exec` runs commands in between."""
    parsed = parse_options(call.arguments, "-x --exec -s -X --onto")
    if parsed.has("-x", "--exec"):
        call.mark_unresolved("it runs commands between the commits")
    if parsed.has("--autostash"):
        _write_work_tree(call)


def _merge_or_pull(call: ProgramCall) -> None:
    """`merge` and `pull`: committed work, but with `--autostash` what is not committed is set aside."""
    if parse_options(call.arguments, "-s -X -m -F").has("--autostash"):
        _write_work_tree(call)


def _clone_or_worktree(call: ProgramCall) -> None:
    """`clone`, `worktree`: the folder that is made, removed or moved, where one is named."""
    parsed = parse_options(
        call.arguments, "-b -B -o -c -u -j --branch --origin --depth --reference --filter --config"
    )
    operands = parsed.operands
    if call.name == "worktree":
        if operands and operands[0].text in ("add", "remove", "move"):
            for word in operands[1 : 2 if operands[0].text == "add" else None]:
                call.write(word, TargetExtent.TREE if operands[0].text == "add" else TargetExtent.CHECKOUT)
    elif len(operands) > 1:
        call.write(operands[1], TargetExtent.TREE)


def _output(call: ProgramCall) -> None:
    """`git diff --output=file` and similar commands."""
    for word in parse_options(call.arguments, "--output").values_of("--output"):
        call.write(word)


def _format_patch(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-o --output-directory")
    for word in parsed.values_of("-o", "--output-directory"):
        call.write(word, TargetExtent.TREE)


def _merge_file(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-L --marker-size")
    if not parsed.has("-p", "--stdout"):
        for word in parsed.operands[:1]:
            call.write(word)


def _archive(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-o --output --format --prefix --remote")
    for word in parsed.values_of("-o", "--output"):
        call.write(word)


def _config(call: ProgramCall) -> None:
    parsed = parse_options(call.arguments, "-f --file --type --default --blob")
    is_reading = parsed.has("-l", "--list", "--get", "--get-all", "--get-regexp", "--get-urlmatch")
    if not is_reading and len(parsed.operands) > 1 and parsed.operands[0].text not in ("get", "list"):
        for word in parsed.values_of("-f", "--file"):
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
    "sparse-checkout": _rewrites_unless("list", "check-rules"),
    "bisect": _rewrites_unless(
        *("log", "view", "visualize", "terms", "help", "start", "good", "bad", "old", "new", "skip", "reset")
    ),
    "submodule": _submodule,
    "filter-branch": _rewrites_unless("--help"),
    "filter-repo": _rewrites_unless("--analyze", "--help"),
    "mergetool": _rewrites_unless("--tool-help"),
    "lfs": _rewrites_unless(
        *(
            "ls-files",
            "status",
            "track",
            "untrack",
            "env",
            "version",
            "fetch",
            "push",
            "install",
            "locks",
            "",
        ),
        *("pull", "checkout"),
    ),
    "rebase": _rebase,
    "merge": _merge_or_pull,
    "pull": _merge_or_pull,
    "worktree": _clone_or_worktree,
    "clone": _clone_or_worktree,
    "diff": _output,
    "log": _output,
    "show": _output,
    "format-patch": _format_patch,
    "merge-file": _merge_file,
}
"""`merge`, `rebase`, `pull`, `bisect` and `lfs pull` bring committed work; git refuses to overwrite changes,
and git's hooks check the commits that they make."""
