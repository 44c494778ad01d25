"""`repomesh.toml`: how the merge queue works on a repository. Only the target branch's tip counts."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator, model_validator

from repomesh.domains.changes.models import RiskLevel
from repomesh.domains.leases import paths
from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict
from repomesh.kernel.fields import Name, Tag
from repomesh.kernel.operation import Model

FILE = "repomesh.toml"
"""At the repository's root."""

RISK_LEVELS: tuple[RiskLevel, ...] = ("low", "medium", "high", "critical")

_BUILT_IN = "built in"


class ConfigurationInvalid(Conflict):
    """The target branch has a `repomesh.toml` that can't be used, so the merge queue stands still."""

    code = "queue_configuration_invalid"
    hint = "Correct repomesh.toml on the target branch; 'repomesh queue config' shows what is wrong."


def _as_glob(pattern: str) -> str:
    try:
        return paths.normalise(pattern)
    except paths.InvalidPathPattern as error:
        raise ValueError(f"{error.problem}; {error.hint}") from None


Globs = Annotated[tuple[Annotated[str, StringConstraints(min_length=1)], ...], Field(max_length=100)]
Seconds = Annotated[float, Field(gt=0, le=limits.CHECK_S_MAX)]
CheckName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]*$", max_length=64)]
Branch = Annotated[
    str,
    StringConstraints(
        pattern=r"^[^\x00-\x20\x7f~^:?*\[\\/.-][^\x00-\x20\x7f~^:?*\[\\]*$",
        max_length=limits.LABEL_CHARS_MAX,
    ),
]


class _Section(Model):
    """A table of the file, whose path patterns are written as those of locks."""

    @field_validator("paths", "append_only", "barrier", mode="after", check_fields=False)
    @classmethod
    def _normalise(cls, patterns: Sequence[str]) -> tuple[str, ...]:
        return tuple(_as_glob(pattern) for pattern in patterns)


class QueueSection(_Section):
    """`[queue]`: the branch that changes land on, and how."""

    target: Branch | None = Field(
        None, description="The branch; by default the remote's, else main, master, trunk or develop."
    )
    land: Literal["squash", "rebase", "merge"] = "squash"
    verify: Literal["each", "batch"] = Field(
        "each", description="'each': every commit that lands was checked; 'batch': the last of each batch."
    )
    batch_max: int = Field(
        5, ge=1, le=limits.QUEUE_BATCH_MAX, description="Changes that are checked together at most."
    )
    checks_at_once: int = Field(2, ge=1, le=16, description="Work trees in which checks run side by side.")
    push: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=100)] | None
    ) = Field(None, description="The remote to push to; none by default.")
    attempts_max: int = Field(3, ge=1, le=20, description="Returns to its author before the quarantine.")
    sandbox: Literal["auto", "off", "required"] = Field(
        "auto",
        description="Whether checks run under bubblewrap without network: 'auto' where it is installed.",
    )


class CheckSection(_Section):
    """`[[checks]]`: a command that must succeed before a change lands."""

    name: CheckName
    command: str | tuple[str, ...] = Field(description="For a shell, or a list of words for none.")
    timeout: Seconds = Field(600.0, description="Seconds.")
    paths: Globs = Field((), description="It runs where one of them changed; always without any.")
    memory_mb: int | None = Field(
        None,
        ge=64,
        le=1_048_576,
        description="Of all its processes; by default its share of half the machine.",
    )

    @model_validator(mode="after")
    def _has_command(self) -> CheckSection:
        words = [self.command] if isinstance(self.command, str) else list(self.command)
        if not words or not words[0].strip() or any("\0" in word for word in words):
            raise ValueError("command: must name a program")
        return self

    @property
    def arguments(self) -> list[str]:
        """The words with which the command is started."""
        return ["/bin/sh", "-c", self.command] if isinstance(self.command, str) else list(self.command)

    def is_for(self, changed: Sequence[str]) -> bool:
        """Whether it must run for a change of these paths."""
        return not self.paths or any(paths.holds_any(self.paths, path) for path in changed)


