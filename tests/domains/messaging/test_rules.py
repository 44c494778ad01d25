"""Pure decisions about messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repomesh.domains.messaging.delivery import rules as delivery_rules
from repomesh.domains.messaging.delivery.models import MissedRecipient
from repomesh.domains.messaging.messages import rules
from repomesh.domains.messaging.messages.errors import SeveralChannels, TooManyHops
from repomesh.kernel.ids import new_id
from repomesh.kernel.limits import HOPS_MAX, LABEL_CHARS_MAX, UNDELIVERED_NAMED_MAX

START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(st.sampled_from(rules.STATUSES), max_size=8))
def test_a_receipt_only_goes_on(steps: list[str]) -> None:
    times: dict[str, datetime | None] = dict.fromkeys(rules.TIMES)
    furthest = 0
    for number, step in enumerate(steps):
        before = dict(times)
        times = rules.advance_times(times, step, START + timedelta(seconds=number))  # type: ignore[arg-type]
        furthest = max(furthest, rules.STATUSES.index(step))  # type: ignore[arg-type]
        assert rules.status(times) == rules.STATUSES[furthest]
        assert all(times[name] == moment for name, moment in before.items() if moment is not None)
        known = [moment for moment in times.values() if moment is not None]
        assert known == sorted(known)
        assert len(known) == furthest


def test_addresses_are_sorted_by_what_they_name() -> None:
    found = rules.addresses(["bob", "#dev", "*", "bob", "#dev"])
    assert (found.agents, found.channel, found.everybody) == (("bob",), "dev", True)
    with pytest.raises(SeveralChannels):
        rules.addresses(["#dev", "#ops"])


def test_the_hop_grows_with_each_agent_and_a_human_ends_the_count() -> None:
    assert rules.next_hop(0, "ai") == 1
    assert rules.next_hop(HOPS_MAX - 1, None) == HOPS_MAX
    assert rules.next_hop(HOPS_MAX, "human") == 0
    with pytest.raises(TooManyHops):
        rules.next_hop(HOPS_MAX, "service")


def test_names_like_one_that_is_unknown_are_found_whatever_their_case() -> None:
    assert rules.similar_names("Claud-code", ["bob", "claude-code", "Codex"]) == ["claude-code"]
    assert rules.similar_names("zzz", ["bob"]) == []


def test_a_notice_names_a_bounded_number_of_recipients() -> None:
    missed = [MissedRecipient(agent_id=new_id(), agent_name=f"agent-{n}", status="stored") for n in range(25)]
    subject, body = delivery_rules.notice("s" * LABEL_CHARS_MAX, START, "expired", missed, 1_000)
    assert len(subject) == LABEL_CHARS_MAX
    assert body.count("never offered") == UNDELIVERED_NAMED_MAX
    assert "and 5 more" in body
    assert "25 of 1000 recipients" in body
