"""Schemas: what the migrations make is what the code expects, and data survives the way there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from notebook import open_notebook
from repomesh.app import Server, prepare
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.leases.prefilter import KIND_CHARS_MAX, NAME_CHARS_MAX, prefilter_columns
from repomesh.domains.messaging.channels.rows import find_channel
from repomesh.domains.workspaces.errors import AnotherRepository
from repomesh.domains.workspaces.operations import home_workspace
from repomesh.jobs.text_rebuild import TextRebuild
from repomesh.kernel.clock import system_clock
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Model
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import folder, migrate, rebuilding
from repomesh.store.base import Store
from repomesh.store.log import NewEvent, read_after
from repomesh.store.open import open_store
from repomesh.store.tables import metadata
from repomesh.store.types import microseconds


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


def test_agents_whose_names_differ_in_case_keep_their_names_and_the_first_the_key(
    store: Store, settings: Settings
) -> None:
    migrate.upgrade(store, "0017")
    workspace = new_id()
    rows(store, f"INSERT INTO workspaces (id, name, home, created_at) VALUES ('{workspace}', 'old', true, 1)")
    ids = {name: new_id() for name in ("bluelake", "Bluelake")}
    for at, (name, id_) in enumerate(ids.items()):
        rows(
            store,
            "INSERT INTO agents (id, workspace_id, name, type, program, model, capabilities, status,"
            " status_text, resources, created_at, last_seen_at, version)"
            f" VALUES ('{id_}', '{workspace}', '{name}', 'ai', '', '', '[]', 'active', '',"
            f" '{{}}', {at}, 1, 1)",
        )
    migrate.upgrade(store)
    reached = store.write_now(
        system_caller(workspace),
        lambda tx: [find_agent(tx, name).name for name in ("bluelake", "Bluelake", "BLUELAKE")],
    )
    assert reached == ["bluelake", "Bluelake", "bluelake"]


def test_channels_whose_names_differ_in_case_keep_their_names_and_the_open_one_the_key(store: Store) -> None:
    migrate.upgrade(store, "0018")
    workspace = new_id()
    rows(store, f"INSERT INTO workspaces (id, name, home, created_at) VALUES ('{workspace}', 'old', true, 1)")
    for at, (name, archived) in enumerate((("DEV", 1), ("dev", "NULL"), ("Dev", "NULL"))):
        rows(
            store,
            "INSERT INTO channels (id, workspace_id, name, description, created_at, archived_at)"
            f" VALUES ('{new_id()}', '{workspace}', '{name}', '', {at}, {archived})",
        )
    migrate.upgrade(store)
    reached = store.write_now(
        system_caller(workspace),
        lambda tx: [find_channel(tx, name).name for name in ("dev", "Dev", "DEV", "dEV")],
    )
    assert reached == ["dev", "Dev", "DEV", "dev"]


ODD_NAMES = (
    *(
        "a",
        ".",
        "..",
        "...",
        ".env",
        "..x",
        "a.",
        "a..",
        "a.b",
        "a.b.c",
        ".a.b",
        "A.PY",
        "é.é",
        "名.名",
        "a b.c d",
    ),
    *(
        "%.%",
        "_._",
        "a.%_",
        "x.\U0001f600",
        "a.b~",
        "[a].[b]",
        "*.py",
        "a.*",
        "?",
        "a:b",
        "a.b:c",
        "-",
        "'",
        "a.'",
    ),
    *("x." + "e" * (KIND_CHARS_MAX + more) for more in (-2, -1, 0, 1)),
    *("x." + "名" * (KIND_CHARS_MAX + more) for more in (-2, -1, 0)),
    *("名" * (NAME_CHARS_MAX + more) + ".py" for more in (-4, -3, -2, 1)),
)
ODD_PATHS = tuple(
    start + name for start in ("", "a/", "a.b/", ".a/", "a/./", "名./", "a./..b/") for name in ODD_NAMES
)


def test_locks_from_before_kinds_names_and_depths_have_those_that_new_ones_have(store: Store) -> None:
    migrate.upgrade(store, "0018")
    workspace, agent = new_id(), new_id()
    rows(store, f"INSERT INTO workspaces (id, name, home, created_at) VALUES ('{workspace}', 'old', true, 1)")
    rows(
        store,
        "INSERT INTO agents (id, workspace_id, name, name_key, type, program, model, capabilities, status,"
        " status_text, resources, created_at, last_seen_at, version)"
        f" VALUES ('{agent}', '{workspace}', 'a', 'a', 'ai', '', '', '[]', 'active', '', '{{}}', 1, 1, 1)",
    )
    old = [
        {"id": new_id(), "resource": path, "prefix": prefix, "number": number}
        for number, path in enumerate(ODD_PATHS)
        for prefix in (path, "a")
    ]
    common = f"'{workspace}', 'path', :resource, :prefix, 'exclusive', '{agent}', 'a', '', 1"
    engine = store.migration_engine()
    with engine.begin() as connection:
        columns = (
            "workspace_id, resource_type, resource, prefix, mode, agent_id, agent_name, note, expires_at"
        )
        held = f"{columns}, id, token_id, fencing_token, ttl_us, acquired_at, max_hold_until"
        queued = f"{columns}, id, ordinal, position, request_hash, since"
        connection.execute(
            text(f"INSERT INTO leases ({held}) VALUES ({common}, :id, 't', :number, 1, 1, 1)"),
            old,
        )
        connection.execute(
            text(f"INSERT INTO lock_waiters ({queued}) VALUES ({common}, :id, 0, :number, 'h', 1)"),
            old,
        )
    engine.dispose()
    migrate.upgrade(store)
    expected = {one["id"]: prefilter_columns("path", str(one["resource"]), str(one["prefix"])) for one in old}
    for table in ("leases", "lock_waiters"):
        found = rows(store, f"SELECT id, kind, name, depth FROM {table}")
        assert {row.id: {"kind": row.kind, "name": row.name, "depth": row.depth} for row in found} == expected


def test_what_was_indexed_in_an_older_form_is_rebuilt_from_what_it_is(store: Store, engine: str) -> None:
    migrate.upgrade(store, "0018")
    words = "'zqdtask old'" if engine == "sqlite" else "array_to_tsvector(ARRAY['zqdtask', 'old'])"
    ids = [new_id() for _ in range(3)]
    rows(store, "INSERT INTO workspaces (id, name, home, created_at) VALUES ('w', 'old', true, 1)")
    for id_ in ids:
        rows(
            store,
            "INSERT INTO tasks (id, workspace_id, goal, type, description, tags, rank, status, scope,"
            " dependencies, capabilities, review_required, max_attempts, attempts, note, reason, unmet,"
            " created_at, updated_at, version)"
            f" VALUES ('{id_}', 'w', 'Rewrite', 'task', 'parseJson', '[]', 0, 'open', '[]', '[]', '[]',"
            " false, 3, 0, '', '', 0, 1, 1, 1)",
        )
    for id_ in (*ids, ids[0], new_id()):  # one cut in two parts, and one of which nothing is left
        rows(
            store,
            "INSERT INTO documents (workspace_id, type, subject_id, words)"
            f" VALUES ('w', 'task', '{id_}', {words})",
        )
    if engine == "sqlite":  # the others wait to be indexed
        rows(store, "INSERT INTO document_text (rowid, words) SELECT id, words FROM documents WHERE id = 1")
        rows(store, "UPDATE document_index SET through = 1")
    migrate.upgrade(store)
    caller = system_caller("w")

    def find(word: str) -> list[str]:
        found = store.read_now(
            caller, lambda tx: tx.text_index.find(tx.connection, "w", ["task"], [word], None, 10)
        )
        return [id_ for _, _, id_ in found]

    assert find("old") == find("json") == []
    assert store.read_now(caller, rebuilding.left_percent) == 100
    later = new_id()
    store.write_now(caller, lambda tx: tx.index_text("task", later, "newer json"))
    assert find("json") == [later]
    anyio.run(TextRebuild(store, 60).run_once)
    assert find("old") == []
    assert find("json") == [later, ids[0], ids[2], ids[1]]
    assert store.read_now(caller, rebuilding.left_percent) is None
    if engine == "sqlite":
        rows(store, "INSERT INTO document_text (document_text) VALUES ('integrity-check')")
        store.write_now(caller, lambda tx: tx.text_index.remove(tx.connection, "w", "task", ids[0]))
        rows(store, "INSERT INTO document_text (document_text) VALUES ('integrity-check')")


def test_time_goes_on_from_the_newest_event_of_an_older_database(store: Store) -> None:
    migrate.upgrade(store, "0014")
    ahead = system_clock() + timedelta(hours=1)
    rows(store, "INSERT INTO counters VALUES ('w', 1, 1, 0)")
    rows(
        store,
        "INSERT INTO events (workspace_id, seq, id, type, version, subject, principal, audience,"
        " audience_ids, severity, correlation_id, hop, data, at) VALUES ('w', 1, 'e', 'test.note', 1, 's',"
        f" 'p', 'workspace', '', 'info', 'c', 0, '{{}}', {microseconds(ahead)})",
    )
    migrate.upgrade(store)
    caller = system_caller("w")
    store.write_now(caller, lambda tx: tx.emit(NewEvent("test.note", "s", Nothing())))
    old, new = store.read_now(caller, lambda tx: read_after(tx.connection, "w", 0, 10).events)
    assert old.at == ahead
    assert new.at > ahead


class Nothing(Model):
    pass


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
