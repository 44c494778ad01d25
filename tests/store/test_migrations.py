"""Schemas: what the migrations make is what the code expects, and data survives the way there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from notebook import open_notebook
from repomesh.app import Server, prepare
from repomesh.domains.workspaces.errors import AnotherRepository
from repomesh.domains.workspaces.operations import home_workspace
from repomesh.kernel.clock import system_clock
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import folder, migrate
from repomesh.store.base import Store
from repomesh.store.open import open_store
from repomesh.store.tables import metadata


@pytest.fixture
def schema() -> bool:
    """These tests have databases of their own."""
    return False


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """A store without a schema."""
    made = open_store(settings, Metrics(), system_clock)
    yield made
    made.close()


def rows(store: Store, statement: str) -> list[Any]:
    engine = store.migration_engine()
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        answer = list(found) if found.returns_rows else []
    engine.dispose()
    return answer


def test_the_migrations_make_just_the_tables_of_the_code(store: Store) -> None:
    migrate.upgrade(store)

    def ours(_object: Any, name: str | None, type_: str, reflected: bool, _other: Any) -> bool:
        # The words of the full text stand where each engine keeps them, outside of the tables.
        engines_own = (name or "").startswith("document_") or name in ("words", "ix_documents_words")
        return not (reflected and engines_own)

    engine = store.migration_engine()
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": ours, "compare_type": True, "compare_server_default": True}
        )
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_indexes_stand_where_the_code_says_on_which_rows(store: Store) -> None:
    """A partial index without its condition would refuse rows, or serve no query."""
    migrate.upgrade(store)
    engine = store.migration_engine()
    dialect = engine.dialect.name
    for table in metadata.sorted_tables:
        made = {index["name"]: index for index in sa.inspect(engine).get_indexes(table.name)}
        for index in table.indexes:
            found = made[index.name].get("dialect_options", {}).get(f"{dialect}_where")
            declared = index.dialect_options[dialect]["where"]
            assert (found is None) == (declared is None), index.name
            if declared is not None and dialect == "sqlite":  # the other engine rewrites what it is given
                assert str(found) == _sql(declared, engine), index.name
            assert made[index.name]["unique"] == bool(index.unique), index.name
    engine.dispose()


def _sql(condition: Any, engine: sa.Engine) -> str:
    """A condition as it stands in a CREATE INDEX: without the table's name."""
    compiled = condition.compile(engine, compile_kwargs={"literal_binds": True, "include_table": False})
    return str(compiled)


def test_the_constant_names_the_newest_revision() -> None:
    script = ScriptDirectory.from_config(migrate._config())
    assert script.get_heads() == [migrate.HEAD]
    assert migrate.known_revisions()[-1] == migrate.HEAD


def test_there_is_no_way_back(store: Store) -> None:
    """Going back would lose data; the backup that was made before is the way back."""
    migrate.upgrade(store)
    for revision in ScriptDirectory.from_config(migrate._config()).walk_revisions():
        assert not hasattr(revision.module, "downgrade")


def test_an_older_database_keeps_its_data(store: Store, settings: Settings) -> None:
    migrate.upgrade(store, "0001")
    workspace, agent = "0198d2a0-0000-7000-8000-000000000001", "0198d2a0-0000-7000-8000-000000000002"
    rows(store, f"INSERT INTO workspaces (id, name, home, created_at) VALUES ('{workspace}', 'old', true, 1)")
    rows(store, f"INSERT INTO counters VALUES ('{workspace}', 0, 1, 0)")
    rows(
        store,
        "INSERT INTO agents (id, workspace_id, name, type, program, model, capabilities, status, status_text,"
        " resources, created_at, last_seen_at, version)"
        f" VALUES ('{agent}', '{workspace}', 'alice', 'ai', '', '', '[]', 'active', '', '{{}}', 1, 1, 1)",
    )
    with pytest.raises(migrate.SchemaOutdated):
        migrate.check(store)
    assert prepare(settings, store, "old", None) == workspace
    assert migrate.check(store) == migrate.HEAD
    assert [row.name for row in rows(store, "SELECT name FROM agents")] == ["alice"]
    notebook = open_notebook(store)
    notebook.write_now("written by the new release")
    assert notebook.texts() == {"written by the new release"}


