"""Whether the demo's story happened: each claim is looked up in the event log, the metrics and git."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from repomesh.cli.demo.agent import AUTHORS, CHANNEL, INVENTORY, README, ROLES
from repomesh.cli.demo.repository import git
from repomesh.cli.demo.verdicts import Event, RunRecord, log_is_gapless, require, require_killed


@dataclass(kw_only=True)
class DemoRecord(RunRecord):
    """What is left when the play is over."""

    work: Path
    base: str
    zombie: str = "nobody tried"

    def task(self, type_: str, path: str, by: str | None = None) -> Event:
        """The first event of this type about the task for `path`."""

        def fits(event: Event) -> bool:
            task = event["data"]["task"]
            return task["scope"] == [path] and by in (None, task["agent_name"])

        return self.first(type_, f"for {path}{f' by {by}' if by else ''}", fits)


def registered(seen: DemoRecord) -> str:
    """Three agents registered."""
    joined = [(event["data"]["agent"], event["seq"]) for event in seen.events_of("agent.registered")]
    names = {agent["name"]: seq for agent, seq in joined if agent["status"] == "active"}
    require(names.keys() >= ROLES.keys(), f"only {', '.join(names) or 'nobody'} registered")
    return f"events {', '.join(f'{names[name]} ({name})' for name in ROLES)}"


def found_each_other(seen: DemoRecord) -> str:
    """One found the others by name and capability, and wrote to them."""
    sent = seen.first(
        "message.sent",
        "from ada to ben and cleo",
        lambda event: event["data"]["sender_name"] == "ada" and event["data"]["to"] == ["ben", "cleo"],
    )
    return f"event {sent['seq']}: ada to {' and '.join(sent['data']['to'])}"


def talked_in_a_thread(seen: DemoRecord) -> str:
    """They talked in a thread, and what asked for it was acknowledged."""
    voices: dict[str, set[str]] = {}
    for event in seen.events_of("message.sent"):
        voices.setdefault(event["data"]["thread_id"], set()).add(event["data"]["sender_name"])
    require(any(names >= ROLES.keys() for names in voices.values()), "no thread has all three in it")
    acked = [event["seq"] for event in seen.events_of("message.acked")]
    require(len(acked) >= 2, "the question was not acknowledged by both")
    return f"one thread with all three; acknowledged in events {', '.join(map(str, acked[:3]))}"


def talked_in_a_channel(seen: DemoRecord) -> str:
    """They talked in a channel."""
    said = [event["data"] for event in seen.events_of("message.sent") if event["data"]["channel"] == CHANNEL]
    voices = sorted({message["sender_name"] for message in said})
    require(len(voices) >= 2, f"#{CHANNEL} heard {len(voices)} voices")
    return f"#{CHANNEL}: {len(said)} messages of {' and '.join(voices)}"


def kept_the_order(seen: DemoRecord) -> str:
    """The task that depended on the others was claimed after both were done."""
    last = seen.task("task.claimed", README)["seq"]
    before = [seen.task("task.completed", path)["seq"] for path in (AUTHORS, INVENTORY)]
    require(max(before) < last, f"claimed in event {last}, its dependencies done in {before}")
    return f"done in events {before[0]} and {before[1]}, claimed in {last}"


def locked_what_they_edit(seen: DemoRecord) -> str:
    """Every file was locked by whoever committed it, with its task."""
    told = []
    for path, author in _commits(seen):
        claimed = seen.task("task.claimed", path, author)
        require(path in claimed["data"]["locks"], f"{author} committed {path} without its lock")
        told.append(f"{path} by {author} (event {claimed['seq']})")
    require(bool(told), "nothing was committed")
    return ", ".join(told)


def were_told_no(seen: DemoRecord) -> str:
    """They were told no where they collided: at a lock, and at a task that was not ready."""
    locks = seen.refusals("lock.acquire", "lock_conflict")
    claims = seen.refusals("task.claim", "dependencies_unmet")
    require(locks > 0, "the server refused no lock")
    require(claims > 0, "the server refused no claim")
    return f"the server counted {locks} refused locks and {claims} refused claims"


def was_killed(seen: DemoRecord) -> str:
    """One was killed with its task claimed and its lock held."""
    require_killed(seen, "ben")
    claimed = seen.task("task.claimed", INVENTORY, "ben")
    require(INVENTORY in claimed["data"]["locks"], "ben did not hold the lock")
    return f"ben, by SIGKILL, with fencing token {claimed['data']['fencing_token']} (event {claimed['seq']})"


def was_reclaimed(seen: DemoRecord) -> str:
    """Its task and its lock were taken back."""

    def held_it(event: Event) -> bool:
        leases = [(lease["agent_name"], lease["resource"]) for lease in event["data"]["leases"]]
        return ("ben", INVENTORY) in leases

    task = seen.first("task.reclaimed", "from ben", lambda event: event["data"]["agent_name"] == "ben")
    lock = seen.first("lease.reclaimed", f"of {INVENTORY} from ben", held_it)
    return f"events {task['seq']} and {lock['seq']}: {lock['data']['reason']}"


def another_took_over(seen: DemoRecord) -> str:
    """Another was given both, with a higher fencing token, and finished."""
    old = seen.task("task.claimed", INVENTORY, "ben")["data"]["fencing_token"]
    claimed = seen.task("task.claimed", INVENTORY, "cleo")
    new = claimed["data"]["fencing_token"]
    require(new > old, f"cleo's token {new} is not above ben's {old}")
    require(INVENTORY in claimed["data"]["locks"], "cleo got the task without the lock")
    done = seen.task("task.completed", INVENTORY, "cleo")
    return f"cleo with token {new} after {old} (event {claimed['seq']}), done in event {done['seq']}"


def old_token_is_refused(seen: DemoRecord) -> str:
    """The dead one's fencing token is refused."""
    require(seen.zombie.startswith("refused"), seen.zombie)
    return seen.zombie


