"""Which files belong together by their paths: tests and what they test, and new files and their neighbours.

New files have no contents yet, so their paths are all that is known.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from repomesh.domains.requests.planning.path_names import folder, is_code, is_index, is_test, stem, suffix

_COMPARED_MAX = 50  # files of one name that a test is compared with
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+|[^\W_]+")
_FAMILIES = {
    suffix_: family
    for family, suffixes in {
        "python": (".py", ".pyi"),
        "script": (".js", ".jsx", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".vue", ".svelte"),
    }.items()
    for suffix_ in suffixes
}


def tested_files(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (test, file) for each test and the file of the same name and language that is nearest to it."""
    sources: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    tests: list[str] = []
    for path in sorted(paths):
        if not is_code(path):
            continue
        if is_test(path):
            tests.append(path)
        elif not is_index(path):
            sources[stem(path), _family(path)].append(path)
    for test in tests:
        same_name = sources.get((stem(test), _family(test)), [])[:_COMPARED_MAX]
        if same_name:
            yield test, max(same_name, key=lambda path: (_shared_folders(test, path), path))


def same_first_word(new: Iterable[str], touched: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a new code file and a touched one of its folder whose name begins with the same word."""
    firsts: dict[tuple[str, str], str] = {}
    for path in sorted(touched):
        if is_code(path):
            firsts.setdefault((folder(path), _first_word(path)), path)
    for path in sorted(new):
        first = firsts.get((folder(path), _first_word(path)), path)
        if first != path:
            yield path, first


def new_by_folder(
    new: Iterable[str], touched: Iterable[str], degrees: Mapping[str, int]
) -> Iterator[list[str]]:
    """Yield for each folder its touched code file with the most references, if any, then its new code files.

    A folder of tests in which nothing else is touched takes that file from the folder that it mirrors.
    """
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    new_by_parent: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(new):
        if is_code(path):
            new_by_parent[folder(path)].append(path)
    for path in sorted(touched):
        if is_code(path):
            by_folder[folder(path)].append(path)
    mirrored = _folders_by_name(by_folder)
    for parent, members in sorted(new_by_parent.items()):
        others = [path for path in by_folder[parent] if path not in members]
        if not others and is_test(members[0]):
            names = mirrored.get(parent.rpartition("/")[2], [])[:_COMPARED_MAX]
            nearest = max(
                names, key=lambda name: (_shared_folders(f"{parent}/x", f"{name}/x"), name), default=""
            )
            others = by_folder[nearest] if nearest else []
        anchor = sorted(others, key=lambda path: (-degrees.get(path, 0), path))[:1]
        yield [*anchor, *members]


def _folders_by_name(by_folder: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for parent in sorted(by_folder):
        if parent and not is_test(f"{parent}/x"):
            names[parent.rpartition("/")[2]].append(parent)
    return names


def _family(path: str) -> str:
    return _FAMILIES.get(suffix(path), suffix(path))


def _first_word(path: str) -> str:
    match = _WORD.search(stem(path))
    return match.group().casefold() if match else stem(path)


def _shared_folders(test: str, path: str) -> int:
    """Return how many folders two paths have in common, wherever they stand."""
    return len(set(test.split("/")[:-1]) & set(path.split("/")[:-1]))
