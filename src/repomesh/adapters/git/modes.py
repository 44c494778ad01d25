"""The modes of entries in a tree, as git writes them there, and the numbers of types of objects."""

from __future__ import annotations

REGULAR = "100644"
EXECUTABLE = "100755"
SYMLINK = "120000"
SUBMODULE = "160000"
FOLDER = "40000"

CONTENTS = frozenset({REGULAR, EXECUTABLE})
"""Modes of files that hold a content: neither a link, nor a commit of another repository."""

TREE_TYPE = 2
"""The number of trees among the types of objects, in packs and in libgit2."""

READ_WHOLE_TYPES = (1, 4)
"""The numbers of commits and tags: libgit2 reads them whole, and COMMIT_BYTES_MAX bounds them."""
