"""A filter reads the same events from the log that it lets through when they are pushed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plans import analyze, plans
from repomesh.app import Server
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Model
from repomesh.store.filters import EventFilter, filter_for, read_matching
from repomesh.store.log import Audience, NewEvent, read_after
from repomesh.store.reading import read_page
from repomesh.store.transaction import Transaction, open_counters

AGENTS = [new_id() for _ in range(3)]
CHANNELS = [new_id() for _ in range(2)]
TASKS = [new_id() for _ in range(2)]
TYPES = ["chat", "chat.message", "chat.message.edited", "chatter", "chat_message", "plan.updated", "z"]
SEVERITIES = ["debug", "info", "warning", "error", "critical"]
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP_S = 40  # so that some are further apart than a clock may be set back, and others not


class Nothing(Model):
    """Data without meaning."""


@dataclass(frozen=True)
class Posted:
    """An event of the test, and the step of time at which it happens."""

    event: NewEvent
    step: int


def some(values: list[str]) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.sampled_from(values))


audiences = st.builds(
    Audience,
    st.sampled_from(["workspace", "channel", "agents"]),
    st.lists(st.sampled_from(AGENTS), unique=True, max_size=3).map(tuple),
)
posted = st.builds(
    Posted,
    st.builds(
        NewEvent,
        st.sampled_from(TYPES),
        st.just("subject"),
        st.just(Nothing()),
        audiences,
        st.sampled_from(SEVERITIES),
        channel_id=some(CHANNELS),
        task_id=some(TASKS),
        recipient_id=some(AGENTS),
        correlation_id=some(["one", "two"]),
        actor=some(AGENTS),
    ),
    st.integers(0, 5),
)
moments = st.one_of(st.none(), st.integers(0, 6).map(lambda step: START + timedelta(seconds=STEP_S * step)))
callers = st.one_of(
    st.sampled_from([Caller("", Role.OWNER, "t"), Caller("", Role.OBSERVER, "t")]),
    st.builds(lambda agent: Caller("", Role.AGENT, "t", agent_id=agent), st.sampled_from(AGENTS)),
    st.builds(lambda agent: Caller("", Role.OWNER, "t", agent_id=agent), st.sampled_from(AGENTS)),
)
criteria = st.fixed_dictionaries(
    {},
    optional={
        "types": st.lists(st.sampled_from([*TYPES, "chat.*", "plan", "plan.*"]), max_size=2).map(tuple),
        "recipient_id": st.sampled_from(AGENTS),
        "channel_id": st.sampled_from(CHANNELS),
        "agent_id": st.sampled_from(AGENTS),
        "task_id": st.sampled_from(TASKS),
        "severity": st.sampled_from(SEVERITIES),
        "correlation_id": st.sampled_from(["one", "two"]),
        "since": moments,
        "until": moments,
    },
)
filters = st.builds(lambda caller, chosen: filter_for(caller, **chosen), callers, criteria)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(posted, min_size=1, max_size=30), st.lists(filters, min_size=1, max_size=8))
def test_a_filter_matches_what_it_selects(
    server: Server, happened: list[Posted], asked: list[EventFilter]
) -> None:
    workspace_id = new_id()
    caller = system_caller(workspace_id)
    server.store.write_now(caller, lambda tx: begin(tx, workspace_id))
    for step in range(6):
        server.store.write_now(caller, lambda tx, step=step: emit(tx, happened, step))

    def compare(tx: Transaction) -> None:
        everything = read_after(tx.connection, workspace_id, 0, 1_000).events
        assert len(everything) == len(happened)
        for one in asked:
            wanted = replace(one, workspace_id=workspace_id)
            matching = [e.seq for e in everything if wanted.matches(e)]
            assert [e.seq for e in read_matching(tx.connection, wanted, 0).events] == matching, wanted
            ends = {"after": 1, "before": len(everything), "count": 5}
            inside = [seq for seq in matching if 1 < seq < len(everything)]
            oldest = read_page(tx.connection, wanted, **ends, newest=False)
            assert [row.seq for row in oldest] == inside[:5], wanted
            newest = read_page(tx.connection, wanted, **ends, newest=True)
            assert [row.seq for row in newest] == inside[::-1][:5], wanted

    server.store.read_now(caller, compare)


def begin(tx: Transaction, workspace_id: str) -> None:
    tx.now = START - timedelta(seconds=STEP_S)
    open_counters(tx, workspace_id)


def emit(tx: Transaction, happened: list[Posted], step: int) -> Any:
    tx.now = START + timedelta(seconds=STEP_S * step)
    for one in happened:
        if one.step == step:
            tx.emit(one.event)


def test_few_among_many_are_found_by_severity_and_time(server: Server) -> None:
    workspace_id = new_id()
    caller = system_caller(workspace_id)
    server.store.write_now(caller, lambda tx: begin(tx, workspace_id))
    for step in range(40):
        severity: Any = "error" if step == 20 else "info"
        common = Posted(NewEvent("chat", "subject", Nothing(), severity=severity), step)
        server.store.write_now(caller, lambda tx, step=step, one=common: emit(tx, [one] * 100, step))
    if server.store.describe()["engine"] == "postgresql":
        analyze(server.store)
    middle = START + timedelta(seconds=STEP_S * 20)
    by_time = EventFilter(workspace_id, None, True, since=middle, until=middle + timedelta(seconds=STEP_S))
    for wanted in (by_time, EventFilter(workspace_id, None, True, severity="error")):

        def work(tx: Transaction, wanted: EventFilter = wanted) -> list[int]:
            rows = read_page(tx.connection, wanted, after=None, before=None, count=200, newest=False)
            return [row.seq for row in rows]

        assert server.store.read_now(caller, work) == list(range(2_001, 2_101))
        page = plans(server.store, caller, work, writing=False)[-1]
        assert ("seq <" in page.statement) if wanted.since else ("ix_events_severity" in page.steps)
