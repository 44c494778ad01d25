"""Package managers that write a project's manifest and the lock files beside it."""

from __future__ import annotations

from typing import Final

from repomesh.surfaces.hooks.dialects.programs import Handler, ProgramCall, parse_options
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord
from repomesh.surfaces.hooks.dialects.writes import TargetExtent

_FOLDERS: Final = ("-C", "--prefix", "--directory", "--dir", "--cwd", "--project", "--manifest-path")
_HARMLESS: Final = ("-g", "--global", "--dry-run", "--help", "-h", "--locked", "--frozen")
_HARMLESS_INSTALLS: Final = (
    "--frozen-lockfile",
    "--immutable",
    "--no-save",
    "--no-lock",
    "--no-package-lock",
)


def _packages(manifest: str, locks: str, *, changes: str, updates: str = "") -> Handler:
    """A handler for a package manager.

    A verb among `changes` writes `manifest` and `locks` when operands follow it, else only `locks`, as those
    among `updates` do. The files are those of the closest project around the working folder.
    """
    changing, updating, lock_names = {*changes.split()}, {*updates.split()}, tuple(locks.split())

    def handle(call: ProgramCall) -> None:
        parsed = parse_options(call.arguments, " ".join(_FOLDERS))
        texts = [word.text for word in parsed.operands if not word.text.startswith("+")]
        if not texts or parsed.has(*_HARMLESS):
            return
        is_change = texts[0] in changing or "-".join(texts[:2]) in changing
        names = (manifest, *lock_names) if is_change and len(texts) > 1 else lock_names
        is_update = is_change or texts[0] in updating
        if texts[0] == "init":
            names, is_update = (manifest, *lock_names), True
        if is_update and names and not (len(texts) == 1 and parsed.has(*_HARMLESS_INSTALLS)):
            for folder in parsed.values_of(*_FOLDERS)[-1:] or [ShellWord(".")]:
                call.write(folder, TargetExtent.PROJECT, names)

    return handle


def _check_updates(call: ProgramCall) -> None:
    """`ncu -u`."""
    if parse_options(call.arguments).has("-u", "--upgrade"):
        call.write(ShellWord("."), TargetExtent.PROJECT, ("package.json",))


_JAVASCRIPT: Final = (
    "install i in add remove rm uninstall un unlink r version pkg-set pkg-delete pkg-fix set-script audit-fix"
    " set-version link up upgrade"
)
PACKAGE_MANAGERS: Final[dict[str, Handler]] = {
    "npm": _packages(
        "package.json", "package-lock.json npm-shrinkwrap.json", changes=_JAVASCRIPT, updates="update"
    ),
    "pnpm": _packages("package.json", "pnpm-lock.yaml", changes=_JAVASCRIPT, updates="update dedupe"),
    "yarn": _packages("package.json", "yarn.lock", changes=_JAVASCRIPT, updates="dedupe"),
    "bun": _packages("package.json", "bun.lock bun.lockb", changes=_JAVASCRIPT, updates="update"),
    **dict.fromkeys(("ncu", "npm-check-updates"), _check_updates),
    "uv": _packages("pyproject.toml", "uv.lock", changes="add remove version", updates="lock sync"),
    "poetry": _packages("pyproject.toml", "poetry.lock", changes="add remove version", updates="lock update"),
    "pdm": _packages("pyproject.toml", "pdm.lock", changes="add remove", updates="lock update"),
    "rye": _packages(
        "pyproject.toml", "requirements.lock", changes="add remove version", updates="lock sync"
    ),
    "hatch": _packages("pyproject.toml", "", changes="version"),
    "pipenv": _packages("Pipfile", "Pipfile.lock", changes="install uninstall", updates="update lock"),
    "cargo": _packages("Cargo.toml", "Cargo.lock", changes="add remove rm", updates="update"),
    "go": _packages("go.mod", "go.sum", changes="get"),
    "bundle": _packages("Gemfile", "Gemfile.lock", changes="add remove", updates="install update lock"),
    "composer": _packages("composer.json", "composer.lock", changes="require remove", updates="update"),
}
