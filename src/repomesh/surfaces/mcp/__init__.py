"""The MCP endpoint, which offers the operations that are tools."""
