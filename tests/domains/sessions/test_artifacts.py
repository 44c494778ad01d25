"""Artifacts are kept in versions; what is large is a file, there before its row and gone after it."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from harness import Mesh, Refused
from repomesh.kernel import limits
from repomesh.kernel.settings import Settings
from repomesh.store import contents

pytestmark = pytest.mark.anyio

PATH = "/v1/sessions/work/artifacts"
LARGE = "x" * (limits.ARTIFACT_STORED_BYTES_MAX + 1)


@pytest.fixture
async def work(mesh: Mesh) -> Mesh:
    """A mesh with a session."""
    await mesh.post("/v1/sessions", session_id="work")
    return mesh


def files(settings: Settings) -> list[Path]:
    return sorted(path for path in (settings.data / contents.FOLDER).glob("*/*") if path.is_file())


async def refused(mesh: Mesh, **body: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await mesh.post(PATH, **body)
    return caught.value


async def whole(mesh: Mesh, name: str, **criteria: Any) -> str:
    read, offset = "", 0
    while offset is not None:
        part = await mesh.get(f"{PATH}/{name}/content", offset=offset, max_chars=1_000_000, **criteria)
        read, offset = read + part["content"], part["next_offset"]
    return read


async def test_an_artifact_is_kept_in_versions(work: Mesh) -> None:
    alice = await work.agent("alice")
    made = await alice.post(
        PATH, title="app", artifact_id="app.py", type="code", content="print(1)", tags=["x"]
    )
    assert (made["version"], made["author"], made["media_type"], made["bytes"]) == (
        1,
        "alice",
        "text/plain",
        8,
    )
    assert made["sha256"] == hashlib.sha256(b"print(1)").hexdigest()
    again = await alice.post(
        PATH, title="app", artifact_id="app.py", type="code", content="print(1)", tags=["x"]
    )
    assert again == made
    second = await work.post(PATH, title="app", artifact_id="app.py", type="code", content="print(2)")
    assert (second["id"], second["version"]) == (made["id"], 2)
    assert await whole(work, "app.py") == "print(2)"
    assert await whole(work, "app.py", at_version=1) == "print(1)"
    versions = (await work.get(f"{PATH}/app.py/versions"))["items"]
    assert [(one["version"], one["author"]) for one in versions] == [(2, None), (1, "alice")]
    with pytest.raises(Refused) as caught:
        await work.get(f"{PATH}/app.py/content", at_version=3)
    assert caught.value.code == "artifact_not_found"


async def test_what_is_no_text_comes_and_goes_in_base64(work: Mesh) -> None:
    raw = bytes(range(256)) * 3
    await work.post(
        PATH,
        title="i",
        artifact_id="i",
        media_type="image/png",
        content_base64=base64.b64encode(raw).decode(),
    )
    read, offset = b"", 0
    while offset is not None:
        part = await work.get(f"{PATH}/i/content", offset=offset, max_chars=200)
        assert part["encoding"] == "base64"
        read, offset = read + base64.b64decode(part["content"]), part["next_offset"]
    assert read == raw


async def test_exactly_one_content_is_taken_and_links_have_none_here(work: Mesh) -> None:
    for bad in (
        {},
        {"content": "x", "url": "https://example.org/"},
        {"content_base64": "%%%"},
        {"url": "javascript:1"},
    ):
        assert (await refused(work, title="t", **bad)).status == 422
    link = await work.post(PATH, title="t", artifact_id="l", type="link", url="https://example.org/a")
    assert link["url"] == "https://example.org/a"
    with pytest.raises(Refused) as caught:
        await work.get(f"{PATH}/l/content")
    assert caught.value.code == "artifact_is_link"


async def test_artifacts_are_found_by_type_and_tag(work: Mesh) -> None:
    await work.post(PATH, title="a", artifact_id="a", type="code", content="x", tags=["50%_off"])
    await work.post(PATH, title="b", artifact_id="b", type="data", content={"rows": []}, tags=["50xxoff"])

    async def names(**criteria: Any) -> list[str]:
        return [one["artifact_id"] for one in (await work.get(PATH, **criteria))["items"]]

    assert await names() == ["b", "a"]
    assert await names(type="code") == ["a"]
    assert await names(tag="50%_off") == ["a"]
    assert (await work.get(f"{PATH}/b"))["media_type"] == "application/json"


async def test_what_is_large_is_a_file_beside_the_database(work: Mesh, settings: Settings) -> None:
    made = await work.post(PATH, title="large", artifact_id="large", content=LARGE)
    await work.post(PATH, title="other", content=LARGE)
    [file] = files(settings)
    assert file.name == made["sha256"]
    assert await whole(work, "large") == LARGE
    too_large = "x" * (limits.ARTIFACT_BYTES_MAX + 1)
    assert (
        (await refused(work, title="huge", content=too_large))
        .problem["errors"][0]["field"]
        .startswith("content")
    )
    file.write_text("something else")
    with pytest.raises(Refused) as caught:
        await work.get(f"{PATH}/large/content")
    assert (caught.value.status, caught.value.code) == (500, "content_missing")


async def test_only_files_that_nothing_names_are_swept(work: Mesh, settings: Settings) -> None:
    await work.post(PATH, title="kept", content=LARGE)
    refused_ = await refused(work, title="t", type="Bad Type", content=LARGE + "y")
    assert refused_.status == 422
    await work.post("/v1/sessions/work/pause")
    await refused(work, title="late", content=LARGE + "z")  # it is staged, and its session takes nothing
    assert len(files(settings)) == 2
    assert await work.server.contents.run_once() == 0  # both are new
    long_ago = time.time() - limits.CONTENT_FILE_KEPT_S - 60
    for file in files(settings):
        os.utime(file, (long_ago, long_ago))
    assert await work.server.contents.run_once() == 1
    assert [file.read_text() for file in files(settings)] == [LARGE]


def test_a_file_that_is_wanted_again_is_left_alone(settings: Settings) -> None:
    content = b"words"
    digest = contents.digest(content)
    contents.keep(settings.data, digest, content)
    [file] = files(settings)
    long_ago = time.time() - 100
    os.utime(file, (long_ago, long_ago))
    assert contents.old(settings.data, 50, 10) == [digest]
    contents.keep(settings.data, digest, content)
    assert not contents.remove(settings.data, digest, 50)
    assert contents.read(settings.data, digest) == content
