"""What connect wrote works: the proxy where it is connected, the endpoint with a token, the status."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.running import Shell, running, shell
from repomesh.kernel import data_folder

__all__ = ["running", "shell"]


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests connected is not remembered here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def home(tmp_path: Path) -> str:
    (tmp_path / "home").mkdir()
    return str(tmp_path / "home")


def asked(
    command: list[str], folder: Path, *requests: dict[str, Any], **variables: str
) -> list[dict[str, Any]]:
    """What an MCP server over stdio answers, from a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}
    lines = "".join(json.dumps({"jsonrpc": "2.0"} | request) + "\n" for request in requests)
    done = subprocess.run(
        command, cwd=folder, env=kept | variables, input=lines, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def opening(id_: int = 1) -> dict[str, Any]:
    about = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "codex", "version": "1"},
    }
    return {"id": id_, "method": "initialize", "params": about}


LISTING = {"id": 2, "method": "tools/list"}


def entry(home: str) -> list[str]:
    text = (Path(home) / ".codex/config.toml").read_text()
    command, args = (line.partition(" = ")[2] for line in text.splitlines()[1:3])
    return [json.loads(command), *json.loads(args)]


def test_the_proxy_serves_where_it_is_connected_and_offers_nothing_elsewhere(
    running: Shell, home: str, tmp_path: Path
) -> None:
    assert running("connect", "codex", "--agent", "dora", "--yes", HOME=home).code == 0
    here = asked(entry(home), running.folder, opening(), {"method": "notifications/initialized"}, LISTING)
    assert len(here[1]["result"]["tools"]) >= 15
    assert running.ok("agent", "show", "dora")["program"] == "codex"
    elsewhere = asked(
        entry(home),
        tmp_path,
        opening(),
        {"method": "notifications/initialized"},
        LISTING,
        {"id": 3, "method": "ping"},
        {"id": 4, "method": "tools/call", "params": {"name": "send_message"}},
        {"id": 5, "method": "initialize", "params": {}},
    )
    assert elsewhere[0]["result"]["protocolVersion"] == "2025-06-18"
    assert [answer.get("result") for answer in elsewhere[1:3]] == [{"tools": []}, {}]
    assert [answer["error"]["code"] for answer in elsewhere[3:]] == [-32601, -32600]
    assert running("disconnect", "codex", "--yes", HOME=home).code == 0


def test_who_starts_the_proxy_may_say_who_it_is(running: Shell, home: str) -> None:
    running("connect", "codex", "--agent", "dora", "--yes", HOME=home)
    asked(
        entry(home),
        running.folder,
        opening(),
        {"method": "notifications/initialized"},
        LISTING,
        REPOMESH_AGENT="eve",
    )
    assert {agent["name"] for agent in running.ok("agent", "list")["items"]} == {"eve"}


