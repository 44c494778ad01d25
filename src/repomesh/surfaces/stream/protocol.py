"""uvicorn's WebSocket protocol, with the extension that takes ready frames."""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from repomesh.surfaces.stream.wire import FRAMES


class Protocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with the extension. Ready frames are not compressed, so never beside deflate."""

    def handle_connect(self, event: Request) -> None:
        """Begin to serve a socket."""
        super().handle_connect(event)
        if hasattr(self, "scope") and not self.config.ws_per_message_deflate:
            extensions = cast(dict[str, Any], self.scope["extensions"])
            extensions[FRAMES] = {}

    async def send(self, message: Any) -> None:
        """Take a message of the application."""
        if message["type"] != FRAMES:
            await super().send(message)
            return
        if not self.writable.is_set():
            await self.writable.wait()
        if self.disconnected or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        self.transport.write(message["frames"])