class RiskSection(_Section):
    """`[[risk]]`: what makes a change as risky as `level`. Every condition that is given must hold."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    level: RiskLevel
    paths: Globs = ()
    files_min: int | None = Field(None, ge=1)
    lines_min: int | None = Field(None, ge=1)
    deleted_lines_min: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _has_condition(self) -> RiskSection:
        if not self.paths and not any((self.files_min, self.lines_min, self.deleted_lines_min)):
            raise ValueError("needs a condition: paths, files_min, lines_min or deleted_lines_min")
        return self


class Needed(Model):
    """Who must approve a change of one risk level."""

    people: int = Field(0, ge=0, le=10, description="Agents of type 'human'.")
    reviewers: int = Field(0, ge=0, le=10, description="Agents of any type, people included.")
    owners: bool = Field(False, description="An owner of each file, as CODEOWNERS says.")


class ApprovalSection(_Section):
    """`[approval]`: who must approve changes of each risk level, and for how long a request waits."""

    low: Needed = Needed()
    medium: Needed = Needed()
    high: Needed = Needed()
    critical: Needed = Needed(people=1)
    escalates_h: float = Field(24.0, gt=0, le=24 * 90, description="Hours until people are asked again.")
    expires_h: float = Field(72.0, gt=0, le=24 * 90, description="Hours until the change is returned.")


class MergeSection(_Section):
    """`[merge]`: files that are merged in a way of their own."""

    append_only: Globs = Field((), description="Both sides' added lines are kept, such as of a changelog.")
    barrier: Globs = Field(
        (), description="A change of one of them is checked alone, besides the built-in ones."
    )
    case_collisions: bool = Field(
        False, description="Whether paths may differ in case only, which macOS and Windows can't check out."
    )
    structured: bool = Field(True, description="Whether conflicts are merged by the files' structure.")


class RoleSection(_Section):
    """`[roles.NAME]`: who does one part of a request's way."""

    agent: Name | None = Field(None, description="The agent that gets the work, by name.")
    capability: Tag | None = Field(None, description="Any agent that can do this gets the work.")
    person: bool = Field(False, description="People are asked.")
    instructions: (
        Annotated[str, StringConstraints(min_length=1, max_length=limits.PATTERN_CHARS_MAX)] | None
    ) = Field(None, description="A Markdown file of the repository that the agent is pointed to.")

    @model_validator(mode="after")
    def _has_one_holder(self) -> RoleSection:
        if sum((self.agent is not None, self.capability is not None, self.person)) != 1:
            raise ValueError("needs exactly one of agent, capability and person")
        return self


class RolesSection(Model):
    """`[roles]`: who writes briefs and plans, and who does their tasks. The server itself without them."""

    engineer: RoleSection | None = Field(None, description="Writes the brief; else it is the request's text.")
    orchestrator: RoleSection | None = Field(
        None, description="Makes the plan; else the server divides the brief's files among tasks."
    )
    developer: RoleSection | None = Field(
        None, description="Does the tasks; else any agent of the workspace claims them."
    )


class RequestsSection(Model):
    """`[requests]`: how requests become tasks."""

    approval: Literal["always", "risk", "never"] = Field(
        "risk",
        description="When a person must approve a brief and a plan: 'risk' where a rule names a reason.",
    )


class Configuration(Model):
    """The whole of `repomesh.toml`."""

    queue: QueueSection = QueueSection()
    checks: Annotated[tuple[CheckSection, ...], Field(max_length=limits.CHECKS_MAX)] = ()
    risk: Annotated[tuple[RiskSection, ...], Field(max_length=100)] = ()
    approval: ApprovalSection = ApprovalSection()
    merge: MergeSection = MergeSection()
    requests: RequestsSection = RequestsSection()
    roles: RolesSection = RolesSection()

    @model_validator(mode="after")
    def _names_once(self) -> Configuration:
        names = [check.name for check in self.checks]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"checks: the name {repeated[0]!r} stands twice")
        return self


def parse(content: bytes | None) -> Configuration:
    """The configuration in a file's content; the built-in one for None.

    Raises ConfigurationInvalid, which names each wrong key and the nearest known one.
    """
    if content is None:
        return Configuration()
    if len(content) > limits.QUEUE_CONFIGURATION_BYTES_MAX:
        raise ConfigurationInvalid(f"{FILE} is larger than {limits.QUEUE_CONFIGURATION_BYTES_MAX} bytes")
    try:
        values = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationInvalid(f"{FILE}: {error}") from None
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        raise ConfigurationInvalid(f"{FILE}: {'; '.join(_problems(error))}") from None


def describe(configuration: Configuration, target: str) -> dict[str, dict[str, Any]]:
    """Each key in force, by its name in the file, with its `value` and its `source`."""
    described: dict[str, dict[str, Any]] = {}
    for name in Configuration.model_fields:
        section = getattr(configuration, name)
        if isinstance(section, tuple):
            source = FILE if section else _BUILT_IN
            described[name] = {"value": [item.model_dump(mode="json") for item in section], "source": source}
            continue
        for key, value in section.model_dump(mode="json").items():
            source = FILE if key in section.model_fields_set else _BUILT_IN
            if (name, key) == ("queue", "target") and value is None:
                value, source = target, "the remote's default branch, or a usual name"
            described[f"{name}.{key}"] = {"value": value, "source": source}
    return described


def _problems(error: ValidationError) -> list[str]:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return [_describe_problem(dict(problem)) for problem in problems[: limits.PROBLEM_FIELDS_MAX]]


def _describe_problem(problem: dict[str, Any]) -> str:
    location = [part for part in problem["loc"] if not isinstance(part, str) or "[" not in part]
    where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] != "extra_forbidden":
        return f"{where}: {message}" if where else message
    nearest = get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1, cutoff=0.5)
    suggestion = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{where}: unknown key{suggestion}"


def _known_keys(location: Sequence[Any]) -> list[str]:
    """The keys that the table at `location` may have."""
    model: type[BaseModel] = Configuration
    for part in location:
        if isinstance(part, str):
            model = _SECTIONS.get(part, model)
    return list(model.model_fields)


_SECTIONS: dict[str, type[BaseModel]] = {
    "queue": QueueSection,
    "checks": CheckSection,
    "risk": RiskSection,
    "approval": ApprovalSection,
    "merge": MergeSection,
    **dict.fromkeys(RISK_LEVELS, Needed),
}