def test_what_was_indexed_before_types_were_words_is_found_by_its_type(store: Store, engine: str) -> None:
    migrate.upgrade(store, "0008")
    words = "'old parser'" if engine == "sqlite" else "array_to_tsvector(ARRAY['old', 'parser'])"
    ids = [new_id() for _ in range(3)]
    for type_, id_ in zip(("message", "note", "message"), ids, strict=True):
        rows(
            store,
            "INSERT INTO documents (workspace_id, type, subject_id, words)"
            f" VALUES ('w', '{type_}', '{id_}', {words})",
        )
        if engine == "sqlite" and id_ == ids[0]:  # the others wait to be indexed
            rows(store, "INSERT INTO document_text (rowid, words) SELECT id, words FROM documents")
            rows(store, "UPDATE document_index SET through = 1")
    migrate.upgrade(store)

    def find(tx: Any) -> list[str]:
        found = tx.text_index.find(tx.connection, "w", ["message"], ["parser"], None, 10)
        return [id_ for _, _, id_ in found]

    assert store.read_now(system_caller("w"), find) == [ids[2], ids[0]]
    if engine == "sqlite":
        rows(store, "INSERT INTO document_text (document_text) VALUES ('integrity-check')")


def test_a_newer_database_is_left_alone(store: Store, settings: Settings) -> None:
    prepare(settings, store, "test", None)
    rows(store, "UPDATE alembic_version SET version_num = '9999'")
    for attempt in (migrate.upgrade, migrate.check):
        with pytest.raises(migrate.SchemaTooNew) as refused:
            attempt(store)
        assert "9999" in refused.value.message
    assert rows(store, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Any, target: str) -> None:
        command_upgrade(config, target)
        connection = config.attributes["connection"]
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))
        raise RuntimeError("the machine was switched off")

    command_upgrade = command.upgrade
    migrate.upgrade(store, "0001")
    monkeypatch.setattr(command, "upgrade", fail)
    with pytest.raises(RuntimeError):
        migrate.upgrade(store)
    assert migrate.current(store) == "0001"
    engine = store.migration_engine()
    tables = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    assert "half_done" not in tables
    assert "agents" in tables
    assert len(tables & {table.name for table in metadata.sorted_tables}) < len(metadata.sorted_tables)


@pytest.mark.parametrize("engine", ["postgresql"])
def test_servers_that_start_together_make_one_schema_and_one_home(settings: Settings) -> None:
    def start(number: int, name: str = "parser") -> str:
        data = settings.data.parent / str(number)
        folder.prepare(data)
        server = Server(settings.model_copy(update={"data": data}))
        try:
            return prepare(server.settings, server.store, name, None)
        finally:
            server.store.close()

    with ThreadPoolExecutor(4) as pool:
        homes = set(pool.map(start, range(4)))
    with pytest.raises(AnotherRepository, match="'parser', not of 'lexer'"):
        start(4, "lexer")
    assert start(3, "renamed") in homes  # its folder was there before
    assert len(homes) == 1
    store = open_store(settings, Metrics(), system_clock)
    assert migrate.check(store) == migrate.HEAD
    home = store.read_now(system_caller(""), home_workspace)
    store.close()
    assert home is not None
    assert {home.id} == homes


@pytest.mark.parametrize("engine", ["sqlite"])
def test_foreign_keys_hold_where_commands_write_and_rest_where_tables_are_rebuilt(store: Store) -> None:
    def setting(tx: Any) -> int:
        value: int = tx.connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one()
        return value

    assert store.write_now(system_caller(""), setting) == 1
    assert rows(store, "PRAGMA foreign_keys") == [(0,)]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_database_is_readable_by_its_owner_only(server: Server, settings: Settings) -> None:
    notebook = open_notebook(server.store)
    notebook.write_now("private")
    for path in settings.data.glob(f"{folder.DATABASE}*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert sqlite3.sqlite_version_info >= (3, 35)  # RETURNING
