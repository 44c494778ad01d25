"""Whatever agents do, and whenever: the leases in the store are those of a plain model in memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from clocks import StillClock
from repomesh.app import Server, prepare
from repomesh.domains.agents import operations as agents
from repomesh.domains.agents.models import RegisterAgent
from repomesh.domains.leases import leasing, overdue_leases, resources
from repomesh.domains.leases.errors import LeaseExpired, LockConflict, NotHolder, StaleFencingToken
from repomesh.domains.workspaces import operations as workspaces
from repomesh.domains.workspaces import tokens
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.settings import Settings

AGENTS = ("ann", "ben", "cat")
PATTERNS = ("a", "a/b", "a/*", "*/b", "a/**", "**/b", "**", "c/", "port:1", "port:2")
PATHS = ["/".join(parts) for depth in (1, 2, 3) for parts in itertools.product("abc", repeat=depth)]
INACTIVE_S, MAX_HOLD_S = 90.0, 400.0


def holds(pattern: str) -> frozenset[str]:
    """What a pattern holds among all short paths, found the slow way."""
    if ":" in pattern:
        return frozenset({pattern})
    text = pattern + "**" if pattern.endswith("/") else pattern
    if "*" not in text:
        text += "/**"  # a folder is held with all below it
    return frozenset(path for path in PATHS if _matches(text.split("/"), path.split("/")))


def _matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return _matches(pattern[1:], path) or (bool(path) and _matches(pattern, path[1:]))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _matches(pattern[1:], path[1:])


def nearly(moment: datetime) -> float:
    """A time without the microseconds by which commands follow each other while the clock stands still."""
    return math.floor(moment.timestamp() * 100 + 0.3) / 100  # no time of the model is near these bounds


HOLDS = {resources.parse(pattern)[0].text: holds(pattern) for pattern in PATTERNS}


@dataclass(frozen=True)
class Held:
    """A lease of the model."""

    agent: str
    resource: str
    mode: str
    token: int
    expires_at: datetime
    ttl_s: float
    max_hold_until: datetime
    token_id: str

    def excludes(self, other: Held) -> bool:
        overlap = HOLDS[self.resource] & HOLDS[other.resource]
        return bool(overlap) and "exclusive" in (self.mode, other.mode) and self.agent != other.agent


@dataclass
class Somebody:
    """An agent of the model."""

    id: str
    caller: Caller
    last_seen: datetime
    active: bool = True
    revoked: bool = False


class Leases(RuleBasedStateMachine):
    """Each example plays in a workspace of its own."""

    granted = Bundle("granted")

    def __init__(self, server: Server, clock: StillClock) -> None:
        super().__init__()
        self.store, self.clock = server.store, clock
        self.workspace = new_id()
        self.owner = system_caller(self.workspace)
        self.newest = 0
        self.held: list[Held] = []
        self.people: dict[str, Somebody] = {}

    def write(self, caller: Caller, work: Any) -> Any:
        return self.store.write_now(caller, work)

    def live(self) -> list[Held]:
        return [one for one in self.held if one.expires_at > self.clock.now]

    def _register(self, name: str) -> Caller:
        request = RegisterAgent(name=name, instance_id=new_id(), force=True)
        made = self.write(self.owner, lambda tx: agents.register_agent(tx, request))
        return Caller(self.workspace, Role.AGENT, made.token_id, made.agent.id, name, "ai", made.instance_id)

    @initialize()
    def join(self) -> None:
        name = f"w{self.workspace}"
        self.write(self.owner, lambda tx: workspaces.create(tx, self.workspace, name, None, home=False))
        for agent in AGENTS:
            caller = self._register(agent)
            self.people[agent] = Somebody(caller.acting_agent(), caller, self.clock.now)

    @rule(
        target=granted,
        agent=st.sampled_from(AGENTS),
        wanted=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3),
        mode=st.sampled_from(["exclusive", "exclusive", "shared"]),
        ttl_s=st.sampled_from([5.0, 30.0, 300.0]),
    )
    def acquire(self, agent: str, wanted: list[str], mode: Any, ttl_s: float) -> Any:
        who = self.people[agent]
        if who.revoked:
            return multiple()
        parsed = resources.parse_all(wanted)
        texts = [one.text for one in parsed]
        now = self.clock.now
        new = [
            Held(
                agent, text, mode, 0, now + timedelta(seconds=ttl_s), ttl_s,
                now + timedelta(seconds=MAX_HOLD_S), who.caller.token_id,
            )
            for text in texts
        ]  # fmt: skip
        in_the_way = {(one.agent, one.resource) for one in self.live() for mine in new if mine.excludes(one)}
        take = lambda tx: leasing.grant(tx, parsed, mode=mode, ttl_s=ttl_s)  # noqa: E731
        if in_the_way:
            with pytest.raises(LockConflict) as refused:
                self.write(who.caller, take)
            assert {(one.holder_name, one.resource) for one in refused.value.obstacles} == in_the_way
            return multiple()
        leases = self.write(who.caller, take)
        self._present(who)
        token = self._take(agent, new, mode)
        assert {lease.fencing_token for lease in leases} == {token}
        assert [lease.resource for lease in leases] == texts
        return multiple(*((agent, text, token) for text in texts))

    def _take(self, agent: str, new: list[Held], mode: str) -> int:
        own = {one.resource: one for one in self.live() if one.agent == agent}
        known = [own[one.resource] for one in new if one.resource in own]
        upgraded = mode == "exclusive" and any(one.mode == "shared" for one in known)
        if len(known) == len(new) and len({one.token for one in known}) == 1 and not upgraded:
            token = known[0].token
        else:
            token = self.newest = self.newest + 1
        for one in new:
            if (before := own.get(one.resource)) is not None:
                self.held.remove(before)
                stronger = "exclusive" if "exclusive" in (mode, before.mode) else "shared"
                later = max(one.expires_at, before.expires_at)
                kept = {"mode": stronger, "expires_at": later, "max_hold_until": before.max_hold_until}
                one = replace(one, **kept)
            self.held.append(replace(one, token=token))
        return token

    def _present(self, who: Somebody) -> None:
        if not who.active or (self.clock.now - who.last_seen).total_seconds() > INACTIVE_S / 2:
            who.active, who.last_seen = True, self.clock.now

    @rule(lease=granted, ttl_s=st.sampled_from([None, 5.0, 300.0]))
    def renew(self, lease: tuple[str, str, int], ttl_s: float | None) -> None:
        agent, text, token = lease
        who = self.people[agent]
        if who.revoked:
            return
        mine = self._mine(*lease)

        def work(tx: Any) -> Any:
            return leasing.renew(tx, [leasing.check(tx, resources.parse(text)[0], token)], ttl_s)

        if mine is None:
            with pytest.raises((LeaseExpired, StaleFencingToken, NotHolder)):
                self.write(who.caller, work)
            return
        self.write(who.caller, work)
        length = ttl_s or mine.ttl_s
        expires_at = self.clock.now + timedelta(seconds=length)
        self.held.remove(mine)
        self.held.append(replace(mine, ttl_s=length, expires_at=expires_at, token_id=who.caller.token_id))

    @rule(lease=consumes(granted))
    def release(self, lease: tuple[str, str, int]) -> None:
        agent, _text, token = lease
        who = self.people[agent]
        if who.revoked:
            return
        mine = [one for one in self.live() if (one.agent, one.token) == (agent, token)]

        def work(tx: Any) -> None:
            leasing.release(tx, leasing.held_under(tx, token))

        if mine:
            self.write(who.caller, work)
            self.held = [one for one in self.held if one not in mine]
        else:
            with pytest.raises((LeaseExpired, StaleFencingToken, NotHolder)):
                self.write(who.caller, work)

    @rule(lease=granted, other=st.sampled_from(AGENTS))
    def use(self, lease: tuple[str, str, int], other: str) -> None:
        """What a lease protects asks for its token: only the holder's newest one opens it."""
        agent, text, token = lease
        caller = self.people[other].caller
        work = lambda tx: leasing.check(tx, resources.parse(text)[0], token)  # noqa: E731
        if other == agent and self._mine(*lease) is not None:
            self.write(caller, work)
        else:
            with pytest.raises((LeaseExpired, StaleFencingToken, NotHolder)):
                self.write(caller, work)

    def _mine(self, agent: str, text: str, token: int) -> Held | None:
        key = (agent, text, token)
        return next((one for one in self.live() if (one.agent, one.resource, one.token) == key), None)

    @rule(agent=st.sampled_from(AGENTS))
    def beat(self, agent: str) -> None:
        who = self.people[agent]
        if who.revoked:
            return

        def work(tx: Any) -> None:
            agents.touch(tx, agents.find_agent(tx, who.id), who.caller.instance_id)
            leasing.renew_by_heartbeat(tx, who.id)

        self.write(who.caller, work)
        who.active, who.last_seen = True, self.clock.now
        for one in self.live():
            if one.agent == agent:
                bound = min(self.clock.now + timedelta(seconds=one.ttl_s), one.max_hold_until)
                self.held.remove(one)
                self.held.append(replace(one, expires_at=max(one.expires_at, bound)))

    @rule(seconds=st.sampled_from([1.0, 4.0, 5.0, 25.0, 60.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        # A little more, so that nothing ends just when somebody looks: commands that come while the clock
        # stands still follow each other by microseconds.
        self.clock.advance(seconds + 1 / 64)

    @rule()
    def sweep(self) -> None:
        def work(tx: Any) -> Any:
            agents.set_silent_agents_inactive(tx)
            return overdue_leases.end_overdue(tx)

        ended = self.write(self.owner, work)
        for who in self.people.values():
            who.active = who.active and (self.clock.now - who.last_seen).total_seconds() <= INACTIVE_S
        expected = {}
        kept = []
        for one in self.held:
            who = self.people[one.agent]
            if one.expires_at <= self.clock.now:
                continue
            if not who.active:
                expected[one.agent, one.resource] = "abandoned"
            elif who.revoked:
                expected[one.agent, one.resource] = "revoked"
            else:
                kept.append(replace(one, token_id=who.caller.token_id))
        self.held = kept
        found = {(lease.agent_name, lease.resource): reason for lease, reason in ended if reason != "expired"}
        assert found == expected

    @rule(agent=st.sampled_from(AGENTS))
    def take_over(self, agent: str) -> None:
        self.people[agent] = replace(
            self.people[agent],
            caller=self._register(agent),
            last_seen=self.clock.now,
            active=True,
            revoked=False,
        )

    @precondition(lambda self: any(not who.revoked for who in self.people.values()))
    @rule(agent=st.sampled_from(AGENTS))
    def revoke(self, agent: str) -> None:
        who = self.people[agent]
        if not who.revoked:
            self.write(self.owner, lambda tx: tokens.revoke(tx, who.caller.token_id, who.id, "revoked"))
            who.revoked = True

    @invariant()
    def the_store_holds_what_the_model_holds(self) -> None:
        if not self.people:
            return
        found = self.store.read_now(
            self.owner,
            lambda tx: [lease for who in self.people.values() for lease in leasing.held_by(tx, who.id)],
        )
        expected = {
            (one.agent, one.resource, one.mode, one.token, nearly(one.expires_at)) for one in self.live()
        }
        assert len(found) == len(expected)
        assert {
            (one.agent_name, one.resource, one.mode, one.fencing_token, nearly(one.expires_at))
            for one in found
        } == expected

    @invariant()
    def nobody_holds_what_another_holds(self) -> None:
        for one, other in itertools.combinations(self.live(), 2):
            assert not one.excludes(other)


@pytest.fixture
def still_clock(settings: Settings) -> Iterator[StillClock]:
    made = StillClock()
    if settings.database_url is not None:
        made.governs(settings.database_url)
    yield made
    made.close()


@pytest.fixture
def still_server(settings: Settings, still_clock: StillClock) -> Iterator[Server]:
    values = {"agent_inactive_after_s": INACTIVE_S, "max_hold_s": MAX_HOLD_S}
    made = Server(settings.model_copy(update=values), still_clock)
    prepare(settings, made.store, "test", None)
    yield made
    made.store.close()


def test_never_two_holders_and_never_an_old_one(
    still_server: Server, still_clock: StillClock, engine: str
) -> None:
    run_state_machine_as_test(
        lambda: Leases(still_server, still_clock),
        settings=hypothesis_settings(
            max_examples=60 if engine == "sqlite" else 10,
            stateful_step_count=40 if engine == "sqlite" else 25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