def test_the_endpoint_is_used_with_a_token_that_git_never_sees(running: Shell, home: str) -> None:
    done = running("connect", "claude", "--http", "--agent", "dora", "--yes", HOME=home)
    assert done.code == 0, done.err
    data = running.data / "connect"
    secret = data_folder.read_secret(data / "claude.token")
    assert secret is not None
    text = (running.folder / ".mcp.json").read_text()
    assert secret not in text + done.out + done.err
    made = json.loads(text)["mcpServers"]["repomesh"]
    for name in ("claude.token", "claude.headers"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    helped = subprocess.run(shlex.split(made["headersHelper"]), capture_output=True, check=True)
    headers = json.loads(helped.stdout)
    assert httpx.get(made["url"].replace("/mcp", "/v1/workspace"), headers=headers).status_code == 200
    whole = headers | {"Accept": "application/json, text/event-stream"}
    answer = httpx.post(made["url"], json={"jsonrpc": "2.0"} | opening(), headers=whole)
    assert answer.status_code == 200
    again = json.loads(running("connect", "claude", "--http", "--yes", "--json", HOME=home).out)
    assert again[0]["changed"] is False
    assert data_folder.read_secret(data / "claude.token") == secret
    assert running("disconnect", "claude", "--yes", HOME=home).code == 0
    assert not data.exists()
    assert httpx.get(made["url"].replace("/mcp", "/v1/workspace"), headers=headers).status_code == 401
    assert not (running.folder / ".mcp.json").exists()


def test_back_to_the_proxy_the_token_is_revoked(running: Shell, home: str) -> None:
    user = Path(home) / ".codex/config.toml"
    assert running("connect", "codex", "--yes", HOME=home).code == 0
    assert user.exists()
    done = running("connect", "codex", "--http", "--yes", HOME=home)
    assert done.code == 0, done.err
    own = running.folder / ".codex/config.toml"
    assert "bearer_token_env_var" in own.read_text()
    assert "REPOMESH_TOKEN=" in done.err
    assert not user.exists(), "the proxy's entry would be a second server"
    assert len(running.ok("token", "list")["items"]) == 2
    assert running("connect", "codex", "--yes", HOME=home).code == 0
    assert not own.exists()
    assert user.exists()
    assert [token["role"] for token in running.ok("token", "list")["items"]] == ["owner"]
    assert not (running.data / "connect/codex.token").exists()


@pytest.mark.parametrize("cli", ["codex", "gemini", "copilot", "qwen", "opencode"])
def test_no_token_stands_in_any_settings(running: Shell, home: str, cli: str) -> None:
    assert running("connect", cli, "--http", "--yes", HOME=home).code == 0
    secret = data_folder.read_secret(running.data / f"connect/{cli}.token")
    assert secret is not None
    kept = {running.data / f"connect/{cli}.token", running.data / f"connect/{cli}.headers"}
    files = [path for folder in (running.folder, Path(home)) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if secret.encode() in path.read_bytes() and path not in kept] == []
    assert running("disconnect", cli, "--yes", HOME=home).code == 0


def test_http_needs_a_server(shell: Shell, home: str) -> None:
    done = shell("connect", "claude", "--http", "--yes", HOME=home)
    assert done.code == 6
    assert not (shell.folder / ".mcp.json").exists()


def test_a_token_that_cannot_be_revoked_is_told(running: Shell, home: str) -> None:
    running("connect", "claude", "--http", "--yes", HOME=home)
    running.ok("down")
    done = running("disconnect", "claude", "--yes", HOME=home)
    assert done.code == 0
    assert "was not revoked" in done.err
    assert not (running.data / "connect").exists()


def test_the_status_says_who_is_alive(running: Shell, home: str, tmp_path: Path) -> None:
    running("connect", "codex", "--agent", "dora", "--yes", HOME=home)
    silent = json.loads(running("connect", "codex", "--status", "--json", HOME=home).out)
    assert silent["server"] is True
    assert silent["items"][0]["last_heartbeat_at"] is None
    asked(entry(home), running.folder, opening(), {"method": "notifications/initialized"}, LISTING)
    [row] = json.loads(running("connect", "codex", "--status", "--json", HOME=home).out)["items"]
    assert (row["agent"], row["connected"]) == ("dora", True)
    assert row["last_heartbeat_at"] == running.ok("agent", "show", "dora")["last_seen_at"]
    assert row["routes"]["wake"] == ["`codex queue`"]
    running.ok("down")
    done = running("connect", "--status", HOME=home)
    assert done.code == 0
    assert "No server answers here" in done.err


def test_a_cli_that_does_not_say_its_version(shell: Shell, tmp_path: Path, home: str) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "qwen").write_text("#!/bin/sh\nexit 3\n")
    (bin_ / "qwen").chmod(0o755)
    (bin_ / "codex").write_text(f"#!{sys.executable}\nprint('codex-cli 1.2.3-beta.4.')\n")
    (bin_ / "codex").chmod(0o755)
    told = shell("connect", "--status", "--json", HOME=home, PATH=f"{bin_}:/usr/bin:/bin")
    rows = {row["cli"]: row["version"] for row in json.loads(told.out)["items"]}
    assert (rows["qwen"], rows["codex"], rows["claude"]) == ("?", "1.2.3-beta.4", None)


def test_broken_settings_are_told_by_the_status(shell: Shell, home: str) -> None:
    shell("connect", "qwen", "--yes", HOME=home)
    (shell.folder / ".qwen/settings.json").write_text("{")
    [row] = json.loads(shell("connect", "qwen", "--status", "--json", HOME=home).out)["items"]
    assert "line 1" in row["problem"]
