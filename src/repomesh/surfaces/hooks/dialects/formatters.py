"""Programs that rewrite the source files among their arguments, or all below their working folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from repomesh.surfaces.hooks.dialects.programs import Handler, ProgramCall, parse_options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.writes import TargetExtent

_VALUED: Final = "--config -c --line-length -l --parser --ignore-path --edition -i --exclude --include"


def _formatter(needed: str = "", harmless: str = "", verb: str = "", *, skipped: int = 0) -> Handler:
    """A handler for a program that rewrites its operands, the current folder by default.

    It rewrites with one of the options `needed`, and without any of `harmless`; one of `verb` comes first.
    """

    def handle(call: ProgramCall) -> None:
        valued_options = " ".join(option for option in _VALUED.split() if option not in needed.split())
        parsed = parse_options(call.arguments, valued_options)
        operands = parsed.operands
        if verb:
            if not operands or operands[0].text not in verb.split():
                return
            if operands[0].text in ("check", "lint") and not parsed.has("--fix", "--write", "--apply"):
                return
            operands = operands[1:]
        if parsed.has(*harmless.split()) or (needed and not parsed.has(*needed.split())):
            return
        for word in operands[skipped:] or [ShellWord(".")]:
            call.write(word, TargetExtent.TREE)

    return handle


def _work_tree(verb: str) -> Handler:
    """A handler for a program that rewrites its project's files, if its first words are among `verb`."""

    def handle(call: ProgramCall) -> None:
        parsed = parse_options(call.arguments)
        words = "-".join(word.text for word in parsed.operands[:2])
        if {words, words.partition("-")[0]} & {*verb.split()} and not parsed.has("--check", "--help", "-h"):
            call.write(ShellWord("."), TargetExtent.WORK_TREE)

    return handle


_CHECKS: Final = "--check --diff --version --dry-run --help -h"
FORMATTERS: Final[dict[str, Callable[[ProgramCall], None]]] = {
    "black": _formatter(harmless=_CHECKS),
    "isort": _formatter(harmless=f"{_CHECKS} --check-only -c"),
    "ruff": _formatter(verb="format check", harmless="--check --diff --help"),
    **dict.fromkeys(
        (
            "clang-format",
            "autopep8",
            "yapf",
            "docformatter",
            "autoflake",
            "ocamlformat",
            "fourmolu",
            "ormolu",
        ),
        _formatter(needed="-i --in-place --inplace --recursive -r"),
    ),
    **dict.fromkeys(("pyupgrade", "add-trailing-comma", "reorder-python-imports"), _formatter()),
    "prettier": _formatter(needed="--write -w"),
    **dict.fromkeys(
        ("eslint", "stylelint", "oxlint", "xo", "standard", "tslint"), _formatter(needed="--fix")
    ),
    "biome": _formatter(verb="format check lint", needed="--write --fix --apply --apply-unsafe"),
    "dprint": _formatter(verb="fmt"),
    "deno": _formatter(verb="fmt", harmless="--check"),
    **dict.fromkeys(("gofmt", "goimports", "gofumpt", "shfmt", "golines"), _formatter(needed="-w --write")),
    "go": _work_tree("fmt fix generate mod-tidy mod-vendor mod-edit mod-init"),
    "rustfmt": _formatter(harmless="--check"),
    "cargo": _work_tree("fmt fix"),
    "dotnet": _work_tree("format"),
    "mix": _work_tree("format"),
    "swiftformat": _formatter(harmless="--lint --dryrun"),
    "stylua": _formatter(harmless="--check -c"),
    "ktlint": _formatter(needed="-F --format"),
    "google-java-format": _formatter(needed="-i -r --replace"),
    **dict.fromkeys(
        ("rubocop", "standardrb"), _formatter(needed="-a -A --autocorrect --autocorrect-all -x --fix")
    ),
    **dict.fromkeys(("terraform", "tofu"), _formatter(verb="fmt", harmless="-check")),
    "dart": _formatter(verb="format fix"),
    "zig": _formatter(verb="fmt", harmless="--check"),
    "buf": _formatter(verb="format", needed="-w --write"),
    "taplo": _formatter(verb="fmt format", harmless="--check"),
    "sqlfluff": _formatter(verb="fix format"),
    "php-cs-fixer": _formatter(verb="fix", harmless="--dry-run"),
    "djlint": _formatter(needed="--reformat"),
    "nixfmt": _formatter(harmless="--check -c"),
    **dict.fromkeys(("2to3", "lib2to3"), _formatter(needed="-w --write")),
    "pre-commit": _work_tree("run"),
    "yq": _formatter(needed="-i --inplace", skipped=1),
    "sd": _formatter(skipped=2, harmless="-p --preview"),
    "jscodeshift": _formatter(harmless="-d --dry"),
    "comby": _formatter(needed="-i -in-place", skipped=2),
    **dict.fromkeys(("sg", "ast-grep"), _formatter(needed="-U --update-all")),
}
