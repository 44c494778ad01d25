"""Where callers reach the operations: HTTP, streams, MCP."""
