"""Writes the generated parts of docs/ from the code, or says with --check which of them are out of date.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; the words around it are written
by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import webhook_reference
from pydantic import BaseModel

import repomesh.app  # with it come the errors of the surfaces
import repomesh.domains.requests.planning.requested_paths  # no operation imports it yet
import repomesh.surfaces.mcp.sessions  # noqa: F401 (which the app imports only when MCP is used)
from repomesh.cli.root import ENTRIES
from repomesh.connect.cli_registry import CLIS
from repomesh.kernel.errors import FAILURES, RepomeshError
from repomesh.kernel.event_types import EVENT_TYPES
from repomesh.kernel.operation import Kind, Operation
from repomesh.kernel.settings import Settings
from repomesh.operations import registry
from repomesh.surfaces.http import schemas

DOCS = Path(__file__).parent.parent / "docs"
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def operations() -> str:
    """Every operation on HTTP, by domain, with its fields, refusals and scope."""
    lines: list[str] = []
    domain = ""
    for operation in sorted(registry, key=lambda op: op.name.partition(".")[0]):
        if operation.http is None:
            continue
        if operation.name.partition(".")[0] != domain:
            domain = operation.name.partition(".")[0]
            lines += [f"### {domain}", ""]
        lines += _operation(operation)
    return "\n".join(lines)


def _operation(operation: Operation) -> list[str]:
    http = operation.http
    assert http is not None
    lines = [f"#### `{http.method} {http.path}`", "", f"`{operation.name}` · scope `{operation.scope}`"]
    if operation.needs_agent:
        lines[-1] += " · acts as an agent"
    if operation.kind is Kind.COMMAND and operation.rate:
        lines[-1] += f" · rate limit `{operation.rate}`"
    lines += ["", operation.summary]
    if operation.description:
        lines += ["", operation.description]
    lines.append("")
    schema = operation.request.model_json_schema()
    properties = schema.get("properties", {})
    required = {*schema.get("required", [])}
    for name, field in properties.items():
        need = (
            "in the path" if name in http.path_fields else "required" if name in required else _default(field)
        )
        described = f": {field['description']}" if "description" in field else ""
        lines.append(f"- `{name}` ({_type(field)}, {need}){described}")
    if operation.errors:
        codes = ", ".join(f"`{error.code}`" for error in operation.errors)
        lines += ["", f"Refusals of its own: {codes}."]
    return [*lines, ""]


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "optional" if default is None else f"default `{json.dumps(default)}`"


def _type(field: dict[str, Any]) -> str:
    """A JSON schema in a word or two."""
    choices = [choice for choice in field.get("anyOf", []) if choice.get("type") != "null"]
    if choices:
        return " or ".join(_type(choice) for choice in choices)
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list of {_type(items)}"
    return str(field.get("format") or field.get("type") or "any JSON")


def tools() -> str:
    """Every MCP tool with the fields that it advertises."""
    lines = ["| tool | does | fields |", "|---|---|---|"]
    for operation in registry:
        if operation.tool is None:
            continue
        fields = operation.tool.fields
        names = operation.request.model_fields if fields is None else fields
        described = operation.tool.description or operation.summary
        lines.append(
            f"| `{operation.tool.name}` | {described} | {', '.join(f'`{name}`' for name in names)} |"
        )
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Every setting with its environment variable, default and meaning."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        plain = default.model_dump_json() if isinstance(default, BaseModel) else default
        shown = "" if plain is None or plain == [] else f"`{plain}`"
        lines.append(f"| `REPOMESH_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def errors() -> str:
    """Every error code with its status and what to do."""
    lines = ["| code | HTTP | exit | meaning | what to do |", "|---|---|---|---|---|"]
    for error in sorted(_all_errors(), key=lambda error: error.code):
        codes = FAILURES[error.failure]
        title = " ".join((error.__doc__ or "").split("\n\n")[0].split())
        lines.append(f"| `{error.code}` | {codes.http} | {codes.exit} | {title} | {error.hint} |")
    return "\n".join(lines).replace("…|", "…\\|") + "\n"


def _all_errors() -> set[type[RepomeshError]]:
    found: set[type[RepomeshError]] = set()
    waiting: list[type[RepomeshError]] = [RepomeshError]
    while waiting:
        for subclass in waiting.pop().__subclasses__():
            if subclass.__module__.startswith("repomesh.") and subclass not in found:
                found.add(subclass)
                waiting.append(subclass)
    by_code: dict[str, type[RepomeshError]] = {}
    for error in sorted(found, key=lambda error: len(error.__mro__)):
        by_code.setdefault(error.code, error)
    return set(by_code.values())


def events() -> str:
    """Every event type that the server writes itself."""
    lines = ["| type | meaning | members of its data |", "|---|---|---|"]
    for name, type_ in sorted(EVENT_TYPES.items()):
        members = ", ".join(f"`{field}`" for field in type_.data.model_fields)
        lines.append(f"| `{name}` | {type_.meaning} | {members} |")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every command with its arguments and options."""
    lines: list[str] = []
    for name, entry in ENTRIES.items():
        lines += [f"### `repomesh {name}`", "", entry.help, ""]
        if name == "mcp":  # it is not made of the same stuff, since it must start fast
            lines += ["- `--agent NAME`, `--cli CLI`, `--url URL`: see `repomesh mcp --help`", ""]
            continue
        command = entry.load(name)
        children = getattr(command, "commands", None)
        if children is None:
            lines += [*_parameters(command), ""]
            continue
        if command.invoke_without_command and (own := _parameters(command)):
            lines += [*own, ""]
        for child in sorted(children):
            help_text = (children[child].help or "").split("\n\n")[0].replace("\n", " ")
            lines += [f"#### `repomesh {name} {child}`", "", help_text, "", *_parameters(children[child]), ""]
    return "\n".join(lines)


