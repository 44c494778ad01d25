"""The contents that belong to a backup: files of the data folder, which lie in a folder beside its file."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from repomesh.kernel.data_folder import CONTENTS
from repomesh.kernel.private_files import listed
from repomesh.store.drafts import draft, sync_file, sync_folder


def back_up_contents(data: Path, target: Path) -> None:
    """Copy every content of the data folder into a backup's folder `target`."""
    _link_missing(data / CONTENTS, target)


def restore_contents(data: Path, source: Path) -> None:
    """Copy every content of a backup's folder `source` into the data folder; nothing when it has none."""
    _link_missing(source, data / CONTENTS)


def _link_missing(source: Path, target: Path) -> None:
    """Link, or else copy, the contents that `target` lacks. No file ever changes, so links will do.

    A backup may come from elsewhere: symbolic links in it, which lead out of it, are left out.
    """
    for shard in listed(source, "[0-9a-f][0-9a-f]"):
        for path in listed(shard, "[0-9a-f]*"):
            if shard.is_symlink() or path.is_symlink() or not path.is_file():
                continue
            target_file = target / shard.name / path.name
            target_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not target_file.exists():
                with suppress(FileNotFoundError):  # swept meanwhile, since nothing names it any more
                    _link_or_copy(path, target_file)
        if (target / shard.name).is_dir():
            sync_folder(target / shard.name)


def _link_or_copy(path: Path, target_file: Path) -> None:
    try:
        os.link(path, target_file)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        with draft(target_file) as copy:
            shutil.copyfile(path, copy)
            sync_file(copy)
            copy.replace(target_file)
