"""The contents that belong to a backup: files of the data folder, which lie in a folder beside its file."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from repomesh.kernel.data_folder import CONTENTS
from repomesh.kernel.private_files import listed
from repomesh.store.drafts import draft, sync_file, sync_folder


def keep_aside(data: Path, target: Path) -> None:
    """Have every content in the folder `target`, too, which a backup needs."""
    _take_over(data / CONTENTS, target)


def put_back(data: Path, source: Path) -> None:
    """Have every content of the folder `source` that a backup kept; nothing when it kept none."""
    _take_over(source, data / CONTENTS)


def _take_over(source: Path, target: Path) -> None:
    """Link, or else copy, the contents that `target` lacks. No file ever changes, so links will do."""
    for shelf in listed(source, "[0-9a-f][0-9a-f]"):
        for path in listed(shelf, "[0-9a-f]*"):
            kept = target / shelf.name / path.name
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not kept.exists():
                with suppress(FileNotFoundError):  # swept meanwhile, since nothing names it any more
                    _linked(path, kept)
        if (target / shelf.name).is_dir():
            sync_folder(target / shelf.name)


def _linked(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        with draft(kept) as copy:
            shutil.copyfile(path, copy)
            sync_file(copy)
            copy.replace(kept)
