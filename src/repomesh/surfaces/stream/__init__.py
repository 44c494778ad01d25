"""Push over server-sent events and WebSocket."""
