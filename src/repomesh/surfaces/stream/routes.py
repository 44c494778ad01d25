"""The routes of the push surfaces."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route, WebSocketRoute

from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.stream.connections import Connections
from repomesh.surfaces.stream.log_socket import LogSocket
from repomesh.surfaces.stream.meeting_socket import MeetingSocket
from repomesh.surfaces.stream.replay import Replays
from repomesh.surfaces.stream.socket import Sockets
from repomesh.surfaces.stream.sse import EventStreams


def stream_routes(gateway: Gateway, connections: Connections) -> list[BaseRoute]:
    """The event stream, the WebSocket, and replays of meetings."""
    return [
        Route("/v1/stream", EventStreams(gateway, connections, "event.stream")),
        Route(
            "/v1/meetings/{meeting_id}/replay/stream", Replays(gateway, connections, "meeting.replay_stream")
        ),
        WebSocketRoute("/v1/ws", Sockets(gateway, connections, LogSocket)),
        WebSocketRoute("/v1/ws/meetings/{meeting_id}", Sockets(gateway, connections, MeetingSocket)),
    ]
