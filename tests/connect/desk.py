"""A person's home, a repository of theirs, and `repomesh connect` run in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cli.running import Done, Shell, git
from repomesh.connect import cli_registry, planning
from repomesh.connect.cli import ConnectTarget
from repomesh.kernel import data_folder, trust
from repomesh.store import folder

CLIS = ("claude", "codex", "gemini", "copilot", "qwen", "opencode")

FILES: dict[str, tuple[str, ...]] = {
    "claude": ("project/.mcp.json", "project/.claude/settings.local.json"),
    "codex": ("home/.codex/config.toml", "home/.codex/hooks.json"),
    "gemini": ("home/.gemini/settings.json",),
    "copilot": ("home/.copilot/mcp-config.json", "home/.copilot/hooks/repomesh.json"),
    "qwen": ("project/.qwen/settings.json",),
    "opencode": ("project/opencode.json",),
}
"""The settings files of each CLI, below the desk."""


@dataclass(frozen=True)
class Desk:
    """Where one works: `root` holds the home folder and the repository."""

    root: Path
    name: str = "project"

    @classmethod
    def make(cls, root: Path) -> Desk:
        """A desk with a fresh repository."""
        made = cls(root)
        (root / "home/.local/state").mkdir(parents=True)
        made.repository("project")
        return made

    def repository(self, name: str) -> Desk:
        """The same home with another repository."""
        folder = self.root / name
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        git(folder, "commit", "-q", "--allow-empty", "-m", "Begin")
        return replace(self, name=name)

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def data(self) -> Path:
        return self.folder / data_folder.DATA

    @property
    def markers(self) -> Path:
        """Where it is kept which CLIs are connected, once a data folder is there."""
        record = trust.record_of(self.data)
        assert record is not None
        return record / data_folder.CONNECT

    def __call__(self, *words: str, **variables: str) -> Done:
        return Shell(self.folder)(*words, HOME=str(self.root / "home"), **variables)

    def ok(self, *words: str, **variables: str) -> Done:
        """A command that must succeed."""
        done = self(*words, **variables)
        assert done.code == 0, done.err
        return done

    def join(self, cli: str) -> bool:
        """What `connect CLI --yes` does, in this process; answers whether anything changed."""
        plan = planning.connect(cli_registry.find_cli(cli), self.place, self.data, None)
        folder.prepare(self.data)
        planning.apply_plan(plan)
        return not plan.nothing

    def part(self, cli: str) -> None:
        """What `disconnect CLI --yes` does, in this process."""
        planning.apply_plan(planning.disconnect(cli_registry.find_cli(cli), self.place, self.data))

    @property
    def place(self) -> ConnectTarget:
        return ConnectTarget(self.folder, self.root / "home", {})

    def write(self, path: str, content: bytes) -> Path:
        """A settings file, made before anything is connected."""
        made = self.root / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(content)
        return made

    def files(self) -> dict[str, bytes | str]:
        """All that stands below the desk but in git's and our own folders: contents, or where links lead."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if "/.git/" in f"/{name}/" and not name.endswith("info/exclude"):
                continue
            if f"/{data_folder.DATA}/" in f"/{name}/" or name.endswith("state/repomesh"):
                continue
            if "state/repomesh/folders/" in f"{name}/":
                continue
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif path.is_file():
                found[name] = path.read_bytes()
            else:
                found[name] = "folder"
        return found
