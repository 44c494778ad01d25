"""Generated histories: a repository, and what agents mean to change in it. The same seed makes the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from fault.landings.edits import (
    BROKEN,
    Add,
    AddAfter,
    AddKey,
    Append,
    Delete,
    Edit,
    RemoveLine,
    Rename,
    SetLine,
    SetMode,
    as_json,
)
from fault.landings.trees import File

Source = Literal["branch", "commit", "patch"]

AGENTS = ("ada", "ben", "cid", "dot", "eli", "fay", "gus", "hal")
CONTESTED = 0.28  # of the changes touch what others touch
LOG = "CHANGELOG.md"
CHECKED = "checked/"
"""Changes below it are checked."""

CONFIGURATION = f"""\
[queue]
target = "main"
sandbox = "off"

[[checks]]
name = "words"
command = "! grep -rn {BROKEN} {CHECKED}"
paths = ["{CHECKED}**"]
timeout = 60

[merge]
append_only = ["{LOG}"]
"""
_LINES = 30  # of each text file
_FILES_PER_FOLDER = 40
_USERS = 4  # changes that share one contested file
_STACKED = 0.04  # of the changes build on the one before, of the same agent
_CHECKED = 0.05  # of the changes are checked, a fifth of which fail at first


@dataclass(frozen=True)
class Work:
    """One change that an agent means to make: its edits, how it is handed in, and on what it builds."""

    number: int
    agent: str
    edits: tuple[Edit, ...]
    contested: bool = False
    source: Source = "branch"
    builds_on: int | None = None

    @property
    def name(self) -> str:
        """A name for its branch."""
        return f"{self.agent}/{self.number}"


@dataclass
class Plan:
    """The files of a repository at the beginning, and all that is meant to happen to them."""

    files: dict[str, File]
    works: list[Work] = field(default_factory=list)


def make_plan(seed: int, file_count: int, change_count: int) -> Plan:
    """A repository of so many files, and so many changes of 8 agents in a random order."""
    chance = random.Random(seed)
    plan = Plan(_first_files(file_count))
    places = _Places(chance, plan.files)
    contested = list(_contested(places, round(change_count * CONTESTED)))
    own_count = change_count - sum(map(len, contested))
    own = [[_own_edits(chance, places, number)] for number in range(own_count)]
    # Those that meet come at one time, each from another agent.
    groups = [(group, True) for group in contested] + [(group, False) for group in own]
    chance.shuffle(groups)
    works = [(edits, is_contested) for group, is_contested in groups for edits in group]
    for number, (edits, is_contested) in enumerate(works):
        agent = AGENTS[number % len(AGENTS)]
        before = number - len(AGENTS)
        is_stacked = not is_contested and before >= 0 and chance.random() < _STACKED
        source: Source = "branch" if is_stacked else chance.choice(("branch", "branch", "commit", "patch"))
        if source == "patch" and not all(isinstance(edit, (SetLine, AddAfter, Append)) for edit in edits):
            source = "commit"
        builds_on = before if is_stacked and plan.works[before].source != "patch" else None
        plan.works.append(Work(number, agent, edits, is_contested, source, builds_on))
    return plan


class _Places:
    """Files that no other change touches, by their kind."""

    def __init__(self, chance: random.Random, files: dict[str, File]) -> None:
        self._free: dict[str, list[str]] = {}
        for path in files:
            self._free.setdefault(path.rpartition(".")[2], []).append(path)
        for paths in self._free.values():
            chance.shuffle(paths)

    def take(self, kind: str) -> str:
        """The path of a file that has not been taken."""
        return self._free[kind].pop()


def _first_files(count: int) -> dict[str, File]:
    files = {
        "repomesh.toml": File(CONFIGURATION.encode()),
        LOG: File(b"# Changes\n\n"),
        f"{CHECKED}README": File(b"Each file here is checked.\n"),
    }
    for number in range(count - len(files)):
        folder = f"part{number // _FILES_PER_FOLDER:03}"
        kind = ("txt", "py", "txt", "json", "txt")[number % 5]
        path = f"{folder}/file{number:05}.{kind}"
        files[path] = File(_FIRST[kind](path))
    return files


def _first_text(path: str) -> bytes:
    return "".join(f"{text_line(path, number, '0')}\n" for number in range(_LINES)).encode()


def _first_python(path: str) -> bytes:
    functions = [f"def f{number:02}():\n{python_line(path, number, '0')}\n" for number in range(8)]
    return "\n\n".join(functions).encode()


def _first_json(path: str) -> bytes:
    return as_json({f"k{number:02}": f"{path} 0" for number in range(12)})


_FIRST: dict[str, Callable[[str], bytes]] = {"txt": _first_text, "py": _first_python, "json": _first_json}


def text_line(path: str, number: int, value: str) -> str:
    """A line of a text file; no other file has it."""
    return f"k{number:02} {path} {value}"


def python_line(path: str, number: int, value: str) -> str:
    """What a function of a Python file returns."""
    return f'    return "k{number:02} {path} {value}"'


def set_python(path: str, number: int, value: str) -> SetLine:
    """Have a function return something else."""
    return SetLine(path, f'return "k{number:02} ', python_line(path, number, value))


def set_text(path: str, number: int, value: str) -> SetLine:
    """Set a line of a text file."""
    return SetLine(path, f"k{number:02} ", text_line(path, number, value))


def _contested(places: _Places, count: int) -> Iterator[list[tuple[Edit, ...]]]:
    """Edits of so many changes that meet others, in groups that share a file."""
    made = 0
    for kind in itertools.cycle(_KINDS):
        if made >= count:
            return
        group = kind(places, f"c{made}")[: count - made]
        made += len(group)
        yield group


def _far_apart(places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """Lines of one file, which git merges."""
    path = places.take("txt")
    return [(set_text(path, 2 + 7 * user, f"{tag}.{user}"),) for user in range(_USERS)]


def _same_line(places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """One line, set by several: a true conflict."""
    path = places.take("txt")
    return [(set_text(path, 9, f"{tag}.{user}"),) for user in range(2)]


def _next_to_each_other(places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """Lines added at one place, and a neighbour that is removed."""
    path = places.take("txt")
    added: list[tuple[Edit, ...]] = [
        (AddAfter(path, "k05 ", f"new {path} {tag}.{user}"),) for user in range(2)
    ]
    return [*added, (RemoveLine(path, "k06 "),)]


def _functions(places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """Functions of one Python file: changed ones, and new ones at its end."""
    path = places.take("py")
    new = "\n\ndef new_{0}():\n    return '{0}'\n"
    added: list[tuple[Edit, ...]] = [(Append(path, new.format(f"{tag}_{user}")),) for user in range(2)]
    return [(set_python(path, 1, tag),), *added, (set_python(path, 5, tag),)]


def _keys(places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """New keys of one JSON object."""
    path = places.take("json")
    return [(AddKey(path, f"{tag}.{user}", path),) for user in range(3)]


def _log(_places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """Lines at the end of the file that is only added to."""
    return [(Append(LOG, f"- {tag}.{user}\n"),) for user in range(2)]


def _renamed(places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """A file that one moves and another changes."""
    path = places.take("txt")
    return [(Rename(path),), (set_text(path, 20, tag),), (SetMode(path, "100755"),)]


def _deleted(places: _Places, tag: str) -> list[tuple[Edit, ...]]:
    """A file that one deletes and another changes: a true conflict."""
    path = places.take("txt")
    return [(Delete(path),), (set_text(path, 15, tag),)]


_KINDS = (_far_apart, _same_line, _next_to_each_other, _functions, _keys, _log, _renamed, _deleted)


def _own_edits(chance: random.Random, places: _Places, number: int) -> tuple[Edit, ...]:
    """Edits of what no other change touches."""
    tag = f"own{number}"
    if chance.random() < _CHECKED:
        word = BROKEN if chance.random() < 0.2 else "fine"
        return (Add(f"{CHECKED}{tag}.txt", f"{tag} {word}\n"),)
    edits: list[Edit] = []
    for _ in range(chance.randint(1, 2)):
        kind = chance.choice(("set", "set", "add", "python", "delete", "rename", "mode"))
        if kind == "set":
            edits.append(set_text(places.take("txt"), chance.randrange(_LINES), tag))
        elif kind == "python":
            edits.append(set_python(places.take("py"), chance.randrange(8), tag))
        elif kind == "add":
            mode = chance.choice(("100644", "100644", "100755"))
            edits.append(Add(f"new/{number % 50:02}/{tag}_{len(edits)}.txt", f"{tag}\n" * 5, mode))
        elif kind == "delete":
            edits.append(Delete(places.take("py")))
        elif kind == "rename":
            edits.append(Rename(places.take("txt")))
        else:
            edits.append(SetMode(places.take("txt"), "100755"))
    return tuple(edits)
