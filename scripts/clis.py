"""Installs the agent CLIs that the tests run, at pinned versions: `python scripts/clis.py [--list] [NAME …]`.

Each comes from npm into a folder of its own under `~/.cache/repomesh/clis` (or `REPOMESH_CLIS`), beside a
Node that all of them can run on; nothing of the machine's own installations is used but `npm`. A folder is
made under another name and moved into place; one that is not whole, or does not answer, is made anew.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VERSIONS: Final = Path(__file__).resolve().parent.parent / "tests/clis/versions.json"
"""Which CLIs and which versions; the documents and the tests read the same file."""
NODE: Final = "node"
INSTALL_S: Final = 600
"""How long npm may take for one package: the largest unpacks to 250 MB."""
ANSWER_S: Final = 60
"""How long a program may take to say its version; the first start of a large one reads it all from disk."""
ATTEMPTS: Final = 3
"""Registries and networks fail now and then; npm's own retries do not cover an unpacking that broke off."""
_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Pinned:
    """A package of npm, what in it is started, and whether its own installation step is run (`scripts`)."""

    name: str
    package: str
    version: str
    program: str
    scripts: bool

    @property
    def folder(self) -> Path:
        """Where this version stands once it is installed."""
        return cache() / f"{self.name}-{self.version}"

    @property
    def path(self) -> Path:
        """The program itself."""
        return self.folder / "node_modules" / self.package / self.program

    @property
    def installed(self) -> bool:
        """Whether it stands there, whole."""
        return (self.folder / "complete").is_file() and self.path.is_file()


def cache() -> Path:
    """The folder of all installations."""
    named = os.environ.get("REPOMESH_CLIS")
    return Path(named).expanduser() if named else Path.home() / ".cache/repomesh/clis"


def pinned() -> dict[str, Pinned]:
    """What is to be installed, by name; Node is the first."""
    machine = _MACHINES.get(platform.machine().lower(), platform.machine())
    found = {}
    for name, entry in json.loads(VERSIONS.read_text()).items():
        package = entry["package"].format(platform=sys.platform, machine=machine)
        found[name] = Pinned(name, package, entry["version"], entry["program"], entry["scripts"])
    return found


def command(name: str) -> list[str]:
    """What starts an installed CLI: the program, or Node and the program where it is a script."""
    all_ = pinned()
    program = all_[name].path
    return [str(all_[NODE].path), str(program)] if program.suffix == ".js" else [str(program)]


def search_path() -> str:
    """A PATH on which the installed Node is the first."""
    return f"{pinned()[NODE].path.parent}{os.pathsep}{os.environ['PATH']}"


def missing(names: list[str]) -> list[str]:
    """Those of these CLIs, and of Node, that are not installed."""
    all_ = pinned()
    return [name for name in dict.fromkeys([NODE, *names]) if not all_[name].installed]


def install(name: str) -> None:
    """Install one, unless it stands there whole and answers. Raises SystemExit."""
    with _alone(name):
        wanted = pinned()[name]
        if wanted.installed and _answers(wanted) is None:
            return
        shutil.rmtree(wanted.folder, ignore_errors=True)
        print(f"installing {wanted.package}@{wanted.version}", file=sys.stderr, flush=True)
        for attempt in range(1, ATTEMPTS + 1):
            said = _try(wanted)
            if said is None:
                return
            print(f"attempt {attempt} of {ATTEMPTS} failed: {said}", file=sys.stderr, flush=True)
        raise SystemExit(f"{wanted.package}@{wanted.version} could not be installed from the npm registry")


def _try(wanted: Pinned) -> str | None:
    """Make the folder under another name, try the program, move it; answers what went wrong."""
    made = cache() / f".{wanted.name}-{wanted.version}.new"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    (made / "package.json").write_text('{"private": true}\n')
    options = ["--no-audit", "--no-fund", "--no-save", "--no-package-lock", "--loglevel=error"]
    if not wanted.scripts:
        options.append("--ignore-scripts")
    words = ["npm", "install", *options, f"{wanted.package}@{wanted.version}"]
    environment = {**os.environ, "PATH": search_path()}
    try:
        done = subprocess.run(
            words, cwd=made, env=environment, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except FileNotFoundError:
        raise SystemExit("npm is missing: on Debian 'apt install npm', elsewhere install Node") from None
    except subprocess.TimeoutExpired:
        return f"npm took longer than {INSTALL_S} s"
    if done.returncode:
        return done.stderr.strip()[-2000:]
    made.rename(wanted.folder)
    said = _answers(wanted)
    if said is None:
        (wanted.folder / "complete").touch()
    else:
        shutil.rmtree(wanted.folder, ignore_errors=True)
    return said


def _answers(wanted: Pinned) -> str | None:
    """What is wrong with an installation: one without its part for this machine installs silently."""
    if not wanted.path.is_file():
        return f"{wanted.path} is not there"
    words = [*command(wanted.name), "--version"]
    home = wanted.folder / "home"
    home.mkdir(exist_ok=True)
    environment = {"PATH": search_path(), "HOME": str(home)}
    try:
        done = subprocess.run(
            words,
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{words[0]} does not run: {error}"
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if wanted.version not in done.stdout:
        return f"'--version' answered {done.stdout!r} {done.stderr[-500:]!r}"
    return None


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Held by one process at a time; the others wait and then find the work done."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Install those named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a CLI; without one, all of them")
    parser.add_argument("--list", action="store_true", help="only say what is there")
    options = parser.parse_args()
    all_ = pinned()
    unknown = set(options.names) - set(all_)
    if unknown:
        parser.error(f"no such CLI: {', '.join(sorted(unknown))}; there are {', '.join(all_)}")
    names = list(dict.fromkeys([NODE, *(options.names or all_)]))
    for name in names:
        if not options.list:
            install(name)
        state = all_[name].path if all_[name].installed else "not installed"
        print(f"{name:9} {all_[name].version:9} {state}")


if __name__ == "__main__":
    main()
