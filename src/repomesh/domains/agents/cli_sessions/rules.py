"""Pure decisions about CLI sessions: whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repomesh.domains.agents.rules import SYSTEM_NAME, name_key
from repomesh.kernel.clis import PROGRAMS, cli_of
from repomesh.kernel.limits import CLI_SESSION_ID_CHARS_MAX, HOOK_PROCESS_DEPTH, NAME_CHARS_MAX
from repomesh.kernel.processes import same_process


def depth(processes: Sequence[str], process_id: str) -> int | None:
    """How many steps above a hook its CLI stands, if that is `process_id`; None if it is another's.

    Only the nearest ancestors count: further up stands the terminal, or a CLI that started this one. Two
    processes of different machines are different, whatever their numbers.
    """
    for index, process in enumerate(processes[:HOOK_PROCESS_DEPTH]):
        if same_process(process, process_id):
            return index
    return None


def cli_process(processes: Sequence[str]) -> str | None:
    """The CLI's own process, with which a hook's ancestors begin; None when it is unknown."""
    return processes[0] if processes else None


def same_run(processes: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two hooks come from one run of a CLI: from the same process."""
    mine, other = cli_process(processes), cli_process(others)
    return mine is not None and other is not None and same_process(mine, other)


def is_other_run(processes: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the hook with the ancestors `others` comes from another run than the session's `processes`.

    False when either is unknown, and when the process of one stands above the other: a hook may be run by a
    helper of its CLI, or by what is left when its CLI ends.
    """
    mine, other = cli_process(processes), cli_process(others)
    if mine is None or other is None:
        return False
    below = depth(others, mine) is not None
    return not below and not any(same_process(process, other) for process in processes)


def second_run_id(session_id: str, process: str) -> str:
    """The id under which a second run of a CLI session is kept while the first one lives."""
    ending = f":{process.partition('@')[0]}"
    return session_id[: CLI_SESSION_ID_CHARS_MAX - len(ending)] + ending


def is_numbered(name: str, stem: str) -> bool:
    """Whether `name` is what `first_free` makes of `stem` when others have that: 'stem-2', 'stem-3' …"""
    short, _, number = name.rpartition("-")
    return name_key(short) == name_key(_shortened(stem)) and number.isdigit()


def nearest(processes: Sequence[str], known: Sequence[tuple[str, str]]) -> str | None:
    """Of `known` (process, agent) the agent whose process comes first in `processes`; None if none does."""
    for process in processes:
        for other, agent_id in known:
            if same_process(process, other):
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

    `taken` says of each known name, and of its key, whether it may not be used. So a CLI that comes back is
    the agent that it was, and its second run at the same time another.
    """
    short = _shortened(stem)
    number = 1
    while True:
        name = stem if number == 1 else f"{short}-{number}"
        key = name_key(name)
        if not taken.get(name, taken.get(key, False)) and key != SYSTEM_NAME:
            return name
        number += 1


def _shortened(stem: str) -> str:
    return stem[: NAME_CHARS_MAX - 8].rstrip("-")
