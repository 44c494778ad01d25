"""Something else answers where a server is looked for: one error, one exit code, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli.running import Shell, eventually
from connect.hooking import HOOK, answering, environment, ok, serving
from repomesh.kernel import data_folder

HTML = b"<!doctype html><title>It works!</title>"
ANSWERS: dict[str, tuple[int, str, bytes]] = {
    "an empty object": (200, "application/json", b"{}"),
    "other JSON": (200, "application/json", b'{"status": 1, "items": "many"}'),
    "a list": (200, "application/json", b"[1]"),
    "a page": (200, "text/html", HTML),
    "nothing": (200, "text/plain", b""),
    "not found": (404, "text/html", HTML),
    "a redirect": (302, "text/html", b""),
    "a problem of another": (500, "application/json", b'{"code": 7}'),
}
COMMANDS = (
    ("status",),
    ("agent", "list"),
    ("task", "create", "x"),
    ("events", "tail"),
    ("inbox", "list", "--as", "ann"),
)


@pytest.fixture(params=ANSWERS)
def foreign(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that answers everything alike."""
    status, type_, body = ANSWERS[request.param]

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", type_), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            if status == 302:
                self.send_header("Location", "/login")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    for verb in ("GET", "POST", "DELETE"):
        setattr(Handler, f"do_{verb}", Handler.answer)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_answers_is_told_to_be_no_server_of_ours(shell: Shell, foreign: str) -> None:
    for words in COMMANDS:
        done = shell(*words, "--json", REPOMESH_URL=foreign, REPOMESH_TOKEN="x")
        assert (done.code, done.problem["code"]) == (6, "not_repomesh"), (words, done.err)
    done = shell("doctor", REPOMESH_URL=foreign, REPOMESH_TOKEN="x")
    assert done.code == 1, done.err
    assert "Traceback" not in done.err


def test_nothing_is_sent_to_the_port_of_a_server_that_was_killed(shell: Shell) -> None:
    """Another program may listen there by now."""
    started = shell.ok("up", "--detach", "--port", "0")
    port, secret = (
        int(started["url"].rpartition(":")[2]),
        data_folder.read_secret(shell.data / data_folder.TOKEN),
    )
    shell("connect", "claude")
    proxy = shell.start("mcp", "--agent", "ann")
    os.kill(started["pid"], signal.SIGKILL)
    assert eventually(lambda: data_folder.running_server(shell.data) is None)
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"clientInfo": {"name": "x"}}}
    with serving(answering(ok(b"{}")), port) as foreign:
        for words in (*COMMANDS, ("daemon",), ("doctor",), ("token", "list")):
            shell(*words)
        hook = [sys.executable, "-I", "-S", str(HOOK), "claude", "SessionStart"]
        subprocess.run(hook, input=b"{}", cwd=shell.folder, env=environment(), check=True, timeout=20)
        proxy.communicate(json.dumps(hello) + "\n", timeout=30)
        sent = b"".join(foreign.requests)
    assert secret is not None
    assert secret.encode() not in sent
    assert b"Bearer" not in sent
