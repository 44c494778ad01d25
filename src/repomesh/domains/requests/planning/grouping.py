"""Groups touched files: joins what belongs together, strongest ties first, within the limits of a task."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from repomesh.domains.requests.planning import affinities
from repomesh.domains.requests.planning.clusters import Clusters
from repomesh.domains.requests.planning.impacts import impacting
from repomesh.domains.requests.planning.models import TaskLimits, TaskSize
from repomesh.domains.requests.planning.overlaps import OwnedPattern, find_overlaps
from repomesh.domains.requests.planning.path_names import as_pattern, folder, is_code, is_index, is_test
from repomesh.domains.requests.planning.references import Reference
from repomesh.domains.requests.planning.requested_paths import RequestedFiles
from repomesh.domains.requests.planning.shared_files import MANIFESTS, SharedTrait
from repomesh.domains.requests.planning.source_files import LOCK_FILES, SourceFiles, total_size

_SAME_FOLDER, _TEST_OF = 1.5, 2.0  # factors of a tie's weight
_PACKED_MAX = 50  # groups into which one is tried to fit
_PAIR_WEIGHT = 8.0  # of a test and what it tests: as much as the strongest reference


def group_files(
    files: SourceFiles,
    requested: RequestedFiles,
    references: Sequence[Reference],
    traits: Mapping[str, SharedTrait],
    task_limits: TaskLimits,
) -> tuple[Clusters, list[tuple[str, str]]]:
    """Return the touched files in groups, and pairs (later, earlier) of new files that need two groups.

    Groups beyond the limits hold only what can't be apart. The files of a new folder are likely to use each
    other; where they need several groups, these should land one after another.

    Args:
        files: The repository.
        requested: What the request touches. Items of the groups are its existing paths and new patterns.
        references: References among the existing paths.
        traits: Shared files among the existing paths.
        task_limits: The limits of a group.
    """
    sizes = {path: total_size(files, [path]) for path in requested.existing}
    sizes |= {pattern: TaskSize(files=1) for pattern in requested.new}
    clusters = Clusters(sizes, task_limits)
    _join_inseparable(clusters, requested)
    append_only = {path for path, trait in traits.items() if trait.mode == "append_only"}
    ordinary = [each for each in references if not {each.source, each.target} & append_only]
    for a, b in _weighted_ties(ordinary, requested):
        clusters.join(a, b)
    degrees = Counter(path for each in ordinary for path in (each.source, each.target))
    touched = requested.existing | requested.new
    for a, b in affinities.same_first_word(requested.new, touched):
        clusters.join(a, b)
    overflows: list[tuple[str, str]] = []
    folders = files.folders()
    for members in affinities.new_by_folder(requested.new, touched, degrees):
        pairs = list(_fill(clusters, members))
        overflows += pairs if folder(members[-1]) not in folders else []
    _pack_tied(clusters, impacting(references, append_only))
    _join_manifests(clusters, sizes)
    _join_append_only(clusters, references, append_only)
    _join_indexes(clusters, sizes)
    _join_documents(clusters, sizes)
    _join_until(clusters, task_limits.tasks_max)
    return clusters, overflows


def _fill(clusters: Clusters, members: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Join files one after another; where a group is full, begin the next, and yield a file of both."""
    current = members[0]
    for path in members[1:]:
        if not clusters.join(path, current):
            yield path, current
            current = path


def _join_inseparable(clusters: Clusters, requested: RequestedFiles) -> None:
    """Join paths of which one lies below the other one, and patterns that overlap. Raises OverlapsTooMany."""
    owned = [OwnedPattern(path, as_pattern(path) or path) for path in sorted(requested.existing)]
    owned += [OwnedPattern(pattern, pattern) for pattern in sorted(requested.new)]
    for first, second in find_overlaps(owned):
        clusters.join(first.owner, second.owner, forced=True)


