"""Fixtures: a store on each engine, and a whole server on each engine."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import structlog
from hypothesis.internal.conjecture import engine as conjecture

import contract
import databases
from clocks import MovableClock
from harness import Mesh
from notebook import Notebook, open_notebook
from repomesh.app import Server, open_workspace, prepare
from repomesh.kernel.settings import Settings
from repomesh.store import folder

# A test waits for the disk about as long as it computes, so that its files lie in memory where there is room.
# What must survive a loss of power is tested by what is asked of the disk, not by the disk.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 4 * 2**30


def _runs_programs_in_memory() -> bool:
    if not os.access(_MEMORY, os.W_OK):
        return False
    found = os.statvfs(_MEMORY)
    return not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize >= _MEMORY_BYTES_MIN


if _runs_programs_in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# Started in the background of a script, a process ignores interrupts, and all that it starts do, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A property that fails is shown somewhat larger than it could be, but in seconds: Hypothesis shrinks for
# up to five minutes and has no setting for it.
conjecture.MAX_SHRINKING_SECONDS = 15

# What tests make is remembered in a folder of their own, never in the user's.
_STATE = tempfile.TemporaryDirectory(prefix="repomesh-state-")
os.environ["XDG_STATE_HOME"] = _STATE.name

# Tracebacks as they are: drawing them takes seconds.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(),
    ]
)

ENGINES = ("sqlite", "postgresql")
POSTGRES = os.environ.get("REPOMESH_TEST_POSTGRES", "postgresql://127.0.0.1:5432/test")


def _postgres_answers() -> bool:
    try:
        with psycopg.connect(POSTGRES, connect_timeout=3):
            return True
    except psycopg.OperationalError:
        return False


@pytest.fixture(scope="session")
def postgres_admin() -> str:
    """The URL of a database from which others can be made; skips where none answers, but never in CI."""
    if not _postgres_answers():
        if os.environ.get("CI") == "true":
            pytest.fail(f"PostgreSQL does not answer at {POSTGRES}, and CI must run its half of the tests")
        pytest.skip(f"PostgreSQL does not answer at {POSTGRES}; start it with 'pg_ctlcluster 15 main start'")
    return POSTGRES


@pytest.fixture(scope="session")
def shared_database(
    postgres_admin: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[databases.SharedDatabase]:
    """One database for all tests of a process: making one takes longer than most tests."""
    with databases.new_database(postgres_admin) as url:
        shared = databases.SharedDatabase(url, tmp_path_factory.mktemp("shared"))
        yield shared
        shared.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the newest schema."""
    return databases.migrated_file(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def schema() -> bool:
    """Whether the test may find the newest schema in its database; overridden by tests that make it."""
    return True


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, schema: bool) -> Iterator[str]:
    """A database with the newest schema and nothing in it; a new one without it for those who make it."""
    if schema:
        shared = request.getfixturevalue("shared_database")
        shared.empty()
        yield shared.url
        return
    with databases.new_database(request.getfixturevalue("postgres_admin")) as url:
        yield url


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Runs the test once on each engine."""
    return str(request.param)


@pytest.fixture
def settings(request: pytest.FixtureRequest, engine: str, tmp_path: Path, schema: bool) -> Settings:
    """Settings of a server on `engine`, with a data folder of the test's own.

    Parametrise `settings_overrides` (a marker's keyword arguments) for other values.
    """
    marker = request.node.get_closest_marker("settings")
    values = dict(marker.kwargs) if marker else {}
    url = request.getfixturevalue("postgres_url") if engine == "postgresql" else None
    data = tmp_path / "data"
    folder.prepare(data)
    if engine == "sqlite" and schema:
        shutil.copy(request.getfixturevalue("migrated_file"), data / folder.DATABASE)
    # Two passes missed are an absence of the server; whatever time a test lets pass is less.
    usual = {"data": data, "database_url": url, "sweep_every_s": 30 * 86_400.0}
    return Settings(**(usual | {"webhook_hosts": ["receiver.invalid"]} | values))


@pytest.fixture
def clock() -> Iterator[MovableClock]:
    made = MovableClock()
    yield made
    made.close()


@pytest.fixture
def server(
    settings: Settings, clock: MovableClock, schema: bool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server whose store is open; not running yet."""
    # On a busy machine an answer to a hook may come later than a real hook would wait for it.
    monkeypatch.setattr("repomesh.surfaces.hooks.routes.HOOK_ANSWER_S", 60.0)
    if settings.database_url is not None:
        clock.governs(settings.database_url)
    made = Server(settings, clock)
    if schema:  # no need to look for it once more, with connections of its own
        open_workspace(made.store, settings.data, "test", None)
    else:
        prepare(settings, made.store, "test", None)
    yield made
    made.store.close()


@pytest.fixture
def notebook(server: Server) -> Notebook:
    """A notebook in the home workspace of a server whose store is open; see `notebook.Notebook`."""
    return open_notebook(server.store)


@pytest.fixture
async def mesh(server: Server, settings: Settings, clock: MovableClock) -> AsyncIterator[Mesh]:
    """A running server, spoken to over its ASGI application as its owner; see `harness.Mesh`."""
    token = folder.read_secret(settings.data / folder.TOKEN)
    assert token is not None
    async with server.running():
        transport = httpx.ASGITransport(server.asgi)
        hooks = {"response": [contract.check]}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=60, event_hooks=hooks
        ) as http:
            yield Mesh(server, http, token, clock)
