"""Fuzzes a real server along its own OpenAPI document: `make fuzz`, or `python fuzz.py SECONDS [ENGINE-URL]`.

It fails when an answer is a 5xx, lies outside of the document, or accepts what the document forbids; and
when a payload of another system, with odd texts or deep JSON in it, makes an answer or a later list fail.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from fuzz_payloads import fuzz_payloads  # noqa: E402

from fault.running import Process  # noqa: E402 - found beside this folder
from repomesh.operations import registry  # noqa: E402

PAYLOADS_SHARE = 0.1  # of the time, for payloads of other systems
KNOWN = 40  # of each; a run finishes, reads and releases them one by one

# Not asked for: that whatever fits the schema is accepted. Ids that fit name nothing, and states refuse.
_CHECKS_LEFT_OUT = "positive_data_acceptance"


def seed(server: Process) -> dict[str, list[dict[str, object]]]:
    """Have something there to find; answers the ids by which the fuzzer finds it."""
    known: dict[str, list[dict[str, object]]] = {
        "message": [],
        "claim": [],
        "task": [],
        "review": [],
        "lock": [],
        "meeting": [],
        "decision": [],
    }
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as http:

        def post(path: str, speaker: str = "fuzzer", **body: object) -> dict[str, Any]:
            answer = http.post(path, json=body, headers={"X-Repomesh-Agent": speaker})
            answer.raise_for_status()
            told: dict[str, Any] = answer.json()
            return told

        for name in ("fuzzer", "alice", "bob"):
            http.post("/v1/agents/register", json={"name": name}).raise_for_status()
        post("/v1/channels", name="general")
        for number in range(KNOWN):
            sent = post("/v1/messages", "alice", to=["fuzzer"], body=f"hello {number}", ack_required=True)
            known["message"].append({"message_id": sent["id"]})
            known["task"].append({"task_id": post("/v1/tasks", goal=f"open {number}")["id"]})
            task = post("/v1/tasks", goal=f"held {number}", scope=[f"src/{number}/**"])["id"]
            claim = post(f"/v1/tasks/{task}/claim", ttl_s=3600)
            known["claim"].append({"task_id": task, "fencing_token": claim["fencing_token"]})
            lock = post("/v1/locks/acquire", resources=[f"lib/{number}.py"], ttl_s=3600)
            known["lock"].append({"fencing_token": lock["fencing_token"]})
            author, reviewer = ("fuzzer", "alice") if number % 2 else ("alice", "fuzzer")
            asked = post("/v1/reviews", author, title="look", reviewers=[reviewer], commit_range="a..b")
            known["review"].append({"review_id": asked["id"]})
            members = ["fuzzer", "alice"] if number % 2 else ["alice", "fuzzer"]
            met = post("/v1/meetings", topic=f"T {number}", participant_ids=members, start=number % 4 > 0)
            if number % 4 == 2:
                for speaker in members:
                    post(f"/v1/meetings/{met['id']}/speak", speaker, content="So be it.", kind="proposal")
            known["meeting"].append({"meeting_id": met["id"], "round": 1})
        for number in range(KNOWN):  # by the owner, who acts as nobody
            decided = {"topic": f"T {number}", "decision": "So be it."}
            made = http.post("/v1/decisions", json=decided).raise_for_status().json()
            known["decision"].append({"decision_id": made["id"], "by": made["id"]})
    return known


def fuzz(seconds: int, database_url: str | None) -> int:
    """Start a server, fuzz it, stop it; answers the exit code."""
    with tempfile.TemporaryDirectory() as place:
        server = Process(Path(place) / "data", database_url, messages_per_minute=1_000_000)
        server.start()
        try:
            known = seed(server)
            payloads_s = seconds * PAYLOADS_SHARE
            wrong = fuzz_payloads(server.url, server.token, payloads_s)
            code = _run(server, round(seconds - payloads_s), known)
            reached = _reached(server)
        finally:
            server.stop()
        written = (server.data / "server.log").read_text()
        leaked = server.token in written
    offered = {operation.name for operation in registry if operation.http is not None}
    print(f"{len(offered & reached)} of {len(offered)} operations did what they were asked at least once")
    print("not:", ", ".join(sorted(offered - reached)))
    for one in wrong:
        print(f"wrong: {one}", file=sys.stderr)
    if not reached or leaked or "failed" in written:
        print(f"the server died, failed inside or wrote down a secret; its log:\n{written}", file=sys.stderr)
        return 1
    return code or int(bool(wrong))


def _reached(server: Process) -> set[str]:
    """The operations that succeeded, by the server's own figures; empty when it does not answer."""
    headers = {"Authorization": f"Bearer {server.token}"}
    figures = httpx.get(f"{server.url}/metrics", headers=headers, timeout=30)
    return set(re.findall(r'repomesh_operations_total{code="ok",operation="([^"]+)"}', figures.text))


def _kept(server: Process) -> str:
    """The ids of the token and the agent with which the fuzzer speaks."""
    with httpx.Client(headers={"Authorization": f"Bearer {server.token}"}, timeout=30) as http:
        tokens = http.get(f"{server.url}/v1/tokens").json()["items"]
        agent = http.get(f"{server.url}/v1/agents/fuzzer").json()["id"]
    return " ".join(["fuzzer", agent, *(token["id"] for token in tokens if token["role"] == "owner")])


def _run(server: Process, seconds: int, known: dict[str, list[dict[str, object]]]) -> int:
    command = [
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{server.url}/openapi.json", "--max-time", str(seconds)),
        *("--header", f"Authorization: Bearer {server.token}", "--header", "X-Repomesh-Agent: fuzzer"),
        *("--checks", "all", "--exclude-checks", _CHECKS_LEFT_OUT),
        *("--exclude-path", "/v1/stream"),  # it never ends
        *("--exclude-path", "/v1/meetings/{meeting_id}/replay/stream"),  # nor does this, slow enough
        *("--continue-on-failure", "--request-timeout", "20", "--no-color", "--output-sanitize", "true"),
        *("--generation-database", "none", "--warnings", "off"),
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "fuzz_hooks",
        "PYTHONPATH": str(HERE),
        "FUZZ_KEPT": _kept(server),
        "FUZZ_KNOWN": json.dumps(known),
    }
    return subprocess.run(command, env=environment, cwd=server.data.parent, check=False).returncode


if __name__ == "__main__":
    sys.exit(fuzz(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
