"""Screens the URLs of webhooks: looks up the host and checks every address that it resolves to."""

from __future__ import annotations

import socket
from collections.abc import Collection

from repomesh.domains.webhooks.errors import WebhookUrlRefused
from repomesh.domains.webhooks.models import SubscribeWebhook, UpdateWebhook
from repomesh.domains.webhooks.rules import WebhookTarget, is_allowlisted, is_public, parse_target
from repomesh.kernel.ports import StorePort


class NotPublic(Exception):
    """A host resolves to an address that is not public."""


def addresses(host: str, port: int) -> list[str]:
    """Look up the addresses of a host, in the order to try them; raises OSError if there are none.

    Blocks for as long as the system's look-up takes.
    """
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def screen_addresses(host: str, port: int, *, allowlisted: bool) -> list[str]:
    """Look up the addresses to connect to; raises NotPublic unless all are public, or `allowlisted` is set.

    Connect only to one of these: at a second look-up the name may resolve to others.
    """
    host_addresses = addresses(host, port)
    private_addresses = [address for address in host_addresses if not is_public(address)]
    if private_addresses and not allowlisted:
        subject = host if host == private_addresses[0] else f"{host} leads to {private_addresses[0]}, which"
        raise NotPublic(f"{subject} is not a public address")
    return host_addresses


def require_allowed(url: str, hosts: Collection[str]) -> None:
    """Raise WebhookUrlRefused unless webhooks may be sent to `url`; looks up its host."""
    try:
        receiver: WebhookTarget = parse_target(url)
    except ValueError as error:
        raise _url_error(str(error)) from None
    if is_allowlisted(receiver.host, receiver.port, hosts):
        return
    try:
        screen_addresses(receiver.host, receiver.port, allowlisted=False)
    except NotPublic as error:
        raise _url_error(str(error)) from None
    except (OSError, UnicodeError):
        raise _url_error(f"there is no host {receiver.host}") from None


def screen(request: SubscribeWebhook | UpdateWebhook, store: StorePort) -> None:
    """Look up the host in a request's URL, which takes time; raises WebhookUrlRefused."""
    if request.url is not None:
        require_allowed(request.url, store.settings.webhook_hosts)


def _url_error(message: str) -> WebhookUrlRefused:
    error = {"field": "url", "message": message, "type": "webhook_url"}
    return WebhookUrlRefused(f"url: {message}", errors=[error])
