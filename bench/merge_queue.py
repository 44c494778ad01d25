"""The merge queue: its engine on a repository of 5,000 and of 50,000 files, and changes through a server.

Each is measured beside what does the same: `git cherry-pick` in a reused work tree, and mergetrain, a merge
queue of local branches for agents. The changes are of one file each.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench import landing, mergetrain
from bench.report import Report
from bench.repositories import Changes, cherry_pick_ms, make
from repomesh.adapters.git.merge_results import Merged
from repomesh.adapters.git.repository import Repository
from repomesh.adapters.git.signatures import Signature

_TIMES_CHERRY_PICK = 10  # as many merges a second as that, at least
_MERGES = {5_000: 300, 50_000: 60}
_PICKS = {5_000: 40, 50_000: 8}
_AUTHOR = Signature("bench", "bench@example.org", 1_700_000_000)


def measure(report: Report, folder: Path) -> None:
    """Merges a second of both, on both sizes."""
    for files, merges in _MERGES.items():
        changes = make(folder / str(files), files, merges)
        engine = _engine(changes, folder / f"private-{files}")
        picks = 1e3 / cherry_pick_ms(changes, _PICKS[files])
        report.add(
            f"merges of {files:,} files", engine, "/s", "cherry-pick", picks, at_least=_TIMES_CHERRY_PICK
        )
    landing.measure(report, folder / "landing")
    mergetrain.measure(report, folder / "mergetrain")


def _engine(changes: Changes, private: Path) -> float:
    """Merges a second, each on the one before it, with the commit of each."""
    repository = Repository(changes.path, private)
    repository.merge(changes.base, changes.heads[0])  # git has started
    tip = changes.base
    begun = time.perf_counter()
    for head in changes.heads:
        result = repository.merge(tip, head)
        assert isinstance(result, Merged)
        tip = repository.write_commit(result.tree, [tip], "merged\n", _AUTHOR, _AUTHOR)
    seconds = time.perf_counter() - begun
    repository.close()
    return len(changes.heads) / seconds
