"""The examples are taken as they stand, those of errors fail as they say, and a killed server goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.running import Shell, running, shell
from fault.running import Forked
from harness import Mesh
from repomesh.kernel.settings import Settings

__all__ = ["running", "shell"]

EXAMPLES = Path(__file__).parents[3] / "examples"
LISTS = {"complete_workflow", "error_examples"}
ORDER = re.findall(r"[a-z_]+", (EXAMPLES / "test_all.sh").read_text().split('ORDER = """')[1].split('"""')[0])


def load(name: str) -> Any:
    return json.loads((EXAMPLES / f"{name}.json").read_text())


def test_every_example_is_in_the_order_and_in_the_readme() -> None:
    files = {path.stem for path in EXAMPLES.glob("*.json")}
    assert files == set(ORDER)
    assert all(f"`{name}.json`" in (EXAMPLES / "README.md").read_text() for name in files)


@pytest.mark.anyio
async def test_every_example_is_answered_as_it_says(mesh: Mesh) -> None:
    key = {"X-API-Key": mesh.token or ""}
    for name in ORDER:
        for body in load(name) if name in LISTS else [load(name)]:
            wanted = {"status": 200} if "payload" not in body else body
            answer = await mesh.http.post("/v1/webhook", json=body.get("payload", body), headers=key)
            assert answer.status_code == wanted["status"], (name, answer.text)
            if "payload" not in body:
                continue
            error = answer.json()["error"]
            assert error["code"] == body["code"], name
            if "field" in body:
                assert error["errors"][0]["field"] == body["field"], name
    summary = await mesh.get("/v1/sessions/login-plan/summary")
    assert summary["counts"] | {"chunk_bytes": 0} == {
        "chunks": 3,
        "chunk_bytes": 0,
        "memories": 4,
        "artifacts": 2,
        "tasks": 2,
    }


@pytest.mark.fault
def test_a_server_killed_between_any_two_commands_goes_on(settings: Settings) -> None:
    server = Forked(settings.data, settings.database_url)
    server.start()
    try:
        for number, body in enumerate(load("complete_workflow")):
            answers = []
            for _ in range(2):  # the second time as a sender does that did not hear the first answer
                answer = httpx.post(
                    f"{server.url}/v1/webhook", json=body, headers={"X-API-Key": server.token}, timeout=30
                ).json()
                assert answer["status"] == "success", (number, answer)
                if not answers:
                    server.kill()
                    server.start()
                answers.append(answer)
            if body["command"] not in ("query_memories", "search", "get_session_summary", "list_sessions"):
                assert answers[0] == answers[1]
        key = {"Authorization": f"Bearer {server.token}"}
        session = httpx.get(f"{server.url}/v1/sessions/parser-workflow", headers=key).json()
        assert session["status"] == "completed"
        assert session["counts"] | {"chunk_bytes": 0} == {
            "chunks": 1,
            "chunk_bytes": 0,
            "memories": 1,
            "artifacts": 1,
            "tasks": 1,
        }
    finally:
        server.stop()


def test_the_script_sends_them_all_to_the_server_of_the_repository(running: Shell) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [str(EXAMPLES / "test_all.sh")]
    done = subprocess.run(
        command, cwd=running.folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert done.stdout.count("ok") >= len(ORDER)
