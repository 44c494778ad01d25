"""The claims of the demo, each checked in the event log, the metrics or git.

The docstring of a claim is the sentence that the demo prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from repomesh.cli.demo.agent import AUTHORS, CHANNEL, INVENTORY, README, ROLES
from repomesh.cli.demo.repository import git
from repomesh.cli.demo.verdicts import Event, RunRecord, log_is_gapless, require, require_killed


@dataclass(kw_only=True)
class DemoRecord(RunRecord):
    """Results of a finished demo, with its work tree and the response to an old fencing token (`zombie`)."""

    work: Path
    base: str
    zombie: str = "nobody tried"

    def task(self, type_: str, path: str, agent_name: str | None = None) -> Event:
        """Return the first event of this type about the task for `path`; raises ClaimNotFound."""

        def fits(event: Event) -> bool:
            task = event["data"]["task"]
            return task["scope"] == [path] and agent_name in (None, task["agent_name"])

        return self.first(type_, f"for {path}{f' by {agent_name}' if agent_name else ''}", fits)


def registered(record: DemoRecord) -> str:
    """Three agents registered."""
    joined = [(event["data"]["agent"], event["seq"]) for event in record.events("agent.registered")]
    names = {agent["name"]: seq for agent, seq in joined if agent["status"] == "active"}
    require(names.keys() >= ROLES.keys(), f"only {', '.join(names) or 'nobody'} registered")
    return f"events {', '.join(f'{names[name]} ({name})' for name in ROLES)}"


def found_each_other(record: DemoRecord) -> str:
    """One found the others by name and capability, and wrote to them."""
    sent = record.first(
        "message.sent",
        "from ada to ben and cleo",
        lambda event: event["data"]["sender_name"] == "ada" and event["data"]["to"] == ["ben", "cleo"],
    )
    return f"event {sent['seq']}: ada to {' and '.join(sent['data']['to'])}"


def talked_in_a_thread(record: DemoRecord) -> str:
    """They talked in a thread, and what asked for it was acknowledged."""
    voices: dict[str, set[str]] = {}
    for event in record.events("message.sent"):
        voices.setdefault(event["data"]["thread_id"], set()).add(event["data"]["sender_name"])
    require(any(names >= ROLES.keys() for names in voices.values()), "no thread has all three in it")
    acknowledged = [event["seq"] for event in record.events("message.acked")]
    require(len(acknowledged) >= 2, "the question was not acknowledged by both")
    return f"one thread with all three; acknowledged in events {', '.join(map(str, acknowledged[:3]))}"


def talked_in_a_channel(record: DemoRecord) -> str:
    """They talked in a channel."""
    messages = [
        event["data"] for event in record.events("message.sent") if event["data"]["channel"] == CHANNEL
    ]
    voices = sorted({message["sender_name"] for message in messages})
    require(len(voices) >= 2, f"#{CHANNEL} heard {len(voices)} voices")
    return f"#{CHANNEL}: {len(messages)} messages of {' and '.join(voices)}"


def kept_the_order(record: DemoRecord) -> str:
    """The task that depended on the others was claimed after both were done."""
    claimed_seq = record.task("task.claimed", README)["seq"]
    done_seqs = [record.task("task.completed", path)["seq"] for path in (AUTHORS, INVENTORY)]
    require(
        max(done_seqs) < claimed_seq, f"claimed in event {claimed_seq}, its dependencies done in {done_seqs}"
    )
    return f"done in events {done_seqs[0]} and {done_seqs[1]}, claimed in {claimed_seq}"


def locked_what_they_edit(record: DemoRecord) -> str:
    """Every file was locked by whoever committed it, with its task."""
    evidence = []
    for path, author in _commits(record):
        claimed = record.task("task.claimed", path, author)
        require(path in claimed["data"]["locks"], f"{author} committed {path} without its lock")
        evidence.append(f"{path} by {author} (event {claimed['seq']})")
    require(bool(evidence), "nothing was committed")
    return ", ".join(evidence)


def were_told_no(record: DemoRecord) -> str:
    """They were told no where they collided: at a lock, and at a task that was not ready."""
    locks = record.refusals("lock.acquire", "lock_conflict")
    claims = record.refusals("task.claim", "dependencies_unmet")
    require(locks > 0, "the server refused no lock")
    require(claims > 0, "the server refused no claim")
    return f"the server counted {locks} refused locks and {claims} refused claims"


def was_killed(record: DemoRecord) -> str:
    """One was killed with its task claimed and its lock held."""
    require_killed(record, "ben")
    claimed = record.task("task.claimed", INVENTORY, "ben")
    require(INVENTORY in claimed["data"]["locks"], "ben did not hold the lock")
    return f"ben, by SIGKILL, with fencing token {claimed['data']['fencing_token']} (event {claimed['seq']})"


def was_reclaimed(record: DemoRecord) -> str:
    """Its task and its lock were taken back."""

    def held_it(event: Event) -> bool:
        leases = [(lease["agent_name"], lease["resource"]) for lease in event["data"]["leases"]]
        return ("ben", INVENTORY) in leases

    task = record.first("task.reclaimed", "from ben", lambda event: event["data"]["agent_name"] == "ben")
    lock = record.first("lease.reclaimed", f"of {INVENTORY} from ben", held_it)
    return f"events {task['seq']} and {lock['seq']}: {lock['data']['reason']}"


def another_took_over(record: DemoRecord) -> str:
    """Another was given both, with a higher fencing token, and finished."""
    old = record.task("task.claimed", INVENTORY, "ben")["data"]["fencing_token"]
    claimed = record.task("task.claimed", INVENTORY, "cleo")
    new = claimed["data"]["fencing_token"]
    require(new > old, f"cleo's token {new} is not above ben's {old}")
    require(INVENTORY in claimed["data"]["locks"], "cleo got the task without the lock")
    completed = record.task("task.completed", INVENTORY, "cleo")
    return f"cleo with token {new} after {old} (event {claimed['seq']}), done in event {completed['seq']}"


def old_token_is_refused(record: DemoRecord) -> str:
    """The dead one's fencing token is refused."""
    require(record.zombie.startswith("refused"), record.zombie)
    return record.zombie


