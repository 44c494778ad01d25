"""The catalogue says what the registry says."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

from repomesh.client.catalogue import operation, operations
from repomesh.client.errors import UnknownOperation
from repomesh.operations import registry
from repomesh.surfaces.catalogue import catalogue_text

SERVER_ONLY = {"sqlalchemy", "alembic", "mcp", "uvicorn", "starlette", "structlog", "opentelemetry"}


def test_it_is_up_to_date() -> None:
    kept = files("repomesh.client").joinpath("catalogue.json").read_text()
    assert kept == catalogue_text(registry), "write it anew with 'make docs'"


def test_every_result_model_can_be_found() -> None:
    for described in operations().values():
        if described.kind != "subscription":
            assert described.result_model() is registry[described.name].result


def test_every_model_loads_without_the_server() -> None:
    places = {place for each in operations().values() for place in (each.request, *each.result)}
    modules = sorted({place.partition(":")[0] for place in places})
    assert [name for name in modules if not name.endswith("models")] == [
        "repomesh.kernel.fields",
        "repomesh.kernel.operation",
    ], "models stand in modules that import-linter keeps free of the server"
    code = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in done.stdout.split()} & SERVER_ONLY
    assert not [
        name for name in done.stdout.split() if name.startswith(("repomesh.store", "repomesh.surfaces"))
    ]


def test_an_unknown_operation_is_named() -> None:
    with pytest.raises(UnknownOperation) as refused:
        operation("agent.fly")
    assert "agent.fly" in refused.value.message


def test_clients_start_without_the_server() -> None:
    code = (
        "import sys; import repomesh.client.client, repomesh.cli.root, repomesh.cli.generic as g; "
        "g.noun_group('agent', ''); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & SERVER_ONLY
