"""Notes of claims on disk: what a killed server leaves to its next start."""

from __future__ import annotations

from pathlib import Path

from repomesh.domains.changes.queue.processing_models import LaneClaim
from repomesh.jobs.merge_queue.claim_notes import ClaimNote, ClaimNotes
from repomesh.kernel.ids import new_id


def test_what_was_not_removed_is_left_and_what_is_damaged_goes(tmp_path: Path) -> None:
    notes = ClaimNotes(tmp_path / "claims")
    assert notes.left() == []
    kept, ended = (
        ClaimNote(workspace_id=new_id(), claim=LaneClaim(target="a/ü", claim_id=new_id())) for _ in range(2)
    )
    notes.write(kept)
    notes.write(ended)
    notes.remove(ended)
    (tmp_path / "claims" / "half.json").write_text('{"workspace_')
    assert ClaimNotes(tmp_path / "claims").left() == [kept]
    assert len(list((tmp_path / "claims").iterdir())) == 1


def test_a_folder_that_can_not_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes = ClaimNotes(tmp_path / "file" / "claims")
    note = ClaimNote(workspace_id=new_id(), claim=LaneClaim(target="main", claim_id=new_id()))
    notes.write(note)
    notes.remove(note)
    assert notes.left() == []