def _parameters(command: Any) -> list[str]:
    lines = []
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        shown = ", ".join(f"`{option}`" for option in parameter.opts)
        if parameter.param_type_name == "argument":
            shown = f"`{parameter.name.upper()}`"
        described = " ".join((getattr(parameter, "help", None) or "").split())
        lines.append(f"- {shown}: {described}" if described else f"- {shown}")
    return lines


def clis() -> str:
    """What connect knows of each agent CLI, and what its hooks can do."""
    ways = ("start", "busy", "turn_end", "wake", "guard")
    lines = ["| CLI | MCP entry | hooks | at start | while busy | end of turn | when idle | before an edit |"]
    lines.append("|---" * 8 + "|")
    for cli in CLIS.values():
        routes = cli.routes()
        found = [", ".join(routes[way]) or "–" for way in ways]
        lines.append("| " + " | ".join([cli.title, cli.servers_in, cli.hooks_in or "–", *found]) + " |")
    return "\n".join(lines) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "webhook-commands": webhook_reference.commands,
    "webhook-envelope": webhook_reference.envelope,
    "webhook-errors": lambda: webhook_reference.errors({error.code: error for error in _all_errors()}),
    "webhook-types": webhook_reference.types,
    "webhook-models": webhook_reference.models,
    "clis": clis,
    "commands": commands,
    "operations": operations,
    "tools": tools,
    "settings": settings,
    "errors": errors,
    "events": events,
}


def main() -> int:
    """Write every part, or compare when called with --check; answers how many files differ."""
    check = "--check" in sys.argv[1:]
    stale = 0
    derived = {
        page: _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", page.read_text())
        for page in sorted(DOCS.rglob("*.md"))
    }
    derived |= {DOCS / "schemas" / name: schemas.schema_text(name).decode() for name in schemas.SCHEMAS}
    for page, after in derived.items():
        if page.exists() and page.read_text() == after:
            continue
        stale += 1
        if check:
            print(f"{page.relative_to(DOCS.parent)} is out of date: run 'make docs'", file=sys.stderr)
        else:
            page.parent.mkdir(exist_ok=True)
            page.write_text(after)
    return stale if check else 0


if __name__ == "__main__":
    sys.exit(main())
