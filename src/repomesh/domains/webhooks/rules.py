"""Decisions about webhooks on plain values: which addresses are allowed, and when to try again."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from repomesh.kernel import limits
from repomesh.kernel.job_policy import JobPolicy

POLICY = JobPolicy(
    concurrency=limits.WEBHOOK_SENDERS_MAX,
    limit_s=limits.WEBHOOK_BATCH * (limits.WEBHOOK_TIMEOUT_S + limits.WEBHOOK_RESPONSE_S),
    waits_s=limits.WEBHOOK_RETRIES_S,
    jitter=limits.WEBHOOK_JITTER,
)
"""How many webhooks are served at once, how long a batch may take, and when a delivery is tried again."""
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?")
# A public address at which virtual machines of Azure reach their host's management service.
_CLOUD_HOST_ADDRESSES = frozenset({IPv4Address("168.63.129.16")})
# Special-purpose networks that some Python releases take for public.
_SPECIAL = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "5f00::/16")))
_NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last 32 bits: RFC 6052


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A URL in the parts that a request needs. Screening and sending read it in this one way."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str) -> WebhookTarget:
    """Parse the URL of a receiver; raises ValueError that says why it is refused."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError("only http and https are sent to")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with user or password is refused: they would end in logs")
    if parts.fragment:
        raise ValueError("a fragment never reaches the receiver: leave out '#' and what follows")
    host = parts.hostname or ""
    if not (_is_ipv6(host) if "[" in parts.netloc else _NAME.fullmatch(host)):
        raise ValueError("the host is neither a name in ASCII nor an address")
    port = parts.port if parts.port is not None else _PORTS[parts.scheme]  # raises ValueError, too
    if port == 0:
        raise ValueError("port 0 is no port")
    path = parts.path or "/"
    return WebhookTarget(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path)


def is_allowlisted(host: str, port: int, hosts: Collection[str]) -> bool:
    """Whether the operator named this host, or this port of it."""
    return not {host.lower(), f"{host.lower()}:{port}"}.isdisjoint(host_name.lower() for host_name in hosts)


def is_public(address: str) -> bool:
    """Whether an IP address is public: not private, special, multicast, or of a cloud host."""
    try:
        inner_address = _embedded_ipv4(ip_address(address))
    except ValueError:
        return False
    if isinstance(inner_address, IPv6Address) and inner_address.is_site_local:
        return False
    if inner_address in _CLOUD_HOST_ADDRESSES or any(inner_address in network for network in _SPECIAL):
        return False
    # `is_global` is true of some multicast and reserved addresses.
    return inner_address.is_global and not inner_address.is_multicast and not inner_address.is_reserved


def _embedded_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that is embedded in an IPv6 address, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_ipv6(host: str) -> bool:
    try:
        return isinstance(ip_address(host), IPv6Address)
    except ValueError:
        return False


def next_wait_s(attempts: int, spread: float, retry_after_s: float | None) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones; None when there is none.

    `spread`, from 0 to 1, is how much of the jitter is added. A receiver may ask for more, not for less.
    """
    wait_s = POLICY.next_wait_s(attempts, spread)
    if wait_s is None:
        return None
    requested_s = min(retry_after_s or 0.0, limits.WEBHOOK_RETRY_AFTER_S_MAX)
    return max(wait_s, requested_s)


def backoff_s(failing_since: datetime, now: datetime, retry_after_s: float | None) -> float:
    """Seconds for which a receiver that does not answer gets nothing: the longer it fails, the more."""
    share_s = (now - failing_since).total_seconds() * limits.WEBHOOK_REST_SHARE
    chosen_s = min(max(share_s, limits.WEBHOOK_REST_S_MIN), limits.WEBHOOK_REST_S_MAX)
    return max(chosen_s, min(retry_after_s or 0.0, limits.WEBHOOK_RETRY_AFTER_S_MAX))


def has_failed_too_long(failing_since: datetime, now: datetime) -> bool:
    """Whether a webhook has failed for so long that it is disabled."""
    return (now - failing_since).total_seconds() >= limits.WEBHOOK_FAILING_S_MAX
