"""What every structured merge must hold, looked at again in its text: nothing lost, nothing twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from repomesh.domains.changes.building.structured.entities import Body, bound_names, key_paths
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.text_form import split_lines

_WORD = re.compile(r"[^\W\d]\w*")


def check_merge(
    texts: tuple[str, str, str], bodies: tuple[Body, Body, Body], merged: str, read: Callable[[str], Body]
) -> None:
    """Read a merge of (base, ours, theirs) again. Raises NotMergeable where it is not what the sides made."""
    again = read(merged)
    base, ours, theirs, result = (set(key_paths(body)) for body in (*bodies, again))
    wanted = (ours & theirs) | (ours - base) | (theirs - base)
    if wanted != result:
        path = min(wanted ^ result)
        way = "lose" if path in wanted else "repeat or invent"
        raise NotMergeable(f"the merge would {way} {' '.join(path[-1])}")
    _check_lines(texts, merged)


def check_names(texts: tuple[str, str, str], bodies: tuple[Body, Body, Body]) -> None:
    """Refuse one name for two things, and new uses of what the other side removed. Raises NotMergeable."""
    base, ours, theirs = (bound_names(body) for body in bodies)
    for place in (ours.keys() & theirs.keys()) - base.keys():
        if ours[place] != theirs[place]:
            raise NotMergeable(f"both sides added the name {place[1]}, for other things")
    known, mine, others = ({_simple(name) for _scope, name in names} for names in (base, ours, theirs))
    for removed, other in ((known - mine, texts[2]), (known - others, texts[1])):
        if not removed:
            continue
        added = Counter(split_lines(other)) - Counter(split_lines(texts[0]))
        used = removed.intersection(word for line in added for word in _WORD.findall(line))
        if used:
            raise NotMergeable(f"one side removed {min(used)}, which the other uses anew")


def _simple(name: str) -> str:
    """The name by which code calls it, without its receiver and the types of its parameters."""
    return name.partition("(")[0].rpartition(".")[2]


def _check_lines(texts: tuple[str, str, str], merged: str) -> None:
    """Refuse a line of the sides that the merge holds more or less often than they give reason for."""
    base, ours, theirs, result = (_counted(text) for text in (*texts, merged))
    for line in base.keys() | ours.keys() | theirs.keys():
        mine, others = ours[line], theirs[line]
        both = mine + others - base[line]
        if not min(mine, others, both) <= result[line] <= max(mine, others, both):
            raise NotMergeable(f"the merge would lose or repeat a line: {line[:80]}")


def _counted(text: str) -> Counter[str]:
    lines = (line.strip().rstrip(",") for line in split_lines(text))
    return Counter(line for line in lines if line)
