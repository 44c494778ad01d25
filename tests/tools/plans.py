"""Prints how well requests are planned: `python plans.py [tuning|reported] [--cases]`.

The cases are those of `plan_histories`. For each half a table by source: tasks, independence, overlaps, and
how the known final change lands along the plan. `--cases` prints each case, of the tuning half only.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import plan_landing  # noqa: E402 - found beside this folder
from plan_histories import PACKAGES, Case, Objects, history_cases, package_cases  # noqa: E402
from repomesh.domains.requests.planning.rules import check_plan  # noqa: E402
from repomesh.domains.requests.planning.source_files import SourceFiles  # noqa: E402
from repomesh.domains.requests.planning.splitter import propose_plan  # noqa: E402

ROOT = HERE.parent.parent
SITE = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


@dataclass(frozen=True)
class Result:
    """What became of one case."""

    case: Case
    files: int
    tasks: int
    independent: int
    unowned: int
    overlaps: int
    violations: int
    merged: int
    conflicts: int
    same_tree: bool
    steps: int
    broken: int
    plan_s: float


def evaluate(case: Case) -> Result:
    """Plan one case, check the plan by the rules, and land the known change along it."""
    base, _final = case.trees
    objects = case.objects

    def read(path: str) -> bytes:
        return objects.read(base[path].oid)

    start = time.monotonic()
    plan = propose_plan(base, read, case.touched)
    plan_s = time.monotonic() - start
    owners = plan_landing.owners_of(case, plan)
    single = {path: keys[0] for path, keys in owners.items() if len(keys) == 1}
    landing = plan_landing.land(case, single, random.Random(case.name))
    steps, broken = plan_landing.broken_steps(case, plan, single, random.Random(case.name))
    return Result(
        case=case,
        files=len(case.touched),
        tasks=len(plan.tasks),
        independent=round(plan.independence * len(plan.tasks)),
        unowned=sum(not keys for keys in owners.values()),
        overlaps=sum(len(keys) > 1 for keys in owners.values()),
        violations=len(check_plan(plan, SourceFiles(base, read))),
        merged=landing.merged,
        conflicts=landing.conflicts,
        same_tree=landing.same_tree,
        steps=steps,
        broken=broken,
        plan_s=plan_s,
    )


def table(results: Sequence[Result]) -> Iterator[str]:
    """The lines of a table: one for each source, and one for all."""
    by_source = defaultdict(list)
    for result in results:
        by_source[result.case.source].append(result)
    yield (
        "| source | cases | files | tasks | independence, mean | independent tasks | overlaps | not owned | "
        "rule violations | merges without conflict | final tree equal | steps with intact imports | "
        "slowest plan, s |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for source, group in [*sorted(by_source.items()), ("all", list(results))]:
        yield _row(source, group)


def _row(source: str, group: Sequence[Result]) -> str:
    tasks = sum(each.tasks for each in group)
    merges = sum(each.merged + each.conflicts for each in group)
    steps = sum(each.steps for each in group)
    cells = [
        source,
        len(group),
        sum(each.files for each in group),
        tasks,
        f"{sum(each.independent / each.tasks for each in group) / len(group):.1%}",
        f"{sum(each.independent for each in group) / tasks:.1%}",
        sum(each.overlaps for each in group),
        sum(each.unowned for each in group),
        sum(each.violations for each in group),
        f"{sum(each.merged for each in group) / merges:.1%}",
        f"{sum(each.same_tree for each in group)} of {len(group)}",
        f"{1 - sum(each.broken for each in group) / steps:.1%}",
        f"{max(each.plan_s for each in group):.2f}",
    ]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def main() -> None:
    """Print the tables of the halves that were asked for."""
    halves = [word for word in sys.argv[1:] if not word.startswith("-")] or ["tuning"]
    with tempfile.TemporaryDirectory() as folder:
        own = Objects(Path(folder) / "own")
        Objects(ROOT).git("clone", "-q", "--bare", str(ROOT), str(own.folder))
        cases = list(history_cases(own))
        for name in PACKAGES:
            cases += package_cases(SITE / name, Path(folder) / name)
        print(f"{len(cases)} cases")
        for half in halves:
            results = [evaluate(case) for case in cases if case.half == half]
            print(f"\n{half} half\n", *table(results), sep="\n")
            for each in results if "--cases" in sys.argv and half == "tuning" else []:
                print(
                    f"{each.case.name}: {each.files} files, {each.independent} of {each.tasks} independent, "
                    f"{each.broken} of {each.steps} broken, {each.violations} violations"
                )
        for objects in {id(case.objects): case.objects for case in cases}.values():
            objects.close()


if __name__ == "__main__":
    main()
