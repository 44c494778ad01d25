"""The MCP endpoint: the operations that are tools."""
