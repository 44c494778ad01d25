"""The open connections of this process: a limit on their number, and deadlines for each.

A token is shown by a request, not by a connection; so a connection counts as authenticated from the first
request on that showed a valid one. When places are short, the oldest that never did is closed. Addresses are
those of the sockets: forwarded ones can be made up by whoever sends them. Behind a proxy all clients have
one address; its connections count as authenticated as soon as one request on them was.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import socket
from collections.abc import Callable
from typing import Any

from repomesh.kernel import limits
from repomesh.kernel.errors import Unavailable
from repomesh.surfaces.http.fair_turns import FairTurns

CONNECTION = "repomesh.connection"
"""The ASGI extension that an application calls when a request showed a valid token."""

_IPV6_NETWORK_BITS = 64  # the network that a provider assigns to one customer
_CLOSE_WAIT = 8  # TCP_CLOSE_WAIT of Linux's tcp_states.h: the client sends no more


class TooManyConnections(Unavailable):
    """All places for connections are taken by clients that are authenticated."""

    code = "too_many_connections"
    hint = "Retry in a moment over fewer connections; Retry-After names the seconds."


class OpenConnection(asyncio.Transport):
    """The transport of one accepted connection, with deadlines; HTTP and WebSocket use the same one."""

    def __init__(
        self, transport: asyncio.Transport, connections: OpenConnections, address: str | None
    ) -> None:
        super().__init__()
        self.address = address
        self.is_authenticated = False
        self._transport = transport
        self._connections = connections
        self._deadline = math.inf
        self._at_deadline: Callable[[], None] | None = None
        self._closing_since: float | None = None
        self._written = 0
        self._delivered_bytes = 0
        self._progress_at: float | None = None  # None while nothing is unsent

    def set_deadline(self, at: float, on_overdue: Callable[[], None]) -> None:
        """Call `on_overdue` at the event loop's time `at`, unless the deadline is changed before."""
        self._deadline, self._at_deadline = at, on_overdue

    def clear_deadline(self) -> None:
        """Remove the deadline."""
        self._deadline, self._at_deadline = math.inf, None

    def mark_authenticated(self, message_bytes_max: int = 0) -> None:
        """Count the connection as authenticated; `message_bytes_max` matters to WebSockets only."""
        if not self.is_authenticated:
            self.is_authenticated = True
            self._connections.note_authenticated(self)

    def release_place(self) -> None:
        """Free the place of a connection that is closed."""
        self._connections.remove(self)
        self.clear_deadline()

    def check(self, now: float) -> None:
        """Run the overdue action; abort a connection that is stalled or does not finish closing."""
        if self._transport.is_closing():
            self._closing_since = now if self._closing_since is None else self._closing_since
            if now - self._closing_since >= limits.CLOSING_S:
                self.abort()
        elif now >= self._deadline and self._at_deadline is not None:
            on_overdue = self._at_deadline
            self.clear_deadline()
            on_overdue()
        elif self._is_stalled(now):
            self.abort()

    def _is_stalled(self, now: float) -> bool:
        """Whether the client has read next to nothing of what is sent to it for `STALLED_S` seconds."""
        unsent_bytes = self._transport.get_write_buffer_size()
        delivered_bytes = self._written - unsent_bytes
        if not unsent_bytes:
            self._progress_at = None
        elif self._progress_at is None or delivered_bytes - self._delivered_bytes >= limits.STALLED_BYTES_MIN:
            self._delivered_bytes, self._progress_at = delivered_bytes, now
        else:
            return now - self._progress_at >= limits.STALLED_S
        return False

    # -- the transport -----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes."""
        self._written += len(data)
        self._transport.write(data)

    def write_eof(self) -> None:
        """Send no more."""
        self._transport.write_eof()

    def can_write_eof(self) -> bool:
        """Whether the connection can be closed for writing alone."""
        return self._transport.can_write_eof()

    def close(self) -> None:
        """Close when everything is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Pause reading from the client."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the client again."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """The bytes that are not sent yet."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The transport's information about the socket."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._transport.set_protocol(protocol)


