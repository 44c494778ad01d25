"""The modes of entries in a tree, as git writes them there."""

from __future__ import annotations

REGULAR = "100644"
EXECUTABLE = "100755"
SYMLINK = "120000"
SUBMODULE = "160000"
FOLDER = "40000"

CONTENTS = frozenset({REGULAR, EXECUTABLE})
"""Modes of files that hold a content: neither a link, nor a commit of another repository."""
