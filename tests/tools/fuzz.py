"""Fuzzes a real server along its own OpenAPI document: `make fuzz`, or `python fuzz.py SECONDS [ENGINE-URL]`.

It fails when an answer is a 5xx, lies outside of the document, or accepts what the document forbids.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from fault.running import Process  # noqa: E402 - found beside this folder
from repomesh.operations import registry  # noqa: E402

# Not asked for: that whatever fits the schema is accepted. Ids that fit name nothing, and states refuse.
_CHECKS_LEFT_OUT = "positive_data_acceptance"


def seed(url: str, token: str) -> None:
    """Have somebody there to find: agents, a channel, messages, tasks, locks."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as http:

        def post(path: str, **body: object) -> None:
            http.post(path, json=body, headers={"X-Repomesh-Agent": "fuzzer"}).raise_for_status()

        for name in ("fuzzer", "alice", "bob"):
            http.post("/v1/agents/register", json={"name": name}).raise_for_status()
        post("/v1/channels", name="general")
        post("/v1/messages", to=["alice", "#general"], body="hello")
        post("/v1/messages", to=["*"], body="who is there?", ack_required=True)
        post("/v1/tasks", goal="make it work", scope=["src/**"])
        post("/v1/locks/acquire", resources=["src/app.py", "database"])


def fuzz(seconds: int, database_url: str | None) -> int:
    """Start a server, fuzz it, stop it; answers the exit code."""
    with tempfile.TemporaryDirectory() as place:
        server = Process(Path(place) / "data", database_url, messages_per_minute=1_000_000)
        server.start()
        try:
            seed(server.url, server.token)
            code = _run(server, seconds)
            reached = _reached(server)
        finally:
            server.stop()
        written = (server.data / "server.log").read_text()
        leaked = server.token in written
    offered = {operation.name for operation in registry if operation.http is not None}
    print(f"{len(offered & reached)} of {len(offered)} operations did what they were asked at least once")
    print("not:", ", ".join(sorted(offered - reached)))
    if not reached or leaked or "failed" in written:
        print(f"the server died, failed inside or wrote down a secret; its log:\n{written}", file=sys.stderr)
        return 1
    return code


def _reached(server: Process) -> set[str]:
    """The operations that succeeded, by the server's own figures; empty when it does not answer."""
    headers = {"Authorization": f"Bearer {server.token}"}
    figures = httpx.get(f"{server.url}/metrics", headers=headers, timeout=30)
    return set(re.findall(r'repomesh_operations_total{code="ok",operation="([^"]+)"}', figures.text))


def _token_id(server: Process) -> str:
    with httpx.Client(headers={"Authorization": f"Bearer {server.token}"}, timeout=30) as http:
        listed = http.get(f"{server.url}/v1/tokens").json()["items"]
    return str(next(token["id"] for token in listed if token["role"] == "owner"))


def _run(server: Process, seconds: int) -> int:
    command = [
        Path(sys.executable).with_name("schemathesis"),
        *("run", f"{server.url}/openapi.json", "--max-time", str(seconds)),
        *("--header", f"Authorization: Bearer {server.token}", "--header", "X-Repomesh-Agent: fuzzer"),
        *("--checks", "all", "--exclude-checks", _CHECKS_LEFT_OUT),
        *("--exclude-path", "/v1/stream"),  # it never ends
        *("--continue-on-failure", "--request-timeout", "20", "--no-color", "--output-sanitize", "true"),
        *("--generation-database", "none", "--warnings", "off"),
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "fuzz_hooks",
        "PYTHONPATH": str(HERE),
        "FUZZ_TOKEN_ID": _token_id(server),
    }
    return subprocess.run(command, env=environment, cwd=server.data.parent, check=False).returncode


if __name__ == "__main__":
    sys.exit(fuzz(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