class OpenConnections:
    """Assigns the limited places for connections of this process."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.draining = FairTurns(limits.DRAIN_TURN_CONNECTIONS, limits.DRAIN_TURN_S)
        self.upgrading = FairTurns(limits.UPGRADES_PER_TURN, limits.UPGRADE_TURN_S)
        self.health_requests = FairTurns(limits.REQUESTS_PER_TURN, 0.0)
        self.requests = FairTurns(limits.REQUESTS_PER_TURN, 0.0)  # without a token so far, or pipelined
        self.frames = FairTurns(limits.SOCKET_SLICES_PER_TURN, 0.0)
        self._open: set[OpenConnection] = set()
        self._unauthenticated: dict[OpenConnection, None] = {}  # the oldest first
        self._by_address: dict[str, dict[OpenConnection, None]] = {}
        self._accepted = 0
        self._accepted_since = 0.0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def unauthenticated(self) -> int:
        """The number of connections that never showed a valid token."""
        return len(self._unauthenticated)

    def take(self, transport: asyncio.Transport) -> OpenConnection | None:
        """Assign a place to a new connection; None when authenticated ones occupy all of them."""
        connection = OpenConnection(transport, self, _remote_address(transport))
        self._make_room(connection.address)
        if len(self._open) >= self.places:
            return None
        self._open.add(connection)
        self._unauthenticated[connection] = None
        if connection.address is not None:
            self._by_address.setdefault(connection.address, {})[connection] = None
        return connection

    def drop_if_client_left(self, transport: asyncio.Transport, now: float) -> bool:
        """Close a new connection whose client has left already, while many arrive; True if it was closed.

        Clients that connect, ask and leave fill the accept queue. Serving one takes twice as long as closing
        it, and all clients behind wait. At other times a client may send its request, close its direction
        and wait for the answer.
        """
        if now - self._accepted_since >= limits.CROWD_S:
            self._accepted, self._accepted_since = 0, now
        self._accepted += 1
        if self._accepted <= limits.CROWD_CONNECTIONS or not _client_has_left(transport):
            return False
        transport.set_protocol(asyncio.Protocol())
        transport.abort()
        return True

    def note_authenticated(self, connection: OpenConnection) -> None:
        """Count a connection among those that showed a valid token."""
        self._unauthenticated.pop(connection, None)
        self._remove_from_address(connection)

    def remove(self, connection: OpenConnection) -> None:
        """Free a connection's place."""
        self._open.discard(connection)
        self._unauthenticated.pop(connection, None)
        self._remove_from_address(connection)

    def sweep(self, now: float) -> None:
        """Check the deadlines of all connections at the event loop's time `now`."""
        for connection in tuple(self._open):
            connection.check(now)

    def _make_room(self, address: str | None) -> None:
        same_address = self._by_address.get(address or "", {})
        if len(same_address) >= limits.ADDRESS_UNAUTHENTICATED_MAX:
            self._close_oldest(same_address)
        elif (
            len(self._open) >= self.places
            or len(self._unauthenticated) >= limits.UNAUTHENTICATED_CONNECTIONS_MAX
        ):
            self._close_oldest(self._unauthenticated)

    def _close_oldest(self, connections: dict[OpenConnection, None]) -> None:
        oldest = next(iter(connections), None)
        if oldest is not None:
            self.remove(oldest)
            oldest.abort()

    def _remove_from_address(self, connection: OpenConnection) -> None:
        same_address = self._by_address.get(connection.address or "")
        if same_address is not None:
            same_address.pop(connection, None)
            if not same_address:
                del self._by_address[connection.address or ""]


def _client_has_left(transport: asyncio.Transport) -> bool:
    tcp_info = getattr(socket, "TCP_INFO", None)  # Linux
    if tcp_info is None:
        return False
    state: bytes = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, tcp_info, 1)
    return state[0] == _CLOSE_WAIT


def _remote_address(transport: asyncio.Transport) -> str | None:
    """The client's address, or its IPv6 network; None for this machine's own, which all programs share."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple) or not peer:
        return None
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False)
            return None if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)
