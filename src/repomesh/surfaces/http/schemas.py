"""The versioned JSON Schemas of documents that other programs make or read: changes, briefs and plans."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel

from repomesh.domains.changes.models import ChangeDetail, SubmitChange
from repomesh.domains.requests.lifecycle.models import Brief
from repomesh.domains.requests.planning.models import Plan
from repomesh.surfaces.http.documents import JsonDocument

PATH = "/v1/schemas/"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: dict[str, tuple[type[BaseModel], str]] = {
    "change-request.v1.json": (SubmitChange, "A change that is submitted to the merge queue."),
    "change.v1.json": (ChangeDetail, "A change as it stands in the merge queue."),
    "brief.v1.json": (Brief, "What a request is to achieve, and what it is not."),
    "plan.v1.json": (Plan, "How a request is divided into tasks that own their files."),
}
"""By name: the model, and what documents of it are. A change that breaks readers gets a new version."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of this name; raises KeyError."""
    model, meaning = SCHEMAS[name]
    made = model.model_json_schema(mode="serialization" if model is ChangeDetail else "validation")
    return {"$schema": DIALECT, "$id": f"{PATH}{name}", **made, "description": meaning}


def schema_documents() -> dict[str, JsonDocument]:
    """Every schema by its path."""
    return {f"{PATH}{name}": JsonDocument.of(schema_text(name)) for name in SCHEMAS}


def schema_text(name: str) -> bytes:
    """The schema of this name as it is served and as it stands in the documentation."""
    return orjson.dumps(schema(name), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
