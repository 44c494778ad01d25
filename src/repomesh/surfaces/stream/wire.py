"""Encoded WebSocket frames, built once for all sockets that receive them.

Building a frame costs more than writing it. A server that offers the ASGI extension named here takes several
encoded frames at once; with any other, each text is sent by itself.
"""

from __future__ import annotations

import struct

from repomesh.surfaces.http.asgi_messages import Scope

FRAMES = "repomesh.websocket.frames"
"""The extension, and the type of its message: `{"type": FRAMES, "frames": bytes}`."""

_FINAL_TEXT = 0x81
_LENGTH_16, _LENGTH_64 = 126, 127


def takes_frames(scope: Scope) -> bool:
    """Whether the server of this socket takes encoded frames."""
    return FRAMES in (scope.get("extensions") or {})


def text_frame(text: bytes) -> bytes:
    """One whole text message, unmasked as a server sends it (RFC 6455, section 5.2)."""
    length = len(text)
    if length < _LENGTH_16:
        return bytes((_FINAL_TEXT, length)) + text
    if length < 1 << 16:
        return struct.pack("!BBH", _FINAL_TEXT, _LENGTH_16, length) + text
    return struct.pack("!BBQ", _FINAL_TEXT, _LENGTH_64, length) + text
