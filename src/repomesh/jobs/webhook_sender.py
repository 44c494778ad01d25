"""Sends one event to one receiver: to a screened address, signed, with limits on time and response."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import httpx

from repomesh.domains.webhooks.delivery_queue_models import AttemptOutcome, DueDelivery
from repomesh.domains.webhooks.rules import WebhookTarget, is_allowlisted, parse_target
from repomesh.domains.webhooks.screening import NotPublic, screen_addresses
from repomesh.kernel import limits
from repomesh.kernel.clock import Clock
from repomesh.kernel.signing import sign
from repomesh.kernel.telemetry import Metrics

_UNANSWERED = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
    UnicodeError,
)
_BUSY = frozenset({429, 502, 503, 504})  # of a proxy before the receiver, or of one that asks for a pause
_RETRY_AFTER_DIGITS_MAX = 12  # digits that a number of seconds may have


class ScreenedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to exactly the addresses that were screened: no name is looked up again after the check."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = hosts
        self._network = httpcore.AnyIOBackend()
        self._resolvers = ThreadPoolExecutor(limits.WEBHOOK_RESOLVERS, "repomesh-resolve")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the interface has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; raises NotPublic unless each is public or allowed."""
        allowlisted = is_allowlisted(host, port, self._hosts)
        addresses = await asyncio.get_running_loop().run_in_executor(
            self._resolvers, lambda: screen_addresses(host, port, allowlisted=allowlisted)
        )
        refusal: Exception = OSError(f"there is no host {host}")
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, limits.WEBHOOK_CONNECT_S, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refusal = error
        raise refusal

    async def sleep(self, seconds: float) -> None:
        """Wait, as the connection pool asks for it."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Cancel the name look-ups that wait."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)


class WebhookSender:
    """Attempts deliveries over reused connections. It follows no redirects and uses no proxy."""

    def __init__(self, hosts: Collection[str], clock: Clock, metrics: Metrics, version: str) -> None:
        self._hosts = hosts
        self._clock = clock
        self._metrics = metrics
        self._user_agent = f"repomesh/{version}"
        self._network: ScreenedNetwork | None = None
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._opening = asyncio.Lock()

    async def send(self, url: str, secrets: Collection[str], delivery: DueDelivery) -> AttemptOutcome:
        """Make one attempt; an error is part of its outcome, and not raised."""
        started = time.perf_counter()
        outcome: dict[str, Any]
        try:
            async with asyncio.timeout(limits.WEBHOOK_TIMEOUT_S) as deadline:
                outcome = await self._post(parse_target(url), secrets, delivery, deadline)
        except TimeoutError:
            outcome = {
                "error": f"no answer within {limits.WEBHOOK_TIMEOUT_S:.0f} s",
                "receiver_available": False,
            }
        except _UNANSWERED as error:
            outcome = {"error": _error_text(error), "receiver_available": False}
        except (NotPublic, ValueError) as error:
            outcome = {"error": str(error), "receiver_available": False}
        self._metrics.webhook_seconds.observe(time.perf_counter() - started)
        self._metrics.webhook_attempts.labels("failed" if outcome.get("error") else "delivered").inc()
        spread = random.random()  # noqa: S311 - it spreads load and protects nothing
        return AttemptOutcome(delivery_id=delivery.id, attempts=delivery.attempts, spread=spread, **outcome)

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None and self._network is not None:
            await self._pool.aclose()
            self._network.close()
            self._pool = self._network = None

    async def _post(
        self,
        receiver: WebhookTarget,
        secrets: Collection[str],
        delivery: DueDelivery,
        deadline: asyncio.Timeout,
    ) -> dict[str, Any]:
        """Send one delivery; the status alone decides the outcome, whether or not the body can be read."""
        body = delivery.body.encode()
        timestamp_s = int(self._clock().timestamp())
        signatures = " ".join(sign(secret, delivery.event_id, timestamp_s, body) for secret in secrets)
        headers = {
            "Host": receiver.authority,
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "Content-Length": str(len(body)),
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
            "webhook-id": delivery.event_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signatures,
        }
        url = httpcore.URL(
            scheme=receiver.scheme, host=receiver.host, port=receiver.port, target=receiver.path
        )
        pool = await self._open_pool()
        async with pool.stream("POST", url, headers=list(headers.items()), content=body) as response:
            deadline.reschedule(None)  # answered: the body has a limit of its own, and can't undo it
            return self._outcome_of(response, await _read_excerpt(response))

    def _outcome_of(self, response: httpcore.Response, excerpt: str) -> dict[str, Any]:
        outcome: dict[str, Any] = {"status": response.status, "response": excerpt}
        if 200 <= response.status < 300:
            return outcome
        outcome["error"] = f"answered {response.status}"
        if 300 <= response.status < 400:
            outcome["error"] += ", and redirects are not followed"
        outcome["receiver_available"] = response.status not in _BUSY
        return outcome | {"retry_after_s": self._retry_after_s(response)}

    def _retry_after_s(self, response: httpcore.Response) -> float | None:
        """The seconds that Retry-After asks for, or that lie before the time it names."""
        header = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
        text = header.decode("ascii", errors="replace").strip()
        if text.isascii() and text.isdigit() and len(text) <= _RETRY_AFTER_DIGITS_MAX:
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max((moment - self._clock()).total_seconds(), 0.0)

    async def _open_pool(self) -> httpcore.AsyncConnectionPool:
        async with self._opening:
            if self._pool is None:
                # Reading the certificates of all authorities takes a while.
                context: ssl.SSLContext = await asyncio.to_thread(httpx.create_ssl_context)
                self._network = ScreenedNetwork(self._hosts)
                self._pool = httpcore.AsyncConnectionPool(
                    ssl_context=context,
                    max_connections=limits.WEBHOOK_SENDERS_MAX,
                    keepalive_expiry=limits.WEBHOOK_KEEPALIVE_S,
                    network_backend=self._network,
                )
            return self._pool


async def _read_excerpt(response: httpcore.Response) -> str:
    """The beginning of a response's body, as far as it arrives in time and without an error.

    The connection of a body that was not read to its end is not used again.
    """
    received = b""
    # The status was the answer: a body that drips, breaks off or lies about its length changes nothing.
    with suppress(TimeoutError, *_UNANSWERED):
        async with asyncio.timeout(limits.WEBHOOK_RESPONSE_S):
            pieces = 0
            async for chunk in response.aiter_stream():
                received += chunk
                pieces += 1
                if (
                    len(received) >= limits.WEBHOOK_RESPONSE_BYTES_MAX
                    or pieces >= limits.WEBHOOK_RESPONSE_PIECES_MAX
                ):
                    break
    text = received[: limits.WEBHOOK_RESPONSE_BYTES_MAX].decode(errors="replace").replace("\0", "")
    return text[: limits.WEBHOOK_EXCERPT_CHARS_MAX]


def _error_text(error: BaseException) -> str:
    """The text of a connection error, without addresses of this machine."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return "there is no host of this name"
    if isinstance(error, httpcore.TimeoutException):
        return "no connection in time"
    words = str(error).strip()
    return f"no answer: {words or type(error).__name__}"[: limits.WEBHOOK_EXCERPT_CHARS_MAX]
