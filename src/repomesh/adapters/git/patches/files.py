"""The files that a patch is applied to, and those that it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from repomesh.adapters.git.modes import REGULAR
from repomesh.adapters.git.paths import as_text, require_path
from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest


class PatchRefused(InvalidRequest):
    """A patch does not apply exactly to its base: nothing was changed."""

    code = "patch_refused"
    hint = "Make the patch anew from 'base_commit', or commit it to a branch and submit that."


@dataclass(frozen=True, slots=True)
class PatchedFile:
    """A file as a patch leaves it."""

    content: bytes
    mode: str = REGULAR


@dataclass(slots=True)
class PatchedFiles:
    """The files of the base, read by path, with those on top of them that a patch has changed so far."""

    read_base: Callable[[bytes], PatchedFile | None]
    changed: dict[bytes, PatchedFile | None] = field(default_factory=dict)
    lines_read: int = 0

    def spend(self, lines: int) -> None:
        """Count lines of files that are looked through for a hunk. Raises PatchRefused beyond the limit."""
        self.lines_read += lines
        if self.lines_read > limits.PATCH_LINES_READ_MAX:
            raise PatchRefused(
                f"its hunks would be looked for in over {limits.PATCH_LINES_READ_MAX:,} lines",
                hint="Commit it to a branch and submit that instead of a 'patch'.",
            )

    def read(self, path: bytes) -> PatchedFile | None:
        """The file at `path` as it is now; None where there is none. Raises PathRefused."""
        require_path(path)
        return self.changed[path] if path in self.changed else self.read_base(path)

    def require(self, path: bytes) -> PatchedFile:
        """The file at `path`. Raises PatchRefused where there is none."""
        file = self.read(path)
        if file is None:
            raise PatchRefused(f"{as_text(path)} does not exist in the base commit")
        return file

    def write(self, path: bytes, file: PatchedFile) -> None:
        """Change or create a file. Raises PathRefused."""
        require_path(path)
        self.changed[path] = file

    def create(self, path: bytes, file: PatchedFile) -> None:
        """Create a file. Raises PatchRefused where there is one with other content."""
        current = self.read(path)
        if current is not None and current != file:
            raise PatchRefused(f"{as_text(path)} is to be created, but the base commit has it")
        self.write(path, file)

    def delete(self, path: bytes) -> None:
        """Delete a file. Raises PatchRefused where there is none."""
        self.require(path)
        self.changed[path] = None
