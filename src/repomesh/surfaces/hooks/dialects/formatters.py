"""Programs that rewrite the source files among their arguments, or all below their working folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from repomesh.surfaces.hooks.dialects.inline_code import scan_texts
from repomesh.surfaces.hooks.dialects.programs import Handler, ProgramCall, parse_options, write_patterns
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.writes import TargetExtent

_VALUED: Final = "--config -c --line-length -l --parser --ignore-path --edition -i --exclude --include"


def _formatter(
    needed: str = "",
    harmless: str = "",
    verb: str = "",
    *,
    optional: str = "",
    skipped: int = 0,
    valued: str = "",
) -> Handler:
    """A handler for a program that rewrites its operands, the current folder by default.

    It rewrites with one of the options `needed`, and without any of `harmless`; one of `verb` comes first,
    one of `optional` may.
    Most of these programs expand quoted patterns in their operands.
    """

    def handle(call: ProgramCall) -> None:
        options = (*_VALUED.split(), *valued.split())
        valued_options = " ".join(option for option in options if option not in needed.split())
        parsed = parse_options(call.arguments, valued_options)
        operands = parsed.operands
        if verb:
            if not operands or operands[0].text not in verb.split():
                return
            if operands[0].text in ("check", "lint") and not parsed.has(*_FIXING.split()):
                return
            operands = operands[1:]
        elif operands and operands[0].text in optional.split():
            operands = operands[1:]
        if parsed.has(*harmless.split()) or (needed and not parsed.has(*needed.split())):
            return
        write_patterns(call, operands[skipped:] or [ShellWord(".")])

    return handle


def _work_tree(verb: str, fixing: str = "") -> Handler:
    """A handler for a program that rewrites its project's files, if its first words are among `verb`.

    Those among `fixing` rewrite with `--fix` alone.
    """

    def handle(call: ProgramCall) -> None:
        parsed = parse_options(call.arguments)
        texts = [word.text for word in parsed.operands if not word.text.startswith("+")]  # `cargo +nightly`
        words = "-".join(texts[:2])
        verbs = {*verb.split(), *(fixing.split() if parsed.has("--fix") else [])}
        is_check = parsed.has("--check", "--help", "-h", "--diff") or "--check" in texts
        if {words, words.partition("-")[0]} & verbs and not is_check:
            call.write(ShellWord("."), TargetExtent.WORK_TREE)

    return handle


def _cargo_program(call: ProgramCall) -> None:
    """`cargo-fmt` is `cargo fmt`."""
    call.arguments = [ShellWord(call.name.removeprefix("cargo-")), *call.arguments]
    _CARGO(call)


def _deno(call: ProgramCall) -> None:
    """`fmt` rewrites, `eval` runs code, `lint` rewrites with `--fix`."""
    operands = parse_options(call.arguments, "-c --config --ext").operands
    if operands and operands[0].text == "eval":
        scan_texts(call, operands[1:])
    else:
        _DENO(call)


_FIXING: Final = "--fix --write --apply --add-noqa --fix-only"
_CARGO: Final = _work_tree("fmt fix", fixing="clippy")
_DENO: Final = _formatter(verb="fmt lint", harmless="--check")
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
        (
            "eslint",
            "eslint_d",
            "stylelint",
            "oxlint",
            "xo",
            "standard",
            "ts-standard",
            "semistandard",
            "tslint",
        ),
        _formatter(needed="--fix"),
    ),
    "biome": _formatter(verb="format check lint", needed="--write --fix --apply --apply-unsafe"),
    "dprint": _formatter(verb="fmt"),
    "deno": _deno,
    **dict.fromkeys(("gofmt", "goimports", "gofumpt", "shfmt", "golines"), _formatter(needed="-w --write")),
    "go": _work_tree("fmt fix generate mod-tidy mod-vendor mod-edit mod-init"),
    "rustfmt": _formatter(harmless="--check"),
    "cargo": _CARGO,
    **dict.fromkeys(("cargo-fmt", "cargo-clippy", "cargo-fix"), _cargo_program),
    "golangci-lint": _work_tree("fmt", fixing="run"),
    **dict.fromkeys(
        ("markdownlint", "markdownlint-cli2"),
        _formatter(needed="--fix -f", valued="--ignore --rules -p --ignore-path"),
    ),
    "mdformat": _formatter(harmless=_CHECKS, valued="--wrap --number --end-of-line"),
    "swiftlint": _formatter(needed="--fix --autocorrect", optional="lint fix"),
    "swift-format": _formatter(needed="-i --in-place", optional="format lint", valued="--configuration"),
    "swift": _formatter(verb="format", needed="-i --in-place", valued="--configuration"),
    **dict.fromkeys(
        ("clang-tidy", "run-clang-tidy"),
        _formatter(needed="-fix --fix -fix-errors --fix-errors -fix-notes --fix-notes", valued="-p"),
    ),
    "clang-apply-replacements": _formatter(),
    "lint": _formatter(needed="--fix"),  # a script: `npm run lint -- --fix`
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
    "jscodeshift": _formatter(harmless="-d --dry", valued="-t --transform"),
    "replace-in-file": _formatter(harmless="--dry", skipped=2),
    "js-beautify": _formatter(needed="-r --replace"),
    "comby": _formatter(needed="-i -in-place", skipped=2),
    **dict.fromkeys(
        ("sg", "ast-grep"),
        _formatter(
            needed="-U --update-all",
            optional="run scan",
            valued="-p --pattern -r --rewrite --lang --rule --inline-rules --selector --globs",
        ),
    ),
}