def work_is_in_git(seen: DemoRecord) -> str:
    """The work is in git: one commit for each task, each of its file alone, nothing half-done."""
    paths = sorted(path for path, _ in _commits(seen))
    require(paths == sorted((AUTHORS, INVENTORY, README)), f"committed: {', '.join(paths) or 'nothing'}")
    left = git(seen.work, "status", "--porcelain").strip()
    require(not left, f"left behind: {left}")
    names = git(seen.work, "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")
    count = sum(bool(name) and not name.startswith("survey/") for name in names)
    whole = f"Together {count} files" in (seen.work / INVENTORY).read_text()
    require(whole, f"{INVENTORY} does not count {count} files")
    readme = (seen.work / README).read_text()
    require(AUTHORS in readme and INVENTORY in readme, f"{README} does not lead to both")
    return git(seen.work, "log", "--oneline", "--reverse", f"{seen.base}..HEAD").strip().replace("\n", "; ")


CLAIMS: tuple[Callable[[DemoRecord], str], ...] = (
    registered,
    found_each_other,
    talked_in_a_thread,
    talked_in_a_channel,
    kept_the_order,
    locked_what_they_edit,
    were_told_no,
    was_killed,
    was_reclaimed,
    another_took_over,
    old_token_is_refused,
    work_is_in_git,
    log_is_gapless,
)
"""The story, claim by claim; each answers where it is written, or raises Missing."""


def _commits(seen: DemoRecord) -> list[tuple[str, str]]:
    """(path, author) of each commit, oldest first; raises Missing unless each touches one file."""
    text = git(seen.work, "log", "--reverse", "--format=%x00%an", "--name-only", f"{seen.base}..HEAD")
    made = []
    for entry in text.split("\0")[1:]:
        author, *paths = [line for line in entry.splitlines() if line]
        require(len(paths) == 1, f"a commit of {author} touches {len(paths)} files")
        made.append((paths[0], author))
    return made
