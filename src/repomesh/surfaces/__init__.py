"""The surfaces on which callers reach the operations: HTTP, streams, MCP, webhooks and hooks."""
