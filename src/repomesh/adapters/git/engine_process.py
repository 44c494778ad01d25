"""A resident `git merge-tree` that merges pairs of commits without a work tree.

It runs in a git folder of its own whose objects are the repository's, so that no merge driver, attribute or
setting of the repository takes part. git 2.39 buffers its answers by blocks: `stdbuf -o0` makes each one
arrive at once. Where stdbuf is missing, each merge starts a process.
"""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from repomesh.adapters.git.commands import clean_environment
from repomesh.adapters.git.errors import GitFailed
from repomesh.kernel import limits

_COMMAND = ("git", "merge-tree", "--write-tree", "--stdin", "-z", "--no-messages")
_CHUNK = 65_536


class MergeEnded(GitFailed):
    """git merge-tree ended without an answer: it could not read the commits, or what they are made of."""


class MergeProcess:
    """Merges pairs of commits of one repository, one pair at a time. Safe to use from several threads."""

    def __init__(self, git_dir: Path, environment: Mapping[str, str]) -> None:
        self._git_dir = git_dir
        self._environment = clean_environment(environment)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._unbuffered = shutil.which("stdbuf") is not None

    def merge(self, ours: str, theirs: str) -> bytes:
        """git's answer for one pair, as `merge-tree --stdin -z` writes it.

        Raises GitFailed when git ends, says something else, or takes longer than QUEUE_MERGE_S.
        """
        with self._lock:
            try:
                return self._ask(f"{ours} {theirs}\n".encode())
            except BaseException:
                self._end()
                raise

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, pair: bytes) -> bytes:
        if not self._unbuffered:
            return self._ask_once(pair)
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(pair)
            process.stdin.flush()
        except OSError as error:
            raise GitFailed(f"git merge-tree ended: {error}") from None
        return self._read(process)

    def _start(self) -> subprocess.Popen[bytes]:
        self._end()
        command = ["stdbuf", "-o0", *_COMMAND] if self._unbuffered else list(_COMMAND)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment | {"GIT_DIR": str(self._git_dir)},
                start_new_session=True,  # a Ctrl-C at the server's terminal is not for it
            )
        except OSError as error:
            raise GitFailed(f"git can't be started: {error}") from None
        return self._process

    def _read(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        deadline = time.monotonic() + limits.QUEUE_MERGE_S
        answer = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not _is_whole(answer):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise GitFailed(f"git merge-tree did not answer within {limits.QUEUE_MERGE_S:g} s")
                chunk = os.read(process.stdout.fileno(), _CHUNK)
                if not chunk:
                    raise MergeEnded("git merge-tree ended: a commit that it was given can't be read")
                answer += chunk
                if len(answer) > limits.QUEUE_MERGE_ANSWER_BYTES_MAX:
                    raise GitFailed("git merge-tree answered with more conflicts than are looked at")
        return answer

    def _ask_once(self, pair: bytes) -> bytes:
        process = self._start()
        try:
            answer, _ = process.communicate(pair, timeout=limits.QUEUE_MERGE_S)
        except subprocess.TimeoutExpired:
            raise GitFailed(f"git merge-tree did not answer within {limits.QUEUE_MERGE_S:g} s") from None
        self._process = None
        if not _is_whole(answer):
            raise MergeEnded("git merge-tree ended: a commit that it was given can't be read")
        return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(OSError):
            process.kill()
        process.wait()


def _is_whole(answer: bytes) -> bool:
    """Whether an answer is complete: it ends with two NUL, behind the tree or the last conflict."""
    return answer.endswith(b"\0\0") and len(answer) > len(b"1\0\0")
