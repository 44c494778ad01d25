"""Pure decisions about CLI sessions: whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repomesh.domains.agents.rules import SYSTEM_NAME
from repomesh.kernel.clis import PROGRAMS, cli_of
from repomesh.kernel.limits import HOOK_PROCESS_DEPTH, NAME_CHARS_MAX


def depth(processes: Sequence[str], process_id: str) -> int | None:
    """How many steps above a hook its CLI stands, if that is `process_id`; None if it is another's.

    Only the nearest ancestors count: further up stands the terminal, or a CLI that started this one. Two
    processes of different machines are different, whatever their numbers.
    """
    for index, process in enumerate(processes[:HOOK_PROCESS_DEPTH]):
        if _same(process, process_id):
            return index
    return None


def cli_process(processes: Sequence[str]) -> str | None:
    """The CLI among a hook's ancestors: the second, since a shell stands between; None when it is unknown."""
    return processes[1] if len(processes) > 1 else None


def nearest(processes: Sequence[str], known: Sequence[tuple[str, str]]) -> str | None:
    """Of `known` (process, agent) the agent whose process comes first in `processes`; None if none does."""
    for process in processes:
        for other, agent_id in known:
            if _same(process, other):
                return agent_id
    return None


def may_be(cli: str, program: str) -> bool:
    """Whether an instance of this program may be a run of `cli`; one of an unknown program may be any."""
    return cli_of(program) in (None, cli)


def stem(cli: str | None, wanted: str | None, program: str) -> str | None:
    """The name to try first for a CLI's agent; None when neither a name nor a known CLI is given."""
    return wanted or PROGRAMS.get(cli or cli_of(program) or "")


def first_free(stem: str, taken: Mapping[str, bool]) -> str:
    """The first of 'stem', 'stem-2' … that nobody has, or whose agent is free to be joined.

    `taken` says of each known name whether it may not be used. So a CLI that comes back is the agent that
    it was, and its second run at the same time another.
    """
    short = stem[: NAME_CHARS_MAX - 8].rstrip("-")
    number = 1
    while True:
        name = stem if number == 1 else f"{short}-{number}"
        if not taken.get(name, False) and name.lower() != SYSTEM_NAME:
            return name
        number += 1


def _same(one: str, other: str) -> bool:
    number, _, machine = one.partition("@")
    other_number, _, other_machine = other.partition("@")
    return number == other_number and (machine == other_machine or not machine or not other_machine)
