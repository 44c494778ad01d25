"""Notes of the lanes that this server has claimed, so that its next start need not wait until they expire.

One server at a time uses a data folder: a note that is there when it starts is of a server that was killed.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from repomesh.domains.changes.queue.processing_models import LaneClaim
from repomesh.kernel.operation import Model


class ClaimNote(Model):
    """A claim that was made, or was about to be."""

    workspace_id: str
    claim: LaneClaim


class ClaimNotes:
    """The notes in a folder. A note that can't be written costs the next start the wait, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, note: ClaimNote) -> None:
        """Write down that a lane is about to be claimed."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file(note).write_text(note.model_dump_json())

    def remove(self, note: ClaimNote) -> None:
        """Remove a note, since the claim has ended."""
        with suppress(OSError):
            self._file(note).unlink()

    def left(self) -> list[ClaimNote]:
        """The claims of a server that did not end them."""
        notes = list[ClaimNote]()
        with suppress(OSError):
            for file in self._folder.glob("*.json"):
                try:
                    notes.append(ClaimNote.model_validate_json(file.read_text()))
                except (ValidationError, UnicodeDecodeError):  # written when the disk was full
                    file.unlink()
        return notes

    def _file(self, note: ClaimNote) -> Path:
        return self._folder / f"{note.claim.claim_id}.json"