def _weighted_ties(references: Sequence[Reference], requested: RequestedFiles) -> Iterator[tuple[str, str]]:
    """Yield pairs of files that belong together, the strongest tie first.

    A reference to a file that many use is weaker: its users have less to do with each other.
    """
    users = Counter(reference.target for reference in references)
    weights: dict[tuple[str, str], float] = {}
    for reference in references:
        weight = reference.strength / (1 + math.log2(users[reference.target]))
        if folder(reference.source) == folder(reference.target):
            weight *= _SAME_FOLDER
        pair = (reference.source, reference.target)
        weights[pair] = weight
    for test, tested in affinities.tested_files((*requested.existing, *requested.new)):
        weights[test, tested] = max(_PAIR_WEIGHT, weights.get((test, tested), 0) * _TEST_OF)
    yield from sorted(weights, key=lambda pair: (-round(weights[pair], 6), pair))


def _pack_tied(clusters: Clusters, references: Sequence[Reference]) -> None:
    """Join groups that can't be independent, since all files that use each other do not fit in one.

    So they are as few as possible: each goes to the first of the groups before it in which it fits.
    """
    parts = Clusters(dict.fromkeys(clusters.groups(), TaskSize()), TaskLimits())
    for reference in references:
        parts.join(clusters.find(reference.source), clusters.find(reference.target), forced=True)
    for part in parts.groups().values():
        packed: list[str] = []
        for group in part:
            if not any(clusters.join(group, other) for other in packed[-_PACKED_MAX:]):
                packed.append(group)


def _join_manifests(clusters: Clusters, items: Iterable[str]) -> None:
    """Join lock files with the manifests of their folder."""
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        if item.rpartition("/")[2] in LOCK_FILES | MANIFESTS:
            by_folder[folder(item)].append(item)
    for _parent, members in sorted(by_folder.items()):
        if any(member.rpartition("/")[2] in LOCK_FILES for member in members):
            clusters.join_all(members)


def _join_append_only(clusters: Clusters, references: Sequence[Reference], append_only: set[str]) -> None:
    """Join each append-only source with the group that has the most references to it."""
    users: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for reference in references:
        if reference.target in append_only and reference.source not in append_only:
            users[reference.target][reference.source] += reference.strength
    for path in sorted(users):
        counts: Counter[str] = Counter()
        for source, strength in users[path].items():
            counts[clusters.find(source)] += strength
        for group in sorted(counts, key=lambda each: (-counts[each], each)):
            if clusters.join(path, group):
                break


def _join_indexes(clusters: Clusters, items: Iterable[str]) -> None:
    """Join `__init__.py` and the like, where they are alone, with a group of their folder, else together."""
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for item in sorted(items):
        if is_code(item):
            by_folder[folder(item)].append(item)
    for members in by_folder.values():
        for index in (member for member in members if is_index(member)):
            groups = Counter(clusters.find(member) for member in members if not is_index(member))
            for group in sorted(groups, key=lambda each: (-groups[each], each)):
                if clusters.size(index).files > 1 or clusters.join(index, group):
                    break
    indexes = (member for members in by_folder.values() for member in members if is_index(member))
    clusters.join_all(index for index in indexes if clusters.size(index).files == 1)


def _join_documents(clusters: Clusters, items: Iterable[str]) -> None:
    """Join files of one folder that are no code and in no larger group: each alone would make a tiny task."""
    by_folder: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for item in sorted(items):
        if not is_code(item) and clusters.size(item).files == 1:
            by_folder[folder(item), is_test(item)].append(item)
    for _folder, members in sorted(by_folder.items()):
        clusters.join_all(members)


def _join_until(clusters: Clusters, tasks_max: int) -> None:
    """Join neighbours in the order of their paths until there are no more groups than tasks may be."""
    groups = list(clusters.groups())
    count = len(groups)
    place = 0
    while count > tasks_max and place + 1 < len(groups):
        if clusters.join(groups[place], groups[place + 1]):
            count -= 1
        place += 1
