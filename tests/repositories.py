"""Scratch repositories, written with git itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import update

from harness import Mesh
from repomesh.domains.workspaces.tables import workspaces
from repomesh.kernel.identity import system_caller

_WHO = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org"}  # fmt: skip
Files = Mapping[str, str | None]


class Scratch:
    """A repository with the branch main, which is checked out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    @classmethod
    def at(cls, path: Path) -> Scratch:
        """The scratch repository that was made at a path."""
        made = cls.__new__(cls)
        made.path = path
        return made

    def git(self, *words: str, check: bool = True, input_: bytes = b"", **environment: str) -> str:
        """What git prints; nothing where it fails and `check` is false."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            input=input_,
            capture_output=True,
            env=os.environ | _WHO | {"GIT_CONFIG_GLOBAL": os.devnull} | environment,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"git {words}: {done.stderr.decode()}")
        return "" if done.returncode else done.stdout.decode("utf-8", "surrogateescape").strip()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def commit(
        self, files: Files, message: str = "change", *, on: str | None = None, branch: str | None = None
    ) -> str:
        """Commit changed files, None for a deleted one: to main, or `on` a commit and perhaps to a branch."""
        if on is None:
            for name, content in files.items():
                path = self.path / name
                if content is None:
                    path.unlink()
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.encode())
            self.git("add", "-A")
            self.git("commit", "-q", "--allow-empty", "-m", message)
            return self.head()
        tree = self.written_tree(files, on)
        made = self.git("commit-tree", tree, "-p", on, "-m", message)
        if branch is not None:
            self.git("update-ref", f"refs/heads/{branch}", made)
        return made

    def written_tree(self, files: Files, on: str | None = None) -> str:
        """The tree that git itself writes, by way of an index of its own."""
        index = str(self.path.with_name(f".{self.path.name}-index"))  # '.git' may be a file
        Path(index).unlink(missing_ok=True)
        if on is not None:
            self.git("read-tree", on, GIT_INDEX_FILE=index)
        lines = b""
        for name, content in files.items():
            oid = (
                "0" * 40
                if content is None
                else self.git("hash-object", "-w", "--no-filters", "--stdin", input_=content.encode())
            )
            mode = "0" if content is None else "100644"
            lines += f"{mode} {oid}\t".encode() + os.fsencode(name) + b"\0"
        self.git("update-index", "-z", "--index-info", input_=lines, GIT_INDEX_FILE=index)
        return self.git("write-tree", GIT_INDEX_FILE=index)

    def listed(self, tree: str) -> set[bytes]:
        """The paths in a tree."""
        output = self.git("ls-tree", "-r", "-z", "--name-only", tree)
        return {os.fsencode(name) for name in output.split("\0") if name}


def at_home(mesh: Mesh, path: Path) -> None:
    """Make a repository that of each of the server's workspaces."""
    statement = update(workspaces).values(path=str(path))
    mesh.server.store.write_now(system_caller(""), lambda tx: tx.execute(statement))
