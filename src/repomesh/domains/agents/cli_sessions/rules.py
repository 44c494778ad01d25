"""Pure decisions about CLI sessions: which run and which agent they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repomesh.domains.agents.rules import SYSTEM_NAME, name_key
from repomesh.kernel.clis import PROGRAMS, cli_of
from repomesh.kernel.limits import CLI_SESSION_ID_CHARS_MAX, HOOK_PROCESS_DEPTH, NAME_CHARS_MAX
from repomesh.kernel.processes import same_process


def depth(processes: Sequence[str], process_id: str) -> int | None:
    """The distance from a hook up to its ancestor `process_id`, in processes; None if it is not near.

    Only the nearest ancestors count: further up are the terminal, or a CLI that started this one. Two
    processes of different machines are different, whatever their numbers.
    """
    for index, process in enumerate(processes[:HOOK_PROCESS_DEPTH]):
        if same_process(process, process_id):
            return index
    return None


def cli_process(processes: Sequence[str]) -> str | None:
    """The CLI's own process, with which a hook's ancestors begin; None when it is unknown."""
    return processes[0] if processes else None


def same_run(processes: Sequence[str], other_processes: Sequence[str]) -> bool:
    """Whether two hooks come from one run of a CLI: from the same process."""
    process, other_process = cli_process(processes), cli_process(other_processes)
    return process is not None and other_process is not None and same_process(process, other_process)


def is_other_run(processes: Sequence[str], other_processes: Sequence[str]) -> bool:
    """Whether a hook with these ancestors (`other_processes`) is of another run than a session's `processes`.

    False when either is unknown, and when the process of one stands above the other: a hook may be run by a
    helper of its CLI, or by what is left when its CLI ends.
    """
    own_process, other_process = cli_process(processes), cli_process(other_processes)
    if own_process is None or other_process is None:
        return False
    below = depth(other_processes, own_process) is not None
    return not below and not any(same_process(process, other_process) for process in processes)


def second_run_id(session_id: str, process: str) -> str:
    """The id under which a second run of a CLI session is kept while the first one lives."""
    ending = f":{process.partition('@')[0]}"
    return session_id[: CLI_SESSION_ID_CHARS_MAX - len(ending)] + ending


def is_numbered(name: str, stem: str) -> bool:
    """Whether `name` is a numbered form of `stem`, as `first_free` makes them: 'stem-2', 'stem-3' …"""
    short, _, number = name.rpartition("-")
    return name_key(short) == name_key(_shorten(stem)) and number.isdigit()


def nearest_agent(processes: Sequence[str], claims: Sequence[tuple[str, str]]) -> str | None:
    """The agent id of the claim (process, agent id) that comes first in `processes`; None for none."""
    for process in processes:
        for claimed, agent_id in claims:
            if same_process(process, claimed):
                return agent_id
    return None


def can_run(cli: str, program: str) -> bool:
    """Whether an instance of this program may be a run of `cli`; an unknown program may be any CLI."""
    return cli_of(program) in (None, cli)


def name_stem(cli: str | None, wanted: str | None, program: str) -> str | None:
    """The name to try first for a CLI's agent; None when neither a name nor a known CLI is given."""
    return wanted or PROGRAMS.get(cli or cli_of(program) or "")


def first_free(stem: str, taken: Mapping[str, bool]) -> str:
    """The first of 'stem', 'stem-2' … that no agent has, or whose agent may be joined.

    `taken` maps the names in use, and their keys, to whether they must not be used. So a CLI that comes back
    is the same agent again, and a second run at the same time is another.
    """
    short = _shorten(stem)
    number = 1
    while True:
        name = stem if number == 1 else f"{short}-{number}"
        key = name_key(name)
        if not taken.get(name, taken.get(key, False)) and key != SYSTEM_NAME:
            return name
        number += 1


def _shorten(stem: str) -> str:
    return stem[: NAME_CHARS_MAX - 8].rstrip("-")
