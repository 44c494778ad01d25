"""A repository as its authors use it: commits are read and written with git's own plumbing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fault.landings.trees import File

_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


class Workshop:
    """A repository on disk. Not safe for several threads: each author has one of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: subprocess.Popen[bytes] | None = None

    @classmethod
    def begin(cls, path: Path, files: Mapping[str, File]) -> Workshop:
        """A new repository with one commit of `files` on main, which is not checked out."""
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "--quiet", "--initial-branch=main")
        made.git("config", "gc.auto", "0")  # what is collected would hide what is lost
        made.git("config", "core.logAllRefUpdates", "always")
        made.commit("main", None, files, "Ada", "Begin")
        made.git("symbolic-ref", "HEAD", "refs/heads/nobody")
        return made

    def close(self) -> None:
        """End the process that reads."""
        if self._reader is not None:
            assert self._reader.stdin is not None
            self._reader.stdin.close()
            self._reader.wait()
            assert self._reader.stdout is not None
            self._reader.stdout.close()
            self._reader = None

    def git(self, *words: str, input_: bytes | None = None) -> str:
        """What git prints."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            input=input_ or b"",
            capture_output=True,
            env=os.environ | _ENVIRONMENT,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr.decode())
        return done.stdout.decode("utf-8", "surrogateescape")

    def tip(self, branch: str = "main") -> str:
        """Where a branch is."""
        return self.git("rev-parse", "--verify", f"refs/heads/{branch}").strip()

    def read(self, commit: str, path: str) -> File | None:
        """A file of a commit; None where there is none."""
        mode = self.git("ls-tree", commit, "--", path).partition(" ")[0]
        return File(self._content(f"{commit}:{path}"), mode) if mode else None

    def commit(
        self, branch: str, base: str | None, files: Mapping[str, File | None], author: str, message: str
    ) -> str:
        """Commit files, None for a deleted one, on `base` to a branch; returns the commit."""
        ref = f"refs/heads/{branch}"
        stream = [f"commit {ref}\ncommitter {author} <{author}@example.org> now\n{_data(message.encode())}"]
        if base is not None:
            stream.append(f"from {base}\n")
        head = "".join(stream).encode()
        body = b"".join(_change(path, file) for path, file in files.items())
        self.git("fast-import", "--quiet", "--force", "--date-format=now", input_=head + body)
        return self.tip(branch)

    def _content(self, name: str) -> bytes:
        if self._reader is None:
            self._reader = subprocess.Popen(
                ["git", "cat-file", "--batch"], cwd=self.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert self._reader.stdin is not None
        assert self._reader.stdout is not None
        self._reader.stdin.write(f"{name}\n".encode())
        self._reader.stdin.flush()
        size = int(self._reader.stdout.readline().split()[2])
        content = self._reader.stdout.read(size + 1)
        return content[:-1]


def _data(content: bytes) -> str:
    return f"data {len(content)}\n{content.decode()}\n"


def _change(path: str, file: File | None) -> bytes:
    if file is None:
        return f"D {path}\n".encode()
    return f"M {file.mode} inline {path}\ndata {len(file.content)}\n".encode() + file.content + b"\n"
