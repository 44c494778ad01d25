"""How risky a change is, by rules on what it touches; and which changes are checked alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from repomesh.adapters.git.modes import EXECUTABLE, SUBMODULE, SYMLINK
from repomesh.domains.changes.configuration import (
    FILE,
    RISK_LEVELS,
    Configuration,
    Needed,
    RiskSection,
)
from repomesh.domains.changes.models import ChangedFile, Risk, RiskLevel
from repomesh.domains.changes.rules import name_some
from repomesh.domains.leases import paths
from repomesh.kernel import limits

CI = (
    ".github/workflows/**",
    ".github/actions/**",
    ".gitlab-ci.yml",
    ".circleci/**",
    ".buildkite/**",
    ".woodpecker/**",
    "Jenkinsfile",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
)
LOCK_FILES = (
    "**/package-lock.json",
    "**/npm-shrinkwrap.json",
    "**/yarn.lock",
    "**/pnpm-lock.yaml",
    "**/bun.lock",
    "**/uv.lock",
    "**/poetry.lock",
    "**/pdm.lock",
    "**/Pipfile.lock",
    "**/Cargo.lock",
    "**/go.sum",
    "**/Gemfile.lock",
    "**/composer.lock",
    "**/flake.lock",
)
BUILD_FILES = (
    "**/Makefile",
    "**/CMakeLists.txt",
    "**/Dockerfile",
    "**/pyproject.toml",
    "**/setup.py",
    "**/setup.cfg",
    "**/package.json",
    "**/Cargo.toml",
    "**/go.mod",
    "**/build.gradle",
    "**/build.gradle.kts",
    "**/pom.xml",
    "**/BUILD.bazel",
)
_RULES = (FILE, "**/.gitattributes", "**/.lfsconfig", "**/CODEOWNERS")

_BY_PATH: tuple[tuple[RiskLevel, str, tuple[str, ...]], ...] = (
    ("critical", "the rules of the queue itself", _RULES),
    ("high", "continuous integration", CI),
    ("high", "submodules", (".gitmodules",)),
    ("medium", "lock files", LOCK_FILES),
    ("medium", "build files", BUILD_FILES),
)
_MANY_FILES, _MANY_LINES, _MANY_DELETED = 50, 1_000, 500  # medium
_VERY_MANY_FILES, _VERY_MANY_LINES = 300, 10_000  # high


def assess(
    files: Sequence[ChangedFile],
    secrets: Sequence[str],
    configuration: Configuration,
    unsearched: Sequence[str] = (),
) -> Risk:
    """The highest level that a rule gives these files, with every reason that has one above 'low'.

    `secrets` are places in the added lines that look like secrets, as 'PATH:LINE (what)'; `unsearched` are
    paths of files that are too large to be searched for them.
    """
    reasons = [*_reasons(files, secrets, unsearched), *_configured_reasons(files, configuration.risk)]
    raised = [(level, reason) for level, reason in reasons if level != "low"]
    raised.sort(key=lambda reason: -RISK_LEVELS.index(reason[0]))
    level: RiskLevel = raised[0][0] if raised else "low"
    shown = [f"{reason_level}: {reason}" for reason_level, reason in raised]
    return Risk(level=level, reasons=shown[: limits.RISK_REASONS_MAX])


def assess_paths(patterns: Sequence[str], configuration: Configuration) -> list[str]:
    """Why a change of files that these patterns hold would be riskier than 'low', by its paths alone."""
    configured = [(section.level, section.name, section.paths) for section in configuration.risk]
    reasons = []
    for level, name, risky in (*_BY_PATH, *configured):
        matching = [pattern for pattern in patterns if any(paths.may_conflict(pattern, r) for r in risky)]
        if level != "low" and matching:
            reasons.append(f"{level}: {name}: {name_some(matching)}")
    return reasons


def needed(configuration: Configuration, level: RiskLevel) -> Needed:
    """Who must approve a change of this risk level."""
    approval: Needed = getattr(configuration.approval, level)
    return approval


def is_barrier(changed: Iterable[str], configuration: Configuration) -> bool:
    """Whether a change of these paths is checked alone: what others do may depend on it."""
    patterns = (*_RULES, *CI, *LOCK_FILES, *BUILD_FILES, *configuration.merge.barrier)
    return any(_matching([path], patterns) for path in changed)


def _reasons(
    files: Sequence[ChangedFile], secrets: Sequence[str], unsearched: Sequence[str]
) -> Iterator[tuple[RiskLevel, str]]:
    names = [file.path for file in files]
    for place in secrets:
        yield "critical", f"looks like a secret: {place}"
    added = sum(file.added for file in files)
    if added > limits.SECRET_LINES_MAX:
        yield "critical", f"{added} added lines; only {limits.SECRET_LINES_MAX} were searched for secrets"
    if unsearched:
        yield "critical", f"too large to be searched for secrets: {name_some(unsearched)}"
    for level, name, patterns in _BY_PATH:
        matching = _matching(names, patterns)
        if matching:
            yield level, f"{name}: {name_some(matching)}"
    by_mode: tuple[tuple[RiskLevel, str, str], ...] = (
        ("high", "symbolic links", SYMLINK),
        ("high", "submodules", SUBMODULE),
        ("medium", "new executables", EXECUTABLE),
    )
    for level, name, mode in by_mode:
        matching = [file.path for file in files if file.mode == mode and file.old_mode != mode]
        if matching:
            yield level, f"{name}: {name_some(matching)}"
    binary = [file.path for file in files if file.binary]
    if binary:
        yield "medium", f"binary files: {name_some(binary)}"
    yield from _size_reasons(files)


def _size_reasons(files: Sequence[ChangedFile]) -> Iterator[tuple[RiskLevel, str]]:
    lines = sum(file.added + file.deleted for file in files)
    deleted = sum(file.deleted for file in files)
    if len(files) >= _MANY_FILES:
        yield "high" if len(files) >= _VERY_MANY_FILES else "medium", f"{len(files)} files"
    if lines >= _MANY_LINES:
        yield "high" if lines >= _VERY_MANY_LINES else "medium", f"{lines} lines"
    if deleted >= _MANY_DELETED:
        yield "medium", f"{deleted} deleted lines"


def _configured_reasons(
    files: Sequence[ChangedFile], rules: Sequence[RiskSection]
) -> Iterator[tuple[RiskLevel, str]]:
    names = [file.path for file in files]
    lines = sum(file.added + file.deleted for file in files)
    deleted = sum(file.deleted for file in files)
    for rule in rules:
        matching = _matching(names, rule.paths) if rule.paths else []
        holds = (
            (not rule.paths or bool(matching))
            and len(files) >= (rule.files_min or 0)
            and lines >= (rule.lines_min or 0)
            and deleted >= (rule.deleted_lines_min or 0)
        )
        if holds:
            yield rule.level, f"{rule.name}: {name_some(matching)}" if matching else rule.name


def _matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if paths.holds_any(patterns, name)]
