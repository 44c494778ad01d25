"""A campaign: authors hand a whole plan to real servers, which are killed at random; and what came of it."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fault.landings.authors import Author, GaveUp, Line, News, Submission
from fault.landings.plans import AGENTS, Plan
from fault.landings.workshop import Workshop
from fault.running import Process

_LOOK_S = 0.1


@dataclass
class Outcome:
    """What authors and servers went through."""

    plan: Plan
    workshop: Workshop
    line: Line
    submissions: list[Submission] = field(default_factory=list)
    returns: list[tuple[str, str]] = field(default_factory=list)
    helped: set[int] = field(default_factory=set)
    kills: int = 0
    repeated: int = 0
    seconds: float = 0.0

    @property
    def alone(self) -> float:
        """The share of the works that landed without a person."""
        return 1 - len(self.helped) / len(self.plan.works)

    def __str__(self) -> str:
        works = len(self.plan.works)
        classes = dict(Counter(error_class for error_class, _reason in self.returns))
        return (
            f"{works} changes, {len(self.submissions)} submissions, came back: {classes}; without a person: "
            f"{self.alone:.1%}; {self.seconds:.1f} s, {works / self.seconds:.1f} changes/s; "
            f"{self.kills} kills, {self.repeated} repeated calls"
        )


@dataclass(frozen=True)
class Kills:
    """How often a server is killed, on average: after so many seconds, or after so many further events.

    The events are for machines of which nobody knows how far a server comes in some seconds.
    """

    every_s: float | None = None
    every_events: int = 0
    count_max: int | None = None


class Killer(threading.Thread):
    """Kills one of the servers at random moments, again and again, and starts it anew."""

    def __init__(self, servers: Sequence[Process], kills: Kills, news: News, seed: int) -> None:
        super().__init__(name="killer", daemon=True)
        self._servers = servers
        self._plan = kills
        self._news = news
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self.kills = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while self.kills != self._plan.count_max and self._wait():
                server = self._chance.choice(self._servers)
                server.kill()
                self.kills += 1
                server.start()
        except BaseException as error:
            self.failure = error

    def _wait(self) -> bool:
        """Wait for the next moment; returns False at the end."""
        factor = self._chance.uniform(0.5, 1.5)
        if self._plan.every_s is not None:
            return not self._over.wait(factor * self._plan.every_s)
        position = self._news.position + factor * self._plan.every_events
        while self._news.position < position:
            if self._over.wait(_LOOK_S / 10):
                return False
        return True

    def stop(self) -> None:
        """End, with all servers running."""
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure


def play(
    plan: Plan, workshop: Workshop, servers: Sequence[Process], *, kills: Kills | None, limit_s: float
) -> Outcome:
    """Have 8 authors land a plan. Raises GaveUp, also when it takes longer than `limit_s`."""
    urls = [server.url for server in servers]
    line = Line(urls, servers[0].token)
    outcome = Outcome(plan, workshop, line)
    news = News()
    authors = [_author(name, plan, workshop, urls, line, news) for name in AGENTS]
    killer = None if kills is None else Killer(servers, kills, news, seed=len(plan.works))
    began = time.monotonic()
    for thread in (*authors, *filter(None, [killer])):
        thread.start()
    try:
        _follow(authors, line, news, began + limit_s)
    finally:
        for author in authors:
            author.stopped.set()
        for author in authors:
            author.join()
        if killer is not None:
            killer.stop()
            outcome.kills = killer.kills
    outcome.seconds = time.monotonic() - began
    for author in authors:
        outcome.submissions += author.submissions
        outcome.returns += author.returns
        outcome.helped |= author.helped
        outcome.repeated += author._line.repeated
    return outcome


def _author(name: str, plan: Plan, workshop: Workshop, urls: Sequence[str], line: Line, news: News) -> Author:
    made = line.post("/v1/agents/register", f"register-{name}", name=name)
    works = [work for work in plan.works if work.agent == name]
    return Author(name, works, workshop.path, Line(urls, made["token"]), news)


def _follow(authors: Sequence[Author], line: Line, news: News, deadline: float) -> None:
    while any(author.is_alive() for author in authors):
        news.read(line)
        for author in authors:
            if author.failure is not None:
                raise author.failure
        if time.monotonic() > deadline:
            states = Counter(change["state"] for change in news.changes.values())
            raise GaveUp(f"it takes too long; the changes are {dict(states)}")
        time.sleep(_LOOK_S)
    for author in authors:
        if author.failure is not None:
            raise author.failure
