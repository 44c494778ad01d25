"""Two servers on one PostgreSQL database, each with a data folder of its own: what one keeps, both have."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

import contract
import databases
from harness import Mesh
from repomesh.adapters.contents.tables import content_pieces, contents
from repomesh.app import Server, prepare
from repomesh.jobs.contents import ContentSweeper
from repomesh.kernel.clock import system_clock
from repomesh.kernel.data_folder import CONTENTS
from repomesh.kernel.identity import system_caller
from repomesh.kernel.settings import Settings
from repomesh.store import folder

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["postgresql"])]

PATH = "/v1/sessions/work/artifacts"
TEXT = "all work and no play " * 150_000 + "zanzibar"  # 3 MB


@asynccontextmanager
async def server_with(settings: Settings, data: Path) -> AsyncIterator[Mesh]:
    """A running server on the database of `settings`, with another data folder."""
    folder.prepare(data)
    server = Server(settings.model_copy(update={"data": data}), system_clock)
    prepare(server.settings, server.store, "test", None)
    token = folder.read_secret(data / folder.TOKEN)
    assert token is not None
    async with server.running():
        transport = httpx.ASGITransport(server.asgi)
        hooks = {"response": [contract.check]}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=60, event_hooks=hooks
        ) as http:
            yield Mesh(server, http, token, system_clock)


@pytest.fixture
async def other(mesh: Mesh, settings: Settings, tmp_path: Path) -> AsyncIterator[Mesh]:
    """A second server on the database of `mesh`."""
    async with server_with(settings, tmp_path / "other") as made:
        yield made


async def whole(mesh: Mesh, name: str, path: str = PATH) -> str:
    text, offset = "", 0
    while offset is not None:
        part = await mesh.get(f"{path}/{name}/content", offset=offset, max_chars=1_000_000)
        text, offset = text + part["content"], part["next_offset"]
    return text


async def exported(mesh: Mesh, session_id: str) -> list[dict[str, Any]]:
    page = await mesh.get(f"/v1/sessions/{session_id}/export")
    items: list[dict[str, Any]] = page["items"]
    while page["next_cursor"]:
        page = await mesh.get(f"/v1/sessions/{session_id}/export", cursor=page["next_cursor"])
        items += page["items"]
    return items


def kept(mesh: Mesh) -> tuple[int, int]:
    """How many contents and pieces the database holds."""
    counts = [select(func.count()).select_from(table) for table in (contents, content_pieces)]
    found = mesh.server.store.read_now(
        system_caller(""), lambda tx: [tx.execute(count).scalar_one() for count in counts]
    )
    return found[0], found[1]


async def test_what_one_writes_the_other_reads_finds_exports_deletes_and_sweeps(
    mesh: Mesh, other: Mesh
) -> None:
    await mesh.post("/v1/sessions", session_id="work")
    made = await mesh.post(PATH, title="large", artifact_id="large", content=TEXT)
    assert made["bytes"] == len(TEXT)
    assert not (mesh.server.settings.data / CONTENTS).exists(), "nothing lies where only one server is"

    assert await whole(other, "large") == TEXT
    [found] = (await other.get("/v1/search", text="zanzibar"))["items"]
    assert "**zanzibar**" in found["snippet"], "the whole text was read for it"
    session, artifact = await exported(other, "work")
    assert artifact["sha256"] == made["sha256"]

    names = ("title", "type", "description", "media_type", "author", "version", "created_at", "updated_at")
    again = {name: artifact[name] for name in names} | {"what": "artifact", "artifact_id": "large"}
    session = {name: session[name] for name in ("what", "title", "created_at", "updated_at", "version")}
    items = [session, again | {"content": await whole(other, "large")}]
    await other.post("/v1/imports", import_id="i", session_id="copy", after=0, items=items, done=True)
    assert await whole(mesh, "large", "/v1/sessions/copy/artifacts") == TEXT
    assert kept(mesh) == (1, 4), "the same content is kept once"

    for session_id, left in (("work", (1, 4)), ("copy", (0, 0))):
        await other.delete(f"/v1/sessions/{session_id}")
        await mesh.sweep()
        assert await swept(other) == (left == (0, 0))
        assert kept(mesh) == left


async def swept(mesh: Mesh) -> int:
    """One pass of the sweeper over contents of whatever age."""
    assert await mesh.server.contents.run_once() == 0, "they were kept lately"
    return await ContentSweeper(mesh.server.store, mesh.server.store.contents, kept_s=-60.0).run_once()


async def test_both_keep_the_same_at_once(mesh: Mesh, other: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="work")

    async def add(one: Mesh, number: int) -> Any:
        return await one.post(PATH, title="same", artifact_id=f"a{number}", content=TEXT)

    await asyncio.gather(*(add(one, number) for number, one in enumerate((mesh, other) * 3)))
    assert kept(mesh) == (1, 4)
    assert await whole(mesh, "a1") == await whole(other, "a0") == TEXT


async def test_what_a_batch_adds_is_read_by_the_other(mesh: Mesh, other: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="work")
    steps = [
        {"command": "add_artifact", "data": {"title": name, "artifact_id": name, "content": TEXT + name}}
        for name in "ab"
    ]
    about = {"type": "collaborative_session_command", "session_id": "work"}
    await mesh.post("/v1/webhook", **about, command="batch", data={"commands": steps})
    assert [await whole(other, name) for name in "ab"] == [TEXT + "a", TEXT + "b"]


def _pg(program: str) -> str:
    """The path of a program of PostgreSQL; skips without it, but never in CI."""
    found = shutil.which(program) or next(
        map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{program}")), None
    )
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed")
    return found or pytest.skip(f"{program} is not installed")


async def test_a_dump_of_the_database_holds_the_contents(
    mesh: Mesh, settings: Settings, postgres_admin: str, tmp_path: Path
) -> None:
    await mesh.post("/v1/sessions", session_id="work")
    await mesh.post(PATH, title="large", artifact_id="large", content=TEXT)
    dump = tmp_path / "kept.dump"
    assert settings.database_url is not None
    save = [_pg("pg_dump"), "--format=custom", f"--file={dump}", settings.database_url]
    await asyncio.to_thread(subprocess.run, save, check=True)
    with databases.new_database(postgres_admin) as url:
        put_back = [_pg("pg_restore"), "--no-owner", f"--dbname={url}", str(dump)]
        await asyncio.to_thread(subprocess.run, put_back, check=True)
        restored = settings.model_copy(update={"database_url": url})
        async with server_with(restored, tmp_path / "elsewhere") as again:
            assert await whole(again, "large") == TEXT
            again.server.store.close()