def work_is_in_git(record: DemoRecord) -> str:
    """The work is in git: one commit for each task, each of its file alone, nothing half-done."""
    paths = sorted(path for path, _ in _commits(record))
    require(paths == sorted((AUTHORS, INVENTORY, README)), f"committed: {', '.join(paths) or 'nothing'}")
    uncommitted = git(record.work, "status", "--porcelain").strip()
    require(not uncommitted, f"left behind: {uncommitted}")
    names = git(record.work, "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")
    count = sum(bool(name) and not name.startswith("survey/") for name in names)
    is_complete = f"Together {count} files" in (record.work / INVENTORY).read_text()
    require(is_complete, f"{INVENTORY} does not count {count} files")
    readme = (record.work / README).read_text()
    require(AUTHORS in readme and INVENTORY in readme, f"{README} does not lead to both")
    return (
        git(record.work, "log", "--oneline", "--reverse", f"{record.base}..HEAD").strip().replace("\n", "; ")
    )


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
"""All claims, in order; each returns its evidence, or raises ClaimNotFound."""


def _commits(record: DemoRecord) -> list[tuple[str, str]]:
    """Return (path, author) of each commit, oldest first; raises ClaimNotFound unless each has one file."""
    text = git(record.work, "log", "--reverse", "--format=%x00%an", "--name-only", f"{record.base}..HEAD")
    commits = []
    for entry in text.split("\0")[1:]:
        author, *paths = [line for line in entry.splitlines() if line]
        require(len(paths) == 1, f"a commit of {author} touches {len(paths)} files")
        commits.append((paths[0], author))
    return commits
