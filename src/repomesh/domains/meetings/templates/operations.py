"""Operations on templates: those that come with the server, and each workspace's own."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson
from sqlalchemy import delete, func, insert, select

from repomesh.domains.agents.rules import name_key
from repomesh.domains.meetings.errors import QuorumMissing
from repomesh.domains.meetings.flow import Consensus
from repomesh.domains.meetings.templates.errors import TemplateBuiltIn, TemplateNameTaken, TemplateNotFound
from repomesh.domains.meetings.templates.models import (
    MEETING_TEMPLATE_CREATED,
    MEETING_TEMPLATE_DELETED,
    CreateTemplate,
    ListTemplates,
    OneTemplate,
    Template,
    TemplateChanged,
)
from repomesh.domains.meetings.templates.tables import meeting_templates
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Delete, Get, Post, command, query
from repomesh.store.log import NewEvent
from repomesh.store.paging import read_items
from repomesh.store.transaction import Transaction

_table = meeting_templates.c


def _read_built_in() -> dict[str, Template]:
    text = files("repomesh.domains.meetings.templates").joinpath("built_in.json").read_bytes()
    return {fields["name"]: Template(**fields, built_in=True) for fields in orjson.loads(text)}


BUILT_IN = _read_built_in()
_BUILT_IN_BY_KEY = {name_key(name): template for name, template in BUILT_IN.items()}


@command(
    "meeting_template.create",
    http=Post("/v1/meeting-templates", status=201),
    scope="meetings:write",
    errors=(TemplateNameTaken, QuorumMissing),
)
def create_template(tx: Transaction, request: CreateTemplate) -> Template:
    """Create a template: settings for meetings of one kind, under a name of your choice.

    Names that differ only in case are the same name.
    """
    require_quorum(request.consensus, request.quorum)
    existing = _BUILT_IN_BY_KEY.get(name_key(request.name)) or _find_row(tx, request.name)
    if existing is not None:
        raise TemplateNameTaken(f"there is a template '{existing.name}' already")
    origin = {"built_in": False, "created_by": tx.caller.agent_name, "created_at": tx.now}
    template = Template(**request.model_dump(), **origin)
    row = template.model_dump(exclude={"built_in"}) | {"workspace_id": tx.workspace_id}
    tx.execute(insert(meeting_templates), row)
    _emit_changed(tx, MEETING_TEMPLATE_CREATED, template)
    return template


@query("meeting_template.list", http=Get("/v1/meeting-templates"), scope="meetings:read")
def list_templates(tx: Transaction, request: ListTemplates) -> Page[Template]:
    """List templates: on the first page those that come with the server, then those made here, by name."""
    statement = select(meeting_templates).where(_table.workspace_id == tx.workspace_id)
    read = read_items(tx, statement, request, [_table.name], _as_template)
    built_in = list(BUILT_IN.values()) if request.cursor is None else []
    return Page[Template](items=[*built_in, *read.items], next_cursor=read.next_cursor)


@query(
    "meeting_template.show",
    http=Get("/v1/meeting-templates/{name}"),
    scope="meetings:read",
    errors=(TemplateNotFound,),
)
def show_template(tx: Transaction, request: OneTemplate) -> Template:
    """Show one template."""
    return find(tx, request.name)


@command(
    "meeting_template.delete",
    http=Delete("/v1/meeting-templates/{name}"),
    scope="meetings:write",
    errors=(TemplateNotFound, TemplateBuiltIn),
)
def delete_template(tx: Transaction, request: OneTemplate) -> Template:
    """Delete a template that was made here. Meetings that used it keep its settings."""
    template = find(tx, request.name)
    if template.built_in:
        raise TemplateBuiltIn(f"'{template.name}' comes with the server")
    conditions = _table.workspace_id == tx.workspace_id, _table.name == template.name
    tx.execute(delete(meeting_templates).where(*conditions))
    _emit_changed(tx, MEETING_TEMPLATE_DELETED, template)
    return template


def find(tx: Transaction, name: str) -> Template:
    """The template of this name, else the one whose name differs only in case.

    Raises TemplateNotFound.
    """
    row = _find_row(tx, name)
    built_in = _BUILT_IN_BY_KEY.get(name_key(name))
    if built_in is not None and (row is None or row.name != name):
        return built_in
    if row is None:
        raise TemplateNotFound(f"there is no template '{name}'")
    return _as_template(row)


def require_quorum(consensus: Consensus, quorum: int | None) -> None:
    """Raise QuorumMissing if the rule is 'quorum' and no quorum is given, or the other way round."""
    if (consensus == "quorum") != (quorum is not None):
        raise QuorumMissing(f"consensus '{consensus}' with quorum {quorum}")


def _find_row(tx: Transaction, name: str) -> Any:
    conditions = _table.workspace_id == tx.workspace_id, func.lower(_table.name) == name_key(name)
    matches = tx.execute(select(meeting_templates).where(*conditions)).all()
    return min(matches, key=lambda row: row.name != name, default=None)


def _as_template(row: Any) -> Template:
    fields = {name: value for name, value in row._asdict().items() if name != "workspace_id"}
    return Template(**fields, built_in=False)


def _emit_changed(tx: Transaction, type_: str, template: Template) -> None:
    tx.emit(NewEvent(type_, f"meeting_template/{template.name}", TemplateChanged(template=template)))
