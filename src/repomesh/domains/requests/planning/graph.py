"""Builds the reference graph of a repository, for some of its files or for all."""

from __future__ import annotations

from collections.abc import Iterable

from repomesh.domains.requests.planning.languages.readers import ReferenceReaders
from repomesh.domains.requests.planning.references import ReferenceGraph
from repomesh.domains.requests.planning.source_files import SourceFiles
from repomesh.kernel import limits


def build_graph(files: SourceFiles, sources: Iterable[str] | None = None) -> ReferenceGraph:
    """Return the references of `sources` to any file; of all files with None.

    Only `sources`, and the packages through which they import names, are read and parsed. Files that can't be
    parsed have no references; the notes of `files` name them. The work is linear in the bytes that are read.
    """
    graph = ReferenceGraph()
    readers = ReferenceReaders(files)
    for path in sorted(files.paths if sources is None else files.paths & set(sources)):
        reader = readers.for_file(path)
        for target, strength in reader.references(path) if reader is not None else ():
            if not graph.add(path, target, strength):
                files.notes.add(f"Further references were left out: more than {limits.PLAN_REFERENCES_MAX:,}")
                return graph
    return graph
