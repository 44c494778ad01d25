"""Where webhooks may go: names are looked up, and every address that one leads to is looked at."""

from __future__ import annotations

import socket
from collections.abc import Collection

from repomesh.domains.webhooks.errors import WebhookUrlRefused
from repomesh.domains.webhooks.models import SubscribeWebhook, UpdateWebhook
from repomesh.domains.webhooks.rules import WebhookTarget, is_admitted, is_public, target
from repomesh.kernel.ports import StorePort


class NotPublic(Exception):
    """A host leads into a private network."""


def addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which they are to be tried; raises OSError for none.

    It takes as long as the system's own look-up does.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def screened(host: str, port: int, *, admitted: bool) -> list[str]:
    """The addresses to connect to; raises NotPublic unless all of them are public, or `admitted`.

    Whoever connects takes one of these: looked up a second time, the name may lead elsewhere.
    """
    found = addresses(host, port)
    private = [address for address in found if not is_public(address)]
    if private and not admitted:
        who = host if host == private[0] else f"{host} leads to {private[0]}, which"
        raise NotPublic(f"{who} is not a public address")
    return found


def require_allowed(url: str, hosts: Collection[str]) -> None:
    """Raise WebhookUrlRefused unless webhooks may go to `url` as things are now."""
    try:
        receiver: WebhookTarget = target(url)
    except ValueError as error:
        raise _refused(str(error)) from None
    if is_admitted(receiver.host, receiver.port, hosts):
        return
    try:
        screened(receiver.host, receiver.port, admitted=False)
    except NotPublic as error:
        raise _refused(str(error)) from None
    except (OSError, UnicodeError):
        raise _refused(f"there is no host {receiver.host}") from None


def screen(request: SubscribeWebhook | UpdateWebhook, store: StorePort) -> None:
    """Look up the host in a request's URL, which takes time; raises WebhookUrlRefused."""
    if request.url is not None:
        require_allowed(request.url, store.settings.webhook_hosts)


def _refused(message: str) -> WebhookUrlRefused:
    error = {"field": "url", "message": message, "type": "webhook_url"}
    return WebhookUrlRefused(f"url: {message}", errors=[error])
