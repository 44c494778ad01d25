"""Where webhooks may go, and when they are tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from repomesh.domains.webhooks.rules import (
    WebhookTarget,
    backoff_s,
    has_failed_too_long,
    is_allowlisted,
    is_public,
    next_wait_s,
    parse_target,
)
from repomesh.kernel import limits

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1",
        "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1",
        "2002:a9fe:a9fe::", "2001:0:7f00:1::", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1",
        "fe80::1%eth0", "3fff::1", "5f00::1", "192.88.99.1", "fec0::1", "ff02::1", "ff0e::1",
        "not an address", "",
    ],
)  # fmt: skip
def test_what_is_not_of_the_internet_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "1.1.1.1",
        "2606:4700:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2002:101:101::1",
    ],
)
def test_what_is_of_the_internet_is_not(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.com", WebhookTarget("https", "example.com", 443, "/")),
        ("http://example.com:8080/a/b?c=d&e", WebhookTarget("http", "example.com", 8080, "/a/b?c=d&e")),
        ("https://[2606:4700::1]:8443?x", WebhookTarget("https", "2606:4700::1", 8443, "/?x")),
        ("http://1.1.1.1/", WebhookTarget("http", "1.1.1.1", 80, "/")),
        ("http://xn--mnchen-3ya.example/", WebhookTarget("http", "xn--mnchen-3ya.example", 80, "/")),
    ],
)
def test_a_url_is_read_in_one_way(url: str, expected: WebhookTarget) -> None:
    assert parse_target(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "https:///path", "https://user@example.com/", "https://user:word@example.com/",
        "https://@example.com/", "https://good.example\\@evil.example/", "https://example.com:0/",
        "https://example.com:99999/", "https://example.com:http/", "https://example.com/#part",
        "https://a b/", "https://[::1/", "https://[v1.x]/", "https://[desk]/", "https://münchen.example/",
        "https://%6c/", "https://.", "http:/one",
    ],
)  # fmt: skip
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_target(url)


def test_the_header_names_the_port_where_it_is_not_the_usual_one() -> None:
    assert parse_target("https://example.com/").authority == "example.com"
    assert parse_target("http://example.com:443/").authority == "example.com:443"
    assert parse_target("https://[::1]:8443/").authority == "[::1]:8443"


def test_a_host_is_admitted_by_its_name_or_with_one_port() -> None:
    assert is_allowlisted("Desk", 80, ["desk"])
    assert is_allowlisted("desk", 8080, ["DESK:8080"])
    assert not is_allowlisted("desk", 8081, ["desk:8080"])
    assert not is_allowlisted("desk.example", 80, ["desk"])
    assert not is_allowlisted("desk", 80, [])


def test_the_waits_are_those_of_the_table_with_a_little_added() -> None:
    table = limits.WEBHOOK_RETRIES_S
    assert [next_wait_s(number, 0.0, None) for number in range(1, len(table) + 1)] == list(table)
    assert next_wait_s(len(table) + 1, 0.0, None) is None
    assert next_wait_s(len(table) + 1, 0.0, 60.0) is None
    assert next_wait_s(1, 1.0, None) == table[0] * (1 + limits.WEBHOOK_JITTER)


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    assert next_wait_s(1, 0.0, 60.0) == 60.0
    assert next_wait_s(2, 0.0, 1.0) == limits.WEBHOOK_RETRIES_S[1]
    assert next_wait_s(1, 0.0, 1e9) == limits.WEBHOOK_RETRY_AFTER_S_MAX


def test_the_longer_a_receiver_is_away_the_longer_it_rests() -> None:
    assert backoff_s(NOW, NOW, None) == limits.WEBHOOK_REST_S_MIN
    assert backoff_s(NOW - timedelta(seconds=1_000), NOW, None) == 100.0
    assert backoff_s(NOW - timedelta(days=1), NOW, None) == limits.WEBHOOK_REST_S_MAX
    assert backoff_s(NOW, NOW, 3_600.0) == 3_600.0


def test_after_days_it_is_given_up() -> None:
    edge = timedelta(seconds=limits.WEBHOOK_FAILING_S_MAX)
    assert has_failed_too_long(NOW - edge, NOW)
    assert not has_failed_too_long(NOW - edge + timedelta(microseconds=1), NOW)
